//! `kmsfs key ...`: customer master keys, over the same requests that AWS clients send.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::args::{KeyCommand, OneKey};
use super::error::CliError;
use super::out::{Out, table};
use super::service::{KeyService, unexpected};
use crate::kms::api::{
    CreateAliasRequest, CreateKeyRequest, DescribeKeyRequest, GetKeyPolicyRequest, KeyIdRequest,
    KeyMetadata, ListAliasesRequest, ListKeysRequest, PutKeyPolicyRequest, Reply, Request,
};
use crate::kms::error::KmsError;

/// Runs the command.
pub fn run(command: KeyCommand, out: Out) -> Result<(), CliError> {
    match command {
        KeyCommand::Create { description, alias, policy, service } => {
            let policy = policy.as_deref().map(read_policy).transpose()?;
            let service = KeyService::from_args(service)?;
            let request = CreateKeyRequest { policy, description, ..Default::default() };
            let Reply::CreateKey(made) = service.call(Request::CreateKey(request))? else {
                return Err(unexpected());
            };
            let key = made.key_metadata;
            if let Some(alias) = &alias {
                name(&service, alias, &key.key_id)?;
            }
            out.result(&Described { aliases: alias.into_iter().collect(), key });
        }
        KeyCommand::List { service } => out.result(&list(&KeyService::from_args(service)?)?),
        KeyCommand::Describe(OneKey { key, service }) => {
            let service = KeyService::from_args(service)?;
            let key = describe(&service, &key)?;
            let aliases = aliases(&service)?.remove(&key.key_id).unwrap_or_default();
            out.result(&Described { aliases, key });
        }
        KeyCommand::Enable(one) => switch(one, Request::EnableKey)?,
        KeyCommand::Disable(one) => switch(one, Request::DisableKey)?,
        KeyCommand::Alias { name: alias, key: OneKey { key, service } } => {
            name(&KeyService::from_args(service)?, &alias, &key)?;
        }
        KeyCommand::SetDefault { dir, key } => {
            if super::info::attribute(&dir, "kmsfs.key-id")?.is_none() {
                return Err(CliError::NotMounted { path: dir });
            }
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&dir, "kmsfs.key-id", key.as_bytes(), flags).map_err(|e| {
                CliError::Io { action: "put under another key", path: dir, source: e.into() }
            })?;
        }
        KeyCommand::Usage(one) => super::key_version::usage(one, out)?,
        KeyCommand::RetireVersion { key, number } => {
            super::key_version::retire(key, number, out)?;
        }
        KeyCommand::Compromise(args) => super::compromise::run(args, out)?,
        KeyCommand::Delete { key, days, force } => {
            super::key_version::delete(key, days, force, out)?;
        }
        KeyCommand::ForgetVolume { place, service } => {
            super::key_version::forget(&place, service, out)?;
        }
        KeyCommand::GetPolicy(OneKey { key, service }) => {
            let service = KeyService::from_args(service)?;
            let request = GetKeyPolicyRequest { key_id: id_of(&service, &key)?, policy_name: None };
            let Reply::GetKeyPolicy(found) = service.call(Request::GetKeyPolicy(request))? else {
                return Err(unexpected());
            };
            out.result(&Policy { policy: found.policy });
        }
        KeyCommand::PutPolicy { policy, key: OneKey { key, service } } => {
            let policy = read_policy(&policy)?;
            let service = KeyService::from_args(service)?;
            service.call(Request::PutKeyPolicy(PutKeyPolicyRequest {
                key_id: id_of(&service, &key)?,
                policy_name: None,
                policy,
                bypass_policy_lockout_safety_check: false,
            }))?;
        }
    }
    Ok(())
}

fn switch(one: OneKey, request: fn(KeyIdRequest) -> Request) -> Result<(), CliError> {
    let service = KeyService::from_args(one.service)?;
    let key_id = id_of(&service, &one.key)?;
    service.call(request(KeyIdRequest { key_id })).map(drop)
}

fn name(service: &KeyService, alias: &str, key: &str) -> Result<(), CliError> {
    let target_key_id = id_of(service, key)?;
    let request = CreateAliasRequest { alias_name: alias.to_owned(), target_key_id };
    service.call(Request::CreateAlias(request)).map(drop)
}

