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
//!
//! | file | is |
//! |---|---|
//! | [`open`], [`lock`], `locked` | from a directory to a store that is believed |
//! | [`embedded`], `records` | the store in use, and what it is asked for |
//! | `copies`, `copy` | equal copies, and one of them: SQLite |
//! | `schema`, `changes`, `walk` | its tables, what is written to them, all of their rows |
//! | `rows`, `slots` | records under a tag; what unlocks |
//! | `scrub`, [`whole`] | looking for damage while it is served, and while it is not |
//! | `housekeeping` | what happens by itself |
//! | [`ephemeral`] | a service in memory |
//! | [`audit_files`] | the audit trail |

pub mod audit_files;
mod changes;
mod copies;
#[cfg(test)]
mod copies_tests;
mod copy;
pub mod embedded;
pub mod ephemeral;
mod housekeeping;
pub mod lock;
mod locked;
pub mod open;
mod records;
mod rows;
mod schema;
mod scrub;
mod slots;
#[cfg(test)]
mod tests;
mod walk;
pub mod whole;

pub use copy::CopyError;
pub use embedded::Embedded;
pub use locked::{Locked, OpenReport};
