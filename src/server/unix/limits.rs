//! What a peer may cost: connections, requests and time.

use std::time::Duration;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct UnixLimits {
    /// Threads that call the service.
    pub workers: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one user that is not a service.
    pub per_user: usize,
    /// Requests of one connection of a service that are not answered yet.
    pub in_flight: usize,
    /// The same for anybody else.
    pub user_in_flight: usize,
    /// How long a peer may take for its hello, and to read an answer.
    pub patience: Duration,
}

impl Default for UnixLimits {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers: (4 * cpus).clamp(8, 64),
            connections: 256,
            per_user: 16,
            in_flight: 1024,
            user_in_flight: 16,
            patience: Duration::from_secs(5),
        }
    }
}
