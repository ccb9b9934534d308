//! Where key material lives and is used.
//!
//! The service asks for a key version to be made, and later for the key of one ciphertext. The
//! material itself never comes out of an implementation: a software one keeps it sealed under a
//! root key, an HSM keeps it inside.

use super::api::types::{
    EncryptionAlgorithm, KeySpec, MacAlgorithm, MessageType, Origin, SigningAlgorithm,
};
use super::id::{KeyId, KeyVersion};
use crate::secret::Secret;

/// A key version just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMaterial {
    /// What the store keeps: the sealed material, or an HSM's handle for it.
    pub sealed: Vec<u8>,
    /// Names the material towards callers; tells nothing about it. The same material under the
    /// same key and version has the same name.
    pub id: [u8; 32],
    /// The public key, SubjectPublicKeyInfo in DER; nothing for keys that have none.
    pub public: Vec<u8>,
}

/// What is to be done with material other than deriving a key from it.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Sign. Gives the signature.
    Sign {
        /// How.
        algorithm: SigningAlgorithm,
        /// What `message` is.
        kind: MessageType,
        /// What.
        message: &'a [u8],
    },
    /// Make a MAC. Gives the MAC.
    Mac {
        /// How.
        algorithm: MacAlgorithm,
        /// Of what.
        message: &'a [u8],
    },
    /// Open an RSA ciphertext. Gives the plaintext.
    Decrypt {
        /// How.
        algorithm: EncryptionAlgorithm,
        /// What.
        ciphertext: &'a [u8],
    },
    /// Agree on a secret. Gives the x coordinate of the shared point.
    Agree {
        /// The other side's SubjectPublicKeyInfo, DER.
        peer: &'a [u8],
    },
    /// Open what was encapsulated. Gives the shared secret.
    Decapsulate {
        /// What.
        ciphertext: &'a [u8],
    },
}

/// Why material cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustodyError {
    /// It does not authenticate: damaged, or of another key or version, or under another root.
    #[error("sealed key material does not authenticate")]
    BadMaterial,
    /// What it was to be used on does not fit: a ciphertext that does not open, a point of
    /// another curve, material of another form.
    #[error("the input does not fit the key")]
    BadInput,
    /// The device is away.
    #[error("the key store is not reachable")]
    Unavailable,
}

/// Holds CMK material. Every method may be called from any thread.
pub trait Custody: Send + Sync + 'static {
    /// What DescribeKey shows for keys kept here.
    fn origin(&self) -> Origin;

    /// Makes the material of a version. Nothing is kept until the caller has stored the result.
    fn create(
        &self,
        key: KeyId,
        version: KeyVersion,
        spec: KeySpec,
    ) -> Result<NewMaterial, CustodyError>;

    /// Takes material that was made elsewhere: raw bytes of symmetric and HMAC keys, PKCS #8 in
    /// DER of the others. Nothing is kept until the caller has stored the result.
    fn import(
        &self,
        key: KeyId,
        version: KeyVersion,
        spec: KeySpec,
        material: &Secret<Vec<u8>>,
    ) -> Result<NewMaterial, CustodyError>;

    /// Does `task` with the material of a version.
    fn perform(
        &self,
        key: KeyId,
        version: KeyVersion,
        spec: KeySpec,
        sealed: &[u8],
        task: Task<'_>,
    ) -> Result<Secret<Vec<u8>>, CustodyError>;

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
