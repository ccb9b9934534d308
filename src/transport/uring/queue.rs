//! The thread of one queue: takes requests, answers them, gives the entries back.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::back::Back;
use super::cost::Costs;
use super::entry::{head, respond};
use super::sys::{Ring, Slot, slots};
use crate::transport::device::{Device, Server, may_wait};
use crate::transport::wire::abi::{InHeader, op};

/// A read or write of at least so many bytes is handed over while others wait: its cipher takes
/// longer than a wake-up.
const LONG: u32 = 128 * 1024;

/// The number that completions of the bell carry; entries count from 0.
const BELL: u64 = u64::MAX;

/// How a queue ended.
pub enum End {
    /// The mount is gone.
    Gone,
    /// The kernel took none of the entries.
    Refused(io::Error),
}

/// Where an entry is.
enum Place {
    /// With the kernel, which has been given it with this command.
    Kernel(Slot, Command),
    /// With a spare thread.
    Away,
    /// The kernel will not take it any more.
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Register,
    Commit,
}

/// One queue. Made and run on one thread.
pub struct Queue {
    qid: u16,
    ring: Ring,
    places: Vec<Place>,
    live: usize,
    served: bool,
    back: Arc<Back>,
    server: Arc<Server>,
    costs: Arc<Costs>,
}

impl Queue {
    /// A ring and `entries` entries for requests of up to `max_request` bytes.
    pub fn new(
        qid: u16,
        entries: usize,
        max_request: u32,
        server: &Arc<Server>,
        device: &Arc<Device>,
        costs: Arc<Costs>,
    ) -> io::Result<Queue> {
        let slots = slots(entries, max_request)?;
        let ring = Ring::new(entries, device.as_fd())?;
        let places: Vec<_> =
            slots.into_iter().map(|s| Place::Kernel(s, Command::Register)).collect();
        Ok(Queue {
            qid,
            ring,
            live: places.len(),
            places,
            served: false,
            back: Arc::new(Back::new()?),
            server: Arc::clone(server),
            costs,
        })
    }

    /// Hands the entries to the kernel and serves until it takes none of them any more.
    pub fn run(mut self) -> io::Result<End> {
        for index in 0..self.places.len() {
            self.give(index)?;
        }
        self.ring.listen(self.back.bell(), BELL)?;
        let mut refusal = None;
        while self.live > 0 {
            self.ring.wait()?;
            while let Some((number, result)) = self.ring.next() {
                if number == BELL {
                    self.collect(result)?;
                    continue;
                }
                let index = usize::try_from(number).unwrap_or(usize::MAX);
                match result {
                    0 => self.serve(index)?,
                    // Not yet, or a signal: the same once more.
                    e if e == -libc::EAGAIN || e == -libc::EINTR => self.give(index)?,
                    e => {
                        refusal = Some(io::Error::from_raw_os_error(-e));
                        self.bury(index);
                    }
                }
            }
        }
        Ok(match refusal {
            Some(error) if !self.served && error.raw_os_error() != Some(libc::ENOTCONN) => {
                End::Refused(error)
            }
            _ => End::Gone,
        })
    }

    fn serve(&mut self, index: usize) -> io::Result<()> {
        self.served = true;
        let Some(place) = self.places.get_mut(index) else { return Ok(()) };
        let Place::Kernel(mut slot, _) = std::mem::replace(place, Place::Away) else {
            return Ok(());
        };
        let head = head(&mut slot);
        if self.goes_away(&head, &mut slot) {
            let (calls, costs) = (Arc::clone(&self.server.calls), Arc::clone(&self.costs));
            let back = Arc::clone(&self.back);
            self.server.spare.hand_over(move || {
                timed(&costs, &head, || respond(&calls, &mut slot));
                back.give(slot);
            });
            return Ok(());
        }
        if may_wait(head.opcode) {
            timed(&self.costs, &head, || respond(&self.server.calls, &mut slot));
        } else {
            respond(&self.server.calls, &mut slot);
        }
        self.commit(slot)
    }

    /// Whether a request is for a spare thread.
    fn goes_away(&self, head: &InHeader, slot: &mut Slot) -> bool {
        match head.opcode {
            op::READ => self.ring.more() && slot.read_size() >= LONG,
            op::WRITE => self.ring.more() && slot.payload_len() >= LONG,
            // Waits for WRITE requests, which come to this thread.
            op::LSEEK => true,
            opcode if may_wait(opcode) => {
                self.costs.high(opcode) || !self.server.calls.keys_respond()
            }
            _ => false,
        }
    }

    /// Commits what the spare threads have answered.
    fn collect(&mut self, result: i32) -> io::Result<()> {
        for slot in self.back.take() {
            self.commit(slot)?;
        }
        if result < 0 || !self.ring.still_listens() {
            self.ring.listen(self.back.bell(), BELL)?;
        }
        Ok(())
    }

    fn commit(&mut self, slot: Slot) -> io::Result<()> {
        let index = slot.index();
        if let Some(place) = self.places.get_mut(index) {
            *place = Place::Kernel(slot, Command::Commit);
        }
        self.give(index)
    }

    /// Queues the command for an entry; the next wait submits it.
    fn give(&mut self, index: usize) -> io::Result<()> {
        match self.places.get_mut(index) {
            Some(Place::Kernel(slot, Command::Register)) => self.ring.register(slot, self.qid),
            Some(Place::Kernel(slot, Command::Commit)) => self.ring.commit(slot, self.qid),
            _ => Ok(()),
        }
    }

    fn bury(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index)
            && !matches!(place, Place::Dead)
        {
            *place = Place::Dead;
            self.live -= 1;
        }
    }
}

fn timed(costs: &Costs, head: &InHeader, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    costs.note(head.opcode, start.elapsed());
}
