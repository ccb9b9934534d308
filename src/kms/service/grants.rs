//! The actions on grants. What a grant lets through is [`crate::kms::grant`]'s and authz's.
//!
//! A grant's token is its id and a tag over it, so that a token names its grant and nobody can
//! invent one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Service;
use super::asymmetric::dry;
use super::call::Call;
use super::front::Done;
use super::keys::unmanaged;
use super::lookup::{Named, Naming};
use super::pages::cut;
use crate::clock::Millis;
use crate::crypto;
use crate::kms::api::types::{KeyUsage, Timestamp};
use crate::kms::api::{
    Constraints, CreateGrantReply, CreateGrantRequest, GrantEntry, ListGrantsReply,
    ListGrantsRequest, ListRetirableGrantsRequest, Nothing, Reply, RetireGrantRequest,
    RevokeGrantRequest,
};
use crate::kms::authz::{Authorized, Plain, may};
use crate::kms::caller::Principal;
use crate::kms::error::{InternalFault, KmsError, Quota, Violation};
use crate::kms::grant::{GrantConstraints, GrantOperation, GrantRecord, MAX_PAIRS};
use crate::kms::hex;
use crate::kms::id::key_arn;
use crate::kms::key::{Gate, Key};
use crate::kms::store::{Change, Store as _};
use crate::secret::Secret;

impl Service {
    pub(super) fn create_grant(
        &self,
        call: &mut Call<'_>,
        r: &CreateGrantRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let grantee = r.grantee_principal.clone().unwrap_or_default();
        call.parameter("keyId", r.key_id.as_str());
        call.parameter("granteePrincipal", grantee.as_str());
        call.parameter("operations", r.operations.clone());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let wanted = constraints(r.constraints.as_ref());
        let ok: Authorized<may::CreateGrant> = call.may_on_key(&key, None, None, |context| {
            context.one("kms:GranteePrincipal", &grantee);
            if let Some(retiring) = &r.retiring_principal {
                context.one("kms:RetiringPrincipal", retiring);
            }
            context.many("kms:GrantOperations", r.operations.clone());
            context.one("kms:GrantIsForAWSResource", "false");
            if wanted.equals.is_some() {
                context.one("kms:GrantConstraintType", "EncryptionContextEquals");
            } else if wanted.subset.is_some() {
                context.one("kms:GrantConstraintType", "EncryptionContextSubset");
            }
        })?;
        let expires = r.constraints.as_ref().and_then(|c| c.expiration_date).map(|at| at.0.0);
        if expires.is_some_and(|at| at <= self.now().0) {
            return Err(Violation::GrantInThePast.into());
        }
        let by_grant = ok.by_grant();
        let key = ok.into_target();
        unmanaged(&key)?;
        key.admits(Gate::Grant)?;
        principal("granteePrincipal", &grantee)?;
        if let Some(retiring) = &r.retiring_principal {
            principal("retiringPrincipal", retiring)?;
        }
        let operations = operations(&key, &r.operations)?;
        fits(&key, &wanted)?;
        // Who may make grants by a grant alone hands on what it has, under no looser constraints.
        let own = |grant: &GrantRecord| {
            grant.allows(&call.caller.principal, "kms:CreateGrant", None, self.now())
                && grant.may_delegate(&operations, &wanted, expires)
        };
        if by_grant && !key.grants.iter().any(own) {
            return Err(KmsError::AccessDenied {
                principal: call.caller.principal.to_string(),
                action: "kms:CreateGrant".to_owned(),
                resource: key.arn.clone(),
                explicit: false,
            });
        }
        dry(r.dry_run)?;
        let issuing_account =
            call.caller.principal.account().cloned().unwrap_or_else(|| self.account.clone());
        let draft = GrantRecord {
            id: hex::encode(Secret::<[u8; 32]>::random().expose()),
            key: key.id(),
            name: r.name.clone(),
            created: self.now().0,
            grantee,
            retiring: r.retiring_principal.clone(),
            issuing_account,
            operations,
            constraints: wanted,
            expires,
            token: [0; 32],
        };
        // A repeated call with the same name finds the grant that it made.
        let same = key.grants.iter().find(|known| {
            draft.name.is_some()
                && known.name == draft.name
                && known.grantee == draft.grantee
                && known.retiring == draft.retiring
                && known.operations == draft.operations
                && known.constraints == draft.constraints
                && known.expires == draft.expires
        });
        if let Some(known) = same {
            let (grant_token, grant_id) = (self.token(&known.id), known.id.clone());
            return Done::read(Reply::CreateGrant(CreateGrantReply { grant_token, grant_id }));
        }
        let max = self.limits.grants;
        if u32::try_from(key.grants.len()).map_or(true, |have| have >= max) {
            return Err(KmsError::LimitExceeded { what: Quota::Grants, max });
        }
        let (grant_token, grant_id) = (self.token(&draft.id), draft.id.clone());
        call.response(serde_json::json!({"grantId": grant_id, "keyId": key.arn}));
        let token = Sha256::digest(grant_token.as_bytes()).into();
        let change = Change::PutGrant(GrantRecord { token, ..draft });
        let reply = CreateGrantReply { grant_token, grant_id };
        Done::change(Reply::CreateGrant(reply), vec![change])
    }

