//! Users and roles, their policies and their access keys.

use super::Service;
use super::call::Call;
use super::front::Done;
use super::lookup::CACHE_MAX;
use crate::clock::Millis;
use crate::kms::api::types::{Plaintext, Timestamp};
use crate::kms::api::{AccessKeyInfo, IamReply, IamRequest, UserInfo, UserPolicy};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::caller::{Principal, Session};
use crate::kms::error::{Entity, InternalFault, KmsError, Pattern, Quota, Violation};
use crate::kms::id::AccountId;
use crate::kms::policy::identity_policy;
use crate::kms::store::{AccessKeyRecord, Change, Store as _, UserRecord};
use crate::secret::Secret;
use crate::sync::Arc;

/// Access keys per user, as AWS has it.
const MAX_ACCESS_KEYS: u32 = 2;
/// Policies per user.
const MAX_POLICIES: u32 = 20;
pub(super) const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(super) const BASE64: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An access key that signs HTTP requests.
#[derive(Debug)]
pub struct AccessKey {
    /// Whose it is.
    pub principal: Principal,
    /// The secret, as text bytes.
    pub secret: Secret<Vec<u8>>,
    /// Of temporary credentials.
    pub session: Option<Session>,
}

/// The event name of a request, and whether it only reads.
pub(super) fn name_of(request: &IamRequest) -> (&'static str, bool) {
    match request {
        IamRequest::CreateUser { .. } => ("CreateUser", false),
        IamRequest::DeleteUser { .. } => ("DeleteUser", false),
        IamRequest::ListUsers { .. } => ("ListUsers", true),
        IamRequest::PutUserPolicy { .. } => ("PutUserPolicy", false),
        IamRequest::DeleteUserPolicy { .. } => ("DeleteUserPolicy", false),
        IamRequest::ListUserPolicies { .. } => ("ListUserPolicies", true),
        IamRequest::CreateAccessKey { .. } => ("CreateAccessKey", false),
        IamRequest::DeleteAccessKey { .. } => ("DeleteAccessKey", false),
        IamRequest::ListAccessKeys { .. } => ("ListAccessKeys", true),
        IamRequest::CreateAccount { .. } => ("CreateAccount", false),
        IamRequest::DeleteAccount { .. } => ("DeleteAccount", false),
        IamRequest::ListAccounts => ("ListAccounts", true),
        IamRequest::CreateRole { .. } => ("CreateRole", false),
        IamRequest::UpdateAssumeRolePolicy { .. } => ("UpdateAssumeRolePolicy", false),
        IamRequest::DeleteRole { .. } => ("DeleteRole", false),
        IamRequest::ListRoles { .. } => ("ListRoles", true),
    }
}

/// A user or role that administration is about.
pub(super) struct Whose {
    pub account: AccountId,
    /// As the store knows it: a user's name, or that of a role after [`ROLE`].
    pub name: String,
    pub arn: String,
}

/// Before the names of roles among the records: no user's name has a colon.
pub(super) const ROLE: &str = "role:";

/// The name of a role's trust policy among its policies: no policy's name has a colon.
pub(super) const TRUST: &str = "trust:";

/// The name under which the policies of a principal are stored; only users and roles have any.
pub(super) fn policies_of(principal: &Principal) -> Option<(&AccountId, String)> {
    match principal {
        Principal::User { account, name } => Some((account, name.clone())),
        Principal::AssumedRole { account, role, .. } => Some((account, format!("{ROLE}{role}"))),
        Principal::Root { .. } | Principal::Service { .. } => None,
    }
}

impl Service {
    /// The access key of that id, for checking a signature. `None`: not known. Not recorded:
    /// what is done with the signed request is.
    pub fn access_key(&self, access_key_id: &str) -> Result<Option<Arc<AccessKey>>, KmsError> {
        if let Some(known) = self.cache.access_keys.get(access_key_id) {
            return Ok(Some(known.clone()));
        }
        let _loading = self.loading.read();
        let Some(record) = self.store.access_key(access_key_id)? else { return Ok(None) };
        let secret = self.custody.open_secret(&secret_name(&record.id), &record.sealed)?;
        let principal = Principal::User { account: record.account, name: record.user };
        let key = Arc::new(AccessKey { principal, secret, session: None });
        if self.cache.access_keys.len() >= CACHE_MAX {
            self.cache.access_keys.clear();
        }
        self.cache.access_keys.insert(record.id, key.clone());
        Ok(Some(key))
    }

