//! `kmsfs alias`, `kmsfs grant` and `kmsfs tag`: names of keys, grants on them and their labels,
//! over the same requests that AWS clients send.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::{OneKey, ServiceArgs};
use super::error::CliError;
use super::key::{aliases, id_of};
use super::out::{Out, table};
use super::service::{KeyService, unexpected};
use crate::clock::{Clock as _, Millis, SystemClock};
use crate::kms::api::{
    Constraints, CreateAliasRequest, CreateGrantRequest, DeleteAliasRequest, EncryptionContext,
    GrantEntry, ListGrantsRequest, ListResourceTagsRequest, Reply, Request, RevokeGrantRequest,
    Tag, TagResourceRequest, Timestamp, UntagResourceRequest,
};

/// `kmsfs alias ...`
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Give a key a name.
    Create(NamedKey),
    /// Point a name at another key.
    Update(NamedKey),
    /// Take a name away; the key stays.
    Delete {
        /// The name, alias/NAME.
        name: String,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List the names, and the keys that they are of.
    List {
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// A name, and a key.
#[derive(Args, Debug)]
pub struct NamedKey {
    /// The name, alias/NAME.
    name: String,
    /// How to name the key.
    #[command(flatten)]
    key: OneKey,
}

/// `kmsfs grant ...`
#[derive(Debug, Subcommand)]
pub enum GrantCommand {
    /// Let somebody use a key, beside its policy.
    Create(Box<GrantArgs>),
    /// List the grants on a key.
    List(OneKey),
    /// End a grant at once, in mounts too.
    Revoke {
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
        /// Id of the grant.
        #[arg(value_name = "GRANT-ID")]
        grant: String,
    },
}

/// `kmsfs grant create`
#[derive(Args, Debug)]
pub struct GrantArgs {
    /// How to name the key.
    #[command(flatten)]
    key: OneKey,
    /// ARN of whom it allows.
    #[arg(long, value_name = "ARN")]
    to: String,
    /// What it allows: Decrypt, Encrypt, GenerateDataKey, DescribeKey ... Repeat it, or separate
    /// them by commas.
    #[arg(long, value_name = "OPERATION", required = true, value_delimiter = ',')]
    allow: Vec<String>,
    /// When it ends by itself: a number with s, m, h or d, as in 90m or 7d.
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<Lasting>,
    /// Only where the encryption context has this pair; repeat it for further ones.
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<Pair>,
    /// ARN of who may end it, beside those who manage the key.
    #[arg(long, value_name = "ARN")]
    retiring: Option<String>,
    /// A name; asking again with the same name and the same rest finds the same grant.
    #[arg(long)]
    name: Option<String>,
}

/// `kmsfs tag ...`
#[derive(Debug, Subcommand)]
pub enum TagCommand {
    /// Label a key; a label of the same name is replaced.
    Set {
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
        /// The labels.
        #[arg(value_name = "NAME=VALUE", required = true)]
        tags: Vec<Pair>,
    },
    /// Take labels away.
    Remove {
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
        /// Their names.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// List the labels of a key.
    List(OneKey),
}

/// Two texts with `=` between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair(String, String);

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Pair, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("it has no '='")?;
        Ok(Pair(name.to_owned(), value.to_owned()))
    }
}

/// A time span as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting(Duration);

impl FromStr for Lasting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Lasting, Self::Err> {
        let wrong = "it is not a number with s, m, h or d behind it";
        let unit = text.chars().next_back().ok_or(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong),
        };
        let digits = text.strip_suffix(unit).unwrap_or_default();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong);
        }
        let count: u32 = digits.parse().map_err(|_| wrong)?;
        if count == 0 {
            return Err("it would be over before it begins");
        }
        Ok(Lasting(Duration::from_secs(u64::from(count).saturating_mul(seconds))))
    }
}

