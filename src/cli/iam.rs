//! `kmsfs iam ...`: accounts, users, roles, their policies and access keys.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{AccountArgs, IamCommand, ServiceArgs, UserArgs};
use super::error::CliError;
use super::key::read_policy;
use super::out::{Out, table};
use super::service::{KeyService, unexpected};
use crate::kms::api::{AccountInfo, IamReply, IamRequest, RoleInfo, UserInfo};

/// Runs the command.
pub fn run(command: IamCommand, out: Out) -> Result<(), CliError> {
    match command {
        IamCommand::PutPolicy { name, policy, user: UserArgs { user, service } } => {
            let document = read_policy(&policy)?;
            let service = KeyService::from_args(service)?;
            service.iam(IamRequest::PutUserPolicy { user, name, document })?;
        }
        IamCommand::ListPolicies(UserArgs { user, service }) => {
            let service = KeyService::from_args(service)?;
            let IamReply::Policies(found) = service.iam(IamRequest::ListUserPolicies { user })?
            else {
                return Err(unexpected());
            };
            let policies = found.into_iter().map(|p| (p.name, p.document)).collect();
            out.result(&Policies { policies });
        }
        IamCommand::DeletePolicy { name, user: UserArgs { user, service } } => {
            let service = KeyService::from_args(service)?;
            service.iam(IamRequest::DeleteUserPolicy { user, name })?;
        }
        IamCommand::CreateAccessKey(UserArgs { user, service }) => {
            let service = KeyService::from_args(service)?;
            let reply = service.iam(IamRequest::CreateAccessKey { user })?;
            let IamReply::AccessKeyCreated { access_key_id, secret_access_key } = reply else {
                return Err(unexpected());
            };
            let secret = String::from_utf8_lossy(secret_access_key.expose()).into_owned();
            out.result(&Created { access_key_id, secret_access_key: Zeroizing::new(secret) });
        }
        IamCommand::ListAccessKeys(UserArgs { user, service }) => {
            let service = KeyService::from_args(service)?;
            let IamReply::AccessKeys(keys) = service.iam(IamRequest::ListAccessKeys { user })?
            else {
                return Err(unexpected());
            };
            let access_keys = keys.into_iter().map(|k| k.access_key_id).collect();
            out.result(&Listed { access_keys });
        }
        IamCommand::DeleteAccessKey { id, user: UserArgs { user, service } } => {
            let service = KeyService::from_args(service)?;
            service.iam(IamRequest::DeleteAccessKey { user, access_key_id: id })?;
        }
        IamCommand::CreateUser(UserArgs { user, service }) => {
            done(service, IamRequest::CreateUser { user })?;
        }
        IamCommand::DeleteUser(UserArgs { user, service }) => {
            done(service, IamRequest::DeleteUser { user })?;
        }
        IamCommand::CreateRole { role, trust, service } => {
            let trust = read_policy(&trust)?;
            done(service, IamRequest::CreateRole { role, trust })?;
        }
        IamCommand::PutTrust { role, trust, service } => {
            let trust = read_policy(&trust)?;
            done(service, IamRequest::UpdateAssumeRolePolicy { role, trust })?;
        }
        IamCommand::DeleteRole { role, service } => {
            done(service, IamRequest::DeleteRole { role })?;
        }
        IamCommand::CreateAccount { account, service } => {
            done(service, IamRequest::CreateAccount { account })?;
        }
        IamCommand::DeleteAccount { account, service } => {
            done(service, IamRequest::DeleteAccount { account })?;
        }
        IamCommand::ListUsers(AccountArgs { account, service }) => {
            let service = KeyService::from_args(service)?;
            let IamReply::Users(users) = service.iam(IamRequest::ListUsers { account })? else {
                return Err(unexpected());
            };
            out.result(&Users { users });
        }
        IamCommand::ListRoles(AccountArgs { account, service }) => {
            let service = KeyService::from_args(service)?;
            let IamReply::Roles(roles) = service.iam(IamRequest::ListRoles { account })? else {
                return Err(unexpected());
            };
            out.result(&Roles { roles });
        }
        IamCommand::ListAccounts(service) => {
            let service = KeyService::from_args(service)?;
            let IamReply::Accounts(accounts) = service.iam(IamRequest::ListAccounts)? else {
                return Err(unexpected());
            };
            out.result(&Accounts { accounts });
        }
    }
    Ok(())
}

/// A request that has nothing to tell.
fn done(service: ServiceArgs, request: IamRequest) -> Result<(), CliError> {
    KeyService::from_args(service)?.iam(request).map(drop)
}

#[derive(Serialize)]
struct Users {
    users: Vec<UserInfo>,
}

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.users.iter().try_for_each(|user| writeln!(f, "{}", user.arn))
    }
}

#[derive(Serialize)]
struct Roles {
    roles: Vec<RoleInfo>,
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trust = |role: &RoleInfo| role.trust.clone().unwrap_or_else(|| "nobody".into());
        self.roles.iter().try_for_each(|role| writeln!(f, "{}: {}", role.arn, trust(role)))
    }
}

#[derive(Serialize)]
struct Accounts {
    accounts: Vec<AccountInfo>,
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.accounts.iter().try_for_each(|account| writeln!(f, "{}", account.account))
    }
}

/// The only place where a secret is printed: it exists to be given to its user.
struct Created {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
}

impl Serialize for Created {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = s.serialize_struct("Created", 2)?;
        out.serialize_field("access_key_id", &self.access_key_id)?;
        out.serialize_field("secret_access_key", self.secret_access_key.as_str())?;
        out.end()
    }
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table(&[
            vec!["access key id".into(), self.access_key_id.clone()],
            vec!["secret access key".into(), self.secret_access_key.to_string()],
        ]))
    }
}

#[derive(Serialize)]
struct Policies {
    policies: BTreeMap<String, String>,
}

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policies.iter().try_for_each(|(name, text)| writeln!(f, "{name}: {text}"))
    }
}

#[derive(Serialize)]
struct Listed {
    access_keys: Vec<String>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.access_keys.iter().try_for_each(|k| writeln!(f, "{k}"))
    }
}
