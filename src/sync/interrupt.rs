//! Requests whose caller has given up: he was sent a signal, and waits for nothing but the answer.
//!
//! A transport says which request a thread begins, and which one was interrupted. Whoever waits
//! long in the middle of a request asks from time to time whether it still counts. Requests have
//! numbers that are never used twice, so what is noted too late for its request hurts nobody.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Interrupted requests that are remembered; the kernel asks for one once.
const REMEMBERED: usize = 256;

thread_local! {
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

static INTERRUPTED: Mutex<VecDeque<u64>> = Mutex::new(VecDeque::new());

/// As many as are remembered, to be looked at without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// This thread works on that request from here on, or on none.
pub fn begin(request: Option<u64>) {
    CURRENT.set(request);
}

/// The caller of a request has given up.
pub fn interrupt(request: u64) {
    let mut interrupted = INTERRUPTED.lock();
    if interrupted.len() >= REMEMBERED {
        interrupted.pop_front();
    }
    interrupted.push_back(request);
    COUNT.store(interrupted.len(), Ordering::Release);
}

/// Whether the caller of the request that this thread works on has given up.
pub fn interrupted() -> bool {
    COUNT.load(Ordering::Acquire) > 0
        && CURRENT.get().is_some_and(|request| INTERRUPTED.lock().contains(&request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_is_for_its_request_and_may_come_first() {
        const ONE: u64 = u64::MAX - 1;
        const TWO: u64 = u64::MAX;
        begin(Some(ONE));
        assert!(!interrupted());
        interrupt(TWO);
        assert!(!interrupted());
        interrupt(ONE);
        assert!(interrupted());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(!interrupted(), "another thread works on nothing"));
        });
        begin(Some(TWO));
        assert!(interrupted());
        begin(None);
        assert!(!interrupted());
        for old in 0..300 {
            interrupt(old);
        }
        assert_eq!(INTERRUPTED.lock().len(), REMEMBERED);
    }
}
