//! Where key material lives and is used.
//!
//! The service asks for a key version to be made, and later for the key of one ciphertext. The
//! material itself never comes out of an implementation: a software one keeps it sealed under a
//! root key, an HSM keeps it inside.

use super::api::types::Origin;
use super::id::{KeyId, KeyVersion};
use crate::secret::Secret;

/// A key version just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMaterial {
    /// What the store keeps: the sealed material, or an HSM's handle for it.
    pub sealed: Vec<u8>,
    /// Names the material towards callers; tells nothing about it.
    pub id: [u8; 32],
}

/// Why material cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustodyError {
    /// It does not authenticate: damaged, or of another key or version, or under another root.
    #[error("sealed key material does not authenticate")]
    BadMaterial,
    /// The device is away.
    #[error("the key store is not reachable")]
    Unavailable,
}

/// Holds CMK material. Every method may be called from any thread.
pub trait Custody: Send + Sync + 'static {
    /// What DescribeKey shows for keys kept here.
    fn origin(&self) -> Origin;

    /// Makes the material of a version. Nothing is kept until the caller has stored the result.
    fn create(&self, key: KeyId, version: KeyVersion) -> Result<NewMaterial, CustodyError>;

    /// The key of the one ciphertext whose nonce this is.
    fn one_time_key(
        &self,
        key: KeyId,
        version: KeyVersion,
        sealed: &[u8],
        nonce: &[u8; 16],
    ) -> Result<Secret<[u8; 32]>, CustodyError>;

    /// Seals another secret of the store; `name` is bound in.
    fn seal_secret(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, CustodyError>;

    /// Opens what [`Custody::seal_secret`] sealed under the same name.
    fn open_secret(&self, name: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, CustodyError>;
}
