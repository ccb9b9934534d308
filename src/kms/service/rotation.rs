//! Rotation: new material for a key that keeps its id, and the actions that tell of it.

use serde_json::Map;

use super::Service;
use super::call::Call;
use super::front::Done;
use super::keys::{changed, unmanaged};
use super::lookup::{Named, Naming};
use super::regions::leads;
use crate::clock::Millis;
use crate::kms::api::types::{
    ExpirationModel, ImportState, IncludeKeyMaterial, KeySpec, MaterialState, Origin, RotationType,
    Timestamp,
};
use crate::kms::api::{
    EnableKeyRotationRequest, GetKeyLastUsageReply, GetKeyRotationStatusReply, KeyIdRequest,
    KeyLastUsage, ListKeyRotationsReply, ListKeyRotationsRequest, Nothing, Reply,
    RotateKeyOnDemandReply, RotationEntry,
};
use crate::kms::authz::{Authorized, Permission, may};
use crate::kms::error::{InternalFault, KmsError, UnsupportedFault};
use crate::kms::hex;
use crate::kms::id::KeyVersion;
use crate::kms::key::{Gate, Key};
use crate::kms::store::{Change, RotationPlan, VersionMore, VersionRecord};
use crate::sync::Arc;

const DEFAULT_DAYS: u32 = 365;

/// The last cryptographic use of a key.
#[derive(Clone, Debug)]
pub(super) struct LastUse {
    operation: &'static str,
    at: Millis,
    request_id: String,
}

impl Service {
    pub(super) fn enable_key_rotation(
        &self,
        call: &mut Call<'_>,
        r: &EnableKeyRotationRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let days = r.rotation_period_in_days.map(i64::from);
        if let Some(days) = days {
            call.parameter("rotationPeriodInDays", days);
        }
        let ok = self.rotating::<may::EnableKeyRotation>(call, &r.key_id, Gate::Use)?;
        automatic(ok.target())?;
        let old = ok.target().record.more.rotation;
        let days = r.rotation_period_in_days.and_then(|days| u32::try_from(days).ok());
        let days = days.or(old.map(|plan| plan.days)).unwrap_or(DEFAULT_DAYS);
        // Asking for the period that holds already does not put the next rotation off.
        let plan = old.filter(|plan| plan.days == days).unwrap_or_else(|| self.plan(days));
        let changes = changed(&ok, |record| record.more.rotation = Some(plan));
        let elsewhere = self.shared(ok.target(), &changes)?;
        Ok(Done { reply: Reply::EnableKeyRotation(Nothing), changes, elsewhere })
    }

    pub(super) fn disable_key_rotation(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.rotating::<may::DisableKeyRotation>(call, &r.key_id, Gate::Use)?;
        automatic(ok.target())?;
        let changes = changed(&ok, |record| record.more.rotation = None);
        let elsewhere = self.shared(ok.target(), &changes)?;
        Ok(Done { reply: Reply::DisableKeyRotation(Nothing), changes, elsewhere })
    }

    pub(super) fn get_key_rotation_status(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.rotating::<may::GetKeyRotationStatus>(call, &r.key_id, Gate::Any)?;
        let key = ok.into_target();
        if key.record.origin != Origin::AwsKms {
            return Err(origin(&key));
        }
        let plan = key.record.more.rotation;
        let going_on = key.record.deletion.is_none();
        let next = plan.filter(|_| going_on).map(|plan| Timestamp(Millis(plan.next)));
        Done::read(Reply::GetKeyRotationStatus(GetKeyRotationStatusReply {
            key_rotation_enabled: plan.is_some(),
            key_id: key.arn.clone(),
            rotation_period_in_days: plan.and_then(|plan| i32::try_from(plan.days).ok()),
            next_rotation_date: next,
            on_demand_rotation_start_date: None,
        }))
    }

    pub(super) fn rotate_key_on_demand(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.rotating::<may::RotateKeyOnDemand>(call, &r.key_id, Gate::Use)?;
        let key = ok.into_target();
        let on_demand = |v: &&VersionRecord| {
            v.more.rotation.is_some_and(|(_, kind)| kind == RotationType::OnDemand)
        };
        let done = u32::try_from(key.versions.iter().filter(on_demand).count());
        if done.map_or(true, |done| done >= self.limits.rotations) {
            return Err(KmsError::NoMoreRotations { arn: key.arn.clone() });
        }
        let changes = self.rotate(&key, RotationType::OnDemand)?;
        let elsewhere = self.shared(&key, &changes)?;
        let reply = Reply::RotateKeyOnDemand(RotateKeyOnDemandReply { key_id: key.arn.clone() });
        Ok(Done { reply, changes, elsewhere })
    }

    pub(super) fn list_key_rotations(
        &self,
        call: &mut Call<'_>,
        r: &ListKeyRotationsRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.rotating::<may::ListKeyRotations>(call, &r.key_id, Gate::Any)?;
        let key = ok.into_target();
        let all = r.include_key_material == Some(IncludeKeyMaterial::All);
        let shown = key.versions.iter().filter(|v| all || v.more.rotation.is_some());
        let list = format!("rotations/{}/{all}", key.id());
        let name = |v: &VersionRecord| format!("{:010}", v.version.0);
        let page =
            self.page_of(&list, r.marker.as_deref(), r.page()?, shown.cloned().collect(), name)?;
        let rotations = page.entries.iter().map(|v| entry(&key, v, all)).collect();
        let (next_marker, truncated) = (page.next_marker, page.truncated);
        let reply = ListKeyRotationsReply { rotations, next_marker, truncated };
        Done::read(Reply::ListKeyRotations(reply))
    }

