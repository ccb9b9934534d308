//! Requests over io_uring: no system call to fetch one, none to answer it alone.
//!
//! One queue, ring and thread per CPU. The kernel sends a request to the queue of the CPU that
//! the caller runs on, and the thread is pinned there, so that waking it wakes nobody else. A
//! request arrives in memory that was given to the kernel beforehand and is answered in the same
//! memory: a read is decrypted into the place that the kernel copies from, a write is encrypted
//! out of the place that it was copied to.
//!
//! What would hold a queue up, a round trip to a key service or a slow disk, goes to a spare
//! thread and comes back through the queue. Long reads and writes have threads of their own, with
//! rings of their own.
//!
//! | file | is |
//! |---|---|
//! | `choice` | whether this machine can |
//! | `cost` | which requests are worth another thread |
//! | `lanes` | which thread answers what |
//! | `lane` | the loop of one thread |
//! | `inbox` | the way from one thread to another |
//! | `entry` | one request in its memory, from header to reply |
//! | `sys` | the ring and the memory |

pub mod choice;
mod cost;
mod entry;
mod inbox;
mod lane;
mod lanes;
mod sys;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use self::lane::{Lane, Registered};
use self::lanes::{Lanes, Name};
use self::sys::slots;
use super::cpus::{cpus_that_are, pin};
use super::device::{Device, Server, Stop};
use super::wire::init::MAX_REQUEST;

/// Memory that all entries of a mount may take, bytes; pages that no request reached are not
/// counted, because nobody has touched them.
const BUDGET: usize = 64 * 1024 * 1024;

/// Most entries per queue: requests that one CPU's callers can have here at a time. More wait in
/// the kernel.
const MOST: usize = 8;

/// Bytes of the largest request on machines with so many CPUs that [`BUDGET`] is short.
const LESS: u32 = 256 * 1024;

/// How many entries of how many bytes each of `cpus` queues has.
fn shape(cpus: usize) -> (usize, u32) {
    let per_queue = |size: u32| BUDGET / cpus.max(1) / usize::try_from(size).unwrap_or(BUDGET);
    match per_queue(MAX_REQUEST) {
        0 => (per_queue(LESS).clamp(1, MOST), LESS),
        n => (n.min(MOST), MAX_REQUEST),
    }
}

/// Queues that are ready and do not serve yet.
pub struct Prepared {
    /// Dropped without a word, a thread ends.
    go: Vec<Sender<()>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// What came of each queue's first entries.
    told: Receiver<Registered>,
    lanes: Arc<Lanes>,
    /// Bytes of the largest request.
    pub max_request: u32,
}

/// What became of them.
pub enum Started {
    /// They serve. The threads end when the mount is gone, all of them if one fails; then `stop`
    /// is pulled too.
    Serving(Vec<JoinHandle<io::Result<()>>>, Arc<Stop>),
    /// The kernel does not take them, and sends everything over /dev/fuse.
    Refused(io::Error),
}

