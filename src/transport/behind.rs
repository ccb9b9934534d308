//! Writes down, every few seconds, what the volume holds back for a common barrier, and gives
//! memory back that nobody needs any more.
//!
//! A thread of its own: it waits for the disk, which the thread that watches the epoch must not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::sys;
use crate::volume::Volume;

/// Time between two rounds: how long an overwrite that nobody syncs waits at most.
const ROUND: Duration = Duration::from_secs(3);

/// The thread; dropping this ends it.
pub struct Behind {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Behind {
    /// Starts the rounds.
    pub fn start(volume: Arc<Volume>) -> std::io::Result<Behind> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let rounds = move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::park_timeout(ROUND);
                volume.write_behind();
                if volume.tidy_up() {
                    sys::trim_heap();
                }
            }
        };
        let thread = thread::Builder::new().name("kmsfs-behind".into()).spawn(rounds)?;
        Ok(Behind { stop, thread: Some(thread) })
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // a panic there has been reported; nothing to add
        }
    }
}
