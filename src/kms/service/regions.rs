//! The actions on multi-Region keys, and what ties the Regions of a service together.
//!
//! Each Region is a [`Service`] of its own over the same records (see [`crate::kms::regional`]),
//! with one writer, one trail and one custody for all. A replica is a key of its own, with the id
//! and the material of its primary; which one is the primary is written in the replicas, and a
//! commit changes all of them together.

use dashmap::DashMap;

use super::Service;
use super::call::Call;
use super::epoch::Epoch;
use super::front::Done;
use super::keys::{checked_tags, unmanaged};
use super::lookup::{Cache, Named, Naming};
use super::moments::Moments;
use super::wraps::Wraps;
use crate::kms::api::types::{KeyState, Origin};
use crate::kms::api::{
    Nothing, ReplicateKeyReply, ReplicateKeyRequest, Reply, UpdatePrimaryRegionRequest,
};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::error::{InternalFault, KmsError, UnsupportedFault};
use crate::kms::id::{Region, key_arn};
use crate::kms::key::{Gate, Key, Relatives};
use crate::kms::limits::Throttle;
use crate::kms::store::{Change, KeyMore, KeyRecord, Store as _, VersionMore, VersionRecord};
use crate::sync::Arc;

impl Service {
    pub(super) fn replicate_key(
        &self,
        call: &mut Call<'_>,
        r: &ReplicateKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let (id, region) = (&r.key_id, &r.replica_region);
        let ok = self.primary::<may::ReplicateKey>(call, id, "kms:ReplicaRegion", region)?;
        let tags = checked_tags(&r.tags)?;
        let key = ok.into_target();
        let there = self.elsewhere(region)?;
        if there.store.key(key.id())?.is_some() {
            let (id, region) = (key.id().to_string(), region.clone());
            return Err(KmsError::ReplicaExists { id, region });
        }
        let policy_text = r.policy.clone().unwrap_or_else(|| default_policy(call));
        let policy = self.compile(&policy_text)?;
        let imported = key.record.origin == Origin::External;
        let record = KeyRecord {
            description: r.description.clone().unwrap_or_default(),
            state: if imported { KeyState::PendingImport } else { KeyState::Enabled },
            created: self.now().0,
            deletion: None,
            policy: policy_text.clone(),
            tags: tags.clone(),
            more: KeyMore {
                rotation: key.record.more.rotation,
                primary: Some(self.region.to_string()),
                ..KeyMore::default()
            },
            ..key.record.clone()
        };
        let _new_ok: Authorized<may::CreateKey, Plain> = call.may("*", |_| {})?;
        if !tags.is_empty() {
            let _tag_ok: Authorized<may::TagResource, Plain> = call.may("*", |_| {})?;
        }
        // Imported material is to be brought into each Region, and must be the same.
        let versions: Vec<VersionRecord> =
            key.versions.iter().map(|v| copied(v, imported)).collect();
        let mut replica =
            Key::new(&there.region, record.clone(), policy, versions.clone(), Vec::new());
        let mut regions = key.relatives.replicas.clone();
        regions.push(there.region.clone());
        replica.relatives = Relatives { primary: Some(self.region.clone()), replicas: regions };
        let replica = Arc::new(replica);
        if !r.bypass_policy_lockout_safety_check {
            self.stays_open(call, &replica)?;
        }
        call.resource(&replica.arn);
        let mut replica_key_metadata = replica.metadata();
        // It is there when the next request asks; clients expect to wait for it.
        replica_key_metadata.key_state = KeyState::Creating;
        replica_key_metadata.enabled = false;
        // Not told yet, as of a key that is only being made.
        replica_key_metadata.current_key_material_id = None;
        let mut elsewhere = vec![(there.region.clone(), Change::PutKey(record))];
        elsewhere
            .extend(versions.into_iter().map(|v| (there.region.clone(), Change::PutVersion(v))));
        let reply = Reply::ReplicateKey(ReplicateKeyReply {
            replica_key_metadata,
            replica_policy: policy_text,
            replica_tags: (!r.tags.is_empty()).then(|| r.tags.clone()),
        });
        Ok(Done { reply, changes: Vec::new(), elsewhere })
    }