impl Prepared {
    /// Makes rings, memory and threads for a mount. Everything that can fail is done here,
    /// before the kernel is told: afterwards it holds requests back until every queue has an
    /// entry.
    pub fn make(server: &Arc<Server>, device: &Arc<Device>) -> io::Result<Prepared> {
        // The kernel wants a queue for each CPU that this machine can ever have, online or not.
        let cpus = cpus_that_are("possible")?;
        let (entries, max_request) = shape(cpus);
        let lanes = Arc::new(Lanes::new(server, cpus, entries)?);
        let (ready, made) = channel();
        let (tell, told) = channel();
        let (go, threads) = (Vec::new(), Vec::new());
        let mut prepared = Prepared { go, threads, told, lanes: Arc::clone(&lanes), max_request };
        for name in lanes.names() {
            let (go, wait) = channel();
            let (device, lanes, ready) = (Arc::clone(device), Arc::clone(&lanes), ready.clone());
            let tell = tell.clone();
            let (title, slots) = match name {
                Name::Queue(cpu) => {
                    let qid = u16::try_from(cpu).map_err(io::Error::other)?;
                    (format!("kmsfs-ring-{cpu}"), slots(qid, entries, max_request)?)
                }
                Name::Bulk(n) => (format!("kmsfs-bulk-{n}"), Vec::new()),
            };
            let body = move || {
                if let Name::Queue(cpu) = name {
                    pin(&[cpu]);
                }
                let lane = match Lane::new(name, &lanes, &device) {
                    Ok(lane) => {
                        let _ = ready.send(Ok(())); // nobody listens: nobody will say go either
                        lane
                    }
                    Err(e) => {
                        let _ = ready.send(Err(e));
                        return Ok(());
                    }
                };
                drop(ready);
                if wait.recv().is_err() {
                    return Ok(());
                }
                let mut whole = Whole { lanes: &lanes, device: &device, name, well: false };
                // The sender goes with the closure: who listens must not wait for more.
                let ended = lane.run(slots, move |registered| {
                    if let Name::Queue(_) = name {
                        let _ = tell.send(registered); // nobody listens: the mount has failed
                    }
                });
                match &ended {
                    Ok(()) => whole.well = true,
                    Err(error) => tracing::error!(%error, ?name, "a ring failed"),
                }
                ended
            };
            let thread = thread::Builder::new().name(title).spawn(body)?;
            prepared.go.push(go);
            prepared.threads.push(thread);
        }
        drop((ready, tell));
        let made: Vec<()> = made.iter().collect::<io::Result<_>>()?;
        // One that ended without a word: the ring would never be ready.
        if made.len() == prepared.threads.len() {
            Ok(prepared)
        } else {
            Err(io::Error::other("a lane panicked"))
        }
    }

    /// The kernel has agreed: entries are handed to it, and requests are served, or it thinks
    /// better of it: its switch may have been turned, or memory is short.
    ///
    /// # Errors
    /// A ring did not work at all. The kernel holds every request back then, for ever.
    pub fn go(self) -> io::Result<Started> {
        for go in self.go {
            let _ = go.send(()); // a thread that is gone is met when it is joined
        }
        let (mut refused, mut queues) = (None, 0);
        for registered in &self.told {
            queues += 1;
            match registered {
                Registered { taken: 0, refusal } => {
                    let unknown = || io::Error::other("it took no entry");
                    refused = Some(refusal.unwrap_or_else(unknown));
                }
                Registered { taken, refusal: Some(error) } => {
                    tracing::warn!(%error, taken, "the kernel did not take all entries of a queue");
                }
                Registered { refusal: None, .. } => {}
            }
        }
        if queues < self.lanes.queues() {
            self.lanes.fail();
            let ended = self.threads.into_iter().map(JoinHandle::join);
            let error = ended.filter_map(|end| end.ok()?.err()).next();
            return Err(error.unwrap_or_else(|| io::Error::other("a lane panicked")));
        }
        Ok(match refused {
            // With one queue empty the kernel uses none. Those that wait for entries of the other
            // queues do so until the mount is gone.
            Some(error) => Started::Refused(error),
            None => Started::Serving(self.threads, Arc::clone(&self.lanes.stop)),
        })
    }
}

/// Sees to it that a lane that ends badly, a panic included, is not the only one that ends.
struct Whole<'a> {
    lanes: &'a Lanes,
    device: &'a Device,
    name: Name,
    well: bool,
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        if !self.well {
            tracing::error!(name = ?self.name, "a queue is without its ring: the mount ends, and who uses it gets an error");
            self.lanes.fail();
            // Not left to the process's end: a thread of its own may be waiting for an answer.
            self.device.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_on_every_machine() {
        for cpus in [1, 2, 8, 16, 63, 64, 65, 128, 256] {
            let (entries, size) = shape(cpus);
            let all = cpus * entries * size as usize;
            assert!(entries >= 1 && all <= BUDGET, "{cpus} CPUs: {entries} of {size}");
        }
        assert_eq!(shape(2), (8, 1 << 20));
        assert_eq!(shape(4096), (1, LESS), "one each, whatever it takes");
    }
}
