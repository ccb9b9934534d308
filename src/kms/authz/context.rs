//! The condition keys of a request: what policies can ask about.
//!
//! Only what the service has established itself, or what is bound into the ciphertext, becomes a
//! condition key. Whatever could not be established is absent.

use crate::clock::Millis;
use crate::kms::api::types::EncryptionContext;
use crate::kms::audit::record::time;
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::id::Region;
use crate::kms::key::Key;
use crate::kms::policy::Context;

use super::VOLUME;

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
    if let Some(session) = &caller.session {
        context.one("aws:TokenIssueTime", &time(Millis(session.issued)));
    }
    if let Some(service) = &caller.via_service {
        context.one("kms:ViaService", service);
    }
    if let Source::Http { ip, user_agent, tls, endpoint, .. } = &caller.source {
        // As AWS has it: whoever comes through an endpoint has an address inside of the VPC, which
        // says nothing about the world outside.
        match endpoint {
            None => context.one("aws:SourceIp", &ip.to_string()),
            Some(endpoint) => {
                context.one("aws:SourceVpc", &endpoint.vpc);
                context.one("aws:SourceVpce", &endpoint.id);
                context.one("aws:VpcSourceIp", &ip.to_string());
            }
        }
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
    if let Some(operation) = caller.on_behalf.as_ref().and_then(|user| user.operation) {
        context.one("kmsfs:Operation", operation.as_str());
    }
    if let Some(path) = caller.on_behalf.as_ref().and_then(|user| user.path.as_ref()) {
        context.one("kmsfs:Path", &path.0);
    }
    if let Some(program) = caller.on_behalf.as_ref().and_then(|user| user.program.as_ref()) {
        if let Some(path) = &program.executable {
            context.one("kmsfs:Executable", path);
        }
        if let Some(hash) = &program.sha256 {
            context.one("kmsfs:ExecutableSha256", hash);
        }
        if let Some(unit) = &program.unit {
            context.one("kmsfs:SystemdUnit", unit);
        }
    }
    context.one("aws:RequestedRegion", region.as_str());
    context.one("aws:EpochTime", &now.seconds().to_string());
    context.one("aws:CurrentTime", &time(now));
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
    if record.id.multi_region() {
        context.one("kms:MultiRegionKeyType", key.multi_region_type());
    }
    if !key.aliases.is_empty() {
        context.many("kms:ResourceAliases", key.aliases.clone());
    }
    for (name, value) in &record.tags {
        context.one(format!("aws:ResourceTag/{name}"), value);
    }
}

/// Adds the condition keys that follow from an encryption context.
pub fn add_encryption(context: &mut Context, pairs: &EncryptionContext) {
    for (name, value) in pairs {
        context.one(format!("kms:EncryptionContext:{name}"), value);
    }
    if let Some(volume) = pairs.get(VOLUME) {
        context.one("kmsfs:Volume", volume);
    }
    if !pairs.is_empty() {
        context.many("kms:EncryptionContextKeys", pairs.keys().cloned().collect());
    }
}
