//! The actions on key policies.

use super::Service;
use super::call::Call;
use super::front::Done;
use super::keys::{changed, unmanaged};
use super::lookup::{Named, Naming};
use crate::kms::api::policy::POLICY_NAME;
use crate::kms::api::{
    GetKeyPolicyReply, GetKeyPolicyRequest, ListKeyPoliciesReply, ListKeyPoliciesRequest, Nothing,
    PutKeyPolicyRequest, Reply,
};
use crate::kms::authz::{Authorized, may};
use crate::kms::error::{KmsError, PolicyFault};
use crate::kms::key::Key;
use crate::sync::Arc;

impl Service {
    pub(super) fn get_key_policy(
        &self,
        call: &mut Call<'_>,
        r: &GetKeyPolicyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::GetKeyPolicy>(&key, None, None, |context| {
            context.one("kms:PolicyName", POLICY_NAME);
        })?;
        let policy = ok.into_target().record.policy.clone();
        let policy_name = POLICY_NAME.to_owned();
        Done::read(Reply::GetKeyPolicy(GetKeyPolicyReply { policy, policy_name }))
    }

    pub(super) fn list_key_policies(
        &self,
        call: &mut Call<'_>,
        r: &ListKeyPoliciesRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let _ok: Authorized<may::ListKeyPolicies> = call.may_on_key(&key, None, None, |_| {})?;
        // There is one page only, so no marker can be ours.
        if r.marker.is_some() {
            return Err(KmsError::InvalidMarker);
        }
        Done::read(Reply::ListKeyPolicies(ListKeyPoliciesReply {
            policy_names: vec![POLICY_NAME.to_owned()],
            next_marker: None,
            truncated: false,
        }))
    }

    pub(super) fn put_key_policy(
        &self,
        call: &mut Call<'_>,
        r: &PutKeyPolicyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        call.parameter("policyName", POLICY_NAME);
        call.parameter("policy", r.policy.as_str());
        let bypass = r.bypass_policy_lockout_safety_check;
        call.parameter("bypassPolicyLockoutSafetyCheck", bypass);
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::PutKeyPolicy>(&key, None, None, |context| {
            context.one("kms:PolicyName", POLICY_NAME);
            let bypass = if bypass { "true" } else { "false" };
            context.one("kms:BypassPolicyLockoutSafetyCheck", bypass);
        })?;
        unmanaged(&key)?;
        let policy = self.compile(&r.policy)?;
        let changes = changed(&ok, |record| record.policy.clone_from(&r.policy));
        if !bypass {
            let mut record = key.record.clone();
            record.policy.clone_from(&r.policy);
            let aliases = key.aliases.clone();
            let new = Key::new(&self.region, record, policy, key.versions.clone(), aliases);
            self.stays_open(call, &Arc::new(new))?;
        }
        Done::change(Reply::PutKeyPolicy(Nothing), changes)
    }

    /// Whether the caller could change the key's policy again.
    pub(super) fn stays_open(&self, call: &mut Call<'_>, key: &Arc<Key>) -> Result<(), KmsError> {
        let again: Result<Authorized<may::PutKeyPolicy>, KmsError> =
            call.may_on_key(key, None, None, |context| {
                context.one("kms:PolicyName", POLICY_NAME);
                context.one("kms:BypassPolicyLockoutSafetyCheck", "false");
            });
        match again {
            Ok(_) => Ok(()),
            Err(KmsError::AccessDenied { .. }) => Err(PolicyFault::Lockout.into()),
            Err(other) => Err(other),
        }
    }
}
