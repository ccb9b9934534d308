//! Decisions. The only maker of [`Authorized`], without which no method of the service runs.
//!
//! Policies decide ([`super::policy`]), then grants ([`super::grant`]), which allow where no
//! policy says anything, and one rule beside them: the filesystem service may make, open and
//! re-wrap the keys of volumes and directories for itself, unless the key policy denies it. Those
//! of files it may seal again under the CMK that they are under, so that a rotation is carried
//! through; to open one, or take it to another CMK, it always acts for a user.
//!
//! A key may be in *learn mode* (its tag [`LEARN`] is `true`): what would be denied of its
//! cryptographic use is let through, logged and recorded as `wouldDeny`. It is for finding out
//! what a new policy would break; everything else about the key stays denied.

mod context;

use std::marker::PhantomData;

use super::api::types::EncryptionContext;
use super::caller::{CallerContext, FILESYSTEM_SERVICE, Principal};
use super::error::KmsError;
use super::grant::{GrantOperation, GrantRecord};
use super::id::AccountId;
use super::key::Key;
use super::policy::{Context, ContextValue, Policy, Query, Verdict, evaluate};
use crate::clock::Millis;
use crate::sync::Arc;

pub use context::{add_encryption, add_key, caller_context};

/// Tag that puts a key into learn mode.
pub const LEARN: &str = "kmsfs:learn";
/// Encryption-context key that names a volume.
pub const VOLUME: &str = "kmsfs:volume";
/// Encryption-context key that names a directory.
pub const DIRECTORY: &str = "kmsfs:directory";
/// Encryption-context key that names a file.
pub const FILE: &str = "kmsfs:file";

/// A permission that policies grant: what an [`Authorized`] is a proof of.
pub trait Permission {
    /// `kms:Decrypt` and the like.
    const NAME: &'static str;
}

macro_rules! permissions {
    ($($name:ident = $text:literal,)*) => {
        /// Every permission as a type.
        pub mod may {
            $(
                #[doc = concat!("`", $text, "`")]
                #[derive(Debug)]
                pub struct $name;

                impl super::Permission for $name {
                    const NAME: &'static str = $text;
                }
            )*
        }
    };
}