    pub(super) fn get_key_last_usage(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok: Authorized<may::GetKeyLastUsage> = call.may_on_key(&key, None, None, |_| {})?;
        let key = ok.into_target();
        let used = self.last_uses.get(&key.id()).map(|entry| entry.value().clone());
        let key_last_usage = used.map(|used| KeyLastUsage {
            operation: used.operation.to_owned(),
            timestamp: Timestamp(used.at),
            kms_request_id: used.request_id,
        });
        Done::read(Reply::GetKeyLastUsage(GetKeyLastUsageReply {
            key_id: key.id().to_string(),
            key_last_usage,
            tracking_start_date: Timestamp(self.started),
            key_creation_date: Timestamp(Millis(key.record.created)),
        }))
    }

    /// Remembers a cryptographic use, until the service ends.
    pub(super) fn used(&self, call: &Call<'_>, key: &Key) {
        let request_id = call.caller.request_id.clone();
        let used = LastUse { operation: call.name(), at: self.now(), request_id };
        self.last_uses.insert(key.id(), used);
    }

    /// Rotates a key whose time has come.
    pub(super) fn rotate_due(&self, key: &Key) -> Result<Vec<Change>, KmsError> {
        let changes = self.rotate(key, RotationType::Automatic)?;
        self.event("RotateKey", key.id(), Map::new())?;
        Ok(changes)
    }

    fn plan(&self, days: u32) -> RotationPlan {
        let next = self.now().0.saturating_add(i64::from(days).saturating_mul(self.rotation.day));
        RotationPlan { days, next }
    }

    /// New material for `key`: fresh, or the imported one that waits for it.
    pub(super) fn rotate(&self, key: &Key, kind: RotationType) -> Result<Vec<Change>, KmsError> {
        let now = self.now().0;
        let mut record = key.record.clone();
        let mut version = if key.record.origin == Origin::External {
            let waiting = key.versions.iter().find(|v| v.more.pending && !v.sealed.is_empty());
            waiting.cloned().ok_or_else(|| KmsError::NothingToRotate { arn: key.arn.clone() })?
        } else {
            let last = key.versions.last().map_or(0, |v| v.version.0);
            let number = KeyVersion(last.checked_add(1).ok_or(InternalFault::Record)?);
            let made = self.custody.create(key.id(), number, KeySpec::SymmetricDefault)?;
            VersionRecord {
                key: key.id(),
                version: number,
                created: now,
                material_id: made.id,
                sealed: made.sealed,
                more: VersionMore::default(),
            }
        };
        version.more.pending = false;
        version.more.rotation = Some((now, kind));
        record.current = version.version;
        if kind == RotationType::Automatic {
            record.more.rotation = record.more.rotation.map(|plan| self.plan(plan.days));
        }
        Ok(vec![Change::PutVersion(version), Change::PutKey(record)])
    }

    fn rotating<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        gate: Gate,
    ) -> Result<Authorized<A>, KmsError> {
        call.parameter("keyId", key_id);
        let Named { key, .. } = self.named(&call.caller.principal, key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<A>(&key, None, None, |_| {})?;
        if gate != Gate::Any {
            unmanaged(&key)?;
        }
        if key.record.more.key_store.is_some() {
            return Err(origin(&key));
        }
        // An imported key is refused for its origin, whatever it waits for.
        if gate != Gate::Any
            && key.record.origin == Origin::External
            && A::NAME != may::RotateKeyOnDemand::NAME
        {
            return Err(origin(&key));
        }
        key.admits(gate)?;
        if key.record.spec != KeySpec::SymmetricDefault {
            return Err(KmsError::Unsupported { what: UnsupportedFault::KeyKind });
        }
        if gate != Gate::Any {
            leads(&key)?;
        }
        Ok(ok)
    }
}

/// Whether a key can rotate by itself.
fn automatic(key: &Arc<Key>) -> Result<(), KmsError> {
    if key.record.origin == Origin::AwsKms { Ok(()) } else { Err(origin(key)) }
}

/// The operation is not for keys of this origin.
pub(super) fn origin(key: &Key) -> KmsError {
    let (arn, origin) = (key.arn.clone(), key.record.origin.to_string());
    KmsError::Unsupported { what: UnsupportedFault::KeyOrigin { arn, origin } }
}

fn entry(key: &Key, v: &VersionRecord, all: bool) -> RotationEntry {
    let import = v.more.import.as_ref();
    let there = !v.sealed.is_empty();
    RotationEntry {
        key_id: key.arn.clone(),
        key_material_id: Some(hex::encode(&v.material_id)),
        key_material_description: import.and_then(|i| i.description.clone()),
        import_state: import
            .map(|_| if there { ImportState::Imported } else { ImportState::PendingImport }),
        key_material_state: all.then_some(if v.more.pending {
            MaterialState::PendingRotation
        } else if v.version == key.record.current {
            MaterialState::Current
        } else {
            MaterialState::NonCurrent
        }),
        expiration_model: import.filter(|_| there).map(|i| match i.valid_to {
            Some(_) => ExpirationModel::Expires,
            None => ExpirationModel::DoesNotExpire,
        }),
        valid_to: import.filter(|_| there).and_then(|i| i.valid_to).map(|t| Timestamp(Millis(t))),
        rotation_date: v.more.rotation.map(|(at, _)| Timestamp(Millis(at))),
        rotation_type: v.more.rotation.map(|(_, kind)| kind),
    }
}