    pub(super) fn list_grants(
        &self,
        call: &mut Call<'_>,
        r: &ListGrantsRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok: Authorized<may::ListGrants> = call.may_on_key(&key, None, None, |context| {
            context.one("kms:GrantIsForAWSResource", "false");
        })?;
        let key = ok.into_target();
        if let Some(id) = &r.grant_id
            && !key.grants.iter().any(|grant| grant.id == *id)
        {
            return Err(KmsError::InvalidGrantId { id: id.clone() });
        }
        let shown = key.grants.iter().filter(|grant| {
            r.grant_id.as_ref().is_none_or(|id| grant.id == *id)
                && r.grantee_principal.as_ref().is_none_or(|arn| grant.grantee == *arn)
                && !grant.expired(self.now())
        });
        let list = format!("grants/{}", key.id());
        let all = shown.cloned().collect();
        let page = self.page_of(&list, r.marker.as_deref(), r.page()?, all, |g| g.id.clone())?;
        let grants = page.entries.into_iter().map(|grant| self.entry(grant)).collect();
        let (next_marker, truncated) = (page.next_marker, page.truncated);
        Done::read(Reply::ListGrants(ListGrantsReply { grants, next_marker, truncated }))
    }

    pub(super) fn list_retirable_grants(
        &self,
        call: &mut Call<'_>,
        r: &ListRetirableGrantsRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("retiringPrincipal", r.retiring_principal.as_str());
        let _ok: Authorized<may::ListRetirableGrants, Plain> = call.may("*", |_| {})?;
        principal("retiringPrincipal", &r.retiring_principal)?;
        let list = format!("retirable/{}", r.retiring_principal);
        let after = self.after_marker(&list, r.marker.as_deref())?;
        let page = r.page()?;
        let mut found = self.store.grants_retired_by(
            &r.retiring_principal,
            after.as_deref(),
            page.saturating_add(1),
        )?;
        let truncated = cut(&mut found, page);
        let next_marker = found.last().filter(|_| truncated).map(|g| self.marker(&list, &g.id));
        let now = self.now();
        let found = found.into_iter().filter(|grant| !grant.expired(now));
        let grants = found.map(|grant| self.entry(grant)).collect();
        Done::read(Reply::ListRetirableGrants(ListGrantsReply { grants, next_marker, truncated }))
    }

    pub(super) fn retire_grant(
        &self,
        call: &mut Call<'_>,
        r: &RetireGrantRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let grant = match (&r.grant_token, &r.key_id, &r.grant_id) {
            (Some(token), _, _) => self.by_token(token)?.ok_or(KmsError::InvalidGrantToken)?,
            (None, Some(key_id), Some(id)) => {
                call.parameter("keyId", key_id.as_str());
                call.parameter("grantId", id.as_str());
                let named = self.named(&call.caller.principal, key_id, Naming::KeyOnly)?;
                self.on_key(&named.key, id)?
            }
            _ => return Err(Violation::TokenOrGrant.into()),
        };
        let key = self.key(grant.key)?.ok_or(KmsError::InvalidGrantToken)?;
        call.resource(&key.arn);
        // The key's policy can deny it; to allow it is not for it to say.
        if let Err(denied @ KmsError::AccessDenied { explicit: true, .. }) =
            call.may_on_key::<may::RetireGrant>(&key, None, None, |_| {})
        {
            return Err(denied);
        }
        // By what the grant says, unless a policy denies it; or by identity policies of the
        // account that made it, which the key's policy has no say in.
        match call.may::<may::RetireGrant>(&key.arn, |_| {}) {
            Ok(_)
                if call.caller.principal.account() == Some(&grant.issuing_account)
                    || grant.retirable_by(&call.caller.principal) => {}
            Err(KmsError::AccessDenied { explicit: false, .. })
                if grant.retirable_by(&call.caller.principal) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(KmsError::InvalidGrantId { id: grant.id }),
        }
        dry(r.dry_run)?;
        Done::change(Reply::RetireGrant(Nothing), vec![Change::DeleteGrant(grant.id)])
    }

    pub(super) fn revoke_grant(
        &self,
        call: &mut Call<'_>,
        r: &RevokeGrantRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        call.parameter("grantId", r.grant_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let _ok: Authorized<may::RevokeGrant> = call.may_on_key(&key, None, None, |context| {
            context.one("kms:GrantIsForAWSResource", "false");
        })?;
        let grant = self.on_key(&key, &r.grant_id)?;
        dry(r.dry_run)?;
        Done::change(Reply::RevokeGrant(Nothing), vec![Change::DeleteGrant(grant.id)])
    }

    /// Whether all tokens are ours; what they would speed up holds at once here.
    pub(super) fn known_tokens(&self, tokens: &[String]) -> Result<(), KmsError> {
        for token in tokens {
            self.by_token(token)?.ok_or(KmsError::InvalidGrantToken)?;
        }
        Ok(())
    }

    fn on_key(&self, key: &Key, id: &str) -> Result<GrantRecord, KmsError> {
        let found = key.grants.iter().find(|grant| grant.id == id).cloned();
        found.ok_or_else(|| KmsError::InvalidGrantId { id: id.to_owned() })
    }

    fn by_token(&self, token: &str) -> Result<Option<GrantRecord>, KmsError> {
        let Some(id) = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| bytes.split_first_chunk::<32>().map(|(id, _)| hex::encode(id)))
        else {
            return Ok(None);
        };
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let found = self.store.grant(&id)?;
        Ok(found.filter(|grant| crypto::same(&grant.token, &hash)))
    }

