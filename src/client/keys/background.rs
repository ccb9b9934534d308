//! What goes on beside the requests: keys asked for ahead, the pool refilled, uses reported, and
//! everything wiped when the epoch has moved.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::wire::{message, on_behalf, place};
use super::{Early, Inner, MAX_COUNTED, Moment, Refill};
use crate::client::cache::{At, Commitment, Question};
use crate::server::messages::{Answer, Ask, CachedUse, OnBehalf};
use crate::volume::keys::KeyAhead;

/// How often uses from memory are reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// How soon the background thread notices a new epoch.
const TICK: Duration = Duration::from_millis(200);

/// Most keys of one question asked ahead: whoever wants one of them waits for all.
const EARLY: usize = 64;

/// Keys of the first question of a search: somebody is likely to want them at once.
const EARLY_AT_FIRST: usize = 8;

impl Inner {
    /// The thread that asks ahead.
    pub(super) fn ask_early(&self, jobs: &Receiver<Early>) {
        self.early_asker.is_me();
        while let Ok(Early { callers, mut next }) = jobs.recv() {
            let mut most = EARLY_AT_FIRST;
            let same_epoch = || callers.iter().all(|(_, m)| m.epoch == self.conn.epoch());
            while !self.stopping.load(Ordering::SeqCst) && same_epoch() {
                let found = next(most);
                if found.is_empty() {
                    break;
                }
                let mut refused = false;
                for (caller, moment) in &callers {
                    let theirs = found.iter().filter(|key| key.caller == *caller);
                    refused |= self.ask_some_early(on_behalf(*caller), moment, theirs);
                }
                // Every refusal has its record, of something that nobody has tried.
                if refused {
                    break;
                }
                most = EARLY.min(most * 2);
            }
        }
    }

    /// Whether there was something to ask and nothing was granted.
    fn ask_some_early<'k>(
        &self,
        caller: OnBehalf,
        moment: &Moment,
        found: impl Iterator<Item = &'k KeyAhead>,
    ) -> bool {
        let (mut questions, mut items) = (Vec::new(), Vec::new());
        for KeyAhead { wrapped, context, .. } in found {
            let item = (message(wrapped), place(context));
            let question =
                Question::Unwrap(moment.who, Commitment::of(&item.0, &item.1), At::Anywhere);
            if !self.remembers(moment, &question) && self.coming.begin(&question) {
                questions.push(question);
                items.push(item);
            }
        }
        let (asked, mut granted) = (!items.is_empty(), false);
        if asked
            && let Ok(Answer::Keys(keys)) = self.ask(Ask::UnwrapAhead { caller, items })
            && self.same_caller(caller, moment)
        {
            for (question, key) in questions.iter().zip(keys) {
                let (Question::Unwrap(_, of, _), Some(key)) = (question, key) else { continue };
                self.cache.allow(question.clone(), moment.epoch, moment.asked);
                self.cache.keep(*of, moment.epoch, key.0);
                granted = true;
            }
        }
        self.coming.end(&questions);
        asked && !granted
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
        self.refiller.is_me();
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
