//! Which requests are worth another thread.
//!
//! Handing a request over costs a wake-up and another one for the way back, more than most
//! requests take. Whether one of those that may wait does wait depends on what is below: an
//! fsync is nothing in memory and milliseconds on a disk. So it is measured, per operation.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An operation that took longer than this, lately and on the whole, is handed over.
const WORTH: u32 = 250;

/// Long reads and writes that take longer than this wait for a disk, and are not to have anything
/// wait behind them.
const SLOW: u32 = 3000;

/// Weight of the past: a new figure counts for one part in so many.
const INERTIA: u32 = 8;

/// Operations have numbers below this.
const OPERATIONS: usize = 64;

/// Running means of what operations take, in microseconds.
pub struct Costs([AtomicU32; OPERATIONS]);

impl Default for Costs {
    fn default() -> Costs {
        Costs([const { AtomicU32::new(0) }; OPERATIONS])
    }
}

impl Costs {
    /// Whether `opcode` is to be handed over.
    pub fn high(&self, opcode: u32) -> bool {
        self.of(opcode).is_some_and(|mean| mean.load(Ordering::Relaxed) > WORTH)
    }

    /// Whether `opcode`, of which only the long ones are noted, waits for something slow below.
    pub fn slow(&self, opcode: u32) -> bool {
        self.of(opcode).is_some_and(|mean| mean.load(Ordering::Relaxed) > SLOW)
    }

    /// Notes what one took. Two at a time may lose one of the figures, which is no matter.
    pub fn note(&self, opcode: u32, took: Duration) {
        let Some(mean) = self.of(opcode) else { return };
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let before = mean.load(Ordering::Relaxed);
        let after = before - before / INERTIA + took / INERTIA;
        mean.store(after, Ordering::Relaxed);
    }

    fn of(&self, opcode: u32) -> Option<&AtomicU32> {
        self.0.get(usize::try_from(opcode).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_ones_go_and_come_back_when_they_are_fast_again() {
        let costs = Costs::default();
        assert!(!costs.high(20));
        costs.note(20, Duration::from_millis(5));
        assert!(costs.high(20), "one fsync of a disk is enough");
        assert!(!costs.high(14));
        for _ in 0..100 {
            costs.note(20, Duration::from_micros(3));
        }
        assert!(!costs.high(20));
        costs.note(15, Duration::from_millis(1));
        assert!(!costs.slow(15));
        costs.note(15, Duration::from_millis(100));
        assert!(costs.slow(15), "one stall is enough");
        costs.note(9999, Duration::MAX);
        costs.note(20, Duration::MAX);
        assert!(costs.high(20) && !costs.high(9999));
    }
}
