//! What a key service does by itself: deletions and rotations that are due, grants and dates in
//! policies that end, checks of the store.

use std::time::{Duration, Instant};

use crate::kms::service::Service;
use crate::sync::{Arc, Condvar, Mutex};

/// How often deletions that are due are looked for.
const EVERY: Duration = Duration::from_secs(30);
/// How late a grant or a date in a policy may end.
const TICK: Duration = Duration::from_millis(250);

/// The thread that does it. Dropping it ends the thread; so does the end of the service.
pub struct Housekeeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Housekeeper {
    /// Starts it.
    pub fn start(service: &Arc<Service>) -> Housekeeper {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (service, told) = (Arc::downgrade(service), stop.clone());
        let work = move || {
            let mut last: Option<Instant> = None;
            loop {
                let Some(service) = service.upgrade() else { return };
                if last.is_none_or(|at| at.elapsed() >= EVERY) {
                    last = Some(Instant::now());
                    now_and_then(&service);
                }
                if let Err(error) = service.run_moments() {
                    tracing::error!(%error, "what has just ended is not cleared away");
                }
                drop(service);
                let mut stopped = told.0.lock();
                if !*stopped {
                    told.1.wait_for(&mut stopped, TICK);
                }
                if *stopped {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("kms-housekeeping".into()).spawn(work);
        if let Err(error) = &thread {
            tracing::error!(%error, "no housekeeping: keys whose waiting time is over remain");
        }
        Housekeeper { stop, thread: thread.ok() }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // What panics is logged where it does.
            let _ = thread.join();
        }
    }
}

fn now_and_then(service: &Service) {
    if let Err(error) = service.run_due() {
        tracing::error!(%error, "keys whose waiting time is over remain");
    }
    if let Err(error) = service.scrub() {
        tracing::error!(%error, "the key store could not be checked");
    }
}
