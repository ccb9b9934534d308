//! Walks, until one finds nothing left to do.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Ended;
use super::batch::{Item, Work};
use super::pace::Pace;
use super::site::Site;
use super::state::{Progress, State, Tally, Targets};
use super::walk::Walk;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::volume::keys::{Caller, DataKeys, KeyError};

/// Batches on their way, besides those that workers have.
const QUEUED: usize = 1;

/// Pause before a key service that does not answer is asked again.
const RETRY: Duration = Duration::from_millis(250);

/// Walks of one round at most; then whoever runs rounds begins another one.
const WALKS: u32 = 16;

/// A round: of what, for whom, and how.
pub struct Round<'a> {
    /// The volume.
    pub site: &'a dyn Site,
    /// The key service.
    pub keys: &'a dyn DataKeys,
    /// In whose name keys are sealed again.
    pub caller: Caller,
    /// How fast.
    pub pace: &'a Pace,
    /// Is kept up to date.
    pub progress: &'a Progress,
    /// Threads that re-wrap, beside the one that walks.
    pub workers: usize,
    /// How long a key service that does not answer is waited for.
    pub patience: Duration,
    /// Whether headers are only counted.
    pub count_only: bool,
    /// Is called with every change of the state, to keep it.
    pub save: &'a dyn Fn(&State),
}

/// Runs a round. `Ok(true)`: `state` has what the last walk counted, and all of it is under the
/// versions that it says. `Ok(false)`: something could not be re-wrapped; the progress tells what.
///
/// # Crash
/// What was re-wrapped is; the next round goes on at the cursor of the state that was saved last,
/// and ends with a whole walk as well.
pub fn run(round: &Round<'_>, state: &mut State) -> Result<bool, Ended> {
    round.progress.running.store(true, Ordering::SeqCst);
    let ended = walks(round, state);
    round.progress.running.store(false, Ordering::SeqCst);
    ended
}

fn walks(round: &Round<'_>, state: &mut State) -> Result<bool, Ended> {
    for _ in 0..WALKS {
        let cursor = state.cursor.take();
        let targets = Mutex::new(Targets::new());
        let tally = Tally::default();
        let dirty = AtomicBool::new(false);
        round.progress.walk_begins();
        round.site.begin();
        let whole = walk(round, state, cursor.as_deref(), &targets, &tally, &dirty)?;
        state.cursor = None;
        let targets = targets.into_inner();
        let failed = round.progress.failed.load(Ordering::Relaxed) > 0;
        if whole && !failed && cursor.is_none() && !dirty.load(Ordering::SeqCst) {
            // Rotated meanwhile: what was found good enough may not be.
            if round.still(&targets)? {
                state.done = targets;
                state.counts = tally.counts();
                state.at = now();
                (round.save)(state);
                return Ok(true);
            }
        }
        (round.save)(state);
        if failed {
            return Ok(false);
        }
    }
    Ok(false)
}

/// One walk with its workers. `Ok(false)`: it cannot be complete.
fn walk(
    round: &Round<'_>,
    state: &mut State,
    cursor: Option<&str>,
    targets: &Mutex<Targets>,
    tally: &Tally,
    dirty: &AtomicBool,
) -> Result<bool, Ended> {
    let failure = Mutex::new(None);
    let work = Work {
        site: round.site,
        keys: round.keys,
        caller: round.caller,
        to: None,
        pace: round.pace,
        progress: round.progress,
        tally,
        dirty,
        patience: round.patience,
    };
    let (batches, queue) = sync_channel::<Vec<Item>>(QUEUED);
    let queue = Mutex::new(Some(queue));
    let walked = thread::scope(|scope| {
        let batches = batches;
        for _ in 0..round.workers.max(1) {
            scope.spawn(|| {
                while let Some(batch) = next(&queue) {
                    if let Err(e) = work.process(batch) {
                        failure.lock().get_or_insert(e);
                        // The walker finds the queue closed.
                        *queue.lock() = None;
                    }
                }
            });
        }
        let target = |key: &str| {
            if round.count_only {
                return Ok(None);
            }
            let version = round.current(key)?;
            if let Some(version) = version {
                targets.lock().insert(key.to_owned(), version);
            }
            Ok(version)
        };
        let mut send = |batch| {
            let closed = |_| failure.lock().unwrap_or(Ended::Stopped);
            batches.send(batch).map_err(closed)
        };
        let mut tell = |path: &str| {
            state.cursor = Some(path.to_owned());
            (round.save)(state);
        };
        let walk = Walk::new(round.site, round.progress, tally, &target, &mut send, &mut tell);
        let walked = walk.run(cursor);
        drop(batches);
        walked
    });
    let failure = failure.into_inner();
    match (walked, failure) {
        (_, Some(e)) => Err(e),
        (walked, None) => walked,
    }
}

/// The next batch, for one worker at a time.
fn next(queue: &Mutex<Option<Receiver<Vec<Item>>>>) -> Option<Vec<Item>> {
    queue.lock().as_ref()?.recv().ok()
}

impl Round<'_> {
    /// The version that a CMK seals with now; `None` if it is not there any more.
    fn current(&self, key: &str) -> Result<Option<u32>, Ended> {
        let patience = Instant::now() + self.patience;
        loop {
            if self.site.stop() {
                return Err(Ended::Stopped);
            }
            match self.keys.current_version(key) {
                Ok(version) => return Ok(Some(version)),
                Err(KeyError::Unreachable) if Instant::now() < patience => thread::sleep(RETRY),
                Err(KeyError::Unreachable) => return Err(Ended::Keys(KeyError::Unreachable)),
                Err(_) => return Ok(None),
            }
        }
    }

    fn still(&self, targets: &Targets) -> Result<bool, Ended> {
        for (key, version) in targets {
            if self.current(key)?.is_some_and(|now| now != *version) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
