//! The reading end of a connection: the hello, then requests until the peer leaves. Readers only
//! decode, and queue what they have read for the workers.
//!
//! Invariant: a peer's requests in flight are bounded; one that has used up its share is not
//! read from until an answer has left.

use std::sync::Arc;

use super::connection::Connection;
use super::epochs::push;
use super::limits::UnixLimits;
use super::threads::named;
use super::work::{BATCH, Job, Work};
use crate::server::eager::Eager;
use crate::server::frames::{FrameError, FrameReader, MAX_REQUEST, VERSION};
use crate::server::messages::{Ask, ToClient, ToServer};

/// Who reads one connection.
pub(super) struct Reader {
    /// Where requests go.
    pub work: Arc<Work>,
    /// What the peer may cost.
    pub limits: UnixLimits,
    /// What is read.
    pub connection: Arc<Connection>,
}

impl Reader {
    /// Reads the connection to its end, and closes it.
    pub fn run(&self) -> Result<(), FrameError> {
        let ended = self.serve();
        self.connection.close();
        ended
    }

    fn serve(&self) -> Result<(), FrameError> {
        let connection = &self.connection;
        let mut reader = FrameReader::new(Eager::new(&connection.stream), MAX_REQUEST);
        let hello = reader.read::<ToServer>()?;
        let epoch = self.work.handler.epoch();
        connection.send(&[ToClient::Hello { version: VERSION, epoch }])?;
        if !matches!(hello, ToServer::Hello { version } if version == VERSION) {
            return Err(FrameError::Malformed);
        }
        connection.stream.set_read_timeout(None)?;
        let pusher = {
            let connection = Arc::clone(connection);
            named("kmsd-pusher", move || push(&connection, epoch))?
        };
        let ended = self.take_asks(&mut reader);
        // Closing waits for the answers that are still being worked on.
        connection.wait_in_flight(0, self.limits.patience);
        connection.close();
        if pusher.join().is_err() {
            tracing::error!("a pusher panicked");
        }
        ended
    }

    fn take_asks(&self, reader: &mut FrameReader<Eager<'_>>) -> Result<(), FrameError> {
        loop {
            let mut message = match reader.read::<ToServer>() {
                Ok(message) => message,
                Err(FrameError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut jobs = Vec::new();
            loop {
                let ToServer::Ask { id, ask } = message else { return Err(FrameError::Malformed) };
                jobs.push(Job { connection: Arc::clone(&self.connection), id, ask });
                match reader.buffered::<ToServer>()? {
                    Some(next) if jobs.len() < BATCH => message = next,
                    Some(next) => {
                        self.enqueue(std::mem::take(&mut jobs))?;
                        message = next;
                    }
                    None => break,
                }
            }
            if self.enqueue(jobs)? {
                reader.source().answered();
            }
        }
    }

    /// `true`: they are answered already, and the peer has nothing else under way.
    fn enqueue(&self, jobs: Vec<Job>) -> Result<bool, FrameError> {
        let Self { work, limits, connection } = self;
        let limit = if work.handler.trusts(connection.peer) {
            limits.in_flight
        } else {
            limits.user_in_flight
        };
        let room = limit.saturating_sub(jobs.len());
        while !connection.wait_in_flight(room, limits.patience) {
            if connection.is_gone() || work.stopping() {
                return Err(FrameError::Closed);
            }
        }
        let before = connection.taken(jobs.len());
        // One alone, of a kind that takes no longer than its audit record: waking a worker would
        // take longer still. What arrives meanwhile is read together.
        if let ([job], 0) = (jobs.as_slice(), before)
            && matches!(job.ask, Ask::Unwrap { .. } | Ask::AuthorizeUnwrap { .. })
        {
            work.answer(jobs);
            return Ok(true);
        }
        work.add(jobs);
        Ok(false)
    }
}
