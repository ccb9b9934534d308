//! Re-wrapping in a mount: a thread that waits for a key of the volume to have another version,
//! and carries that through.
//!
//! The key service tells every connected mount at once that something has changed (its epoch
//! moves); the thread then asks which version each of the volume's CMKs has. What it has come to
//! is kept in `.kmsfs/rewrap`, so an unmount, a kill or a pause ends nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::rewrap::Status;
use crate::format::{VolumeId, WrappedKey};
use crate::lower::{Dir, LowerError, LowerFile};
use crate::rewrap::{self, Ended, Pace, Progress, Round, Site, State, Targets};
use crate::volume::keys::{Caller, DataKeys, KeyError, Resealed, Sealed, VolumeNews};
use crate::volume::reseal::{Moved, Trouble};
use crate::volume::{Control, Errno, Volume};

/// How soon a new version is noticed.
const TICK: Duration = Duration::from_millis(100);

/// After something could not be re-wrapped, or the key service was away.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a key service that does not answer is waited for, before the pause above.
const PATIENCE: Duration = Duration::from_secs(30);

/// Threads that re-wrap: the machine is for the users.
const WORKERS: usize = 2;

/// The thread. [`Live::end`] ends it.
pub struct Live {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// The lower directory, by which the key service knows the volume.
    place: String,
    state: Mutex<State>,
    progress: Progress,
    pace: Pace,
    stopping: AtomicBool,
    paused: AtomicBool,
    complete: AtomicBool,
    /// Commands so far, so that the thread notices that the state is to be saved.
    commands: AtomicU64,
    /// How often somebody wanted the key service to be asked anew: the thread notices a change by
    /// itself, but a moment after the command that made it has ended.
    looks_wanted: AtomicU64,
    /// Up to which of them it has been, and what was found carried through.
    looked: AtomicU64,
}

/// What comes after a look at the keys' versions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing, until something changes again.
    Done,
    /// Another look, after a while: something could not be carried through.
    Later,
    /// Another look as soon as it is resumed, even if that was a moment ago.
    Resumed,
}

struct Mounted<'a> {
    volume: &'a Volume,
    shared: &'a Shared,
}

impl Live {
    /// Starts it for a volume that is mounted for writing.
    pub fn start(
        volume: Arc<Volume>,
        keys: Arc<dyn DataKeys>,
        lower: &Path,
    ) -> std::io::Result<Live> {
        let state = State::load(volume.own_dir());
        let shared = Arc::new(Shared {
            progress: Progress::default(),
            pace: Pace::new(state.limit),
            stopping: AtomicBool::new(false),
            paused: AtomicBool::new(state.paused),
            complete: AtomicBool::new(false),
            commands: AtomicU64::new(0),
            looks_wanted: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            place: lower.to_string_lossy().into_owned(),
            state: Mutex::new(state),
        });
        volume.set_control(Arc::clone(&shared) as Arc<dyn Control>);
        let runner = Arc::clone(&shared);
        let thread = thread::Builder::new().name("kmsfs-rewrap".into()).spawn(move || {
            be_nice();
            runner.run(&volume, &*keys);
        })?;
        Ok(Live { shared, thread: Some(thread) })
    }

    /// Ends it: before the volume is closed.
    pub fn end(mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // a panic there has been reported; nothing to add
        }
    }
}

/// Users first. Linux keeps this per thread, and children inherit it.
fn be_nice() {
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "re-wrapping runs at the usual priority");
    }
}

impl Control for Shared {
    fn status(&self) -> String {
        let looked = self.looked.load(Ordering::SeqCst);
        let current = looked == self.looks_wanted.load(Ordering::SeqCst);
        let complete = current && self.complete.load(Ordering::SeqCst);
        let status = Status::of(&self.state.lock(), &self.progress, &self.pace, complete);
        serde_json::to_string(&status).unwrap_or_default()
    }

