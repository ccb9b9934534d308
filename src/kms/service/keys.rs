//! The actions on keys as a whole.

use serde_json::json;

use super::Service;
use super::call::Call;
use super::defaults::default_key_policy;
use super::front::Done;
use super::lookup::{Named, Naming};
use super::pages::cut;
use crate::kms::api::types::{KeyManager, KeySpec, KeyState, KeyUsage, Origin, Timestamp};
use crate::kms::api::{
    CancelKeyDeletionReply, CreateKeyReply, CreateKeyRequest, DescribeKeyReply, DescribeKeyRequest,
    KeyIdRequest, KeyListEntry, ListKeysReply, ListKeysRequest, Nothing, Reply,
    ScheduleKeyDeletionReply, ScheduleKeyDeletionRequest, Tag, UpdateKeyDescriptionRequest,
};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::error::{InternalFault, KmsError, Quota, TagFault, UnsupportedFault, Violation};
use crate::kms::id::{KeyId, KeyVersion, key_arn};
use crate::kms::key::{Gate, Key, usages};
use crate::kms::policy::{Policy, key_policy};
use crate::kms::store::{Change, KeyMore, KeyRecord, Store as _, VersionMore, VersionRecord};
use crate::sync::Arc;

/// Labels per key.
pub(super) const MAX_TAGS: usize = 50;
const SECONDS_PER_DAY: i64 = 86_400;

impl Service {
    pub(super) fn create_key(
        &self,
        call: &mut Call<'_>,
        r: &CreateKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let (spec, usage) = (r.spec()?, r.usage()?);
        let origin = r.origin.unwrap_or(Origin::AwsKms);
        call.parameter("keySpec", spec.as_str());
        call.parameter("keyUsage", usage.as_str());
        call.parameter("origin", origin.as_str());
        call.parameter("description", r.description.as_deref().unwrap_or(""));
        call.parameter("bypassPolicyLockoutSafetyCheck", r.bypass_policy_lockout_safety_check);
        let ok = call.may::<may::CreateKey>("*", |context| {
            let bool_text = |b: bool| if b { "true" } else { "false" };
            context.one("kms:KeySpec", spec.as_str());
            context.one("kms:KeyUsage", usage.as_str());
            context.one("kms:KeyOrigin", origin.as_str());
            context.one("kms:MultiRegion", bool_text(r.multi_region));
            let bypass = bool_text(r.bypass_policy_lockout_safety_check);
            context.one("kms:BypassPolicyLockoutSafetyCheck", bypass);
            for tag in &r.tags {
                context.one(format!("aws:RequestTag/{}", tag.tag_key), &tag.tag_value);
            }
            if !r.tags.is_empty() {
                context.many("aws:TagKeys", r.tags.iter().map(|t| t.tag_key.clone()).collect());
            }
        })?;
        if !r.tags.is_empty() {
            let _tag_ok = call.may::<may::TagResource>("*", |_| {})?;
        }
        possible(spec, usage, origin)?;
        let key_store = self.place_in_store(call.account(), r)?;
        let tags = checked_tags(&r.tags)?;
        let text = match &r.policy {
            Some(text) => text.clone(),
            None => default_key_policy(call.account()),
        };
        let policy = self.compile(&text)?;
        let max = self.limits.keys;
        if self.key_count(call.account())? >= u64::from(max) {
            return Err(KmsError::LimitExceeded { what: Quota::Keys, max });
        }
        let draft = KeyRecord {
            id: KeyId::fresh(r.multi_region),
            account: call.account().clone(),
            description: r.description.clone().unwrap_or_default(),
            spec,
            usage,
            origin,
            manager: KeyManager::Customer,
            state: match origin {
                Origin::External => KeyState::PendingImport,
                _ => KeyState::Enabled,
            },
            created: self.now().0,
            deletion: None,
            policy: text,
            tags,
            current: KeyVersion::FIRST,
            more: KeyMore { key_store, ..KeyMore::default() },
        };
        let (key, changes) = self.make_key(ok, draft, policy)?;
        if !r.bypass_policy_lockout_safety_check {
            self.stays_open(call, &key)?;
        }
        call.resource(&key.arn);
        call.response(json!({"keyMetadata": {"keyId": key.id().to_string(), "arn": key.arn}}));
        let key_metadata = key.metadata();
        Done::change(Reply::CreateKey(CreateKeyReply { key_metadata }), changes)
    }

