//! Threads for requests that may wait, so that the ones that do not are never stuck behind them.
//!
//! A queue thread runs a request to its end. An open that waits five seconds for a key service
//! that is restarting, or an fsync on a slow disk, would hold its thread, and enough of them the
//! whole mount. Yet handing every such request to another thread costs a wake-up, more than most
//! of them take. So: a request that may block runs where it is while another queue thread is
//! certainly free of such requests, and is handed over otherwise. One queue thread therefore
//! never blocks, and a single stream of fsyncs never pays.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Most spare threads at a time. Further requests queue; the kernel bounds them.
const MOST: usize = 32;

/// A spare thread without work goes away after this long.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// The spare threads of one session.
pub struct Spare {
    /// How many blocking requests may run on queue threads at once.
    inline_limit: AtomicUsize,
    inline: AtomicUsize,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    /// Where the threads may run. One that a pinned queue thread starts would inherit its pin,
    /// and get nothing done until the queue is idle.
    anywhere: Option<CpuSet>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Spare {
    /// For a session with `queue_threads` threads that read requests. To be called on a thread
    /// that is not pinned.
    pub fn new(queue_threads: usize) -> Spare {
        Spare {
            inline_limit: AtomicUsize::new(queue_threads.saturating_sub(1)),
            inline: AtomicUsize::new(0),
            shared: Arc::new(Shared {
                state: Mutex::default(),
                work: Condvar::new(),
                anywhere: sched_getaffinity(None).ok(),
            }),
        }
    }

    /// Other than was thought, `queue_threads` threads read requests.
    pub fn read_by(&self, queue_threads: usize) {
        self.inline_limit.store(queue_threads.saturating_sub(1), Ordering::Relaxed);
    }

    /// Runs `job`, here or on a spare thread.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        match self.enter() {
            Some(_leave) => job(),
            None => self.hand_over(job),
        }
    }

    /// Leave to run a request that may block on this queue thread, until the result is dropped.
    pub fn enter(&self) -> Option<Inline<'_>> {
        let entered = Inline(&self.inline);
        let limit = self.inline_limit.load(Ordering::Relaxed);
        (self.inline.fetch_add(1, Ordering::Relaxed) < limit).then_some(entered)
    }

    /// Runs `job` on a spare thread, or here if there can be none.
    pub fn hand_over(&self, job: impl FnOnce() + Send + 'static) {
        self.push(Box::new(job));
    }

    fn push(&self, job: Job) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= MOST {
            self.shared.work.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let spawned =
            thread::Builder::new().name("kmsfs-spare".into()).spawn(move || shared.work());
        if spawned.is_err() {
            // No thread to be had: the request is served here, late rather than never.
            let mut state = self.shared.state.lock();
            state.threads -= 1;
            let job = state.jobs.pop_back();
            drop(state);
            if let Some(job) = job {
                job();
            }
        }
    }
}

/// A request that runs on a queue thread. Counts it out, also when it panics.
pub struct Inline<'a>(&'a AtomicUsize);

impl Drop for Inline<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn work(&self) {
        if let Some(anywhere) = &self.anywhere {
            let _ = sched_setaffinity(None, anywhere); // refused: it stays where it is, slower
        }
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let timed_out = self.work.wait_for(&mut state, IDLE).timed_out();
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    #[test]
    fn a_lone_request_stays_on_its_thread() {
        let spare = Spare::new(2);
        let here = thread::current().id();
        let (tx, rx) = channel();
        spare.run(move || tx.send(thread::current().id()).unwrap());
        assert_eq!(rx.recv().unwrap(), here);
    }

    #[test]
    fn a_pinned_thread_does_not_pass_its_pin_on() {
        let spare = Spare::new(1);
        let before = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).unwrap());
        let (tx, rx) = channel();
        let queue = thread::spawn(move || {
            sched_setaffinity(None, &one).unwrap();
            spare.hand_over(move || tx.send(sched_getaffinity(None).unwrap()).unwrap());
        });
        assert_eq!(rx.recv().unwrap(), before);
        queue.join().unwrap();
    }

    #[test]
    fn the_last_queue_thread_is_never_blocked() {
        let spare = Arc::new(Spare::new(2));
        let (release, blocked) = sync_channel::<()>(0);
        let (entered_tx, entered) = channel();
        // One queue thread blocks inside a request.
        let other = Arc::clone(&spare);
        let queue = thread::spawn(move || {
            other.run(move || {
                entered_tx.send(()).unwrap();
                blocked.recv().unwrap();
            });
        });
        entered.recv().unwrap();
        // The other one gets a hundred that may block: it must come back from each at once.
        let here = thread::current().id();
        let (tx, rx) = channel();
        for _ in 0..100 {
            let tx = tx.clone();
            spare.run(move || tx.send(thread::current().id()).unwrap());
        }
        let ran: Vec<_> = rx.iter().take(100).collect();
        assert!(ran.iter().all(|&id| id != here));
        release.send(()).unwrap();
        queue.join().unwrap();
        // And afterwards requests run in place again.
        let (tx, rx) = channel();
        spare.run(move || tx.send(thread::current().id()).unwrap());
        assert_eq!(rx.recv().unwrap(), here);
    }
}