    pub(super) fn update_primary_region(
        &self,
        call: &mut Call<'_>,
        r: &UpdatePrimaryRegionRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let (id, region) = (&r.key_id, &r.primary_region);
        let ok = self.primary::<may::UpdatePrimaryRegion>(call, id, "kms:PrimaryRegion", region)?;
        let key = ok.into_target();
        let reply = Reply::UpdatePrimaryRegion(Nothing);
        if *region == self.region.as_str() {
            return Done::read(reply);
        }
        let new = self.elsewhere(region)?;
        let missing =
            || KmsError::NoSuchKey { arn: key_arn(&new.region, &key.record.account, key.id()) };
        let heir = new.key(key.id())?.ok_or_else(missing)?;
        heir.admits(Gate::Use)?;
        let led_by = |record: &KeyRecord, primary: Option<String>| {
            let mut record = record.clone();
            record.more.primary = primary;
            Change::PutKey(record)
        };
        let changes = vec![led_by(&key.record, Some(region.clone()))];
        let mut elsewhere = vec![(new.region.clone(), led_by(&heir.record, None))];
        for other in key.relatives.replicas.iter().filter(|other| **other != new.region) {
            if let Some(record) = self.elsewhere(other.as_str())?.store.key(key.id())? {
                elsewhere.push((other.clone(), led_by(&record, Some(region.clone()))));
            }
        }
        Ok(Done { reply, changes, elsewhere })
    }

