//! Custom key stores: places outside of the service where keys are, and what stands behind them.
//!
//! A key store is a record with a state of its own; what it stands for, an HSM cluster or the
//! proxy of an external key manager, is reached through [`Backings`] alone. A service that has
//! neither says so with AWS's own exceptions ([`Nothing`]); [`Imagined`] is for tests, of this
//! project and of others, and keeps the keys of every key store where all others are.

use serde::{Deserialize, Serialize};

use super::api::types::{ConnectionError, XksConnectivity};
use super::error::KmsError;
use super::id::AccountId;

/// A custom key store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStoreRecord {
    /// Its account.
    pub account: AccountId,
    /// `cks-` and 17 hex digits.
    pub id: String,
    /// Its name, unique in account and Region.
    pub name: String,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// What it stands for.
    pub behind: Behind,
    /// The credential that the service shows there, sealed by custody.
    pub sealed: Vec<u8>,
    /// Whether its keys can be used.
    pub connection: Connection,
}

impl KeyStoreRecord {
    /// The name under which its credential is sealed.
    pub fn secret_name(&self) -> String {
        format!("custom key store {}", self.id)
    }
}

/// What a key store stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behind {
    /// An HSM cluster.
    Cluster {
        /// `cluster-...`
        id: String,
        /// Its certificate, PEM.
        trust_anchor: String,
    },
    /// An external key manager.
    Proxy(Proxy),
}

/// How an external key manager is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Over what.
    pub connectivity: XksConnectivity,
    /// `https://HOST`.
    pub endpoint: String,
    /// `/.../kms/xks/v1`.
    pub path: String,
    /// The endpoint service, if that is how.
    pub vpc_service: Option<String>,
    /// Its owner, if another account.
    pub vpc_owner: Option<String>,
    /// Names the credential; the secret is in the record, sealed.
    pub access_key_id: String,
}

/// Whether a key store's keys can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Connection {
    /// Not asked for.
    Disconnected,
    /// Yes.
    Connected,
    /// It was tried.
    Failed(ConnectionError),
}

impl Connection {
    /// AWS's `ConnectionState`.
    pub fn as_str(self) -> &'static str {
        match self {
            Connection::Disconnected => "DISCONNECTED",
            Connection::Connected => "CONNECTED",
            Connection::Failed(_) => "FAILED",
        }
    }
}

/// Reaches what stands behind key stores. Every method may block for a while.
pub trait Backings: Send + Sync + 'static {
    /// Whether a new key store, or one with new members, could work.
    fn check(&self, behind: &Behind) -> Result<(), KmsError>;

    /// Connects, with the credential in the clear.
    fn connect(&self, store: &KeyStoreRecord, secret: &[u8]) -> Result<(), ConnectionError>;
}

/// Behind no key store is anything.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Backings for Nothing {
    fn check(&self, behind: &Behind) -> Result<(), KmsError> {
        Err(match behind {
            Behind::Cluster { id, .. } => KmsError::NoSuchCluster { id: id.clone() },
            Behind::Proxy(proxy) => match &proxy.vpc_service {
                Some(name) => KmsError::NoSuchVpcService { name: name.clone() },
                None => {
                    KmsError::ProxyUnreachable { uri: format!("{}{}", proxy.endpoint, proxy.path) }
                }
            },
        })
    }

    fn connect(&self, store: &KeyStoreRecord, _: &[u8]) -> Result<(), ConnectionError> {
        Err(match store.behind {
            Behind::Cluster { .. } => ConnectionError::ClusterNotFound,
            Behind::Proxy(_) => ConnectionError::ProxyNotReachable,
        })
    }
}

/// Every cluster and every proxy is there, and answers.
#[derive(Clone, Copy, Debug)]
pub struct Imagined;

impl Backings for Imagined {
    fn check(&self, _: &Behind) -> Result<(), KmsError> {
        Ok(())
    }

    fn connect(&self, _: &KeyStoreRecord, _: &[u8]) -> Result<(), ConnectionError> {
        Ok(())
    }
}
