//! One connection, as those see it who write to it: answers, signs of life, and its end.
//!
//! Messages are written whole, one write after the other. Requests are counted from when they
//! are taken until their answers have left, so that a peer's share has a bound and closing can
//! wait for what is still being worked on.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use crate::server::dispatch::Peer;
use crate::server::frames::{self, FrameError};
use crate::server::messages::{Epoch, ToClient};

/// A connection and what is under way on it.
pub(super) struct Connection {
    /// Who is at the other end.
    pub peer: Peer,
    /// For its reader.
    pub stream: UnixStream,
    writing: Mutex<()>,
    in_flight: AtomicUsize,
    /// Signalled when an answer has left.
    drained: Condvar,
    drain_lock: Mutex<()>,
    /// What the herald said last; nothing so far.
    told: Mutex<Option<Epoch>>,
    /// Signalled with each change of `told`, and when the connection is closed.
    news: Condvar,
    gone: AtomicBool,
}

impl Connection {
    /// A connection on which nothing is under way.
    pub fn new(peer: Peer, stream: UnixStream) -> Self {
        Self {
            peer,
            stream,
            writing: Mutex::new(()),
            in_flight: AtomicUsize::new(0),
            drained: Condvar::new(),
            drain_lock: Mutex::new(()),
            told: Mutex::new(None),
            news: Condvar::new(),
            gone: AtomicBool::new(false),
        }
    }

    /// Sends messages in one write.
    pub fn send(&self, messages: &[ToClient]) -> Result<(), FrameError> {
        let mut bytes = Zeroizing::new(Vec::new());
        for message in messages {
            frames::put(message, &mut bytes)?;
        }
        let _turn = self.writing.lock();
        io::Write::write_all(&mut &self.stream, &bytes)?;
        Ok(())
    }

    /// Counts requests that were taken. Gives how many were unanswered before.
    pub fn taken(&self, count: usize) -> usize {
        self.in_flight.fetch_add(count, Ordering::SeqCst)
    }

    /// Sends answers and counts them off.
    pub fn finish(&self, messages: &[ToClient]) {
        if let Err(error) = self.send(messages) {
            tracing::debug!(%error, "an answer could not be delivered");
            self.close();
        }
        self.answered(messages.len());
    }

    /// Counts requests off that are answered, or never will be.
    pub fn answered(&self, count: usize) {
        self.in_flight.fetch_sub(count, Ordering::SeqCst);
        let _guard = self.drain_lock.lock();
        self.drained.notify_all();
    }

    /// Waits until at most `most` requests are unanswered; `false` after `patience`.
    pub fn wait_in_flight(&self, most: usize, patience: Duration) -> bool {
        let mut guard = self.drain_lock.lock();
        let busy = |_: &mut ()| self.in_flight.load(Ordering::SeqCst) > most;
        !self.drained.wait_while_for(&mut guard, busy, patience).timed_out()
    }

    /// Says that there is a new epoch.
    pub fn tell(&self, epoch: Epoch) {
        *self.told.lock() = Some(epoch);
        self.news.notify_all();
    }

    /// Waits for another epoch than `seen`, for `patience`, and gives the one that holds. `None`
    /// when the connection is closed.
    pub fn next_epoch(&self, seen: Epoch, patience: Duration) -> Option<Epoch> {
        let mut told = self.told.lock();
        let still =
            |told: &mut Option<Epoch>| !self.is_gone() && told.is_none_or(|epoch| epoch == seen);
        self.news.wait_while_for(&mut told, still, patience);
        if self.is_gone() { None } else { Some(told.unwrap_or(seen)) }
    }

    /// Whether it is closed.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Takes no more requests; answers can still leave.
    pub fn stop_reading(&self) {
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends it for both sides.
    pub fn close(&self) {
        {
            // Under the lock, so that no pusher goes to sleep after having looked.
            let _told = self.told.lock();
            self.gone.store(true, Ordering::SeqCst);
        }
        self.news.notify_all();
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
