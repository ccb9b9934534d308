//! Accounts and roles: who lives in the service, and what may be assumed there.
//!
//! Accounts are a list of their own beside the records: an account exists for listing and removal
//! once it was made, and users and roles of an account that was not made belong to it all the
//! same.

use serde::{Deserialize, Serialize};

use super::Service;
use super::call::Call;
use super::front::Done;
use super::users::{ROLE, TRUST, Whose};
use crate::clock::Millis;
use crate::kms::api::types::Timestamp;
use crate::kms::api::{AccountInfo, IamReply, RoleInfo};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::error::{Entity, InternalFault, KmsError, Violation};
use crate::kms::id::AccountId;
use crate::kms::policy::trust_policy;
use crate::kms::store::{Change, Store as _, UserRecord};

/// Name of the stored list of accounts.
const META_ACCOUNTS: &str = "accounts";

/// An account that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tenant {
    account: AccountId,
    /// Milliseconds since 1970.
    created: i64,
}

impl Service {
    pub(super) fn create_account(
        &self,
        call: &mut Call<'_>,
        account: &str,
    ) -> Result<Done<IamReply>, KmsError> {
        let account = self.on_account::<may::CreateAccount>(call, account)?;
        let mut tenants = self.tenants()?;
        if account == self.account || tenants.iter().any(|known| known.account == account) {
            let name = account.to_string();
            return Err(KmsError::EntityExists { what: Entity::Account, name });
        }
        tenants.push(Tenant { account, created: self.now().0 });
        Done::change(IamReply::Done, vec![put(&tenants)?])
    }

    pub(super) fn delete_account(
        &self,
        call: &mut Call<'_>,
        account: &str,
    ) -> Result<Done<IamReply>, KmsError> {
        let account = self.on_account::<may::DeleteAccount>(call, account)?;
        if account == self.account {
            return Err(Violation::OwnAccount.into());
        }
        let mut tenants = self.tenants()?;
        let users = self.store.users(&account)?;
        let before = tenants.len();
        tenants.retain(|known| known.account != account);
        if tenants.len() == before && users.is_empty() {
            let name = account.to_string();
            return Err(KmsError::NoSuchEntity { what: Entity::Account, name });
        }
        let mut keys = self.store.key_count(&account)?;
        for other in self.others() {
            keys = keys.saturating_add(other.store.key_count(&account)?);
        }
        if keys > 0 {
            return Err(Violation::AccountInUse.into());
        }
        let mut changes = vec![put(&tenants)?];
        changes.extend(users.into_iter().map(|user| Change::DeleteUser(user.account, user.name)));
        Done::change(IamReply::Done, changes)
    }

    pub(super) fn list_accounts(&self, call: &mut Call<'_>) -> Result<Done<IamReply>, KmsError> {
        let _ok: Authorized<may::ListAccounts, Plain> = call.may("*", |_| {})?;
        let own = AccountInfo { account: call.account().to_string(), created: None };
        let mut accounts = vec![own];
        if *call.account() == self.account {
            accounts.extend(self.tenants()?.into_iter().map(|tenant| AccountInfo {
                account: tenant.account.to_string(),
                created: Some(Timestamp(Millis(tenant.created))),
            }));
        }
        Done::read(IamReply::Accounts(accounts))
    }

    pub(super) fn create_role(
        &self,
        call: &mut Call<'_>,
        role: &str,
        trust: String,
    ) -> Result<Done<IamReply>, KmsError> {
        let whose = self.on_role::<may::CreateRole>(call, role)?;
        trust_policy(&trust)?;
        // Policies may have been put for it before it could be assumed.
        let known = self.store.user(&whose.account, &whose.name)?;
        if known.as_ref().is_some_and(|record| trust_of(record).is_some()) {
            let name = role.to_owned();
            return Err(KmsError::EntityExists { what: Entity::Role, name });
        }
        let mut record = known.unwrap_or_else(|| self.blank_user(&whose));
        record.policies.push((TRUST.to_owned(), trust));
        Done::change(IamReply::Done, vec![Change::PutUser(record)])
    }