    pub(super) fn administer(
        &self,
        call: &mut Call<'_>,
        request: IamRequest,
    ) -> Result<Done<IamReply>, KmsError> {
        match request {
            IamRequest::CreateUser { user } => {
                let whose = self.on_user::<may::CreateUser>(call, &user)?;
                if self.store.user(&whose.account, &whose.name)?.is_some() {
                    return Err(KmsError::EntityExists { what: Entity::User, name: user });
                }
                let change = Change::PutUser(self.blank_user(&whose));
                Done::change(IamReply::Done, vec![change])
            }
            IamRequest::DeleteUser { user } => {
                let whose = self.on_user::<may::DeleteUser>(call, &user)?;
                self.known_user(&whose)?;
                let change = Change::DeleteUser(whose.account, whose.name);
                Done::change(IamReply::Done, vec![change])
            }
            IamRequest::ListUsers { account } => {
                let _ok: Authorized<may::ListUsers, Plain> = call.may("*", |_| {})?;
                let account = self.reachable(call.account(), account.as_deref())?;
                let users = self.store.users(&account)?.into_iter();
                let users =
                    users.filter(|user| !user.name.starts_with(ROLE)).map(|user| UserInfo {
                        arn: Principal::user(&user.account, &user.name).to_string(),
                        name: user.name,
                        created: Timestamp(Millis(user.created)),
                    });
                let users = users.collect();
                Done::read(IamReply::Users(users))
            }
            IamRequest::PutUserPolicy { user, name, document } => {
                self.put_user_policy(call, &user, name, document)
            }
            IamRequest::DeleteUserPolicy { user, name } => {
                call.parameter("policyName", name.as_str());
                let whose = self.on_user::<may::DeleteUserPolicy>(call, &user)?;
                let mut record = self.known_user(&whose)?;
                let before = record.policies.len();
                record.policies.retain(|(known, _)| *known != name);
                if record.policies.len() == before {
                    return Err(KmsError::NoSuchEntity { what: Entity::UserPolicy, name });
                }
                Done::change(IamReply::Done, vec![Change::PutUser(record)])
            }
            IamRequest::ListUserPolicies { user } => {
                let whose = self.on_user::<may::ListUserPolicies>(call, &user)?;
                let policies = self.known_user(&whose)?.policies.into_iter();
                let policies = policies.filter(|(name, _)| name != TRUST);
                let policies =
                    policies.map(|(name, document)| UserPolicy { name, document }).collect();
                Done::read(IamReply::Policies(policies))
            }
            IamRequest::CreateAccessKey { user } => self.create_access_key(call, &user),
            IamRequest::DeleteAccessKey { user, access_key_id } => {
                call.parameter("accessKeyId", access_key_id.as_str());
                let whose = self.on_user::<may::DeleteAccessKey>(call, &user)?;
                let record = self.store.access_key(&access_key_id)?;
                if record.is_none_or(|r| r.user != whose.name || r.account != whose.account) {
                    let (what, name) = (Entity::AccessKey, access_key_id);
                    return Err(KmsError::NoSuchEntity { what, name });
                }
                Done::change(IamReply::Done, vec![Change::DeleteAccessKey(access_key_id)])
            }
            IamRequest::ListAccessKeys { user } => {
                let whose = self.on_user::<may::ListAccessKeys>(call, &user)?;
                let keys = self.store.access_keys(&whose.account, &whose.name)?.into_iter();
                let keys = keys.map(|key| AccessKeyInfo {
                    access_key_id: key.id,
                    created: Timestamp(Millis(key.created)),
                });
                let keys = keys.collect();
                Done::read(IamReply::AccessKeys(keys))
            }
            IamRequest::CreateAccount { account } => self.create_account(call, &account),
            IamRequest::DeleteAccount { account } => self.delete_account(call, &account),
            IamRequest::ListAccounts => self.list_accounts(call),
            IamRequest::CreateRole { role, trust } => self.create_role(call, &role, trust),
            IamRequest::UpdateAssumeRolePolicy { role, trust } => {
                self.update_trust(call, &role, trust)
            }
            IamRequest::DeleteRole { role } => self.delete_role(call, &role),
            IamRequest::ListRoles { account } => self.list_roles(call, account.as_deref()),
        }
    }

    fn put_user_policy(
        &self,
        call: &mut Call<'_>,
        user: &str,
        name: String,
        document: String,
    ) -> Result<Done<IamReply>, KmsError> {
        call.parameter("policyName", name.as_str());
        call.parameter("policyDocument", document.as_str());
        let whose = self.on_user::<may::PutUserPolicy>(call, user)?;
        entity_name("policyName", &name)?;
        identity_policy(&document)?;
        let record = self.store.user(&whose.account, &whose.name)?;
        let mut record = record.unwrap_or_else(|| self.blank_user(&whose));
        record.policies.retain(|(known, _)| *known != name);
        if usize::try_from(MAX_POLICIES).is_ok_and(|max| record.policies.len() >= max) {
            return Err(KmsError::LimitExceeded { what: Quota::UserPolicies, max: MAX_POLICIES });
        }
        record.policies.push((name, document));
        Done::change(IamReply::Done, vec![Change::PutUser(record)])
    }

