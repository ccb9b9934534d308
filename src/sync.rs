//! Locks and shared ownership, taken from one place so that they can be swapped in tests.
//!
//! The locks are parking_lot's: no poisoning, because a panicking request is answered EIO and
//! the state it was changing is kept consistent by its own order of steps, not by the lock.

pub mod aside;
pub mod interrupt;

use std::hint;

pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::atomic;
pub use std::sync::{Arc, OnceLock, Weak};

/// How often a lock is tried before a thread goes to sleep over it, with a pause of some 0.4
/// microseconds in between: a block's write below takes 2 to 8.
const TRIES: usize = 30;

/// A lock that is held for a few microseconds at a time, by threads that have a CPU each. To be
/// woken up takes several times that, and parking_lot gives its CPU up after less than one.
pub fn write_soon<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    for _ in 0..TRIES {
        if let Some(locked) = lock.try_write() {
            return locked;
        }
        (0..10).for_each(|_| hint::spin_loop());
    }
    lock.write()
}
