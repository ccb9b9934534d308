//! How fast headers are re-wrapped.
//!
//! While users are at work, a worker rests four times as long as it worked, so that they keep most
//! of the machine; a limit bounds the rate besides. Rests are short, so that whoever wants the
//! walk to stop does not wait.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU32, Ordering};

/// Longest rest at a time.
const NAP: Duration = Duration::from_millis(50);

/// Rest per work while users are at work.
const SHARE: u32 = 4;

/// Requests in one batch's time from which on somebody counts as at work.
const BUSY: u64 = 2;

/// The limit, and when the next header may go.
#[derive(Debug, Default)]
pub struct Pace {
    /// Headers per second; 0 for no limit.
    limit: AtomicU32,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// With a limit in headers per second; 0 for none.
    pub fn new(limit: u32) -> Pace {
        Pace { limit: AtomicU32::new(limit), next: Mutex::new(None) }
    }

    /// Sets the limit.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The limit.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Rests until `count` headers more are within the limit, or `stop` says so.
    pub(super) fn wait(&self, count: usize, stop: impl Fn() -> bool) {
        let limit = self.limit();
        if limit == 0 {
            return;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let start = {
            let mut next = self.next.lock();
            let start = next.map_or_else(Instant::now, |at| at.max(Instant::now()));
            *next = Some(start + Duration::from_secs(1) * count / limit);
            start
        };
        rest_until(start, stop);
    }

    /// Rests after `worked`, in which users made `requests` requests.
    pub(super) fn yield_after(&self, worked: Duration, requests: u64, stop: impl Fn() -> bool) {
        if requests >= BUSY {
            rest_until(Instant::now() + worked * SHARE, stop);
        }
    }
}

fn rest_until(end: Instant, stop: impl Fn() -> bool) {
    while !stop() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(NAP));
    }
}