    fn create_access_key(
        &self,
        call: &mut Call<'_>,
        user: &str,
    ) -> Result<Done<IamReply>, KmsError> {
        let whose = self.on_user::<may::CreateAccessKey>(call, user)?;
        if whose.name.starts_with(ROLE) {
            return Err(KmsError::NoSuchEntity { what: Entity::User, name: user.to_owned() });
        }
        let keys = self.store.access_keys(&whose.account, &whose.name)?.len();
        if usize::try_from(MAX_ACCESS_KEYS).is_ok_and(|max| keys >= max) {
            let (what, max) = (Quota::AccessKeys, MAX_ACCESS_KEYS);
            return Err(KmsError::LimitExceeded { what, max });
        }
        let id = format!("AKIA{}", String::from_utf8_lossy(&letters::<16, 32>(BASE32)?));
        let secret = Plaintext::new(letters::<40, 64>(BASE64)?);
        let sealed = self.custody.seal_secret(&secret_name(&id), secret.expose())?;
        let created = self.now().0;
        let mut changes = Vec::new();
        if self.store.user(&whose.account, &whose.name)?.is_none() {
            changes.push(Change::PutUser(self.blank_user(&whose)));
        }
        changes.push(Change::PutAccessKey(AccessKeyRecord {
            id: id.clone(),
            account: whose.account,
            user: whose.name,
            created,
            sealed,
        }));
        call.response(serde_json::json!({"accessKey": {"accessKeyId": id}}));
        let reply = IamReply::AccessKeyCreated { access_key_id: id, secret_access_key: secret };
        Done::change(reply, changes)
    }

    /// Decides on a user, named by login name, or on a user or role of any account, named by ARN.
    pub(super) fn on_user<A: Permission>(
        &self,
        call: &mut Call<'_>,
        user: &str,
    ) -> Result<Whose, KmsError> {
        call.parameter("userName", user);
        let whose = self.whose(call.account(), user)?;
        let _ok: Authorized<A, Plain> = call.may(&whose.arn, |_| {})?;
        Ok(whose)
    }

    /// Accounts live apart: users of others are only the service's own account's to administer.
    fn whose(&self, home: &AccountId, user: &str) -> Result<Whose, KmsError> {
        let unknown = || KmsError::NoSuchEntity { what: Entity::User, name: user.to_owned() };
        let (account, kind, path) = match user.strip_prefix("arn:aws:iam::") {
            None => (home.clone(), "user", user),
            Some(rest) => {
                let (account, resource) = rest.split_once(':').ok_or_else(unknown)?;
                let (kind, path) = resource.split_once('/').ok_or_else(unknown)?;
                (account.parse().map_err(|_| unknown())?, kind, path)
            }
        };
        let account: AccountId = account;
        self.reachable(home, Some(account.as_str())).map_err(|_| unknown())?;
        entity_name("userName", path)?;
        let name = match kind {
            "user" => path.to_owned(),
            // Sessions tell the role's name without its path.
            "role" => format!("{ROLE}{}", path.rsplit('/').next().unwrap_or(path)),
            _ => return Err(unknown()),
        };
        let arn = format!("arn:aws:iam::{account}:{kind}/{path}");
        Ok(Whose { account, name, arn })
    }

    /// The account of that number if `home` may administer it: the service's own all of them, any
    /// other itself.
    pub(super) fn reachable(
        &self,
        home: &AccountId,
        account: Option<&str>,
    ) -> Result<AccountId, KmsError> {
        let Some(text) = account else { return Ok(home.clone()) };
        let found = text.parse::<AccountId>().ok();
        found
            .filter(|account| account == home || *home == self.account)
            .ok_or_else(|| KmsError::NoSuchEntity { what: Entity::Account, name: text.to_owned() })
    }

    pub(super) fn known_user(&self, whose: &Whose) -> Result<UserRecord, KmsError> {
        let missing = || KmsError::NoSuchEntity { what: Entity::User, name: whose.name.clone() };
        self.store.user(&whose.account, &whose.name)?.ok_or_else(missing)
    }

    pub(super) fn blank_user(&self, whose: &Whose) -> UserRecord {
        UserRecord {
            account: whose.account.clone(),
            name: whose.name.clone(),
            created: self.now().0,
            policies: Vec::new(),
        }
    }
}

fn secret_name(access_key_id: &str) -> String {
    format!("access key {access_key_id}")
}

/// `N` random letters of an alphabet whose size is a power of two, so that all are as likely.
pub(super) fn letters<const N: usize, const A: usize>(
    alphabet: &[u8; A],
) -> Result<Vec<u8>, KmsError> {
    let random = Secret::<[u8; N]>::random();
    let letter = |byte: &u8| alphabet.get(usize::from(*byte) % A).copied();
    random.expose().iter().map(letter).collect::<Option<_>>().ok_or(InternalFault::Custody.into())
}

/// 1 to 128 letters, digits and `+=,.@_-`, and `/` inside for a path.
fn entity_name(member: &str, name: &str) -> Result<(), KmsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    crate::kms::api::validate::text_len(member, name, 1, 128)?;
    if name.chars().all(allowed) && !name.starts_with('/') && !name.ends_with('/') {
        return Ok(());
    }
    let (member, value, pattern) = (member.into(), name.into(), Pattern::EntityName);
    Err(Violation::Pattern { member, value, pattern }.into())
}
