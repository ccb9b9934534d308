//! Changes made: durable in all Regions at once, then forgotten by the caches, then told to those
//! who remember decisions.

use super::forget::Stale;
use super::{META_AUDIT, Service};
use crate::kms::error::{InternalFault, KmsError};
use crate::kms::id::Region;
use crate::kms::store::Change;
use crate::sync::Arc;

impl Service {
    /// Makes changes durable, forgets what was cached of before, and moves the epoch if a
    /// decision may have become another.
    pub(super) fn commit(&self, changes: Vec<Change>) -> Result<(), KmsError> {
        self.commit_all(changes, Vec::new())
    }

    /// The same, with changes in other Regions: all of them at once, or none.
    pub(super) fn commit_all(
        &self,
        changes: Vec<Change>,
        elsewhere: Vec<(Region, Change)>,
    ) -> Result<(), KmsError> {
        let others: Vec<Arc<Service>> = self.others().collect();
        let mut stale = vec![(self.region.clone(), self.stale(&changes))];
        for other in &others {
            let there = elsewhere.iter().filter(|(region, _)| *region == other.region);
            let there: Vec<Change> = there.map(|(_, change)| change.clone()).collect();
            if !there.is_empty() {
                stale.push((other.region.clone(), other.stale(&there)));
            }
        }
        let mut raw: Vec<Change> = changes.into_iter().map(|c| self.store.raw(c)).collect();
        for (region, change) in elsewhere {
            let there = others.iter().find(|other| other.region == region);
            raw.push(there.ok_or(InternalFault::Record)?.store.raw(change));
        }
        raw.push(Change::PutMeta(META_AUDIT, self.trail.position().to_bytes()));
        let generation = {
            let _loading = self.loading.write();
            let generation = self.store.commit_raw(&raw);
            self.forget(&stale, generation.is_err());
            others.iter().for_each(|other| other.forget(&stale, generation.is_err()));
            generation?
        };
        if stale.iter().any(|(_, stale)| stale.decides) {
            others.iter().for_each(|other| other.epoch.move_to(generation));
            self.epoch.move_to(generation);
        }
        Ok(())
    }

    /// Forgets what a commit made stale. Of one that failed nobody knows what it did.
    fn forget(&self, stale: &[(Region, Stale)], failed: bool) {
        if failed {
            self.cache.clear();
        }
        for (region, stale) in stale {
            if *region == self.region {
                self.cache.forget(stale);
            } else {
                self.cache.forget_elsewhere(stale);
            }
        }
    }
}
