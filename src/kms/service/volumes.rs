//! Which volumes there are, and which versions of which CMKs they may still need.
//!
//! Whoever has a volume open tells of it here. What counts is the *floor* of each CMK: a walk over
//! the whole volume found no header of it under an older version, and none can come back, as only
//! the current version seals. A version may go when every known volume that uses its CMK has a
//! floor above it; of a volume that was never walked nothing is known, and it stands in the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::Service;
use super::call::Call;
use super::lookup::Naming;
use crate::kms::authz::{Authorized, may};
use crate::kms::caller::CallerContext;
use crate::kms::error::{InternalFault, KmsError, StateFault, Violation};
use crate::kms::hex;
use crate::kms::id::{KeyId, KeyVersion};
use crate::kms::key::Gate;
use crate::kms::store::{Change, Store as _};

/// Name of the stored value.
const META_VOLUMES: &str = "volumes";

/// Volumes remembered.
const MAX_VOLUMES: usize = 10_000;

/// CMKs of one volume.
const MAX_KEYS: usize = 1_000;

/// Longest place, bytes.
const MAX_PLACE: usize = 4_096;

/// A volume, as it was last told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Its id in hexadecimal digits.
    pub volume: String,
    /// Where it lies: a path, and of a user's own volume the user before it.
    pub place: String,
    /// When it was last told of: milliseconds since 1970.
    pub told: i64,
    /// Of each of its CMKs, by id: no header is under an older version. 0: not known.
    pub floors: BTreeMap<String, u32>,
    /// What the last whole walk counted: CMK, version, headers.
    pub counts: Vec<(String, u32, u64)>,
    /// When that was: seconds since 1970; 0 for never.
    pub counted: u64,
}

/// What whoever has a volume open tells of it.
#[derive(Clone, Debug)]
pub struct VolumeReport {
    /// Its id.
    pub volume: [u8; 16],
    /// Where it lies.
    pub place: String,
    /// Its CMKs, and the floor of each; 0 where a walk has not told.
    pub floors: BTreeMap<String, u32>,
    /// When a walk counted: seconds since 1970; 0 if none did.
    pub counted: u64,
    /// What it counted: CMK, version, headers.
    pub counts: Vec<(String, u32, u64)>,
}

impl Service {
    /// Notes a volume. Floors only rise. Gives those that hold now.
    pub fn report_volume(&self, report: VolumeReport) -> Result<BTreeMap<String, u32>, KmsError> {
        if report.place.len() > MAX_PLACE || report.floors.len() > MAX_KEYS {
            return Err(Violation::TooMany { member: "volume".into(), max: MAX_KEYS }.into());
        }
        let _writer = self.writer.lock();
        let mut volumes = self.volumes()?;
        let id = hex::encode(&report.volume);
        let at = volumes.iter().position(|v| v.volume == id && v.place == report.place);
        let record = match at.and_then(|at| volumes.get_mut(at)) {
            Some(record) => record,
            None => {
                if volumes.len() >= MAX_VOLUMES {
                    return Err(
                        Violation::TooMany { member: "volumes".into(), max: MAX_VOLUMES }.into()
                    );
                }
                volumes.push(VolumeRecord {
                    volume: id,
                    place: report.place,
                    told: 0,
                    floors: BTreeMap::new(),
                    counts: Vec::new(),
                    counted: 0,
                });
                volumes.last_mut().ok_or(InternalFault::Record)?
            }
        };
        let before = record.clone();
        for (key, floor) in report.floors {
            let known = record.floors.entry(key).or_insert(0);
            *known = (*known).max(floor);
        }
        if report.counted > 0 {
            record.counted = report.counted;
            record.counts = report.counts;
        }
        let floors = record.floors.clone();
        if *record != before || before.told == 0 {
            record.told = self.now().0;
            self.keep(&volumes)?;
        }
        Ok(floors)
    }

    /// The volumes that use a key (id, ARN or alias), for one who may DescribeKey it; and its id.
    pub fn key_usage(
        &self,
        caller: &CallerContext,
        key: &str,
    ) -> Result<(KeyId, u32, Vec<VolumeRecord>), KmsError> {
        let mut call = Call::new(self, caller, "GetKeyUsage", true);
        call.source = "kmsfs.amazonaws.com";
        call.parameter("keyId", key);
        let found = self.named(&caller.principal, key, Naming::KeyOrAlias).and_then(|named| {
            call.resource(&named.key.arn);
            let alias = named.alias.as_deref();
            let ok: Authorized<may::DescribeKey> =
                call.may_on_key(&named.key, alias, None, |_| {})?;
            Ok(ok.into_target())
        });
        self.recorded(vec![call.into_record(found.as_ref().err())])?;
        let key = found?;
        let id = key.id().to_string();
        let mut volumes = self.volumes()?;
        volumes.retain(|volume| volume.floors.contains_key(&id));
        Ok((key.id(), key.record.current.0, volumes))
    }