permissions! {
    CancelKeyDeletion = "kms:CancelKeyDeletion",
    CreateAlias = "kms:CreateAlias",
    CreateKey = "kms:CreateKey",
    Decrypt = "kms:Decrypt",
    DeleteAlias = "kms:DeleteAlias",
    DescribeKey = "kms:DescribeKey",
    DisableKey = "kms:DisableKey",
    EnableKey = "kms:EnableKey",
    Encrypt = "kms:Encrypt",
    GenerateDataKey = "kms:GenerateDataKey",
    GenerateDataKeyWithoutPlaintext = "kms:GenerateDataKeyWithoutPlaintext",
    GenerateRandom = "kms:GenerateRandom",
    GetKeyPolicy = "kms:GetKeyPolicy",
    ListAliases = "kms:ListAliases",
    ListKeyPolicies = "kms:ListKeyPolicies",
    ListKeys = "kms:ListKeys",
    PutKeyPolicy = "kms:PutKeyPolicy",
    ReEncryptFrom = "kms:ReEncryptFrom",
    ReEncryptTo = "kms:ReEncryptTo",
    ScheduleKeyDeletion = "kms:ScheduleKeyDeletion",
    TagResource = "kms:TagResource",
    UpdateAlias = "kms:UpdateAlias",
    UpdateKeyDescription = "kms:UpdateKeyDescription",
    ConnectCustomKeyStore = "kms:ConnectCustomKeyStore",
    CreateCustomKeyStore = "kms:CreateCustomKeyStore",
    CreateGrant = "kms:CreateGrant",
    DeleteCustomKeyStore = "kms:DeleteCustomKeyStore",
    DeleteImportedKeyMaterial = "kms:DeleteImportedKeyMaterial",
    Decapsulate = "kms:Decapsulate",
    DeriveSharedSecret = "kms:DeriveSharedSecret",
    Encapsulate = "kms:Encapsulate",
    DescribeCustomKeyStores = "kms:DescribeCustomKeyStores",
    DisableKeyRotation = "kms:DisableKeyRotation",
    DisconnectCustomKeyStore = "kms:DisconnectCustomKeyStore",
    EnableKeyRotation = "kms:EnableKeyRotation",
    GenerateDataKeyPair = "kms:GenerateDataKeyPair",
    GenerateDataKeyPairWithoutPlaintext = "kms:GenerateDataKeyPairWithoutPlaintext",
    GenerateMac = "kms:GenerateMac",
    GetKeyLastUsage = "kms:GetKeyLastUsage",
    GetKeyRotationStatus = "kms:GetKeyRotationStatus",
    GetParametersForImport = "kms:GetParametersForImport",
    GetPublicKey = "kms:GetPublicKey",
    ImportKeyMaterial = "kms:ImportKeyMaterial",
    ListGrants = "kms:ListGrants",
    ListKeyRotations = "kms:ListKeyRotations",
    ListResourceTags = "kms:ListResourceTags",
    ListRetirableGrants = "kms:ListRetirableGrants",
    ReplicateKey = "kms:ReplicateKey",
    RetireGrant = "kms:RetireGrant",
    RevokeGrant = "kms:RevokeGrant",
    RotateKeyOnDemand = "kms:RotateKeyOnDemand",
    Sign = "kms:Sign",
    UntagResource = "kms:UntagResource",
    UpdateCustomKeyStore = "kms:UpdateCustomKeyStore",
    UpdatePrimaryRegion = "kms:UpdatePrimaryRegion",
    Verify = "kms:Verify",
    VerifyMac = "kms:VerifyMac",
    CreateUser = "iam:CreateUser",
    DeleteUser = "iam:DeleteUser",
    ListUsers = "iam:ListUsers",
    PutUserPolicy = "iam:PutUserPolicy",
    DeleteUserPolicy = "iam:DeleteUserPolicy",
    ListUserPolicies = "iam:ListUserPolicies",
    CreateAccessKey = "iam:CreateAccessKey",
    DeleteAccessKey = "iam:DeleteAccessKey",
    ListAccessKeys = "iam:ListAccessKeys",
    CreateAccount = "iam:CreateAccount",
    DeleteAccount = "iam:DeleteAccount",
    ListAccounts = "iam:ListAccounts",
    CreateRole = "iam:CreateRole",
    UpdateAssumeRolePolicy = "iam:UpdateAssumeRolePolicy",
    DeleteRole = "iam:DeleteRole",
    ListRoles = "iam:ListRoles",
    AssumeRole = "sts:AssumeRole",
}

/// What a permission is asked on.
pub trait Target {
    /// ARN, or `*`.
    fn resource(&self) -> &str;
    /// The account that owns it.
    fn owner(&self) -> &AccountId;
    /// The policy that it carries itself; only keys do.
    fn key_policy(&self) -> Option<&Policy> {
        None
    }

    /// The grants on it.
    fn grants(&self) -> &[GrantRecord] {
        &[]
    }

    /// Whether it is in learn mode.
    fn learns(&self) -> bool {
        false
    }
}

impl Target for Arc<Key> {
    fn resource(&self) -> &str {
        &self.arn
    }

    fn owner(&self) -> &AccountId {
        &self.record.account
    }

    fn key_policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    fn grants(&self) -> &[GrantRecord] {
        &self.grants
    }

    fn learns(&self) -> bool {
        self.record.tags.iter().any(|(name, value)| name == LEARN && value == "true")
    }
}

/// A target that identity policies alone decide about: `*`, an alias or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The account that owns it.
    pub owner: AccountId,
    /// ARN, or `*`.
    pub resource: String,
}

impl Target for Plain {
    fn resource(&self) -> &str {
        &self.resource
    }

    fn owner(&self) -> &AccountId {
        &self.owner
    }
}

/// A role, on which its trust policy decides as a key's does on the key.
#[derive(Debug)]
pub struct Role {
    /// The account that owns it.
    pub owner: AccountId,
    /// Its ARN.
    pub arn: String,
    /// Who may assume it.
    pub trust: Policy,
}

impl Target for Role {
    fn resource(&self) -> &str {
        &self.arn
    }