    /// Decides on a key that is the primary of its kind, or could become one.
    fn primary<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        condition: &'static str,
        region: &str,
    ) -> Result<Authorized<A>, KmsError> {
        call.parameter("keyId", key_id);
        call.parameter("region", region);
        let Named { key, .. } = self.named(&call.caller.principal, key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok: Authorized<A> = call.may_on_key(&key, None, None, |context| {
            context.one(condition, region);
        })?;
        unmanaged(&key)?;
        if !key.id().multi_region() {
            let what = UnsupportedFault::NotMultiRegion(key.arn.clone());
            return Err(KmsError::Unsupported { what });
        }
        leads(&key)?;
        key.admits(Gate::Use)?;
        Ok(ok)
    }

    /// The service of a Region, this one or another.
    pub fn in_region(&self, region: &str) -> Option<Arc<Service>> {
        self.family().into_iter().find(|service| service.region.as_str() == region)
    }

    /// All Regions of the service, once it was told of them.
    pub(super) fn family(&self) -> Vec<Arc<Service>> {
        self.family.get().into_iter().flatten().filter_map(std::sync::Weak::upgrade).collect()
    }

    /// All Regions but this.
    pub(super) fn others(&self) -> impl Iterator<Item = Arc<Service>> {
        let here = self.region.clone();
        self.family().into_iter().filter(move |service| service.region != here)
    }

    /// Adds Regions to the service of one. Each has keys, aliases and grants of its own; users
    /// and access keys are everybody's.
    pub fn with_regions(mut self, further: &[Region]) -> Arc<Service> {
        for region in further {
            if *region != self.region && self.siblings.iter().all(|known| known.region != *region) {
                self.siblings.push(Arc::new(self.sibling(region)));
            }
        }
        let home = Arc::new(self);
        let all = std::iter::once(&home).chain(&home.siblings).map(Arc::downgrade).collect();
        // A service is told of its Regions once, here.
        let _ = home.family.set(all);
        if let Err(error) = home.recall_wraps() {
            tracing::error!(%error, "how often keys were used cannot be read; counting begins anew");
        }
        home
    }

    fn sibling(&self, region: &Region) -> Service {
        Service {
            account: self.account.clone(),
            region: region.clone(),
            administrators: self.administrators.clone(),
            administration: self.administration.clone(),
            store: self.store.further(region),
            custody: self.custody.clone(),
            backings: self.backings.clone(),
            trail: self.trail.clone(),
            clock: self.clock.clone(),
            marker_key: self.marker_key.clone(),
            limits: self.limits.clone(),
            throttle: Throttle::default(),
            cache: Cache::default(),
            moments: Moments::default(),
            last_uses: DashMap::new(),
            rotation: self.rotation,
            wraps: Wraps::default(),
            started: self.started,
            loading: self.loading.clone(),
            writer: self.writer.clone(),
            epoch: Epoch::new(self.epoch()),
            family: self.family.clone(),
            siblings: Vec::new(),
        }
    }

    fn elsewhere(&self, region: &str) -> Result<Arc<Service>, KmsError> {
        let found = self.others().find(|service| service.region.as_str() == region);
        found.ok_or_else(|| KmsError::Unsupported {
            what: UnsupportedFault::Region(region.to_owned()),
        })
    }

    /// Which Regions have the key, if it is of several.
    pub(super) fn relatives(&self, record: &KeyRecord) -> Result<Relatives, KmsError> {
        if !record.id.multi_region() {
            return Ok(Relatives::default());
        }
        let primary = record.more.primary.as_deref().map(str::parse).transpose();
        let primary: Region =
            primary.map_err(|_| InternalFault::Record)?.unwrap_or_else(|| self.region.clone());
        let mut replicas = Vec::new();
        if primary != self.region {
            replicas.push(self.region.clone());
        }
        for other in self.others().filter(|other| other.region != primary) {
            if other.store.key(record.id)?.is_some() {
                replicas.push(other.region.clone());
            }
        }
        Ok(Relatives { primary: Some(primary), replicas })
    }

    /// What changes of a primary mean for its replicas: they share its material, which of it is
    /// current, and its rotation.
    pub(super) fn shared(
        &self,
        key: &Key,
        changes: &[Change],
    ) -> Result<Vec<(Region, Change)>, KmsError> {
        let mut all = Vec::new();
        if key.record.origin == Origin::External || key.record.more.primary.is_some() {
            return Ok(all);
        }
        for region in &key.relatives.replicas {
            let Some(replica) = self.elsewhere(region.as_str())?.store.key(key.id())? else {
                continue;
            };
            for change in changes {
                let change = match change {
                    Change::PutKey(new) => {
                        let mut record = replica.clone();
                        record.current = new.current;
                        record.more.rotation = new.more.rotation;
                        Change::PutKey(record)
                    }
                    Change::PutVersion(version) => Change::PutVersion(version.clone()),
                    _ => continue,
                };
                all.push((region.clone(), change));
            }
        }
        Ok(all)
    }

    /// What the end of a replica means for a primary that waits for it.
    pub(super) fn bereaved(&self, key: &Key) -> Result<Option<(Region, Change)>, KmsError> {
        let Some(primary) = key.record.more.primary.as_deref() else { return Ok(None) };
        let alone = key.relatives.replicas.iter().all(|region| *region == self.region);
        let Ok(there) = self.elsewhere(primary) else { return Ok(None) };
        let waiting = there
            .store
            .key(key.id())?
            .filter(|record| alone && record.state == KeyState::PendingReplicaDeletion);
        Ok(waiting.map(|mut record| {
            let days = record.more.window.take().unwrap_or_default();
            record.state = KeyState::PendingDeletion;
            record.deletion = Some(self.now().plus_seconds(i64::from(days) * 86_400).0);
            (there.region.clone(), Change::PutKey(record))
        }))
    }
}

/// Whether a key is the one that others follow.
pub(super) fn leads(key: &Key) -> Result<(), KmsError> {
    match key.record.more.primary {
        None => Ok(()),
        Some(_) => {
            Err(KmsError::Unsupported { what: UnsupportedFault::NotPrimary(key.arn.clone()) })
        }
    }
}

fn default_policy(call: &Call<'_>) -> String {
    super::defaults::default_key_policy(call.account())
}

/// A version as a replica has it.
fn copied(version: &VersionRecord, imported: bool) -> VersionRecord {
    if !imported {
        return version.clone();
    }
    let more = VersionMore { import: None, ..version.more.clone() };
    VersionRecord { sealed: Vec::new(), more, ..version.clone() }
}
