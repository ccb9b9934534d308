//! Headers on their way: sealed again together, written one by one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Ended;
use super::pace::Pace;
use super::site::Site;
use super::state::{Progress, Tally};
use crate::lower::{Dir, LowerFile};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::volume::keys::{Caller, DataKeys, KeyError, Resealed, Sealed};
use crate::volume::reseal::Trouble;

/// Headers that are sealed together. Each holds a descriptor.
pub(super) const BATCH: usize = 64;

/// Pause before a key service that does not answer is asked again.
const RETRY: Duration = Duration::from_millis(250);

/// One header to be re-wrapped.
pub(super) struct Item {
    pub sealed: Sealed,
    pub place: Place,
    /// Lower path, for messages.
    pub path: String,
}

/// Where a header is.
pub(super) enum Place {
    File(LowerFile),
    Dir(Arc<Dir>),
    Descriptor,
}

/// What the workers share.
pub(super) struct Work<'a> {
    pub site: &'a dyn Site,
    pub keys: &'a dyn DataKeys,
    pub caller: Caller,
    pub to: Option<&'a str>,
    pub pace: &'a Pace,
    pub progress: &'a Progress,
    pub tally: &'a Tally,
    /// Something was found stale, or changed under the hand: this walk proves nothing.
    pub dirty: &'a AtomicBool,
    /// How long a key service that does not answer is waited for.
    pub patience: Duration,
}

impl Work<'_> {
    /// Re-wraps a batch.
    pub fn process(&self, batch: Vec<Item>) -> Result<(), Ended> {
        self.dirty.store(true, Ordering::SeqCst);
        let (begun, before) = (Instant::now(), self.site.activity());
        self.pace.wait(batch.len(), || self.site.stop());
        let sealed: Vec<Sealed> = batch.iter().map(|item| item.sealed.clone()).collect();
        let outcomes = self.reseal(&sealed)?;
        for (item, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Ok(new) => self.write(item, new),
                Err(e) => self.failed(&item, &e.to_string()),
            }
        }
        let requests = self.site.activity().saturating_sub(before);
        self.pace.yield_after(begun.elapsed(), requests, || self.site.stop());
        Ok(())
    }

    /// Asks, and goes on asking a service that is away for a while.
    fn reseal(&self, sealed: &[Sealed]) -> Result<Vec<Result<Resealed, KeyError>>, Ended> {
        let patience = Instant::now() + self.patience;
        loop {
            if self.site.stop() {
                return Err(Ended::Stopped);
            }
            match self.keys.reseal(self.caller, sealed, self.to) {
                Err(KeyError::Unreachable | KeyError::Unusable) if Instant::now() < patience => {
                    sleep(RETRY);
                }
                other => return other.map_err(Ended::Keys),
            }
        }
    }

    fn write(&self, item: Item, new: Resealed) {
        let Item { sealed, place, path } = item;
        let (key, version) = (new.wrapped.key_id.clone(), new.wrapped.version);
        let done = match place {
            Place::File(file) => self.site.file(file, &sealed.wrapped, new),
            Place::Dir(dir) => self.site.dir(&dir, &sealed.wrapped, new),
            Place::Descriptor => self.site.put_descriptor(&sealed.wrapped, new),
        };
        match done {
            Ok(true) => {
                self.progress.rewrapped.fetch_add(1, Ordering::Relaxed);
                self.tally.add(&key, version);
            }
            // The next walk looks at what it has now.
            Ok(false) => {}
            Err(e) => self.report(&sealed, &path, e),
        }
    }

    fn failed(&self, item: &Item, what: &str) {
        self.tally.add(&item.sealed.wrapped.key_id, item.sealed.wrapped.version);
        self.progress.trouble(&item.path, what);
    }

    fn report(&self, sealed: &Sealed, path: &str, e: Trouble) {
        self.tally.add(&sealed.wrapped.key_id, sealed.wrapped.version);
        if let Trouble::Damaged(what) = e {
            self.keys.report_tamper(self.caller, &sealed.context, path, what);
        }
        self.progress.trouble(path, &e.to_string());
    }
}
