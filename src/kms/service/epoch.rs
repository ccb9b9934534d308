//! The epoch: a number that tells whoever remembers decisions when to ask again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Service;
use crate::sync::{Condvar, Mutex};

/// The epoch of one Region, and who waits for the next one.
pub(super) struct Epoch {
    number: AtomicU64,
    /// How often who waits was roused without a new one.
    roused: Mutex<u64>,
    moved: Condvar,
}

impl Epoch {
    /// Begins with `number`.
    pub fn new(number: u64) -> Epoch {
        Epoch { number: AtomicU64::new(number), roused: Mutex::new(0), moved: Condvar::new() }
    }

    /// The one that holds.
    pub fn now(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Another one holds.
    pub fn move_to(&self, number: u64) {
        // Under the lock, so that nobody goes to sleep after having looked.
        let _guard = self.roused.lock();
        self.number.store(number, Ordering::Release);
        self.moved.notify_all();
    }

    /// Waits until it is another than `seen`, for `timeout`, or until it is roused.
    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let mut roused = self.roused.lock();
        let before = *roused;
        let still = |roused: &mut u64| *roused == before && self.now() == seen;
        self.moved.wait_while_for(&mut roused, still, timeout);
        self.now()
    }

    fn rouse(&self) {
        let mut roused = self.roused.lock();
        *roused = roused.wrapping_add(1);
        self.moved.notify_all();
    }
}

impl Service {
    /// A number that moves whenever a policy, an alias, a user or a key's state has changed, and
    /// at every start.
    pub fn epoch(&self) -> u64 {
        self.epoch.now()
    }

    /// Waits until the epoch is another than `seen`, for `timeout`, or until it is roused. Returns
    /// the epoch.
    pub fn wait_epoch(&self, seen: u64, timeout: Duration) -> u64 {
        self.epoch.wait(seen, timeout)
    }

    /// Makes everybody return from [`Service::wait_epoch`].
    pub fn rouse(&self) {
        self.epoch.rouse();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::sync::Arc;

    /// Longer than anybody waits here.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_waits_returns_for_a_new_epoch_and_when_roused() {
        let (epoch, begun) = (Arc::new(Epoch::new(1)), Instant::now());
        for step in [|e: &Epoch| e.move_to(2), |e: &Epoch| e.rouse()] {
            let seen = epoch.now();
            let waiting = Arc::clone(&epoch);
            let waiter = std::thread::spawn(move || waiting.wait(seen, LONG));
            // Again and again: it may not be waiting yet.
            while !waiter.is_finished() {
                step(&epoch);
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(waiter.join().unwrap(), epoch.now());
        }
        assert_eq!(epoch.now(), 2);
        assert_eq!(epoch.wait(1, LONG), 2, "it has moved already");
        assert!(begun.elapsed() < LONG / 2);
    }
}
