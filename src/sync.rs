//! Locks and shared ownership, taken from one place so that they can be swapped in tests.
//!
//! The locks are parking_lot's: no poisoning, because a panicking request is answered EIO and
//! the state it was changing is kept consistent by its own order of steps, not by the lock.

pub mod aside;
pub mod interrupt;

pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::atomic;
pub use std::sync::{Arc, OnceLock, Weak};
