//! The manual, as part of the documentation that it is versioned with.
//!
//! | page | answers |
//! |---|---|
//! | [`threat_model`] | who is kept out, who is not, and what each of them can still learn |
//! | [`semantics`] | what programs on a mount can rely on |
//! | [`operations`] | running it: key stores, mounts, units, logs, exit codes |
//! | [`rotation`] | how a rotation is carried through to the last header |
//! | [`key_service`] | where kmsd differs from AWS KMS, and what it chose |

#[doc = include_str!("threat_model.md")]
pub mod threat_model {}

#[doc = include_str!("semantics.md")]
pub mod semantics {}

#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = include_str!("rotation.md")]
pub mod rotation {}

#[doc = include_str!("key_service.md")]
pub mod key_service {}
