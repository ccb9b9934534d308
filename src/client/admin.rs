//! The KMS actions and the administration of users, as the command line uses them. Whose right
//! counts is up to the service: it is the user who runs the command.

use std::sync::Arc;

use bincode::serde::Compat;

use super::conn::{KmsConn, Unreachable};
use crate::kms::api::{IamReply, IamRequest, Reply, Request};
use crate::kms::error::KmsError;
use crate::server::messages::{Answer, Ask, KnownVolume, Refusal};

/// Why an action gave no reply.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The service refused or failed; the exception is AWS's.
    #[error("{}", describe(.0))]
    Failed(KmsError),
    /// The service does not answer. An action that changes something may have been done.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The service answered something else: it is of another version.
    #[error("the key service gave an answer that does not fit the question ({0:?})")]
    Unexpected(Option<Refusal>),
}

/// Asks for actions in the name of the user who runs this process.
#[derive(Clone)]
pub struct Admin {
    conn: Arc<dyn KmsConn>,
}

impl Admin {
    /// Over a connection.
    pub fn new(conn: Arc<dyn KmsConn>) -> Self {
        Self { conn }
    }

    /// One action of the KMS API.
    pub fn call(&self, request: Request) -> Result<Reply, AdminError> {
        match self.conn.ask(Ask::Api(Compat(Box::new(request))))? {
            Answer::Api(Compat(reply)) => Ok(*reply),
            other => Err(unexpected(other)),
        }
    }

    /// One action of user administration, such as making an access key.
    pub fn iam(&self, request: IamRequest) -> Result<IamReply, AdminError> {
        match self.conn.ask(Ask::Iam(Compat(request)))? {
            Answer::Iam(Compat(reply)) => Ok(reply),
            other => Err(unexpected(other)),
        }
    }

    /// Canonical id of the key behind a key id, alias or ARN.
    pub fn resolve(&self, key: &str) -> Result<String, AdminError> {
        match self.conn.ask(Ask::Resolve(key.to_owned()))? {
            Answer::Text(id) => Ok(id),
            other => Err(unexpected(other)),
        }
    }

    /// Id and current version of a key, and the volumes that use it.
    pub fn key_usage(&self, key: &str) -> Result<(String, u32, Vec<KnownVolume>), AdminError> {
        match self.conn.ask(Ask::KeyUsage(key.to_owned()))? {
            Answer::Usage { key_id, current, volumes } => Ok((key_id, current, volumes)),
            other => Err(unexpected(other)),
        }
    }

    /// Destroys a version of a key, unless a volume may need it still: gives those that may.
    pub fn retire_version(&self, key: &str, version: u32) -> Result<Vec<KnownVolume>, AdminError> {
        match self.conn.ask(Ask::RetireVersion { key: key.to_owned(), version })? {
            Answer::InTheWay(volumes) => Ok(volumes),
            other => Err(unexpected(other)),
        }
    }

    /// Marks a version of a key as compromised; gives the version that seals now.
    pub fn compromise_version(&self, key: &str, version: u32) -> Result<u32, AdminError> {
        match self.conn.ask(Ask::CompromiseVersion { key: key.to_owned(), version })? {
            Answer::Version(current) => Ok(current),
            other => Err(unexpected(other)),
        }
    }

    /// Forgets the volumes at a place; gives their number.
    pub fn forget_volume(&self, place: &str) -> Result<u32, AdminError> {
        match self.conn.ask(Ask::ForgetVolume(place.to_owned()))? {
            Answer::Version(count) => Ok(count),
            other => Err(unexpected(other)),
        }
    }

    /// Canonical id of the managed key, which is made if it is not there yet.
    pub fn managed_key(&self) -> Result<String, AdminError> {
        match self.conn.ask(Ask::ManagedKey)? {
            Answer::Text(id) => Ok(id),
            other => Err(unexpected(other)),
        }
    }
}

fn describe(error: &KmsError) -> String {
    match error.message() {
        Some(message) => format!("{}: {message}", error.name()),
        None => error.name().to_owned(),
    }
}

fn unexpected(answer: Answer) -> AdminError {
    match answer {
        Answer::Failed(Compat(error)) => AdminError::Failed(error),
        Answer::No(refusal) => AdminError::Unexpected(Some(refusal)),
        _ => AdminError::Unexpected(None),
    }
}