/// AWS takes no alias in requests that change a key. Here an alias is as good as the id: it is
/// looked up first.
pub(super) fn id_of(service: &KeyService, key: &str) -> Result<String, CliError> {
    if key.contains("alias/") {
        describe(service, key).map(|k| k.key_id)
    } else {
        Ok(key.to_owned())
    }
}

pub(super) fn describe(service: &KeyService, key: &str) -> Result<KeyMetadata, CliError> {
    let request = DescribeKeyRequest { key_id: key.to_owned(), grant_tokens: Vec::new() };
    match service.call(Request::DescribeKey(request))? {
        Reply::DescribeKey(found) => Ok(found.key_metadata),
        _ => Err(unexpected()),
    }
}

/// All names, by key id.
pub(super) fn aliases(service: &KeyService) -> Result<BTreeMap<String, Vec<String>>, CliError> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut marker = None;
    loop {
        let request = ListAliasesRequest { marker, ..Default::default() };
        let Reply::ListAliases(page) = service.call(Request::ListAliases(request))? else {
            return Err(unexpected());
        };
        for alias in page.aliases {
            names.entry(alias.target_key_id).or_default().push(alias.alias_name);
        }
        if !page.truncated {
            return Ok(names);
        }
        marker = page.next_marker;
    }
}

fn list(service: &KeyService) -> Result<Listed, CliError> {
    let mut names = aliases(service)?;
    let mut keys = Vec::new();
    let mut marker = None;
    loop {
        let request = ListKeysRequest { marker, ..Default::default() };
        let Reply::ListKeys(page) = service.call(Request::ListKeys(request))? else {
            return Err(unexpected());
        };
        for entry in page.keys {
            let aliases = names.remove(&entry.key_id).unwrap_or_default();
            // A key that may be listed need not be one that may be described.
            let known = match describe(service, &entry.key_id) {
                Ok(known) => Some(known),
                Err(CliError::Kms(KmsError::AccessDenied { .. })) => None,
                Err(e) => return Err(e),
            };
            keys.push(Row {
                key_id: entry.key_id,
                arn: entry.key_arn,
                state: known.as_ref().map(|k| k.key_state.to_string()),
                manager: known.as_ref().map(|k| k.key_manager.to_string()),
                description: known.map(|k| k.description),
                aliases,
            });
        }
        if !page.truncated {
            return Ok(Listed { keys });
        }
        marker = page.next_marker;
    }
}

pub(super) fn read_policy(file: &Path) -> Result<String, CliError> {
    fs::read_to_string(file).map_err(|source| CliError::Io {
        action: "read",
        path: file.to_owned(),
        source,
    })
}

#[derive(Serialize)]
struct Row {
    key_id: String,
    arn: String,
    state: Option<String>,
    manager: Option<String>,
    description: Option<String>,
    aliases: Vec<String>,
}

#[derive(Serialize)]
struct Listed {
    keys: Vec<Row>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["KEY ID", "STATE", "MANAGER", "ALIASES"].map(String::from).to_vec()];
        let or_dash = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".into());
        rows.extend(self.keys.iter().map(|k| {
            let aliases = if k.aliases.is_empty() { "-".into() } else { k.aliases.join(" ") };
            vec![k.key_id.clone(), or_dash(&k.state), or_dash(&k.manager), aliases]
        }));
        f.write_str(&table(&rows))
    }
}

#[derive(Serialize)]
struct Described {
    aliases: Vec<String>,
    #[serde(flatten)]
    key: KeyMetadata,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let k = &self.key;
        let mut rows = vec![
            vec!["key id".to_owned(), k.key_id.clone()],
            vec!["arn".to_owned(), k.arn.clone()],
            vec!["state".to_owned(), k.key_state.to_string()],
            vec!["spec".to_owned(), k.key_spec.to_string()],
            vec!["usage".to_owned(), k.key_usage.to_string()],
            vec!["origin".to_owned(), k.origin.to_string()],
            vec!["manager".to_owned(), k.key_manager.to_string()],
        ];
        if !k.description.is_empty() {
            rows.push(vec!["description".to_owned(), k.description.clone()]);
        }
        if !self.aliases.is_empty() {
            rows.push(vec!["aliases".to_owned(), self.aliases.join(" ")]);
        }
        f.write_str(&table(&rows))
    }
}

#[derive(Serialize)]
struct Policy {
    policy: String,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.policy)
    }
}