    fn token(&self, id: &str) -> String {
        let tag = crypto::mac(&self.marker_key, &[b"grant token", id.as_bytes()]);
        let mut bytes = hex::decode(id).unwrap_or_default();
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn entry(&self, grant: GrantRecord) -> GrantEntry {
        let account = self.key(grant.key).ok().flatten().map(|key| key.record.account.clone());
        let owner = account.unwrap_or_else(|| grant.issuing_account.clone());
        let GrantConstraints { equals, subset } = grant.constraints;
        let any = equals.is_some() || subset.is_some() || grant.expires.is_some();
        let constraints = any.then_some(Constraints {
            encryption_context_subset: subset,
            encryption_context_equals: equals,
            expiration_date: grant.expires.map(|at| Timestamp(Millis(at))),
        });
        GrantEntry {
            key_id: key_arn(&self.region, &owner, grant.key),
            grant_id: grant.id,
            name: grant.name,
            creation_date: Timestamp(Millis(grant.created)),
            grantee_principal: grant.grantee,
            retiring_principal: grant.retiring,
            issuing_account: Principal::Root { account: grant.issuing_account }.to_string(),
            operations: grant.operations.iter().map(|o| o.as_str().to_owned()).collect(),
            constraints,
        }
    }
}

fn constraints(given: Option<&Constraints>) -> GrantConstraints {
    GrantConstraints {
        equals: given.and_then(|c| c.encryption_context_equals.clone()),
        subset: given.and_then(|c| c.encryption_context_subset.clone()),
    }
}

/// Whether constraints can be put on a grant for this key.
fn fits(key: &Key, wanted: &GrantConstraints) -> Result<(), KmsError> {
    let too_many = |pairs: &std::collections::BTreeMap<String, String>| pairs.len() > MAX_PAIRS;
    if wanted.equals.as_ref().is_some_and(too_many) || wanted.subset.as_ref().is_some_and(too_many)
    {
        return Err(Violation::ConstraintPairs.into());
    }
    let symmetric = key.encrypts("CreateGrant", None).is_ok();
    if symmetric || wanted.is_empty() { Ok(()) } else { Err(Violation::ConstraintsForSpec.into()) }
}

/// The operations by name, each once, if the key can do them.
fn operations(key: &Key, names: &[String]) -> Result<Vec<GrantOperation>, KmsError> {
    let mut found = Vec::new();
    for name in names {
        let operation = GrantOperation::from_name(name).ok_or(InternalFault::Record)?;
        let symmetric = key.encrypts("", None).is_ok();
        let encrypts = key.record.usage == KeyUsage::EncryptDecrypt;
        let usage = key.record.usage;
        let possible = match operation {
            GrantOperation::Decrypt
            | GrantOperation::Encrypt
            | GrantOperation::ReEncryptFrom
            | GrantOperation::ReEncryptTo => encrypts,
            GrantOperation::GenerateDataKey
            | GrantOperation::GenerateDataKeyWithoutPlaintext
            | GrantOperation::GenerateDataKeyPair
            | GrantOperation::GenerateDataKeyPairWithoutPlaintext => symmetric,
            GrantOperation::Sign | GrantOperation::Verify => usage == KeyUsage::SignVerify,
            GrantOperation::GenerateMac | GrantOperation::VerifyMac => {
                usage == KeyUsage::GenerateVerifyMac
            }
            GrantOperation::DeriveSharedSecret => usage == KeyUsage::KeyAgreement,
            GrantOperation::Encapsulate | GrantOperation::Decapsulate => {
                usage == KeyUsage::EncapsulateDecapsulate
            }
            GrantOperation::GetPublicKey => !symmetric && usage != KeyUsage::GenerateVerifyMac,
            GrantOperation::CreateGrant
            | GrantOperation::RetireGrant
            | GrantOperation::DescribeKey => true,
        };
        if !possible {
            let (operation, spec) = (name.clone(), key.record.spec);
            return Err(Violation::OperationForSpec { operation, spec }.into());
        }
        if !found.contains(&operation) {
            found.push(operation);
        }
    }
    Ok(found)
}

/// Whether a grant can name it: the ARN of a user, a role, a session, an account's root, or the
/// name of a service.
fn principal(member: &str, arn: &str) -> Result<(), KmsError> {
    let role = arn
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.split_once(":role/"))
        .is_some_and(|(account, name)| account.len() == 12 && !name.is_empty());
    if role || Principal::from_arn(arn).is_ok() || arn.ends_with(".amazonaws.com") {
        return Ok(());
    }
    Err(Violation::GrantPrincipal { member: member.to_owned() }.into())
}
