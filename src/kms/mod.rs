//! The key service: who may use which customer master key (CMK), and the using of it.
//!
//! Here is no HTTP, no SQL and no file: records come through [`store::Store`], key material
//! stays behind [`custody::Custody`], audit lines leave through [`audit::AuditLog`].
//!
//! Invariants:
//! - every method that touches a key takes an [`authz::Authorized`], which [`authz`] alone makes;
//! - the result of a call leaves [`service::Service`] only after its audit record is durable;
//! - CMK material never leaves custody; at most a key derived for one ciphertext does.

pub mod api;
pub mod audit;
pub mod authz;
pub mod blob;
pub mod caller;
pub mod custody;
pub mod error;
pub mod grant;
pub mod hex;
pub mod id;
pub mod kdf;
pub mod key;
pub mod keystore;
pub mod limits;
pub mod material;
pub mod ml_kem;
pub mod policy;
pub mod public_key;
pub mod regional;
pub mod service;
pub mod store;
