//! The Unix socket: one reader and one pusher per connection, a pool of workers for all.
//!
//! Readers only decode; workers take whatever has queued up, so that requests which arrive
//! together are decided together and share one flush of the audit trail. Answers leave in any
//! order. One herald waits for new epochs; the pushers tell them to their clients at once, and
//! repeat the old one every second as a sign of life.
//!
//! | file | is |
//! |---|---|
//! | `accept` | who it is, and whether there is a place |
//! | `reader` | from bytes to requests |
//! | `work` | the queue and the workers |
//! | `epochs` | the herald and the pushers |
//! | `doors` | the table of connections |
//! | `connection` | writing to one, and its end |
//! | `limits`, `threads` | what a peer may cost; what serves it |
//!
//! Invariant: a peer can hold up only itself. Its requests in flight are bounded, a peer that
//! does not read its answers is cut off, and ordinary users share the connections that services
//! leave.

mod accept;
mod connection;
mod doors;
mod epochs;
mod limits;
mod reader;
#[cfg(test)]
mod tests;
mod threads;
mod work;

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use self::accept::Acceptor;
use self::doors::Doors;
use self::epochs::proclaim;
use self::threads::named;
use self::work::Work;
use super::dispatch::Handler;

pub use self::epochs::HEARTBEAT;
pub use self::limits::UnixLimits;

/// A running listener. [`UnixServer::stop`] ends it.
pub struct UnixServer {
    work: Arc<Work>,
    doors: Arc<Doors>,
    /// The listener again: shutting it down ends the wait for connections.
    waker: UnixListener,
    threads: Vec<JoinHandle<()>>,
}

impl UnixServer {
    /// Starts serving on a listener that is bound already.
    pub fn start(
        listener: UnixListener,
        handler: Arc<dyn Handler>,
        limits: UnixLimits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        let waker = listener.try_clone()?;
        let work = Arc::new(Work::new(handler));
        let doors = Arc::<Doors>::default();
        let mut threads = Vec::new();
        for _ in 0..limits.workers {
            let work = Arc::clone(&work);
            threads.push(named("kmsd-worker", move || work.run())?);
        }
        let acceptor = Acceptor { work: Arc::clone(&work), doors: Arc::clone(&doors), limits };
        threads.push(named("kmsd-accept", move || acceptor.run(&listener))?);
        let herald = (Arc::clone(&work), Arc::clone(&doors));
        threads.push(named("kmsd-herald", move || proclaim(&herald.0, &herald.1))?);
        Ok(Self { work, doors, waker, threads })
    }

    /// Takes no more requests, finishes those it has, closes all connections. When it returns, no
    /// thread of the listener holds the handler: what it serves can be closed and opened again.
    /// Takes up to [`HEARTBEAT`].
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.work.stop();
        let _ = rustix::net::shutdown(&self.waker, rustix::net::Shutdown::Both);
        self.work.handler.rouse();
        // Readers see the end; answers can still leave.
        for connection in self.doors.open() {
            connection.stop_reading();
        }
        self.work.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the Unix listener panicked");
            }
        }
        // Whoever came in while the acceptor was ending included.
        self.doors.clear();
    }
}

impl Drop for UnixServer {
    fn drop(&mut self) {
        self.end();
    }
}