    fn owner(&self) -> &AccountId {
        &self.owner
    }

    fn key_policy(&self) -> Option<&Policy> {
        Some(&self.trust)
    }
}

/// Proof that the caller may do `A` on the target within. Made by [`decide`] alone, used up by
/// the method that it was made for.
#[must_use]
#[derive(Debug)]
pub struct Authorized<A: Permission, T: Target = Arc<Key>> {
    target: T,
    learned: bool,
    by_grant: bool,
    permission: PhantomData<fn() -> A>,
}

impl<A: Permission, T: Target> Authorized<A, T> {
    /// Uses the proof up.
    pub fn into_target(self) -> T {
        self.target
    }

    /// What the permission is on.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// Whether it is there only because of a grant: what it allows must then stay within that.
    pub fn by_grant(&self) -> bool {
        self.by_grant
    }

    /// Whether it is there only because the key is in learn mode.
    pub fn learned(&self) -> bool {
        self.learned
    }
}

/// Who asks, with everything that is known of him.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The request's caller.
    pub caller: &'a CallerContext,
    /// The identity policies that apply to him.
    pub identity: &'a [Arc<Policy>],
    /// The policy of his session, which can only take away.
    pub session: Option<&'a Policy>,
    /// The time: grants may end.
    pub now: Millis,
}

/// Decides `A` on `target` in `context`.
pub fn decide<A: Permission, T: Target>(
    asker: Asker<'_>,
    target: T,
    context: &Context,
    encryption: Option<&EncryptionContext>,
) -> Result<Authorized<A, T>, KmsError> {
    let key_policy = target.key_policy();
    let identity: Vec<&Policy> = asker.identity.iter().map(Arc::as_ref).collect();
    let principal = &asker.caller.principal;
    let (action, resource, owner) = (A::NAME, target.resource(), target.owner());
    let query = Query { principal, action, resource, owner, context };
    let mut verdict = evaluate(&query, key_policy, &identity).verdict;
    let narrowed = asker.session.map(|policy| evaluate(&query, None, &[policy]).verdict);
    let within = narrowed.is_none_or(|verdict| verdict == Verdict::Allow);
    if narrowed == Some(Verdict::ExplicitDeny) {
        verdict = Verdict::ExplicitDeny;
    } else if verdict == Verdict::Allow && !within {
        verdict = Verdict::ImplicitDeny;
    }
    let unsaid = verdict == Verdict::ImplicitDeny && key_policy.is_some();
    let said = verdict == Verdict::Allow || unsaid && service_linked(&query, encryption);
    if said || unsaid && within && granted(&query, &target, &identity, encryption, asker.now) {
        let by_grant = !said;
        return Ok(Authorized { target, learned: false, by_grant, permission: PhantomData });
    }
    if target.learns() && is_use(A::NAME) {
        tracing::warn!(
            %principal,
            action,
            resource,
            explicit = verdict == Verdict::ExplicitDeny,
            "would-deny: let through because the key is in learn mode; take its tag {LEARN} away \
             to have its policy enforced"
        );
        return Ok(Authorized { target, learned: true, by_grant: false, permission: PhantomData });
    }
    Err(KmsError::AccessDenied {
        principal: principal.to_string(),
        action: A::NAME.to_owned(),
        resource: resource.to_owned(),
        explicit: verdict == Verdict::ExplicitDeny,
    })
}

/// Whether a grant on the key allows it. From another account, and to an account as a whole, a
/// grant lets the identity policies of that account decide, as a key policy does.
fn granted<T: Target>(
    query: &Query<'_>,
    target: &T,
    identity: &[&Policy],
    encryption: Option<&EncryptionContext>,
    now: Millis,
) -> bool {
    let Query { principal, action, owner, .. } = query;
    let mut grants =
        target.grants().iter().filter(|grant| grant.allows(principal, action, encryption, now));
    let own = principal.account().is_none_or(|account| account == *owner);
    let direct = |grant: &GrantRecord| own && !grant.grantee.ends_with(":root");
    match grants.next() {
        None => false,
        Some(first) => {
            direct(first)
                || grants.any(direct)
                || evaluate(query, None, identity).verdict == Verdict::Allow
        }
    }
}

