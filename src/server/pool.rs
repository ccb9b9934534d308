//! Threads that take whatever work has queued up, so that what arrives together is done together.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// A queue and its threads. Dropping it waits for the work that it has.
pub struct Pool<J> {
    shared: Arc<Shared<J>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<J> {
    queue: Mutex<Queue<J>>,
    queued: Condvar,
    /// Most jobs that one thread takes at once.
    most: usize,
}

struct Queue<J> {
    jobs: VecDeque<J>,
    stopping: bool,
}

impl<J: Send + 'static> Pool<J> {
    /// Starts `threads` threads called `name`. Jobs whose work panics are dropped.
    pub fn start(
        name: &str,
        threads: usize,
        most: usize,
        work: impl Fn(Vec<J>) + Send + Sync + 'static,
    ) -> io::Result<Pool<J>> {
        let queue = Mutex::new(Queue { jobs: VecDeque::new(), stopping: false });
        let shared = Arc::new(Shared { queue, queued: Condvar::new(), most });
        let work = Arc::new(work);
        let mut pool = Pool { shared, threads: Vec::new() };
        for _ in 0..threads {
            let (shared, work) = (Arc::clone(&pool.shared), Arc::clone(&work));
            let body = move || shared.run(&*work);
            pool.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(body)?);
        }
        Ok(pool)
    }

    /// Adds a job.
    pub fn submit(&self, job: J) {
        self.shared.queue.lock().jobs.push_back(job);
        self.shared.queued.notify_one();
    }
}

impl<J> Drop for Pool<J> {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.queued.notify_all();
        for thread in self.threads.drain(..) {
            // What panics is caught where it does.
            let _ = thread.join();
        }
    }
}

impl<J> Shared<J> {
    fn run(&self, work: &(impl Fn(Vec<J>) + ?Sized)) {
        loop {
            let jobs: Vec<J> = {
                let mut queue = self.queue.lock();
                while queue.jobs.is_empty() {
                    if queue.stopping {
                        return;
                    }
                    self.queued.wait(&mut queue);
                }
                let count = queue.jobs.len().min(self.most);
                queue.jobs.drain(..count).collect()
            };
            if catch_unwind(AssertUnwindSafe(|| work(jobs))).is_err() {
                tracing::error!("a request made the service panic");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn everything_that_was_submitted_is_done_whatever_panics() {
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let pool = Pool::start("test", 2, 8, move |jobs: Vec<usize>| {
            for job in jobs {
                if job == 500 {
                    panic!("as a bug would");
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let pool = pool.unwrap();
        (0..1000).for_each(|job| pool.submit(job));
        drop(pool);
        // The one that panicked takes along at most those that were taken with it.
        assert!(done.load(Ordering::SeqCst) >= 1000 - 8);
    }
}
