//! The audit trail: one record per decision, chained, durable before anybody sees the result.
//!
//! [`record`] says what a record holds, [`members`] writes it down, [`chain`] links the lines, [`trail`] writes them so that
//! concurrent callers share one flush, [`verify`] reads a trail back, offline. Invariant: when
//! the trail cannot be written, no result leaves the service.

pub mod chain;
pub mod members;
pub mod record;
pub mod trail;
pub mod verify;

pub use chain::{ChainState, Position};
pub use record::Record;
pub use trail::{AuditError, AuditLog, Queued, Trail};