/// Runs `kmsfs alias`.
pub fn alias(command: AliasCommand, out: Out) -> Result<(), CliError> {
    match command {
        AliasCommand::Create(named) => point(named, Request::CreateAlias),
        AliasCommand::Update(named) => point(named, Request::UpdateAlias),
        AliasCommand::Delete { name, service } => {
            let request = DeleteAliasRequest { alias_name: name };
            KeyService::from_args(service)?.call(Request::DeleteAlias(request)).map(drop)
        }
        AliasCommand::List { service } => {
            let found = aliases(&KeyService::from_args(service)?)?;
            let mut names: Vec<Name> = found
                .into_iter()
                .flat_map(|(key, names)| {
                    names.into_iter().map(move |alias| Name { alias, key_id: key.clone() })
                })
                .collect();
            names.sort_by(|a, b| a.alias.cmp(&b.alias));
            out.result(&Names { aliases: names });
            Ok(())
        }
    }
}

fn point(named: NamedKey, request: fn(CreateAliasRequest) -> Request) -> Result<(), CliError> {
    let NamedKey { name, key: OneKey { key, service } } = named;
    let service = KeyService::from_args(service)?;
    let target_key_id = id_of(&service, &key)?;
    service.call(request(CreateAliasRequest { alias_name: name, target_key_id })).map(drop)
}

/// Runs `kmsfs grant`.
pub fn grant(command: GrantCommand, out: Out) -> Result<(), CliError> {
    match command {
        GrantCommand::Create(args) => create(*args, out),
        GrantCommand::List(OneKey { key, service }) => {
            let service = KeyService::from_args(service)?;
            let grants = grants_on(&service, &id_of(&service, &key)?)?;
            out.result(&Grants { grants });
            Ok(())
        }
        GrantCommand::Revoke { key: OneKey { key, service }, grant } => {
            let service = KeyService::from_args(service)?;
            let key_id = id_of(&service, &key)?;
            let request = RevokeGrantRequest { key_id, grant_id: grant, dry_run: false };
            service.call(Request::RevokeGrant(request)).map(drop)
        }
    }
}

fn create(args: GrantArgs, out: Out) -> Result<(), CliError> {
    let OneKey { key, service } = args.key;
    let service = KeyService::from_args(service)?;
    let end = args.lasts.map(|Lasting(span)| {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        SystemClock.now().plus_seconds(seconds)
    });
    let pairs: EncryptionContext =
        args.context.into_iter().map(|Pair(name, value)| (name, value)).collect();
    let constraints = Constraints {
        encryption_context_subset: (!pairs.is_empty()).then_some(pairs),
        encryption_context_equals: None,
        expiration_date: end.map(Timestamp),
    };
    let request = CreateGrantRequest {
        key_id: id_of(&service, &key)?,
        grantee_principal: Some(args.to),
        retiring_principal: args.retiring,
        operations: args.allow,
        constraints: (constraints != Constraints::default()).then_some(constraints),
        grant_tokens: Vec::new(),
        name: args.name,
        dry_run: false,
    };
    let Reply::CreateGrant(made) = service.call(Request::CreateGrant(request))? else {
        return Err(unexpected());
    };
    out.result(&Made { grant_id: made.grant_id, ends: end.map(date) });
    Ok(())
}

fn grants_on(service: &KeyService, key_id: &str) -> Result<Vec<Grant>, CliError> {
    let mut grants = Vec::new();
    let mut marker = None;
    loop {
        let request = ListGrantsRequest {
            limit: None,
            marker,
            key_id: key_id.to_owned(),
            grant_id: None,
            grantee_principal: None,
        };
        let Reply::ListGrants(page) = service.call(Request::ListGrants(request))? else {
            return Err(unexpected());
        };
        grants.extend(page.grants.into_iter().map(Grant::from));
        if !page.truncated {
            return Ok(grants);
        }
        marker = page.next_marker;
    }
}

