//! How often each version of a key has sealed something, so that a key that is used very much
//! rotates by that, whatever its schedule says.
//!
//! No blob depends on the number: each is sealed under a key of its own (KMS-BLOB.md). It bounds
//! what is lost with a version. Counts are kept in memory and written down every minute or so; a
//! kill loses those of the last one.

use std::collections::BTreeMap;

use dashmap::DashMap;
use serde_json::Map;

use super::Service;
use crate::kms::api::types::{Origin, RotationType};
use crate::kms::error::{InternalFault, KmsError};
use crate::kms::id::{KeyId, KeyVersion};
use crate::kms::key::Gate;
use crate::kms::store::{Change, Store as _};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Name of the stored value.
const META_WRAPS: &str = "wraps";

/// When keys rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationRules {
    /// Milliseconds that a day of a rotation period has; less than a real one in tests.
    pub day: i64,
    /// A version that has sealed so often is followed by another one.
    pub most_wraps: u64,
}

impl Default for RotationRules {
    /// Real days, and half of the 2^32 that AES-GCM with random nonces would allow.
    fn default() -> RotationRules {
        RotationRules { day: 86_400_000, most_wraps: 1 << 31 }
    }
}

/// Counts of one Region.
#[derive(Default)]
pub(super) struct Wraps {
    counts: DashMap<KeyId, (KeyVersion, AtomicU64)>,
    /// Some version has sealed as often as it may.
    worn: AtomicBool,
    /// Something was counted since it was last written down.
    fresh: AtomicBool,
}

impl Service {
    /// Counts a use of a version that seals.
    pub(super) fn sealed_with(&self, key: KeyId, version: KeyVersion) {
        let most = self.rotation.most_wraps;
        self.wraps.fresh.store(true, Ordering::Relaxed);
        let count = match self.wraps.counts.get(&key) {
            Some(entry) if entry.0 == version => entry.1.fetch_add(1, Ordering::Relaxed),
            other => {
                drop(other);
                let mut entry = self.wraps.counts.entry(key).or_insert((version, 0.into()));
                // The first use of a version that has just come; or a late one of the one before.
                if entry.0 < version {
                    *entry = (version, AtomicU64::new(0));
                }
                entry.1.fetch_add(1, Ordering::Relaxed)
            }
        };
        if count >= most {
            self.wraps.worn.store(true, Ordering::Relaxed);
        }
    }

    /// Rotates keys whose version has sealed often enough. To be called several times a second.
    pub(super) fn rotate_worn(&self) -> Result<(), KmsError> {
        if !self.wraps.worn.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let _writer = self.writer.lock();
        let most = self.rotation.most_wraps;
        let worn = self.wraps.counts.iter().filter(|entry| entry.1.load(Ordering::Relaxed) > most);
        let worn: Vec<(KeyId, KeyVersion)> = worn.map(|entry| (*entry.key(), entry.0)).collect();
        for (id, version) in worn {
            self.wraps.counts.remove(&id);
            let Some(key) = self.load_key(id)? else { continue };
            let ours = key.record.origin == Origin::AwsKms && key.record.more.primary.is_none();
            if key.record.current != version || !ours || key.admits(Gate::Use).is_err() {
                continue;
            }
            let mut details = Map::new();
            details.insert("wraps".into(), most.into());
            self.event("RotateKey", id, details)?;
            let changes = self.rotate(&key, RotationType::Automatic)?;
            let elsewhere = self.shared(&key, &changes)?;
            self.commit_all(changes, elsewhere)?;
        }
        Ok(())
    }

    /// This one and those of the further Regions.
    fn all_here(&self) -> impl Iterator<Item = &Service> {
        std::iter::once(self).chain(self.siblings.iter().map(|sibling| &**sibling))
    }

    /// Takes up the counts of before a restart, of all Regions.
    pub(super) fn recall_wraps(&self) -> Result<(), KmsError> {
        let Some(bytes) = self.store.meta(META_WRAPS)? else { return Ok(()) };
        let counts: BTreeMap<String, (u32, u64)> =
            serde_json::from_slice(&bytes).map_err(|_| InternalFault::Record)?;
        for (name, (version, count)) in counts {
            let Some((region, key)) = name.split_once(' ') else { continue };
            let service = self.all_here().find(|service| service.region.as_str() == region);
            if let (Some(service), Ok(key)) = (service, key.parse()) {
                service.wraps.counts.insert(key, (KeyVersion(version), count.into()));
            }
        }
        Ok(())
    }

    /// Writes the counts of all Regions down.
    pub(super) fn keep_wraps(&self) -> Result<(), KmsError> {
        let fresh = |service: &Service| service.wraps.fresh.swap(false, Ordering::Relaxed);
        if self.all_here().filter(|service| fresh(service)).count() == 0 {
            return Ok(());
        }
        let mut counts = BTreeMap::new();
        for service in self.all_here() {
            for entry in &service.wraps.counts {
                let name = format!("{} {}", service.region, entry.key());
                counts.insert(name, (entry.0.0, entry.1.load(Ordering::Relaxed)));
            }
        }
        let bytes = serde_json::to_vec(&counts).map_err(|_| InternalFault::Record)?;
        // No decision depends on them, so no epoch moves.
        self.store.commit(&[Change::PutMeta(META_WRAPS, bytes)])?;
        Ok(())
    }
}
