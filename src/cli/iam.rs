//! `kmsfs iam ...`: users' access keys for the AWS protocol.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{IamCommand, UserArgs};
use super::error::CliError;
use super::key::read_policy;
use super::out::{Out, table};
use super::service::{KeyService, unexpected};
use crate::kms::api::{IamReply, IamRequest};

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
    }
    Ok(())
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
