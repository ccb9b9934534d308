//! Stores: implementations of [`crate::kms::store::Store`] and of the audit log's files.
//!
//! [`open`] puts an embedded key service together from a directory:
//!
//! ```text
//! DIR/lock           held by the one process that serves the store; holds its pid
//! DIR/kms.db         records and unlock slots (SQLite); also in each mirror directory
//! DIR/root.key       key file of the first slot, when the store was made with the default
//! DIR/audit/         the audit trail, one JSON line per record
//! ```

pub mod audit_files;
#[cfg(test)]
mod copies_tests;
mod copy;
pub mod embedded;
pub mod ephemeral;
mod housekeeping;
pub mod lock;
pub mod open;
mod rows;
mod scrub;
#[cfg(test)]
mod tests;
pub mod whole;

pub use copy::CopyError;
pub use embedded::{Embedded, Locked, OpenReport};