    pub(super) fn describe_key(
        &self,
        call: &mut Call<'_>,
        r: &DescribeKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, alias } =
            self.named(&call.caller.principal, &r.key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::DescribeKey>(&key, alias.as_deref(), None, |_| {})?;
        let key_metadata = ok.into_target().metadata();
        Done::read(Reply::DescribeKey(DescribeKeyReply { key_metadata }))
    }

    pub(super) fn list_keys(
        &self,
        call: &mut Call<'_>,
        r: &ListKeysRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let _ok: Authorized<may::ListKeys, Plain> = call.may("*", |_| {})?;
        let account = call.account();
        let list = format!("keys/{account}");
        let after = self.after_marker(&list, r.marker.as_deref())?;
        let after = after.map(|id| id.parse().map_err(|_| KmsError::InvalidMarker)).transpose()?;
        let page = r.page()?;
        let mut ids = self.store.keys(account, after, page.saturating_add(1))?;
        let truncated = cut(&mut ids, page);
        let next_marker =
            ids.last().filter(|_| truncated).map(|id| self.marker(&list, &id.to_string()));
        let keys = ids.into_iter().map(|id| KeyListEntry {
            key_id: id.to_string(),
            key_arn: key_arn(&self.region, account, id),
        });
        let keys = keys.collect();
        Done::read(Reply::ListKeys(ListKeysReply { keys, next_marker, truncated }))
    }

    pub(super) fn enable_key(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.managing::<may::EnableKey>(call, &r.key_id, Gate::Toggle)?;
        let changes = changed(&ok, |record| record.state = KeyState::Enabled);
        Done::change(Reply::EnableKey(Nothing), changes)
    }

    pub(super) fn disable_key(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.managing::<may::DisableKey>(call, &r.key_id, Gate::Toggle)?;
        let changes = changed(&ok, |record| record.state = KeyState::Disabled);
        Done::change(Reply::DisableKey(Nothing), changes)
    }

    pub(super) fn update_key_description(
        &self,
        call: &mut Call<'_>,
        r: &UpdateKeyDescriptionRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("description", r.description.as_str());
        let ok = self.managing::<may::UpdateKeyDescription>(call, &r.key_id, Gate::Annotate)?;
        let changes = changed(&ok, |record| record.description.clone_from(&r.description));
        Done::change(Reply::UpdateKeyDescription(Nothing), changes)
    }

    pub(super) fn schedule_key_deletion(
        &self,
        call: &mut Call<'_>,
        r: &ScheduleKeyDeletionRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let days = i32::try_from(r.days()?).map_err(|_| InternalFault::Record)?;
        call.parameter("pendingWindowInDays", days);
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::ScheduleKeyDeletion>(&key, None, None, |context| {
            context.one("kms:ScheduleKeyDeletionPendingWindowInDays", &days.to_string());
        })?;
        unmanaged(&key)?;
        key.admits(Gate::Schedule)?;
        // A primary goes after its replicas: its waiting time begins then.
        let last = key.record.more.primary.is_some() || key.relatives.replicas.is_empty();
        let at = self.now().plus_seconds(i64::from(days) * SECONDS_PER_DAY);
        let key_state =
            if last { KeyState::PendingDeletion } else { KeyState::PendingReplicaDeletion };
        let changes = changed(&ok, |record| {
            record.state = key_state;
            record.deletion = last.then_some(at.0);
            record.more.window = if last { None } else { u32::try_from(days).ok() };
        });
        let reply = ScheduleKeyDeletionReply {
            key_id: key.arn.clone(),
            deletion_date: last.then_some(Timestamp(at)),
            key_state,
            pending_window_in_days: days,
        };
        Done::change(Reply::ScheduleKeyDeletion(reply), changes)
    }

    pub(super) fn cancel_key_deletion(
        &self,
        call: &mut Call<'_>,
        r: &KeyIdRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.managing::<may::CancelKeyDeletion>(call, &r.key_id, Gate::Cancel)?;
        let key = ok.target();
        let empty = key.version(key.record.current).is_none_or(|v| v.sealed.is_empty());
        // A key that waited for its material waits on: enabled, it would have nothing to use.
        let waits = key.record.origin == Origin::External && empty;
        let changes = changed(&ok, |record| {
            record.state = if waits { KeyState::PendingImport } else { KeyState::Disabled };
            record.deletion = None;
            record.more.window = None;
        });
        let key_id = ok.target().arn.clone();
        Done::change(Reply::CancelKeyDeletion(CancelKeyDeletionReply { key_id }), changes)
    }

