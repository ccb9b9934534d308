//! What a peer may cost: connections, bytes and time.

use std::time::Duration;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections at one time; more wait.
    pub connections: usize,
    /// Longest body, bytes.
    pub body: usize,
    /// How long the head of a request may take, and a TLS handshake; also how long a connection
    /// may idle.
    pub head: Duration,
    /// How long a body may take.
    pub upload: Duration,
    /// How long a stop waits for requests that were accepted.
    pub drain: Duration,
    /// Threads for calls of the service.
    pub workers: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            body: 256 << 10,
            head: Duration::from_secs(60),
            upload: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            workers: 64,
        }
    }
}

/// Most header lines of a request.
pub(super) const MAX_HEADERS: usize = 100;

/// Longest head of a request, bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;