/// Runs `kmsfs tag`.
pub fn tag(command: TagCommand, out: Out) -> Result<(), CliError> {
    match command {
        TagCommand::Set { key: OneKey { key, service }, tags } => {
            let service = KeyService::from_args(service)?;
            let key_id = id_of(&service, &key)?;
            let tags = tags.into_iter();
            let tags = tags.map(|Pair(tag_key, tag_value)| Tag { tag_key, tag_value }).collect();
            service.call(Request::TagResource(TagResourceRequest { key_id, tags })).map(drop)
        }
        TagCommand::Remove { key: OneKey { key, service }, names } => {
            let service = KeyService::from_args(service)?;
            let key_id = id_of(&service, &key)?;
            let request = UntagResourceRequest { key_id, tag_keys: names };
            service.call(Request::UntagResource(request)).map(drop)
        }
        TagCommand::List(OneKey { key, service }) => {
            let service = KeyService::from_args(service)?;
            let key_id = id_of(&service, &key)?;
            // There are never more than one page holds.
            let request = ListResourceTagsRequest { key_id, limit: Some(50), marker: None };
            let Reply::ListResourceTags(found) =
                service.call(Request::ListResourceTags(request))?
            else {
                return Err(unexpected());
            };
            let tags = found.tags.into_iter().map(|tag| (tag.tag_key, tag.tag_value)).collect();
            out.result(&Tags { tags });
            Ok(())
        }
    }
}

fn date(Millis(at): Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[derive(Serialize)]
struct Name {
    alias: String,
    key_id: String,
}

#[derive(Serialize)]
struct Names {
    aliases: Vec<Name>,
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["ALIAS", "KEY ID"].map(String::from).to_vec()];
        rows.extend(self.aliases.iter().map(|n| vec![n.alias.clone(), n.key_id.clone()]));
        f.write_str(&table(&rows))
    }
}

#[derive(Serialize)]
struct Made {
    grant_id: String,
    ends: Option<String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ends {
            Some(end) => write!(f, "{} until {end}", self.grant_id),
            None => f.write_str(&self.grant_id),
        }
    }
}

#[derive(Serialize)]
struct Grant {
    grant_id: String,
    name: Option<String>,
    grantee: String,
    retiring: Option<String>,
    operations: Vec<String>,
    context: EncryptionContext,
    ends: Option<String>,
    created: String,
}

impl From<GrantEntry> for Grant {
    fn from(entry: GrantEntry) -> Grant {
        let constraints = entry.constraints.unwrap_or_default();
        let subset = constraints.encryption_context_subset;
        Grant {
            grant_id: entry.grant_id,
            name: entry.name,
            grantee: entry.grantee_principal,
            retiring: entry.retiring_principal,
            operations: entry.operations,
            context: constraints.encryption_context_equals.or(subset).unwrap_or_default(),
            ends: constraints.expiration_date.map(|Timestamp(at)| date(at)),
            created: date(entry.creation_date.0),
        }
    }
}

#[derive(Serialize)]
struct Grants {
    grants: Vec<Grant>,
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["GRANT ID", "GRANTEE", "OPERATIONS", "CONTEXT", "ENDS"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.grants.iter().map(|grant| {
            let pairs: Vec<String> =
                grant.context.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let context = if pairs.is_empty() { "-".to_owned() } else { pairs.join(" ") };
            let ends = grant.ends.clone().unwrap_or_else(|| "-".into());
            let operations = grant.operations.join(",");
            vec![grant.grant_id.clone(), grant.grantee.clone(), operations, context, ends]
        }));
        f.write_str(&table(&rows))
    }
}

#[derive(Serialize)]
struct Tags {
    tags: std::collections::BTreeMap<String, String>,
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["NAME", "VALUE"].map(String::from).to_vec()];
        rows.extend(self.tags.iter().map(|(name, value)| vec![name.clone(), value.clone()]));
        f.write_str(&table(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_have_a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("90m", 5_400), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Lasting(Duration::from_secs(seconds))), "{text}");
        }
        for bad in ["", "s", "7", "7 d", "-1h", "+1h", "0s", "1w", "99999999999d", "1.5h"] {
            assert!(bad.parse::<Lasting>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_have_an_equals_sign_and_the_first_counts() {
        assert_eq!("a=b=c".parse(), Ok(Pair("a".into(), "b=c".into())));
        assert_eq!("a=".parse(), Ok(Pair("a".into(), String::new())));
        assert!("a".parse::<Pair>().is_err());
    }
}