    /// Makes a key and its first version; nothing is stored yet.
    pub(super) fn make_key(
        &self,
        _ok: Authorized<may::CreateKey, Plain>,
        record: KeyRecord,
        policy: Policy,
    ) -> Result<(Arc<Key>, Vec<Change>), KmsError> {
        self.new_key(record, policy)
    }

    pub(super) fn new_key(
        &self,
        record: KeyRecord,
        policy: Policy,
    ) -> Result<(Arc<Key>, Vec<Change>), KmsError> {
        if record.origin == Origin::External {
            let changes = vec![Change::PutKey(record.clone())];
            let key = Key::new(&self.region, record, policy, Vec::new(), Vec::new());
            return Ok((Arc::new(key), changes));
        }
        let made = self.custody.create(record.id, record.current, record.spec)?;
        let version = VersionRecord {
            key: record.id,
            version: record.current,
            created: record.created,
            material_id: made.id,
            sealed: made.sealed,
            more: VersionMore { public: made.public, ..VersionMore::default() },
        };
        let changes = vec![Change::PutKey(record.clone()), Change::PutVersion(version.clone())];
        let key = Key::new(&self.region, record, policy, vec![version], Vec::new());
        Ok((Arc::new(key), changes))
    }

    /// The common start of the actions that manage one key.
    pub(super) fn managing<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        gate: Gate,
    ) -> Result<Authorized<A>, KmsError> {
        call.parameter("keyId", key_id);
        let Named { key, .. } = self.named(&call.caller.principal, key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<A>(&key, None, None, |_| {})?;
        unmanaged(&key)?;
        key.admits(gate)?;
        Ok(ok)
    }

    /// Compiles a key policy that is to be put.
    pub(super) fn compile(&self, text: &str) -> Result<Policy, KmsError> {
        use crate::kms::policy::parse::MAX_BYTES;
        if text.len() > MAX_BYTES {
            let max = u32::try_from(MAX_BYTES).unwrap_or(u32::MAX);
            return Err(KmsError::LimitExceeded { what: Quota::PolicySize, max });
        }
        Ok(key_policy(text)?)
    }
}

/// The record of an authorized key with a change made to it.
pub(super) fn changed<A: Permission>(
    ok: &Authorized<A>,
    change: impl FnOnce(&mut KeyRecord),
) -> Vec<Change> {
    let mut record = ok.target().record.clone();
    change(&mut record);
    if record == ok.target().record { Vec::new() } else { vec![Change::PutKey(record)] }
}

/// Whether the key is the customer's to change.
pub(super) fn unmanaged(key: &Key) -> Result<(), KmsError> {
    match key.record.manager {
        KeyManager::Customer => Ok(()),
        KeyManager::Aws => {
            let what = UnsupportedFault::ManagedKey(key.arn.clone());
            Err(KmsError::Unsupported { what })
        }
    }
}

/// Whether a key of that kind can be made here.
fn possible(spec: KeySpec, usage: KeyUsage, origin: Origin) -> Result<(), KmsError> {
    if !usages(spec).contains(&usage) {
        let usage = usage.to_string();
        return Err(Violation::UsageForSpec { usage, spec }.into());
    }
    let imports = !matches!(
        spec,
        KeySpec::MlDsa44
            | KeySpec::MlDsa65
            | KeySpec::MlDsa87
            | KeySpec::MlKem512
            | KeySpec::MlKem768
            | KeySpec::MlKem1024
            | KeySpec::EccNistEdwards25519
    );
    if origin == Origin::External && !imports {
        let what = UnsupportedFault::Origin(origin.to_string());
        return Err(KmsError::Unsupported { what });
    }
    Ok(())
}

/// Labels as they are kept, if they are acceptable.
pub(super) fn checked_tags(tags: &[Tag]) -> Result<Vec<(String, String)>, KmsError> {
    if tags.len() > MAX_TAGS {
        return Err(KmsError::Tag(TagFault::TooMany));
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    for tag in tags {
        if tag.tag_key.to_lowercase().starts_with("aws:") {
            return Err(KmsError::Tag(TagFault::Reserved));
        }
        if seen.iter().any(|(key, _)| *key == tag.tag_key) {
            return Err(KmsError::Tag(TagFault::Duplicate));
        }
        seen.push((tag.tag_key.clone(), tag.tag_value.clone()));
    }
    Ok(seen)
}
