//! Sessions of roles: how one begins, and how its credentials are believed later.
//!
//! A session is not stored. Its token is the session itself, sealed by custody under the id of
//! its access key: whoever presents a token that opens was given it here. A session ends with its
//! time or with its role, whichever is first; a role that was made again is another one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Service;
use super::call::Call;
use super::front::Done;
use super::roles::trust_of;
use super::users::{AccessKey, BASE32, BASE64, ROLE, letters};
use crate::kms::api::types::{Plaintext, Timestamp};
use crate::kms::api::validate::{range, text_len};
use crate::kms::api::{AssumeRoleRequest, AssumedRole};
use crate::kms::authz::{Authorized, Role, may};
use crate::kms::caller::{CallerContext, Principal, Session};
use crate::kms::error::{InternalFault, KmsError, Pattern, PolicyFault, PolicyMistake, Violation};
use crate::kms::id::AccountId;
use crate::kms::policy::{identity_policy, trust_policy};
use crate::kms::store::Store as _;
use crate::secret::Secret;

/// How long a session lasts when nobody says, and at most when a session begins it: seconds.
const USUAL: i32 = 3600;
/// Longest session policy, characters.
const MAX_POLICY: usize = 2048;
/// Longest token that is looked at.
const MAX_TOKEN: usize = 16_384;

/// What a token holds.
#[derive(Serialize, Deserialize)]
struct Sealed {
    account: AccountId,
    role: String,
    session: String,
    /// Milliseconds since 1970, both.
    issued: i64,
    expires: i64,
    policy: Option<String>,
    secret: Vec<u8>,
}

/// Whether a session's credentials are good.
#[derive(Debug)]
pub enum Presented {
    /// They are; the signature is still to be checked.
    Good(AccessKey),
    /// They were.
    Expired,
    /// They were not made here, or their role is gone.
    Unknown,
}

impl Service {
    /// Begins a session of a role, if its trust policy and the caller's policies let him.
    pub fn assume_role(
        &self,
        caller: &CallerContext,
        request: &AssumeRoleRequest,
    ) -> Result<AssumedRole, KmsError> {
        let mut call = Call::new(self, caller, "AssumeRole", false);
        call.source = "sts.amazonaws.com";
        let outcome = self.start_session(&mut call, request);
        self.finish(call, outcome)
    }

    /// The credentials of a session, for checking a signature.
    pub fn session(&self, access_key_id: &str, token: &str) -> Result<Presented, KmsError> {
        let Some(sealed) = self.open_token(access_key_id, token) else {
            return Ok(Presented::Unknown);
        };
        let Sealed { account, role, session, issued, expires, policy, secret } = sealed;
        let record = self.store.user(&account, &format!("{ROLE}{role}"))?;
        if record.is_none_or(|record| record.created > issued) {
            return Ok(Presented::Unknown);
        }
        if expires <= self.now().0 {
            return Ok(Presented::Expired);
        }
        Ok(Presented::Good(AccessKey {
            principal: Principal::AssumedRole { account, role, session },
            secret: Secret::new(secret),
            session: Some(Session { issued, policy }),
        }))
    }

