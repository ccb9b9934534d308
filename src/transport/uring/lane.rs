//! The thread of one lane: takes requests, answers them, gives the entries back.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::entry::{head, respond};
use super::inbox::Task;
use super::lanes::{Lanes, Name, Place, is_long};
use super::sys::{Ring, Slot};
use crate::transport::device::{Device, may_wait};
use crate::transport::wire::abi::InHeader;

/// The number that completions of the bell carry; entries count from 0.
const BELL: u64 = u64::MAX;

/// How a lane ended.
pub enum End {
    /// The mount is gone.
    Gone,
    /// The kernel took none of the entries.
    Refused(io::Error),
}

/// What the kernel has been given an entry with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Register,
    Commit,
}

/// One lane. Made and run on one thread.
pub struct Lane {
    name: Name,
    ring: Ring,
    /// The slots that the kernel has through this ring, by their numbers.
    held: Vec<Option<(Slot, Command)>>,
    lanes: Arc<Lanes>,
    /// What the kernel said last of an entry that it does not take.
    refusal: Option<io::Error>,
}

impl Lane {
    /// A lane with a ring and nothing in it.
    pub fn new(name: Name, lanes: &Arc<Lanes>, device: &Arc<Device>) -> io::Result<Lane> {
        Ok(Lane {
            name,
            ring: Ring::new(lanes.entries, device.as_fd())?,
            held: Vec::new(),
            lanes: Arc::clone(lanes),
            refusal: None,
        })
    }

    /// Hands `slots` to the kernel and serves for as long as entries may come here.
    pub fn run(mut self, slots: Vec<Slot>) -> io::Result<End> {
        for slot in slots {
            self.give(slot, Command::Register)?;
        }
        self.listen()?;
        while self.lanes.wanted(self.name) {
            self.ring.wait()?;
            while let Some((number, result)) = self.ring.next() {
                if number == BELL {
                    self.collect(result)?;
                } else {
                    self.completed(number, result)?;
                }
            }
        }
        let last = self.refusal.take();
        Ok(match last.filter(|e| e.raw_os_error() != Some(libc::ENOTCONN)) {
            Some(error) if !self.lanes.served() => End::Refused(error),
            _ => End::Gone,
        })
    }

    fn completed(&mut self, number: u64, result: i32) -> io::Result<()> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let Some((slot, command)) = self.held.get_mut(at).and_then(Option::take) else {
            return Ok(());
        };
        match result {
            0 => self.arrived(slot),
            // Not yet, or a signal: the same once more.
            e if e == -libc::EAGAIN || e == -libc::EINTR => self.give(slot, command),
            e => {
                self.refusal = Some(io::Error::from_raw_os_error(-e));
                self.lanes.lost(&slot);
                Ok(())
            }
        }
    }

    /// A request came with a slot.
    fn arrived(&mut self, mut slot: Slot) -> io::Result<()> {
        self.lanes.has_served();
        let head = head(&mut slot);
        match self.lanes.place(self.name, &head, &mut slot) {
            Place::Here => self.serve(&head, slot),
            Place::Lane(other) => {
                self.lanes.send(other, slot, Task::Serve);
                Ok(())
            }
            Place::Spare => {
                let (lanes, home) = (Arc::clone(&self.lanes), self.name);
                self.lanes.server.spare.hand_over(move || {
                    answered(&lanes, &head, &mut slot);
                    lanes.send(home, slot, Task::Commit);
                });
                Ok(())
            }
        }
    }

    fn serve(&mut self, head: &InHeader, mut slot: Slot) -> io::Result<()> {
        answered(&self.lanes, head, &mut slot);
        self.lanes.ended(self.name);
        if matches!(self.name, Name::Bulk(_)) && self.lanes.costs.slow(head.opcode) {
            self.lanes.send(Name::Queue(slot.queue()), slot, Task::Commit);
            return Ok(());
        }
        self.give(slot, Command::Commit)
    }

    /// Takes what other threads have sent.
    fn collect(&mut self, result: i32) -> io::Result<()> {
        let lanes = Arc::clone(&self.lanes);
        for (mut slot, task) in lanes.inbox(self.name).map(|i| i.take()).unwrap_or_default() {
            match task {
                Task::Commit => self.give(slot, Command::Commit)?,
                Task::Serve => match (self.name, head(&mut slot)) {
                    (Name::Bulk(_), head) => self.serve(&head, slot)?,
                    // It may have to wait, like any other.
                    (Name::Queue(_), _) => self.arrived(slot)?,
                },
            }
        }
        if result < 0 || !self.ring.still_listens() { self.listen() } else { Ok(()) }
    }

    fn listen(&mut self) -> io::Result<()> {
        let lanes = Arc::clone(&self.lanes);
        let inbox = lanes.inbox(self.name).ok_or(io::ErrorKind::NotFound)?;
        self.ring.listen(inbox.bell(), BELL)
    }

    /// Queues the command for an entry; the next wait submits it.
    fn give(&mut self, mut slot: Slot, command: Command) -> io::Result<()> {
        let number = slot.number(self.lanes.entries);
        match command {
            Command::Register => self.ring.register(&mut slot, number)?,
            Command::Commit => self.ring.commit(&mut slot, number)?,
        }
        let at = usize::try_from(number).map_err(io::Error::other)?;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, || None);
        }
        if let Some(place) = self.held.get_mut(at) {
            *place = Some((slot, command));
        }
        Ok(())
    }
}

impl Drop for Lane {
    /// With the ring go the entries that the kernel has through it.
    fn drop(&mut self) {
        let waiting = self.lanes.inbox(self.name).map(|inbox| inbox.close()).unwrap_or_default();
        let held = self.held.drain(..).flatten().map(|(slot, _)| slot);
        for slot in held.chain(waiting.into_iter().map(|(slot, _)| slot)) {
            self.lanes.lost(&slot);
        }
    }
}

fn answered(lanes: &Lanes, head: &InHeader, slot: &mut Slot) {
    if may_wait(head.opcode) || is_long(head, slot) {
        let start = Instant::now();
        respond(&lanes.server.calls, slot);
        lanes.costs.note(head.opcode, start.elapsed());
    } else {
        respond(&lanes.server.calls, slot);
    }
}