    /// Destroys the material of a version that no known volume needs any more, for one who may
    /// ScheduleKeyDeletion the key. What is still under it does not open again.
    ///
    /// `Ok(Err(..))`: the volumes that stand in the way.
    ///
    /// # Crash
    /// The version is there, or it is not; the record is there in both cases.
    pub fn retire_version(
        &self,
        caller: &CallerContext,
        key: &str,
        version: u32,
    ) -> Result<Result<(), Vec<VolumeRecord>>, KmsError> {
        let _writer = self.writer.lock();
        let mut call = Call::new(self, caller, "RetireKeyVersion", false);
        call.source = "kmsfs.amazonaws.com";
        call.parameter("keyId", key);
        call.parameter("version", version);
        let found = self.named(&caller.principal, key, Naming::KeyOrAlias).and_then(|named| {
            call.resource(&named.key.arn);
            let alias = named.alias.as_deref();
            let ok: Authorized<may::ScheduleKeyDeletion> =
                call.may_on_key(&named.key, alias, None, |_| {})?;
            let key = ok.into_target();
            super::keys::unmanaged(&key)?;
            key.admits(Gate::Schedule)?;
            let number = KeyVersion(version);
            let old = key.version(number).filter(|v| !v.sealed.is_empty());
            let old = old.cloned().ok_or_else(|| KmsError::InvalidState {
                arn: key.arn.clone(),
                state: StateFault::NoSuchVersion,
            })?;
            if number >= key.record.current || old.more.pending || old.more.import.is_some() {
                return Err(KmsError::InvalidState {
                    arn: key.arn.clone(),
                    state: StateFault::VersionInUse,
                });
            }
            Ok((key, old))
        });
        let (key, old) = match found {
            Ok(found) => found,
            Err(error) => {
                self.recorded(vec![call.into_record(Some(&error))])?;
                return Err(error);
            }
        };
        let id = key.id().to_string();
        let mut volumes = self.volumes()?;
        volumes.retain(|v| v.floors.get(&id).is_some_and(|floor| *floor <= version));
        call.additional("volumesInTheWay", volumes.len());
        self.recorded(vec![call.into_record(None)])?;
        if !volumes.is_empty() {
            return Ok(Err(volumes));
        }
        let mut details = Map::new();
        details.insert("version".into(), version.into());
        self.event("DestroyKeyVersion", key.id(), details)?;
        let mut gone = old;
        gone.sealed = Vec::new();
        self.commit(vec![Change::PutVersion(gone)])?;
        Ok(Ok(()))
    }

    /// Forgets volumes that are no more: those at `place`. Only for administrators of keys: who
    /// may ScheduleKeyDeletion every key that they used. Gives their number.
    pub fn forget_volume(&self, caller: &CallerContext, place: &str) -> Result<usize, KmsError> {
        let _writer = self.writer.lock();
        let mut call = Call::new(self, caller, "ForgetVolume", false);
        call.source = "kmsfs.amazonaws.com";
        call.parameter("place", place.chars().take(512).collect::<String>());
        let mut volumes = self.volumes()?;
        let before = volumes.len();
        let allowed = volumes.iter().filter(|v| v.place == place).try_for_each(|volume| {
            volume.floors.keys().filter_map(|key| key.parse().ok()).try_for_each(|id| {
                // A key that is gone needs nobody's leave.
                let Some(key) = self.key(id)? else { return Ok(()) };
                let ok: Authorized<may::ScheduleKeyDeletion> =
                    call.may_on_key(&key, None, None, |_| {})?;
                drop(ok.into_target());
                Ok(())
            })
        });
        self.recorded(vec![call.into_record(allowed.as_ref().err())])?;
        allowed?;
        volumes.retain(|volume| volume.place != place);
        self.keep(&volumes)?;
        Ok(before - volumes.len())
    }

    fn volumes(&self) -> Result<Vec<VolumeRecord>, KmsError> {
        let Some(bytes) = self.store.meta(META_VOLUMES)? else { return Ok(Vec::new()) };
        serde_json::from_slice(&bytes).map_err(|_| InternalFault::Record.into())
    }

    /// Keeps them. No decision depends on them, so no epoch moves.
    fn keep(&self, volumes: &[VolumeRecord]) -> Result<(), KmsError> {
        let bytes = serde_json::to_vec(volumes).map_err(|_| InternalFault::Record)?;
        self.store.commit(&[Change::PutMeta(META_VOLUMES, bytes)])?;
        Ok(())
    }
}
