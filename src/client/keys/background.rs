//! What goes on beside the requests: keys asked for ahead, the pool refilled, uses reported, and
//! everything wiped when the epoch has moved.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::{Early, Inner, MAX_COUNTED, Moment, Refill};
use crate::client::cache::Question;
use crate::server::messages::{Answer, Ask, CachedUse, OnBehalf, Place, Wrapped};

/// How often uses from memory are reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// How soon the background thread notices a new epoch.
const TICK: Duration = Duration::from_millis(200);

/// Keys of one question asked ahead: whoever wants one of them waits for all.
const EARLY: usize = 64;

impl Inner {
    /// The thread that asks ahead.
    pub(super) fn ask_early(&self, jobs: &Receiver<Early>) {
        while let Ok(Early { caller, moment, mut wanted }) = jobs.recv() {
            while !wanted.is_empty() {
                let rest = wanted.split_off(wanted.len().min(EARLY));
                self.ask_some_early(caller, &moment, wanted);
                wanted = rest;
            }
        }
    }

    pub(super) fn ask_some_early(
        &self,
        caller: OnBehalf,
        moment: &Moment,
        wanted: Vec<(Question, (Wrapped, Place))>,
    ) {
        let (questions, items): (Vec<_>, Vec<_>) =
            wanted.into_iter().filter(|(question, _)| self.coming.send(question)).unzip();
        if !items.is_empty()
            && !self.stopping.load(Ordering::SeqCst)
            && self.conn.epoch() == moment.epoch
            && let Ok(Answer::Keys(keys)) = self.ask(Ask::UnwrapAhead { caller, items })
            && self.same_caller(caller, moment)
        {
            for (question, key) in questions.iter().zip(keys) {
                let (Question::Unwrap(_, of, _), Some(key)) = (question, key) else { continue };
                self.cache.allow(question.clone(), moment.epoch, moment.asked);
                self.cache.keep(*of, moment.epoch, key.0);
            }
        }
        self.coming.end(&questions);
    }

    pub(super) fn report(&self, uses: HashMap<(OnBehalf, String), u64>) {
        let uses: Vec<CachedUse> = uses
            .into_iter()
            .map(|((caller, key_id), hits)| CachedUse { caller, key_id, hits })
            .collect();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.done(Ask::CachedUses(uses.clone())) {
            tracing::warn!(%error, "uses of cached decisions are not recorded yet");
            // Kept for the next report, unless there are too many callers to keep them all.
            let mut kept = self.uses.lock();
            for one in uses.into_iter().take(MAX_COUNTED) {
                *kept.entry((one.caller, one.key_id)).or_insert(0) += one.hits;
            }
        }
    }

    /// The background thread.
    pub(super) fn help(&self, jobs: &Receiver<Refill>) {
        let mut seen = self.conn.epoch();
        let mut reported = Instant::now();
        while !self.stopping.load(Ordering::SeqCst) {
            if let Ok(job) = jobs.recv_timeout(TICK) {
                self.refill(&job);
            }
            self.callers.forget_old();
            let epoch = self.conn.epoch();
            if epoch != seen {
                // They would not be given out any more; this wipes them.
                self.cache.clear(epoch);
                self.pool.clear();
                seen = epoch;
            }
            if reported.elapsed() >= REPORT_EVERY {
                let uses = std::mem::take(&mut *self.uses.lock());
                self.report(uses);
                reported = Instant::now();
            }
        }
        let uses = std::mem::take(&mut *self.uses.lock());
        self.report(uses);
    }

    /// Wipes everything, for good.
    pub(super) fn forget(&self) {
        self.cache.clear(u64::MAX);
        self.pool.clear();
    }

    pub(super) fn refill(&self, job: &Refill) {
        let epoch = self.conn.epoch();
        match self.make(job.caller, &job.shelf, &job.told, job.count) {
            Ok((keys, _)) => self.pool.put(&job.shelf, epoch, keys),
            Err(error) => {
                // Whoever needs a key next will meet the same error and be told.
                tracing::debug!(%error, "the key pool could not be refilled");
                self.pool.give_up(&job.shelf);
            }
        }
    }
}
