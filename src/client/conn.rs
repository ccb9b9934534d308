//! The one thing that a way of reaching the key service must be able to do.

use crate::server::messages::{Answer, Ask};

/// The service did not answer in time, or cannot be reached at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key service does not answer")]
pub struct Unreachable;

/// A way to ask the key service. Called from many threads at once.
pub trait KmsConn: Send + Sync + 'static {
    /// Asks and waits for the answer. A service that is away is waited for, for a bounded time.
    fn ask(&self, ask: Ask) -> Result<Answer, Unreachable>;

    /// Moves whenever a decision may have changed. A number of this process, never of the
    /// service, so a service that starts anew cannot bring an old one back. Cheap.
    fn epoch(&self) -> u64;

    /// Whether the epoch is known to be current. While it is `false`, cached decisions rest.
    fn current(&self) -> bool;
}
