//! Keepers of key material, each an implementation of [`crate::kms::custody::Custody`], and the
//! ways to unlock the root key of the software one.

pub mod software;
pub mod unlock;
