//! Moments at which a decision changes though nobody changed anything: a grant ends, a date in a
//! condition is reached, a key's deletion or its material's end is due.
//!
//! Whatever a decision was made from was loaded first, and its moments were noted then. The epoch
//! moves when one is reached, so that whoever remembers the decision asks again. A moment that
//! nothing depends on any more moves it for nothing, and that is all.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use serde_json::Map;

use super::Service;
use crate::kms::error::KmsError;
use crate::kms::key::Key;
use crate::kms::policy::Policy;
use crate::kms::store::{Change, Store as _};

/// Moments remembered; those farthest away give way, and are noted again with the next load.
const MAX_MOMENTS: usize = 1 << 18;

/// What is to come, and what has come.
#[derive(Default)]
pub(super) struct Moments {
    /// Milliseconds since 1970, none in the past when noted.
    ahead: Mutex<BTreeSet<i64>>,
    /// Ids of grants found to be over.
    over: Mutex<BTreeSet<String>>,
}

impl Service {
    /// Notes when decisions about a key change by themselves.
    pub(super) fn note_key(&self, key: &Key) {
        let now = self.now();
        for grant in key.grants.iter().filter(|grant| grant.expired(now)) {
            let mut over = self.moments.over.lock();
            if over.len() < MAX_MOMENTS {
                over.insert(grant.id.clone());
            }
        }
        let grants = key.grants.iter().filter_map(|grant| grant.expires);
        self.note(grants.chain(key.record.due()));
        self.note_policy(&key.policy);
    }

    /// The same of a policy.
    pub(super) fn note_policy(&self, policy: &Policy) {
        self.note(policy.moments.iter().copied());
    }

    fn note(&self, moments: impl Iterator<Item = i64>) {
        let now = self.now().0;
        for moment in moments.filter(|&at| at > now) {
            let mut ahead = self.moments.ahead.lock();
            ahead.insert(moment);
            if ahead.len() > MAX_MOMENTS {
                ahead.pop_last();
            }
        }
    }

    /// Moves the epoch if a moment has come, does what is due, and removes grants that are over.
    /// Returns whether one had come. To be called several times a second.
    ///
    /// # Errors
    /// The moment is tried again with the next call.
    ///
    /// # Crash
    /// A grant that is over allows nothing, whether it is still there or not.
    pub fn run_moments(&self) -> Result<bool, KmsError> {
        let mut came = self.run_moments_here()?;
        for sibling in &self.siblings {
            came |= sibling.run_moments_here()?;
        }
        Ok(came)
    }

    fn run_moments_here(&self) -> Result<bool, KmsError> {
        let now = self.now().0;
        let came = {
            let mut ahead = self.moments.ahead.lock();
            let later = ahead.split_off(&now.saturating_add(1));
            let came = !ahead.is_empty();
            *ahead = later;
            came
        };
        self.rotate_worn()?;
        let over = std::mem::take(&mut *self.moments.over.lock());
        if !came && over.is_empty() {
            return Ok(false);
        }
        let done = self.pass(over);
        if done.is_err() && came {
            self.moments.ahead.lock().insert(now);
        }
        done.map(|()| came)
    }

    fn pass(&self, over: BTreeSet<String>) -> Result<(), KmsError> {
        self.run_due()?;
        let _writer = self.writer.lock();
        let mut changes = Vec::new();
        for id in over {
            let Some(grant) = self.store.grant(&id)?.filter(|g| g.expired(self.now())) else {
                continue;
            };
            let mut extra = Map::new();
            extra.insert("grantId".into(), id.clone().into());
            self.event("ExpireGrant", grant.key, extra)?;
            changes.push(Change::DeleteGrant(id));
        }
        // What is loaded afresh says which grants are over by now.
        self.cache.clear();
        // Without changes too: it moves the epoch.
        self.commit(changes)
    }
}
