//! The queue of requests, and the workers who answer them.
//!
//! A worker takes whatever has queued up, so that requests which arrive together are decided
//! together and share one flush of the audit trail.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::connection::Connection;
use crate::server::dispatch::Handler;
use crate::server::messages::{Answer, Ask, ToClient};

/// Most requests that one worker takes at once.
pub(super) const BATCH: usize = 64;

/// A request that waits for a worker.
pub(super) struct Job {
    /// Where its answer goes.
    pub connection: Arc<Connection>,
    /// The peer's number for it.
    pub id: u64,
    /// What it asks.
    pub ask: Ask,
}

/// The queue and who answers what is in it.
pub(super) struct Work {
    /// Who answers.
    pub handler: Arc<dyn Handler>,
    queue: Mutex<VecDeque<Job>>,
    queued: Condvar,
    stopping: AtomicBool,
}

impl Work {
    /// An empty queue.
    pub fn new(handler: Arc<dyn Handler>) -> Self {
        Self {
            handler,
            queue: Mutex::default(),
            queued: Condvar::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Whether the listener is ending.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The listener is ending. Workers finish what has queued up; who sleeps learns of it from
    /// [`Work::wake`].
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Wakes all workers.
    pub fn wake(&self) {
        // Under the lock, so that no worker goes to sleep after having looked.
        let _queue = self.queue.lock();
        self.queued.notify_all();
    }

    /// Queues requests for the workers.
    pub fn add(&self, jobs: Vec<Job>) {
        self.queue.lock().extend(jobs);
        self.queued.notify_one();
    }

    /// A worker: takes what is there, answers it, looks again.
    pub fn run(&self) {
        loop {
            let mut jobs: Vec<Job> = Vec::new();
            {
                let mut queue = self.queue.lock();
                while queue.is_empty() {
                    if self.stopping() {
                        return;
                    }
                    self.queued.wait_for(&mut queue, Duration::from_secs(1));
                }
                // Unwraps share a flush; anything else may take its time and goes alone.
                while let Some(next) = queue.pop_front() {
                    let unwrap = matches!(next.ask, Ask::Unwrap { .. });
                    jobs.push(next);
                    if !unwrap || jobs.len() == BATCH {
                        break;
                    }
                }
                if !queue.is_empty() {
                    self.queued.notify_one();
                }
            }
            self.answer(jobs);
        }
    }

    /// Answers jobs that belong together.
    pub fn answer(&self, jobs: Vec<Job>) {
        let (places, asks): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .map(|job| {
                let peer = job.connection.peer;
                ((job.connection, job.id), (peer, job.ask))
            })
            .unzip();
        let count = asks.len();
        match catch_unwind(AssertUnwindSafe(|| self.handler.answer_many(asks))) {
            Ok(answers) => reply(places, answers),
            Err(_) => {
                // A bug; the peers must not wait for answers that never come.
                tracing::error!(count, "a request made the service panic");
                for (connection, _) in places {
                    connection.close();
                    connection.answered(1);
                }
            }
        }
    }
}

/// Sends answers, those of one connection in one write.
fn reply(places: Vec<(Arc<Connection>, u64)>, answers: Vec<Answer>) {
    let mut run: Vec<ToClient> = Vec::new();
    let mut current: Option<Arc<Connection>> = None;
    for ((connection, id), answer) in places.into_iter().zip(answers) {
        if let Some(last) = current.take_if(|last| !Arc::ptr_eq(last, &connection)) {
            last.finish(&std::mem::take(&mut run));
        }
        run.push(ToClient::Answer { id, answer });
        current = Some(connection);
    }
    if let Some(last) = current {
        last.finish(&run);
    }
}