    fn start_session(
        &self,
        call: &mut Call<'_>,
        r: &AssumeRoleRequest,
    ) -> Result<Done<AssumedRole>, KmsError> {
        call.parameter("roleArn", r.role_arn.as_str());
        call.parameter("roleSessionName", r.session_name.as_str());
        if let Some(seconds) = r.duration_seconds {
            call.parameter("durationSeconds", seconds);
        }
        let seconds = checked(r)?;
        let (account, role) = role_of(&r.role_arn)?;
        // No such role, a role that nobody may assume, and one that this caller may not: the same.
        let denied = |call: &Call<'_>| KmsError::AccessDenied {
            principal: call.caller.principal.to_string(),
            action: "sts:AssumeRole".to_owned(),
            resource: r.role_arn.clone(),
            explicit: false,
        };
        let record = self.store.user(&account, &format!("{ROLE}{role}"))?;
        let trust = record.as_ref().and_then(trust_of).ok_or_else(|| denied(call))?;
        let trust = trust_policy(trust).map_err(|_| InternalFault::Record)?;
        let mut context = call.context();
        context.one("sts:RoleSessionName", &r.session_name);
        if let Some(id) = &r.external_id {
            context.one("sts:ExternalId", id);
        }
        let target = Role { owner: account.clone(), arn: r.role_arn.clone(), trust };
        let _ok: Authorized<may::AssumeRole, Role> = call.decide(target, &context, None)?;
        let chained = matches!(call.caller.principal, Principal::AssumedRole { .. });
        if chained && seconds > USUAL {
            return Err(Violation::ChainedSession.into());
        }
        let issued = self.now();
        let expires = issued.plus_seconds(seconds.into());
        let id = format!("ASIA{}", String::from_utf8_lossy(&letters::<16, 32>(BASE32)?));
        let secret = Zeroizing::new(letters::<40, 64>(BASE64)?);
        let session = r.session_name.clone();
        let sealed = Sealed {
            account: account.clone(),
            role: role.clone(),
            session: session.clone(),
            issued: issued.0,
            expires: expires.0,
            policy: r.policy.clone(),
            secret: secret.to_vec(),
        };
        let token = self.seal_token(&id, sealed)?;
        let who = Principal::AssumedRole { account, role: role.clone(), session: session.clone() };
        call.response(serde_json::json!({
            "credentials": {"accessKeyId": id},
            "assumedRoleUser": {"arn": who.to_string()},
        }));
        Done::read(AssumedRole {
            access_key_id: id,
            secret_access_key: Plaintext::new(secret.to_vec()),
            session_token: Plaintext::new(token.into_bytes()),
            expiration: Timestamp(expires),
            arn: who.to_string(),
            id: format!("{role}:{session}"),
        })
    }

    fn seal_token(&self, id: &str, sealed: Sealed) -> Result<String, KmsError> {
        let encoded = bincode::serde::encode_to_vec(&sealed, bincode::config::standard());
        drop(Zeroizing::new(sealed.secret));
        let encoded = Zeroizing::new(encoded.map_err(|_| InternalFault::Record)?);
        Ok(STANDARD.encode(self.custody.seal_secret(&token_name(id), &encoded)?))
    }

    fn open_token(&self, id: &str, token: &str) -> Option<Sealed> {
        let sealed = (token.len() <= MAX_TOKEN).then(|| STANDARD.decode(token).ok()).flatten()?;
        let opened = self.custody.open_secret(&token_name(id), &sealed).ok()?;
        let config = bincode::config::standard();
        bincode::serde::decode_from_slice(opened.expose(), config).ok().map(|(sealed, _)| sealed)
    }
}

fn token_name(access_key_id: &str) -> String {
    format!("session {access_key_id}")
}

/// Checks what can be checked on the request alone; how many seconds the session lasts.
fn checked(r: &AssumeRoleRequest) -> Result<i32, KmsError> {
    session_text("roleSessionName", &r.session_name, 2, 64, "")?;
    if let Some(id) = &r.external_id {
        session_text("externalId", id, 2, 1224, ":/")?;
    }
    let seconds = r.duration_seconds.unwrap_or(USUAL);
    range("durationSeconds", seconds, 900, 43_200)?;
    if let Some(policy) = &r.policy {
        if policy.chars().count() > MAX_POLICY {
            let place = "document".into();
            return Err(PolicyFault::At { place, what: PolicyMistake::TooMany }.into());
        }
        identity_policy(policy)?;
    }
    Ok(seconds)
}

fn session_text(
    member: &str,
    text: &str,
    min: usize,
    max: usize,
    more: &str,
) -> Result<(), KmsError> {
    text_len(member, text, min, max)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) || more.contains(c);
    if text.chars().all(allowed) {
        return Ok(());
    }
    let (member, value, pattern) = (member.into(), text.into(), Pattern::SessionName);
    Err(Violation::Pattern { member, value, pattern }.into())
}

/// Account and name of a role's ARN. Roles have no paths here, and a path that somebody makes up
/// must not carry him past a policy on paths.
fn role_of(arn: &str) -> Result<(AccountId, String), KmsError> {
    let found = arn.strip_prefix("arn:aws:iam::").and_then(|rest| {
        let (account, resource) = rest.split_once(':')?;
        let name = resource.strip_prefix("role/")?;
        let plain = !name.is_empty() && !name.contains('/');
        Some((account.parse().ok()?, plain.then(|| name.to_owned())?))
    });
    text_len("roleArn", arn, 20, 2048)?;
    found.ok_or_else(|| {
        let (member, value, pattern) = ("roleArn".into(), arn.into(), Pattern::RoleArn);
        Violation::Pattern { member, value, pattern }.into()
    })
}
