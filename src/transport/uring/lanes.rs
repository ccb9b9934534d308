//! What the lanes of a mount share: where each request goes, and when it is over.
//!
//! Every queue has a lane of its own, on a thread that is pinned to the queue's CPU: waking it
//! wakes nobody else, which is what small requests cost. For a stream that is the wrong place,
//! because its caller needs the same CPU for the pieces that are there already. Long reads and
//! writes therefore go to a few bulk lanes, whose threads run wherever there is room.
//!
//! The kernel binds an entry to the ring that committed it last. An entry that a bulk lane has
//! committed stays there: the next piece of the stream arrives without a detour, and is copied in
//! and out on that thread. A small request that arrives there goes home, and the entry with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::cost::Costs;
use super::inbox::{Inbox, Task};
use super::sys::Slot;
use crate::transport::cpus::pair;
use crate::transport::device::{Server, Stop, may_wait};
use crate::transport::hops::Hops;
use crate::transport::wire::abi::{InHeader, op};

/// A read or write of at least so many bytes is long: its cipher takes longer than a wake-up.
const LONG: u32 = 128 * 1024;

/// Most bulk lanes.
const MOST_BULK: usize = 4;

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// That of a queue.
    Queue(usize),
    /// One for long requests.
    Bulk(usize),
}

/// Where a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the lane that it came to.
    Here,
    /// In another.
    Lane(Name),
    /// On a spare thread, because it may wait.
    Spare,
}

/// One lane as the others see it.
struct Mailbox {
    inbox: Inbox,
    /// Queues: entries that the kernel still takes. Bulk: long requests that are under way.
    count: AtomicUsize,
}

/// All lanes of a mount.
pub struct Lanes {
    pub server: Arc<Server>,
    pub costs: Costs,
    pub hops: Hops,
    /// Entries per queue.
    pub entries: usize,
    queues: Vec<Mailbox>,
    bulk: Vec<Mailbox>,
    /// Entries of all queues.
    live: AtomicUsize,
    /// One of them cannot go on.
    failed: AtomicBool,
    /// For the thread at the device, which no bell reaches.
    pub stop: Arc<Stop>,
}

impl Lanes {
    /// For `queues` queues of `entries` entries. To be called on a thread that is not pinned.
    pub fn new(server: &Arc<Server>, queues: usize, entries: usize) -> rustix::io::Result<Lanes> {
        let mailboxes = |n: usize, count: usize| -> rustix::io::Result<Vec<Mailbox>> {
            (0..n)
                .map(|_| Ok(Mailbox { inbox: Inbox::new()?, count: AtomicUsize::new(count) }))
                .collect()
        };
        Ok(Lanes {
            server: Arc::clone(server),
            costs: Costs::default(),
            hops: Hops::new(queues, pair().is_some()),
            entries,
            queues: mailboxes(queues, entries)?,
            bulk: mailboxes(queues.min(MOST_BULK), 0)?,
            live: AtomicUsize::new(queues * entries),
            failed: AtomicBool::new(false),
            stop: Arc::new(Stop::new()?),
        })
    }

    /// All their names.
    pub fn names(&self) -> impl Iterator<Item = Name> + use<> {
        let (queues, bulk) = (self.queues.len(), self.bulk.len());
        (0..queues).map(Name::Queue).chain((0..bulk).map(Name::Bulk))
    }

    /// How many queues there are.
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    fn mailbox(&self, name: Name) -> Option<&Mailbox> {
        match name {
            Name::Queue(n) => self.queues.get(n),
            Name::Bulk(n) => self.bulk.get(n),
        }
    }

    /// The inbox of a lane; every name has one.
    pub fn inbox(&self, name: Name) -> Option<&Inbox> {
        self.mailbox(name).map(|m| &m.inbox)
    }

    /// Hands a slot to a lane. One that has ended cannot commit it: it is lost.
    pub fn send(&self, to: Name, slot: Slot, task: Task) {
        let refused = match self.inbox(to) {
            Some(inbox) => inbox.give(slot, task).err(),
            None => Some(slot),
        };
        if let Some(slot) = refused {
            self.lost(&slot);
        }
    }

    /// Whether a lane is still wanted: the kernel takes entries that could come to it.
    pub fn wanted(&self, name: Name) -> bool {
        if self.failed.load(Ordering::Acquire) {
            return false;
        }
        let count = match name {
            Name::Queue(n) => self.queues.get(n).map_or(&self.live, |m| &m.count),
            Name::Bulk(_) => &self.live,
        };
        count.load(Ordering::Acquire) > 0
    }

    /// An entry that the kernel does not take any more. Who has nothing left to do is told.
    pub fn lost(&self, slot: &Slot) {
        if let Some(queue) = self.queues.get(slot.queue())
            && queue.count.fetch_sub(1, Ordering::AcqRel) == 1
        {
            queue.inbox.ring();
        }
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.bulk.iter().for_each(|lane| lane.inbox.ring());
        }
    }

    /// A lane cannot go on. Its queue would stay unanswered, and nobody can take it over: what the
    /// kernel has put into its entries is out of everybody's reach. So all of them end, and the
    /// mount with them: with the last ring and descriptor the kernel gives every caller an error.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.queues.iter().chain(&self.bulk).for_each(|lane| lane.inbox.ring());
        self.stop.pull();
    }

    /// Where the request in a slot is to be answered, seen from lane `at`. A long one that goes to
    /// a bulk lane counts as under way there until [`Lanes::ended`].
    pub fn place(&self, at: Name, head: &InHeader, slot: &mut Slot) -> Place {
        match (at, is_long(head, slot)) {
            (Name::Bulk(_), true) => {
                self.begun(at);
                Place::Here
            }
            (Name::Bulk(_), false) => Place::Lane(Name::Queue(slot.queue())),
            (Name::Queue(_), true) if self.costs.slow(head.opcode) => Place::Spare,
            (Name::Queue(_), true) => match self.idle_bulk() {
                Some(lane) => {
                    self.begun(lane);
                    Place::Lane(lane)
                }
                None => Place::Here,
            },
            (Name::Queue(_), false) if self.waits(head.opcode) => Place::Spare,
            (Name::Queue(_), false) => Place::Here,
        }
    }

    fn waits(&self, opcode: u32) -> bool {
        match opcode {
            // For WRITE requests, which come to the same thread.
            op::LSEEK => true,
            opcode if may_wait(opcode) => {
                self.costs.high(opcode) || !self.server.calls.keys_respond()
            }
            _ => false,
        }
    }

    /// The bulk lane with the least to do, if there is one that is not behind.
    fn idle_bulk(&self) -> Option<Name> {
        let loads = self.bulk.iter().map(|m| m.count.load(Ordering::Relaxed)).enumerate();
        loads
            .min_by_key(|&(_, load)| load)
            .filter(|&(_, load)| load < 2)
            .map(|(n, _)| Name::Bulk(n))
    }

    fn begun(&self, lane: Name) {
        if let Some(mailbox) = self.mailbox(lane) {
            mailbox.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A long request has been answered in a bulk lane.
    pub fn ended(&self, lane: Name) {
        if let (Name::Bulk(_), Some(mailbox)) = (lane, self.mailbox(lane)) {
            mailbox.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether a request is a long read or write.
pub fn is_long(head: &InHeader, slot: &mut Slot) -> bool {
    match head.opcode {
        op::READ => slot.read_size() >= LONG,
        op::WRITE => slot.payload_len() >= LONG,
        _ => false,
    }
}
