//! `kmsfs policy explain` and `simulate`: who may do what, and which statement says so.
//!
//! The question is put together as the service would do it for a mount: the same condition keys
//! from the same functions. What only a running process has (groups, program, unit) can be added
//! with `--condition`; otherwise it is absent, as it is for a process that is not there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::args::{AskArgs, Operation};
use super::error::CliError;
use super::key::{aliases, describe, read_policy};
use super::out::Out;
use super::service::{KeyService, unexpected};
use crate::clock::{Clock, SystemClock};
use crate::kms::api::{GetKeyPolicyRequest, IamReply, IamRequest, KeyMetadata, Reply, Request};
use crate::kms::authz::{DIRECTORY, FILE, VOLUME, add_encryption, caller_context};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::error::KmsError;
use crate::kms::id::{AccountId, Region};
use crate::kms::policy::explain::{Explanation, Missed, Trace, explain as explain_all};
use crate::kms::policy::{Context, Policy, Query, Verdict, Where, identity_policy, key_policy};

/// Statements shown that nearly applied.
const CLOSE: usize = 5;

/// What is asked on, as found out.
struct Subject {
    key: KeyMetadata,
    account: AccountId,
    region: Region,
    action: String,
    encryption: BTreeMap<String, String>,
    /// Where in the volume it is.
    place: Option<String>,
}

/// Decides and tells why; with `instead` in place of the key's own policy.
pub fn explain(ask: AskArgs, instead: Option<&Path>, out: Out) -> Result<(), CliError> {
    let service = KeyService::from_args(ask.service.clone())?;
    let subject = subject(&service, &ask)?;
    let principal = match ask.user.starts_with("arn:") {
        true => Principal::from_arn(&ask.user)
            .map_err(|_| wrong("--user is not the ARN of a user, session or account root"))?,
        false => Principal::user(&subject.account, &ask.user),
    };
    let text = match instead {
        Some(file) => read_policy(file)?,
        None => policy_of(&service, &subject.key.key_id)?,
    };
    let policy = key_policy(&text).map_err(|fault| CliError::Kms(fault.into()))?;
    let (names, identity) = identity_of(&service, &principal)?;
    let context = context(&service, &ask, &subject, &principal)?;
    let identity: Vec<&Policy> = identity.iter().collect();
    let query = Query {
        principal: &principal,
        action: &subject.action,
        resource: &subject.key.arn,
        owner: &subject.account,
        context: &context,
    };
    let explanation = explain_all(&query, Some(&policy), &identity);
    let shown = shown(&explanation, &names);
    let answer = Answer {
        principal: principal.to_string(),
        action: subject.action,
        key: subject.key.arn,
        verdict: explanation.decision.verdict,
        decided_by: shown.0,
        close: shown.1,
    };
    out.result(&answer);
    Ok(())
}

fn wrong(what: &'static str) -> CliError {
    CliError::Usage { what, instead: "kmsfs-policy-explain(1) has examples" }
}

fn subject(service: &KeyService, ask: &AskArgs) -> Result<Subject, CliError> {
    let (mut encryption, mut place) = (BTreeMap::new(), None);
    for pair in &ask.context {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| wrong("--context is not NAME=VALUE"))?;
        encryption.insert(name.to_owned(), value.to_owned());
    }
    let (key, action) = match (&ask.path, ask.operation, &ask.action, &ask.key) {
        (Some(path), Some(operation), None, None) => {
            // What is to be made is not there: the directory that it will be in knows the rest.
            let new = operation == Operation::Create && path.symlink_metadata().is_err();
            let asked = match path.parent() {
                Some(parent) if new && parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) if new => parent,
                _ => path,
            };
            let read = |name: &str| {
                super::info::attribute(asked, name)?
                    .ok_or_else(|| CliError::NotMounted { path: path.clone() })
            };
            if operation != Operation::Create || new {
                place = super::place::in_volume(path).map_err(|source| CliError::Io {
                    action: "find",
                    path: path.clone(),
                    source,
                })?;
            }
            encryption.insert(VOLUME.to_owned(), bare(&read("kmsfs.volume-id")?));
            match operation {
                // The object to be has an id that nobody knows yet.
                Operation::Create => {}
                _ if path.is_dir() => {
                    encryption.insert(DIRECTORY.to_owned(), bare(&read("kmsfs.file-id")?));
                }
                _ => {
                    encryption.insert(FILE.to_owned(), bare(&read("kmsfs.file-id")?));
                }
            }
            (read("kmsfs.key-id")?, operation.action().to_owned())
        }
        (None, None, Some(action), Some(key)) => (key.clone(), action.clone()),
        _ => return Err(wrong("give --operation and a path, or --action and --key")),
    };
    let key = describe(service, &key)?;
    let account = key.aws_account_id.parse().map_err(|_| unexpected())?;
    let region = key.arn.split(':').nth(3).and_then(|text| text.parse().ok());
    let region = region.ok_or_else(unexpected)?;
    Ok(Subject { account, region, key, action, encryption, place })
}

/// An id without whatever makes it readable.
fn bare(id: &str) -> String {
    id.chars().filter(char::is_ascii_hexdigit).collect()
}

