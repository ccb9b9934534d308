//! What whoever walks the lower tree of a mounted volume must know in order to miss nothing.
//!
//! A walk sees each name once. What moves from where it has not been to where it has, and what is
//! made under a key that was given out before the walk began, it would miss. So makers are waited
//! for before a walk begins, and what moves during it is told to it. Movers are waited for before
//! it ends: a move that begins later takes along only what has been seen.

use std::time::Duration;

use crate::lower::Dir;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

/// Names remembered; a walk that more things moved in must be done again.
const MOST: usize = 16_384;

/// Lets somebody wait until everybody is done who had begun before. Two counters take turns, so
/// that those who begin while somebody waits do not make him wait longer.
#[derive(Default)]
pub(super) struct Grace {
    turn: AtomicUsize,
    active: [AtomicUsize; 2],
    waiting: Mutex<()>,
}

/// Somebody is at it as long as this is held.
pub(super) struct Busy<'a> {
    grace: &'a Grace,
    turn: usize,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.grace.of(self.turn).fetch_sub(1, Ordering::SeqCst);
    }
}

impl Grace {
    fn of(&self, turn: usize) -> &AtomicUsize {
        let [even, odd] = &self.active;
        if turn.is_multiple_of(2) { even } else { odd }
    }

    /// Begins something. May be held several times by one thread.
    pub fn enter(&self) -> Busy<'_> {
        loop {
            let turn = self.turn.load(Ordering::SeqCst);
            self.of(turn).fetch_add(1, Ordering::SeqCst);
            if self.turn.load(Ordering::SeqCst) == turn {
                return Busy { grace: self, turn };
            }
            self.of(turn).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for everybody who has begun. Whoever holds a [`Busy`] himself waits for ever.
    pub fn wait(&self) {
        let _waiting = self.waiting.lock();
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        while self.of(turn).load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a walk missed because it moved.
#[derive(Default)]
pub struct Moved {
    /// Directory and lower name of what may have been missed.
    pub names: Vec<(Arc<Dir>, Box<[u8]>)>,
    /// There was more: the whole walk is to be repeated.
    pub overflow: bool,
}

/// Collects what moves, as long as somebody wants to know.
#[derive(Default)]
pub(super) struct Walked {
    moved: Mutex<Option<Moved>>,
}

impl Walked {
    /// A walk begins: what moved before is of no interest.
    pub fn begin(&self) {
        *self.moved.lock() = Some(Moved::default());
    }

    /// Takes what has moved since. At the end, if that is nothing, nothing is collected any more.
    pub fn take(&self, end: bool) -> Moved {
        let mut place = self.moved.lock();
        let moved = place.take().unwrap_or_default();
        if !(end && moved.names.is_empty()) {
            *place = Some(Moved::default());
        }
        moved
    }

    /// Something has another name, or one more.
    pub fn moved(&self, dir: &Arc<Dir>, lower: &[u8]) {
        let mut place = self.moved.lock();
        let Some(moved) = place.as_mut() else { return };
        if moved.names.len() < MOST {
            moved.names.push((Arc::clone(dir), lower.into()));
        } else {
            moved.overflow = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn grace_waits_for_those_before_and_not_for_those_after() {
        let grace = Arc::new(Grace::default());
        let before = grace.enter();
        let waiter = {
            let grace = Arc::clone(&grace);
            std::thread::spawn(move || grace.wait())
        };
        let patience = Instant::now() + Duration::from_secs(10);
        while grace.turn.load(Ordering::SeqCst) == 0 && Instant::now() < patience {
            std::thread::yield_now();
        }
        let after = grace.enter();
        assert!(!waiter.is_finished());
        drop(before);
        waiter.join().unwrap();
        drop(after);
        grace.wait();
    }
}
