//! Bytes in, bytes out: the primitives, each behind one small function or type.
//!
//! Nothing here knows a file, a header or a key service. Three rules hold throughout:
//! every use of a key goes through a [`Label`] of its own, every input of a MAC is encoded so
//! that two different inputs are two different byte strings, and no nonce is ever computed from
//! anything that a snapshot, a clone or a crash could rewind.

mod aead;
mod gcm_siv;
mod kdf;
mod mac;
mod prp;
mod rng;
mod suite;
pub mod sys;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use aead::{Aead, BadTag};
pub use kdf::{Derivation, Label, derive};
pub use mac::{mac, same};
pub use prp::Hide;
pub use rng::{random_array, random_nonces};
pub use suite::{Suite, UnknownSuite};
