//! Decisions. The only maker of [`Authorized`], without which no method of the service runs.
//!
//! Policies decide ([`super::policy`]), and one rule beside them: the filesystem service may
//! make, open and re-wrap the keys of volumes and directories for itself (never those of files,
//! for which it always acts for a user), unless the key policy denies it.

use std::marker::PhantomData;

use super::api::types::EncryptionContext;
use super::caller::{CallerContext, FILESYSTEM_SERVICE, Principal, Source};
use super::error::KmsError;
use super::id::{AccountId, Region};
use super::key::Key;
use super::policy::{Context, Policy, Query, Verdict, evaluate};
use crate::clock::Millis;
use crate::sync::Arc;

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
    DeriveSharedSecret = "kms:DeriveSharedSecret",
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

/// Proof that the caller may do `A` on the target within. Made by [`decide`] alone, used up by
/// the method that it was made for.
#[must_use]
#[derive(Debug)]
pub struct Authorized<A: Permission, T: Target = Arc<Key>> {
    target: T,
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
}

/// Who asks, with everything that is known of him.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The request's caller.
    pub caller: &'a CallerContext,
    /// The identity policies that apply to him.
    pub identity: &'a [Arc<Policy>],
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
    let verdict = evaluate(&query, key_policy, &identity).verdict;
    let linked = verdict == Verdict::ImplicitDeny
        && key_policy.is_some()
        && service_linked(principal, A::NAME, encryption);
    if verdict == Verdict::Allow || linked {
        return Ok(Authorized { target, permission: PhantomData });
    }
    Err(KmsError::AccessDenied {
        principal: principal.to_string(),
        action: A::NAME.to_owned(),
        resource: resource.to_owned(),
        explicit: verdict == Verdict::ExplicitDeny,
    })
}

/// The filesystem's own rule; see the head of this module.
fn service_linked(
    principal: &Principal,
    action: &str,
    encryption: Option<&EncryptionContext>,
) -> bool {
    let Principal::Service { name } = principal else { return false };
    if name != FILESYSTEM_SERVICE {
        return false;
    }
    if action == "kms:DescribeKey" {
        return true;
    }
    let own = encryption.is_some_and(|pairs| {
        pairs.contains_key(VOLUME) && pairs.keys().all(|key| key == VOLUME || key == DIRECTORY)
    });
    own && matches!(
        action,
        "kms:GenerateDataKey"
            | "kms:GenerateDataKeyWithoutPlaintext"
            | "kms:Decrypt"
            | "kms:ReEncryptFrom"
            | "kms:ReEncryptTo"
    )
}

/// The condition keys that follow from the caller, the Region and the time.
pub fn caller_context(caller: &CallerContext, region: &Region, now: Millis) -> Context {
    let mut context = Context::new();
    if let Some(account) = caller.principal.account() {
        context.one("kms:CallerAccount", account.as_str());
        context.one("aws:PrincipalAccount", account.as_str());
    }
    match &caller.principal {
        Principal::Root { account } => {
            context.one("aws:PrincipalArn", &caller.principal.to_string());
            context.one("aws:PrincipalType", "Account");
            context.one("aws:userid", account.as_str());
        }
        Principal::User { name, .. } => {
            context.one("aws:PrincipalArn", &caller.principal.to_string());
            context.one("aws:PrincipalType", "User");
            context.one("aws:username", name.rsplit('/').next().unwrap_or(name));
            context.one("aws:userid", name);
        }
        Principal::AssumedRole { account, role, session } => {
            context.one("aws:PrincipalArn", &format!("arn:aws:iam::{account}:role/{role}"));
            context.one("aws:PrincipalType", "AssumedRole");
            context.one("aws:userid", &format!("{role}:{session}"));
        }
        Principal::Service { .. } => {}
    }
    if let Some(service) = &caller.via_service {
        context.one("kms:ViaService", service);
    }
    if let Source::Http { ip, user_agent, tls, .. } = &caller.source {
        context.one("aws:SourceIp", &ip.to_string());
        context.one("aws:SecureTransport", if *tls { "true" } else { "false" });
        if let Some(agent) = user_agent {
            context.one("aws:UserAgent", agent);
        }
    }
    let process = match (&caller.on_behalf, &caller.source) {
        (Some(user), _) => Some((user.uid, user.gid, user.groups.as_deref())),
        (None, Source::Unix { uid, gid, .. }) => Some((*uid, *gid, None)),
        (None, _) => None,
    };
    if let Some((uid, gid, groups)) = process {
        context.one("kmsfs:Uid", &uid.to_string());
        context.one("kmsfs:Gid", &gid.to_string());
        if let Some(groups) = groups {
            let mut all: Vec<String> = groups.iter().map(u32::to_string).collect();
            all.push(gid.to_string());
            context.many("kmsfs:Gids", all);
        }
    }
    context.one("aws:RequestedRegion", region.as_str());
    context.one("aws:EpochTime", &now.seconds().to_string());
    context.one("aws:CurrentTime", &super::audit::record::time(now));
    context
}

/// Adds the condition keys that follow from the key.
pub fn add_key(context: &mut Context, key: &Key) {
    let record = &key.record;
    context.one("kms:KeySpec", record.spec.as_str());
    context.one("kms:CustomerMasterKeySpec", record.spec.as_str());
    context.one("kms:KeyUsage", record.usage.as_str());
    context.one("kms:CustomerMasterKeyUsage", record.usage.as_str());
    context.one("kms:KeyOrigin", record.origin.as_str());
    context.one("kms:MultiRegion", if record.id.multi_region() { "true" } else { "false" });
    if !key.aliases.is_empty() {
        context.many("kms:ResourceAliases", key.aliases.clone());
    }
    for (name, value) in &record.tags {
        context.one(&format!("aws:ResourceTag/{name}"), value);
    }
}

/// Adds the condition keys that follow from an encryption context.
pub fn add_encryption(context: &mut Context, pairs: &EncryptionContext) {
    for (name, value) in pairs {
        context.one(&format!("kms:EncryptionContext:{name}"), value);
    }
    if !pairs.is_empty() {
        context.many("kms:EncryptionContextKeys", pairs.keys().cloned().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(names: &[&str]) -> EncryptionContext {
        names.iter().map(|n| ((*n).to_owned(), "x".to_owned())).collect()
    }

    #[test]
    fn the_filesystem_may_use_keys_of_volumes_and_directories_but_never_of_files() {
        let service = Principal::filesystem();
        let linked = |action, names: &[&str]| service_linked(&service, action, Some(&pairs(names)));
        assert!(linked("kms:Decrypt", &[VOLUME]));
        assert!(linked("kms:GenerateDataKey", &[VOLUME, DIRECTORY]));
        assert!(!linked("kms:Decrypt", &[VOLUME, FILE]));
        assert!(!linked("kms:Decrypt", &[VOLUME, DIRECTORY, FILE]));
        assert!(!linked("kms:Decrypt", &[DIRECTORY]));
        assert!(!linked("kms:Decrypt", &[]));
        assert!(!linked("kms:PutKeyPolicy", &[VOLUME]));
        assert!(!service_linked(&service, "kms:Decrypt", None));
    }

    #[test]
    fn nobody_else_is_the_filesystem() {
        let account: AccountId = "111122223333".parse().unwrap();
        for other in [
            Principal::user(&account, FILESYSTEM_SERVICE),
            Principal::Root { account },
            Principal::Service { name: "other.amazonaws.com".into() },
        ] {
            assert!(!service_linked(&other, "kms:Decrypt", Some(&pairs(&[VOLUME]))));
        }
    }
}