    pub(super) fn update_trust(
        &self,
        call: &mut Call<'_>,
        role: &str,
        trust: String,
    ) -> Result<Done<IamReply>, KmsError> {
        let whose = self.on_role::<may::UpdateAssumeRolePolicy>(call, role)?;
        trust_policy(&trust)?;
        let mut record = self.known_role(&whose, role)?;
        record.policies.retain(|(name, _)| name != TRUST);
        record.policies.push((TRUST.to_owned(), trust));
        Done::change(IamReply::Done, vec![Change::PutUser(record)])
    }

    pub(super) fn delete_role(
        &self,
        call: &mut Call<'_>,
        role: &str,
    ) -> Result<Done<IamReply>, KmsError> {
        let whose = self.on_role::<may::DeleteRole>(call, role)?;
        self.known_role(&whose, role)?;
        Done::change(IamReply::Done, vec![Change::DeleteUser(whose.account, whose.name)])
    }

    pub(super) fn list_roles(
        &self,
        call: &mut Call<'_>,
        account: Option<&str>,
    ) -> Result<Done<IamReply>, KmsError> {
        let _ok: Authorized<may::ListRoles, Plain> = call.may("*", |_| {})?;
        let account = self.reachable(call.account(), account)?;
        let roles = self.store.users(&account)?.into_iter().filter_map(|record| {
            let name = record.name.strip_prefix(ROLE)?.to_owned();
            Some(RoleInfo {
                arn: format!("arn:aws:iam::{account}:role/{name}"),
                name,
                created: Timestamp(Millis(record.created)),
                trust: trust_of(&record).map(str::to_owned),
            })
        });
        Done::read(IamReply::Roles(roles.collect()))
    }

    /// Decides on a role, named by name or ARN.
    fn on_role<A: Permission>(&self, call: &mut Call<'_>, role: &str) -> Result<Whose, KmsError> {
        let arn = match role.strip_prefix("arn:") {
            Some(_) => role.to_owned(),
            None => format!("arn:aws:iam::{}:role/{role}", call.account()),
        };
        let whose = self.on_user::<A>(call, &arn)?;
        if !whose.name.starts_with(ROLE) {
            return Err(KmsError::NoSuchEntity { what: Entity::Role, name: role.to_owned() });
        }
        Ok(whose)
    }

    fn known_role(&self, whose: &Whose, role: &str) -> Result<UserRecord, KmsError> {
        let missing = || KmsError::NoSuchEntity { what: Entity::Role, name: role.to_owned() };
        self.store.user(&whose.account, &whose.name)?.ok_or_else(missing)
    }

    /// Decides on an account as a whole: only the service's own may.
    fn on_account<A: Permission>(
        &self,
        call: &mut Call<'_>,
        account: &str,
    ) -> Result<AccountId, KmsError> {
        call.parameter("accountId", account);
        let _ok: Authorized<A, Plain> = call.may("*", |_| {})?;
        let unknown = || KmsError::NoSuchEntity { what: Entity::Account, name: account.to_owned() };
        if *call.account() != self.account {
            return Err(unknown());
        }
        account.parse().map_err(|_| unknown())
    }

    fn tenants(&self) -> Result<Vec<Tenant>, KmsError> {
        let Some(bytes) = self.store.meta(META_ACCOUNTS)? else { return Ok(Vec::new()) };
        let decoded = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
        decoded.map(|(tenants, _)| tenants).map_err(|_| InternalFault::Record.into())
    }
}

/// The trust policy of a role's record.
pub(super) fn trust_of(record: &UserRecord) -> Option<&str> {
    record.policies.iter().find(|(name, _)| name == TRUST).map(|(_, text)| text.as_str())
}

fn put(tenants: &Vec<Tenant>) -> Result<Change, KmsError> {
    let encoded = bincode::serde::encode_to_vec(tenants, bincode::config::standard());
    Ok(Change::PutMeta(META_ACCOUNTS, encoded.map_err(|_| InternalFault::Record)?))
}
