//! A version that somebody else may have: it stops opening anything at once, and what is under it
//! is re-wrapped like after a rotation.

use serde_json::Map;

use super::Service;
use super::call::Call;
use super::keys::unmanaged;
use super::lookup::Naming;
use crate::kms::api::types::RotationType;
use crate::kms::authz::{Authorized, may};
use crate::kms::caller::CallerContext;
use crate::kms::error::{KmsError, StateFault};
use crate::kms::id::KeyVersion;
use crate::kms::key::Gate;
use crate::kms::store::Change;

impl Service {
    /// Marks a version as compromised, for one who may ScheduleKeyDeletion the key. What is under
    /// it can be sealed again under another version, and that is all: Decrypt answers
    /// KMSInvalidStateException. The version that seals now is rotated away first. Gives the
    /// version that seals from here on.
    ///
    /// # Crash
    /// All of it has happened, or nothing; the record is there in both cases.
    pub fn compromise_version(
        &self,
        caller: &CallerContext,
        key: &str,
        version: u32,
    ) -> Result<u32, KmsError> {
        let _writer = self.writer.lock();
        let mut call = Call::new(self, caller, "MarkKeyVersionCompromised", false);
        call.source = "kmsfs.amazonaws.com";
        call.parameter("keyId", key);
        call.parameter("version", version);
        let found = self.named(&caller.principal, key, Naming::KeyOrAlias).and_then(|named| {
            call.resource(&named.key.arn);
            let alias = named.alias.as_deref();
            let ok: Authorized<may::ScheduleKeyDeletion> =
                call.may_on_key(&named.key, alias, None, |_| {})?;
            let key = ok.into_target();
            key.admits(Gate::Schedule)?;
            let lost = key.version(KeyVersion(version)).filter(|v| !v.sealed.is_empty()).cloned();
            let mut lost = lost.ok_or_else(|| KmsError::InvalidState {
                arn: key.arn.clone(),
                state: StateFault::NoSuchVersion,
            })?;
            lost.more.compromised = true;
            let mut changes = vec![Change::PutVersion(lost)];
            let mut current = key.record.current.0;
            if current == version {
                unmanaged(&key)?;
                let rotated = self.rotate(&key, RotationType::OnDemand)?;
                for change in &rotated {
                    if let Change::PutVersion(new) = change {
                        current = new.version.0;
                    }
                }
                changes.extend(rotated);
            }
            Ok((key, changes, current))
        });
        self.recorded(vec![call.into_record(found.as_ref().err())])?;
        let (key, changes, current) = found?;
        let mut details = Map::new();
        details.insert("version".into(), version.into());
        self.event("KeyVersionCompromised", key.id(), details)?;
        let elsewhere = self.shared(&key, &changes)?;
        self.commit_all(changes, elsewhere)?;
        Ok(current)
    }
}