/// Cryptographic use of a key: what grants can allow, but for making and retiring grants.
fn is_use(action: &str) -> bool {
    let apart = [GrantOperation::CreateGrant, GrantOperation::RetireGrant];
    GrantOperation::from_action(action).is_some_and(|operation| !apart.contains(&operation))
}

/// The filesystem's own rule; see the head of this module.
fn service_linked(query: &Query<'_>, encryption: Option<&EncryptionContext>) -> bool {
    let Query { principal, action, context, .. } = *query;
    let Principal::Service { name } = principal else { return false };
    if name != FILESYSTEM_SERVICE {
        return false;
    }
    if action == "kms:DescribeKey" {
        return true;
    }
    let within = |names: &[&str]| {
        encryption.is_some_and(|pairs| {
            pairs.contains_key(VOLUME) && pairs.keys().all(|key| names.contains(&key.as_str()))
        })
    };
    let again = matches!(action, "kms:ReEncryptFrom" | "kms:ReEncryptTo")
        && matches!(
            context.get("kms:reencryptonsamekey"),
            Some(ContextValue::One(same)) if same == "true"
        );
    if again && within(&[VOLUME, FILE]) {
        return true;
    }
    within(&[VOLUME, DIRECTORY])
        && matches!(
            action,
            "kms:GenerateDataKey"
                | "kms:GenerateDataKeyWithoutPlaintext"
                | "kms:Decrypt"
                | "kms:ReEncryptFrom"
                | "kms:ReEncryptTo"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(names: &[&str]) -> EncryptionContext {
        names.iter().map(|n| ((*n).to_owned(), "x".to_owned())).collect()
    }

    fn linked(principal: &Principal, action: &str, names: &[&str], same: &str) -> bool {
        let owner: AccountId = "111122223333".parse().unwrap();
        let mut context = Context::new();
        context.one("kms:ReEncryptOnSameKey", same);
        let query = Query { principal, action, resource: "*", owner: &owner, context: &context };
        service_linked(&query, (!names.is_empty()).then(|| pairs(names)).as_ref())
    }

    #[test]
    fn the_filesystem_may_use_keys_of_volumes_and_directories_but_never_open_those_of_files() {
        let service = Principal::filesystem();
        let linked = |action, names: &[&str]| linked(&service, action, names, "false");
        assert!(linked("kms:Decrypt", &[VOLUME]));
        assert!(linked("kms:GenerateDataKey", &[VOLUME, DIRECTORY]));
        assert!(!linked("kms:Decrypt", &[VOLUME, FILE]));
        assert!(!linked("kms:Decrypt", &[VOLUME, DIRECTORY, FILE]));
        assert!(!linked("kms:Decrypt", &[DIRECTORY]));
        assert!(!linked("kms:Decrypt", &[]));
        assert!(!linked("kms:PutKeyPolicy", &[VOLUME]));
    }

    #[test]
    fn the_filesystem_may_seal_keys_of_files_again_and_only_under_the_same_key() {
        let service = Principal::filesystem();
        for action in ["kms:ReEncryptFrom", "kms:ReEncryptTo"] {
            assert!(linked(&service, action, &[VOLUME, FILE], "true"));
            assert!(!linked(&service, action, &[VOLUME, FILE], "false"));
            assert!(!linked(&service, action, &[FILE], "true"));
            assert!(!linked(&service, action, &["app"], "true"));
            assert!(!linked(&service, action, &[], "true"));
        }
        assert!(!linked(&service, "kms:Decrypt", &[VOLUME, FILE], "true"));
    }

    #[test]
    fn nobody_else_is_the_filesystem() {
        let account: AccountId = "111122223333".parse().unwrap();
        for other in [
            Principal::user(&account, FILESYSTEM_SERVICE),
            Principal::Root { account },
            Principal::Service { name: "other.amazonaws.com".into() },
        ] {
            assert!(!linked(&other, "kms:Decrypt", &[VOLUME], "true"));
            assert!(!linked(&other, "kms:ReEncryptTo", &[VOLUME, FILE], "true"));
        }
    }
}
