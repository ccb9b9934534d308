//! The way back from the spare threads to a queue's own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

use super::sys::Slot;

/// Requests that were answered elsewhere and are to be committed by the queue's thread.
pub struct Back {
    slots: Mutex<Vec<Slot>>,
    /// The queue's thread has been told and has not looked yet.
    told: AtomicBool,
    bell: OwnedFd,
}

impl Back {
    /// Empty.
    pub fn new() -> rustix::io::Result<Back> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Back { slots: Mutex::default(), told: AtomicBool::new(false), bell })
    }

    /// The descriptor that becomes readable when there is something to take.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// From a spare thread.
    pub fn give(&self, slot: Slot) {
        self.slots.lock().push(slot);
        if !self.told.swap(true, Ordering::AcqRel) {
            let _ = rustix::io::write(&self.bell, &1u64.to_le_bytes()); // cannot be full at 1
        }
    }

    /// From the queue's thread, when the bell has rung.
    pub fn take(&self) -> Vec<Slot> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count); // WOULDBLOCK: silenced already
        // Cleared before looking: what comes after the look rings again.
        self.told.store(false, Ordering::Release);
        std::mem::take(&mut *self.slots.lock())
    }
}
