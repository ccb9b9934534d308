//! How a slot comes to a lane from another thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

use super::sys::Slot;

/// What is to be done with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Its request waits for an answer.
    Serve,
    /// It has been answered.
    Commit,
}

/// Slots for one lane, from spare threads and other lanes.
pub struct Inbox {
    /// None once the lane has ended.
    slots: Mutex<Option<Vec<(Slot, Task)>>>,
    /// The lane has been told and has not looked yet.
    told: AtomicBool,
    bell: OwnedFd,
}

impl Inbox {
    /// Empty.
    pub fn new() -> rustix::io::Result<Inbox> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Inbox { slots: Mutex::new(Some(Vec::new())), told: AtomicBool::new(false), bell })
    }

    /// The descriptor that becomes readable when the lane should look.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Hands a slot over; gives it back if the lane has ended.
    pub fn give(&self, slot: Slot, task: Task) -> Result<(), Slot> {
        match self.slots.lock().as_mut() {
            Some(slots) => slots.push((slot, task)),
            None => return Err(slot),
        }
        self.ring();
        Ok(())
    }

    /// Makes the lane look, at its inbox and at whether it is still wanted.
    pub fn ring(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            let _ = rustix::io::write(&self.bell, &1u64.to_le_bytes()); // cannot be full at 1
        }
    }

    /// From the lane's thread, when the bell has rung.
    pub fn take(&self) -> Vec<(Slot, Task)> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count); // WOULDBLOCK: silenced already
        // Cleared before looking: what comes after the look rings again.
        self.told.store(false, Ordering::Release);
        self.slots.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The lane ends: gives what nobody took, and takes nothing any more.
    pub fn close(&self) -> Vec<(Slot, Task)> {
        self.slots.lock().take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sys::slots;
    use super::*;

    #[test]
    fn what_is_given_is_taken_once_and_a_closed_one_gives_it_back() {
        let inbox = Inbox::new().unwrap();
        let readable = || {
            let mut count = [0; 8];
            rustix::io::read(&inbox.bell, &mut count).is_ok()
        };
        assert!(!readable());
        let mut two = slots(3, 2, 4096).unwrap().into_iter();
        inbox.give(two.next().unwrap(), Task::Serve).ok().unwrap();
        inbox.give(two.next().unwrap(), Task::Commit).ok().unwrap();
        assert!(readable(), "the lane is told");
        let taken: Vec<_> =
            inbox.take().into_iter().map(|(slot, task)| (slot.number(8), task)).collect();
        assert_eq!(taken, [(24, Task::Serve), (25, Task::Commit)]);
        assert!(inbox.take().is_empty());
        inbox.ring();
        assert!(readable(), "and told again");

        let slot = slots(0, 1, 4096).unwrap().pop().unwrap();
        inbox.give(slot, Task::Serve).ok().unwrap();
        assert_eq!(inbox.close().len(), 1);
        let slot = slots(0, 1, 4096).unwrap().pop().unwrap();
        assert!(inbox.give(slot, Task::Serve).is_err());
    }
}
