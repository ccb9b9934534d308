//! The thread of one lane: takes requests, answers them, gives the entries back.
//!
//! An entry that is lost while the mount lives is a caller who waits for ever, so a lane that
//! cannot go on is an error, on which the whole mount ends.

use std::hint;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::sched_yield;

use super::entry::{head, respond};
use super::inbox::Task;
use super::lanes::{Lanes, Name, Place, is_long};
use super::sys::{Ring, Slot};
use crate::transport::device::{Device, may_wait};
use crate::transport::wire::abi::InHeader;

/// The number that completions of the bell carry; entries count from 0.
const BELL: u64 = u64::MAX;

/// How often an entry is offered again to a kernel that is not ready for it, and after how long.
const OFFERS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// What came of handing a lane's entries to the kernel for the first time.
pub struct Registered {
    /// How many it took.
    pub taken: usize,
    /// Why it did not take one.
    pub refusal: Option<io::Error>,
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
    device: Arc<Device>,
}

impl Lane {
    /// A lane with a ring and nothing in it.
    pub fn new(name: Name, lanes: &Arc<Lanes>, device: &Arc<Device>) -> io::Result<Lane> {
        Ok(Lane {
            name,
            ring: Ring::new(lanes.entries, device.as_fd())?,
            held: Vec::new(),
            lanes: Arc::clone(lanes),
            device: Arc::clone(device),
        })
    }

    /// Hands `slots` to the kernel, says what came of it, and serves for as long as entries may
    /// come here.
    pub fn run(mut self, slots: Vec<Slot>, told: impl FnOnce(Registered)) -> io::Result<()> {
        let (registered, arrived) = self.register(slots)?;
        told(registered);
        for slot in arrived {
            self.arrived(slot)?;
        }
        self.listen()?;
        while self.lanes.wanted(self.name) {
            self.linger()?;
            self.ring.wait()?;
            while let Some((number, result)) = self.ring.next() {
                if number == BELL {
                    self.collect(result)?;
                } else {
                    self.completed(number, result)?;
                }
            }
        }
        Ok(())
    }

    /// Sends the replies off and stays awake for a moment, if that keeps a caller where it is.
    fn linger(&mut self) -> io::Result<()> {
        let Name::Queue(queue) = self.name else { return Ok(()) };
        let lanes = Arc::clone(&self.lanes);
        let Some(mut linger) = lanes.hops.linger(queue) else { return Ok(()) };
        self.ring.push_out()?;
        while !self.ring.ready() && linger.goes_on(Instant::now()) {
            // A pause is some 40 nanoseconds; a yield costs ten times that.
            (0..20).for_each(|_| hint::spin_loop());
            sched_yield();
        }
        Ok(())
    }

    /// The first hand-over. An entry that is not refused stays with the kernel; gives those that
    /// are back already, with a request.
    fn register(&mut self, slots: Vec<Slot>) -> io::Result<(Registered, Vec<Slot>)> {
        let (mut refusal, mut arrived) = (None, Vec::new());
        let mut offered = slots;
        for _ in 0..OFFERS {
            for slot in offered.drain(..) {
                self.give(slot, Command::Register)?;
            }
            self.ring.submit()?;
            while let Some((number, result)) = self.ring.next() {
                let Some((slot, _)) = self.take(number) else { continue };
                match result {
                    0 => arrived.push(slot),
                    e if again(e) => offered.push(slot),
                    e => {
                        refusal = Some(io::Error::from_raw_os_error(-e));
                        self.lanes.lost(&slot);
                    }
                }
            }
            if offered.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
        }
        for slot in offered {
            refusal = Some(io::ErrorKind::WouldBlock.into());
            self.lanes.lost(&slot);
        }
        let taken = self.held.iter().flatten().count() + arrived.len();
        Ok((Registered { taken, refusal }, arrived))
    }

    fn take(&mut self, number: u64) -> Option<(Slot, Command)> {
        self.held.get_mut(usize::try_from(number).ok()?)?.take()
    }

    fn completed(&mut self, number: u64, result: i32) -> io::Result<()> {
        let Some((slot, command)) = self.take(number) else { return Ok(()) };
        match result {
            0 => self.arrived(slot),
            e if again(e) => self.give(slot, command),
            e => {
                self.lanes.lost(&slot);
                let gone = matches!(-e, libc::ENOTCONN | libc::ECONNABORTED) || self.device.gone();
                if gone { Ok(()) } else { Err(io::Error::from_raw_os_error(-e)) }
            }
        }
    }

    /// A request came with a slot.
    fn arrived(&mut self, mut slot: Slot) -> io::Result<()> {
        let head = head(&mut slot);
        if let Name::Queue(queue) = self.name {
            self.lanes.hops.arrived(queue, head.pid);
        }
        match self.lanes.place(self.name, &head, &mut slot) {
            Place::Here => self.serve(&head, slot),
            Place::Lane(other) => {
                self.lanes.hops.handed_over();
                self.lanes.send(other, slot, Task::Serve);
                Ok(())
            }
            Place::Spare => {
                self.lanes.hops.handed_over();
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
        if let Name::Queue(queue) = self.name {
            self.lanes.hops.replied(queue, head.pid);
        }
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

/// Not yet, or a signal: the same command once more.
fn again(result: i32) -> bool {
    matches!(-result, libc::EAGAIN | libc::EINTR)
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