fn policy_of(service: &KeyService, key: &str) -> Result<String, CliError> {
    let request = GetKeyPolicyRequest { key_id: key.to_owned(), policy_name: None };
    match service.call(Request::GetKeyPolicy(request))? {
        Reply::GetKeyPolicy(found) => Ok(found.policy),
        _ => Err(unexpected()),
    }
}

/// The names and the compiled identity policies of a principal.
fn identity_of(
    service: &KeyService,
    principal: &Principal,
) -> Result<(Vec<String>, Vec<Policy>), CliError> {
    let user = match principal {
        Principal::User { .. } => principal.to_string(),
        Principal::AssumedRole { account, role, .. } => {
            format!("arn:aws:iam::{account}:role/{role}")
        }
        _ => return Ok((Vec::new(), Vec::new())),
    };
    let found = match service.iam(IamRequest::ListUserPolicies { user }) {
        Ok(IamReply::Policies(found)) => found,
        Err(CliError::Kms(KmsError::NoSuchEntity { .. })) => Vec::new(),
        Ok(_) => return Err(unexpected()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    let mut policies = Vec::new();
    for policy in found {
        policies.push(identity_policy(&policy.document).map_err(|f| CliError::Kms(f.into()))?);
        names.push(policy.name);
    }
    Ok((names, policies))
}

fn context(
    service: &KeyService,
    ask: &AskArgs,
    subject: &Subject,
    principal: &Principal,
) -> Result<Context, CliError> {
    let caller = match ask.direct {
        true => CallerContext::direct(principal.clone(), Source::Internal),
        false => {
            CallerContext::filesystem(principal.clone(), &subject.region, Source::Internal, None)
        }
    };
    let mut context = caller_context(&caller, &subject.region, SystemClock.now());
    let key = &subject.key;
    context.one("kms:KeySpec", key.key_spec.as_str());
    context.one("kms:KeyUsage", key.key_usage.as_str());
    context.one("kms:KeyOrigin", key.origin.as_str());
    context.one("kms:MultiRegion", if key.key_id.starts_with("mrk-") { "true" } else { "false" });
    if let Some(names) = aliases(service)?.remove(&key.key_id).filter(|names| !names.is_empty()) {
        context.many("kms:ResourceAliases", names);
    }
    add_encryption(&mut context, &subject.encryption);
    if let Some(operation) = ask.operation {
        context.one("kmsfs:Operation", operation.name());
    }
    if let Some(place) = subject.place.as_ref().filter(|_| !ask.direct) {
        context.one("kmsfs:Path", place);
    }
    for pair in &ask.condition {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| wrong("--condition is not KEY=VALUE"))?;
        context.one(name.to_owned(), value);
    }
    Ok(context)
}

/// What the command prints.
#[derive(Serialize)]
struct Answer {
    principal: String,
    action: String,
    key: String,
    verdict: Verdict,
    /// The statement that decided, if one did.
    decided_by: Option<String>,
    /// Statements that nearly applied, and what was missing.
    close: Vec<Close>,
}

#[derive(Serialize)]
struct Close {
    statement: String,
    missed: Vec<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {} {} on {}", self.verdict, self.principal, self.action, self.key)?;
        match &self.decided_by {
            Some(statement) => writeln!(f, "decided by {statement}")?,
            None => writeln!(f, "no statement allows it")?,
        }
        for Close { statement, missed } in &self.close {
            let why = match missed.is_empty() {
                true => "applies".to_owned(),
                false => format!("does not apply: {}", missed.join("; ")),
            };
            writeln!(f, "  {statement} {why}")?;
        }
        Ok(())
    }
}

fn shown(explanation: &Explanation<'_>, names: &[String]) -> (Option<String>, Vec<Close>) {
    let by = explanation.decision.by;
    let all = &explanation.statements;
    let decided = all.iter().find(|trace| Some(trace.place) == by).map(|t| label(t, names));
    // What is about something altogether different does not help.
    let near = all.iter().filter(|t| Some(t.place) != by && t.missed.len() <= 2).take(CLOSE);
    let close = near.map(|trace| Close {
        statement: label(trace, names),
        missed: trace.missed.iter().map(words).collect(),
    });
    (decided, close.collect())
}

fn label(trace: &Trace<'_>, names: &[String]) -> String {
    let of = match trace.place.policy {
        Where::Key => String::from("the key policy"),
        Where::Identity(number) => {
            let name = names.get(number).map_or("?", String::as_str);
            format!("identity policy {name}")
        }
    };
    let sid = trace.statement.sid.as_ref().map_or(String::new(), |sid| format!(" \"{sid}\""));
    let kind = if trace.by_account { ", for the account's identity policies" } else { "" };
    let effect = trace.statement.effect;
    format!("statement {}{sid} of {of} ({effect:?}{kind})", trace.place.statement + 1)
}

fn words(missed: &Missed) -> String {
    match missed {
        Missed::Principal => "it is about another principal".into(),
        Missed::Action => "it is about other actions".into(),
        Missed::Resource => "it is about other resources".into(),
        Missed::Condition { operator, key, present: true } => {
            format!("its condition {operator} on {key} does not hold")
        }
        Missed::Condition { operator, key, present: false } => {
            format!("its condition {operator} needs {key}, which the request lacks")
        }
        Missed::Incomparable { operator, key } => {
            format!("its condition {operator} cannot compare the value of {key}")
        }
    }
}