    fn command(&self, text: &str) -> Result<(), Errno> {
        let pause = |paused| {
            self.state.lock().paused = paused;
            self.paused.store(paused, Ordering::SeqCst);
        };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("pause", "") => pause(true),
            ("resume", "") => pause(false),
            // While it is paused nothing is looked at either: then nobody knows that all is done.
            ("look", "") => {
                self.looks_wanted.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            ("limit", rate) => {
                let rate = rate.parse().map_err(|_| Errno::EINVAL)?;
                self.state.lock().limit = rate;
                self.pace.set_limit(rate);
            }
            _ => return Err(Errno::EINVAL),
        }
        self.commands.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Shared {
    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.paused.load(Ordering::Relaxed)
    }

    fn run(&self, volume: &Volume, keys: &dyn DataKeys) {
        let mut seen = None;
        let mut obeyed = 0;
        let mut not_before: Option<Instant> = None;
        while !self.stopping.load(Ordering::SeqCst) {
            let commands = self.commands.load(Ordering::SeqCst);
            if commands != obeyed {
                obeyed = commands;
                self.save(volume);
            }
            let wanted = self.looks_wanted.load(Ordering::SeqCst);
            let epoch = (keys.epoch(), volume.cmks().len(), wanted);
            let early = not_before.is_some_and(|at| Instant::now() < at);
            if !self.paused.load(Ordering::SeqCst) && !early && seen != Some(epoch) {
                let next = match self.due(volume, keys) {
                    Ok(Some(sealing)) => {
                        self.complete.store(false, Ordering::SeqCst);
                        self.round(volume, keys, &sealing)
                    }
                    Ok(None) => {
                        self.complete.store(true, Ordering::SeqCst);
                        Next::Done
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the versions of keys are asked for again");
                        Next::Later
                    }
                };
                not_before = (next == Next::Later).then(|| Instant::now() + AGAIN);
                if next == Next::Done {
                    seen = Some(epoch);
                    self.looked.store(wanted, Ordering::SeqCst);
                    // Moved meanwhile: looked at again.
                    continue;
                }
            }
            thread::park_timeout(TICK);
        }
        // A key that came into use a moment ago must not be missed.
        if keys.responds()
            && let Err(error) = self.tell(volume, keys, Targets::new(), None)
        {
            tracing::warn!(%error, "the key service does not know which keys are in use");
        }
        self.save(volume);
    }

    /// Whether a walk has anything to find: then the versions that seal now.
    fn due(&self, volume: &Volume, keys: &dyn DataKeys) -> Result<Option<Targets>, KeyError> {
        // What the service knows counts: the state below could have been written by anybody.
        let floors = self.tell(volume, keys, Targets::new(), None)?;
        let mut sealing = Targets::new();
        for (key, _) in &floors {
            match keys.current_version(key) {
                Ok(current) => drop(sealing.insert(key.clone(), current)),
                Err(KeyError::Unreachable) => return Err(KeyError::Unreachable),
                // What is gone has no newer version.
                Err(_) => {}
            }
        }
        let behind = floors.iter().any(|(k, floor)| sealing.get(k).is_some_and(|now| now != floor));
        let unfinished = self.state.lock().cursor.is_some();
        Ok((behind || unfinished).then_some(sealing))
    }

    /// One round.
    fn round(&self, volume: &Volume, keys: &dyn DataKeys, before: &Targets) -> Next {
        let mut state = self.state.lock().clone();
        let site = Mounted { volume, shared: self };
        let save = |state: &State| {
            let kept = {
                let mut kept = self.state.lock();
                // What the commands say is theirs to change.
                *kept = State { paused: kept.paused, limit: kept.limit, ..state.clone() };
                kept.clone()
            };
            keep(volume, &kept);
        };
        let round = Round {
            site: &site,
            keys,
            caller: Caller::Service,
            pace: &self.pace,
            progress: &self.progress,
            workers: WORKERS,
            patience: PATIENCE,
            count_only: false,
            save: &save,
        };
        match rewrap::run(&round, &mut state) {
            Ok(complete) => {
                let told = complete.then(|| self.prove(volume, keys, before, &state));
                if let Some(Err(error)) = told {
                    tracing::warn!(%error, "the key service does not know yet that all is done");
                    return Next::Later;
                }
                self.complete.store(complete, Ordering::SeqCst);
                if complete { Next::Done } else { Next::Later }
            }
            Err(Ended::Stopped) => Next::Resumed,
            Err(error) => {
                tracing::warn!(%error, "re-wrapping waits");
                Next::Later
            }
        }
    }

    /// Tells the service what a whole walk has found, once it is durable.
    fn prove(
        &self,
        volume: &Volume,
        keys: &dyn DataKeys,
        before: &Targets,
        state: &State,
    ) -> Result<(), Ended> {
        volume.sync_below()?;
        self.tell(volume, keys, state.floors(before), Some(state))?;
        Ok(())
    }

    /// Tells the service of the volume. Gives the versions that no header is older than.
    fn tell(
        &self,
        volume: &Volume,
        keys: &dyn DataKeys,
        mut floors: Targets,
        walked: Option<&State>,
    ) -> Result<Vec<(String, u32)>, KeyError> {
        let descriptor = volume.sealed_descriptor().wrapped.key_id;
        for key in volume.cmks().into_iter().chain([descriptor]) {
            floors.entry(key).or_insert(0);
        }
        keys.report_volume(&VolumeNews {
            volume: volume.id(),
            place: self.place.clone(),
            floors: floors.into_iter().collect(),
            counted: walked.map_or(0, |state| state.at),
            counts: walked.map(State::told).unwrap_or_default(),
        })
    }

    fn save(&self, volume: &Volume) {
        let state = self.state.lock().clone();
        keep(volume, &state);
    }
}

fn keep(volume: &Volume, state: &State) {
    if let Err(error) = state.save(volume.own_dir()) {
        tracing::warn!(%error, "cannot keep how far re-wrapping has come");
    }
}

impl Site for Mounted<'_> {
    fn volume(&self) -> VolumeId {
        self.volume.id()
    }

    fn root(&self) -> Result<Dir, LowerError> {
        self.volume.walk_root()
    }

    fn own_dir(&self) -> &Dir {
        self.volume.own_dir()
    }

    fn begin(&self) {
        self.volume.walk_begins();
    }

    fn moved(&self, end: bool) -> Moved {
        self.volume.walk_moved(end)
    }

    fn in_memory(&self, lower_ino: u64) -> Option<Sealed> {
        self.volume.sealed_in_memory(lower_ino)
    }

    fn file(&self, file: LowerFile, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        self.volume.reseal_file(file, asked, new)
    }

    fn dir(&self, dir: &Dir, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        self.volume.reseal_dir(dir, asked, new)
    }

    fn descriptor(&self) -> Result<Sealed, Trouble> {
        Ok(self.volume.sealed_descriptor())
    }

    fn put_descriptor(&self, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        self.volume.reseal_descriptor(asked, new)
    }

    fn stop(&self) -> bool {
        self.shared.stops()
    }

    fn activity(&self) -> u64 {
        self.volume.activity()
    }
}
