//! `kmsfs key compromise`: a version of a key that somebody else may have, and the files whose data
//! keys somebody was given.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::Serialize;
use serde_json::Value;

use super::args::OneKey;
use super::config::ServicePlan;
use super::error::CliError;
use super::out::Out;
use super::service::KeyService;
use crate::kms::authz::{FILE, VOLUME};
use crate::store::audit_files::{self, FilesError};

/// `kmsfs key compromise`
#[derive(Args, Debug)]
pub struct CompromiseArgs {
    /// How to name the key.
    #[command(flatten)]
    key: OneKey,
    /// Number of the version. Without it nothing is marked, and only the list is printed.
    #[arg(id = "number", long = "version", value_name = "VERSION")]
    version: Option<u32>,
    /// List the files that this user could read: a login name, or an ARN.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// From this time on: 2026-11-28 or 2026-11-28T09:00:00Z.
    #[arg(long, value_name = "DATE", requires = "by")]
    since: Option<String>,
    /// Directory of the audit trail. Default: that of the embedded key store.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    audit: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Lost {
    /// The version that seals now, if one was marked.
    current_version: Option<u32>,
    /// Files whose data keys were given out.
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    volume: String,
    file: String,
    /// The last time.
    last: String,
}

/// Runs the command.
pub fn run(args: CompromiseArgs, out: Out) -> Result<(), CliError> {
    if args.version.is_none() && args.by.is_none() {
        return Err(CliError::Usage {
            what: "neither --version nor --by is given",
            instead: "name the version that is lost, or whom to list the files of",
        });
    }
    let audit = match (&args.by, args.audit, ServicePlan::from_args(args.key.service.clone())?) {
        (None, ..) => None,
        (Some(_), Some(dir), _) => Some(dir),
        (Some(_), None, ServicePlan::Embedded { dir, .. }) => Some(dir.join("audit")),
        (Some(_), None, ServicePlan::Unix { .. }) => {
            return Err(CliError::Usage {
                what: "--by needs the audit trail, and kmsd's is not known here",
                instead: "give its directory with --audit",
            });
        }
    };
    let service = KeyService::from_args(args.key.service)?;
    let key_id = service.key_id(Some(&args.key.key))?;
    let mark = |version| service.compromise_version(&args.key.key, version);
    let current_version = args.version.map(mark).transpose()?;
    let files = match (audit, args.by) {
        (Some(dir), Some(by)) => opened(&dir, &key_id, &by, args.since.as_deref())?,
        _ => Vec::new(),
    };
    if let (Some(version), Some(current)) = (args.version, current_version) {
        out.note(format!(
            "version {version} opens nothing any more; version {current} seals, and mounts re-wrap now"
        ));
    }
    out.result(&Lost { current_version, files });
    Ok(())
}

/// The files whose data keys the trail says were given out under `key` for `by`.
fn opened(dir: &Path, key: &str, by: &str, since: Option<&str>) -> Result<Vec<File>, CliError> {
    let mut files: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut look = |line: &str| {
        // Most lines are about something else, and a look at the bytes tells.
        if !(line.contains("\"Decrypt\"") && line.contains(key)) {
            return;
        }
        let Ok(record) = serde_json::from_str::<Value>(line) else { return };
        if let Some((volume, file, at)) = given(&record, key, by, since) {
            files.insert((volume, file), at);
        }
    };
    audit_files::read(dir, None, &mut look).map_err(|e| match e {
        FilesError::Io { dir, source } => {
            CliError::Io { action: "read audit trail", path: dir, source }
        }
        fault => CliError::Audit { what: fault.to_string() },
    })?;
    Ok(files.into_iter().map(|((volume, file), last)| File { volume, file, last }).collect())
}

/// Volume and file of a record of a key that was given out, or of a look through a handle that was
/// open already.
fn given(
    record: &Value,
    key: &str,
    by: &str,
    since: Option<&str>,
) -> Option<(String, String, String)> {
    let text = |at: &str| record.pointer(at).and_then(Value::as_str);
    let arn = text("/userIdentity/arn")?;
    let name = arn.split_once(":user/").map(|(_, name)| name);
    let his = arn == by || name == Some(by) || text("/userIdentity/userName") == Some(by);
    let of_key = record
        .get("resources")?
        .as_array()?
        .iter()
        .filter_map(|resource| resource.get("ARN").and_then(Value::as_str))
        .any(|arn| arn.ends_with(key));
    let at = text("/eventTime")?;
    let late = since.is_none_or(|since| at >= since);
    if text("/eventName") != Some("Decrypt")
        || record.get("errorCode").is_some()
        || !(his && of_key && late)
    {
        return None;
    }
    let context = record.pointer("/requestParameters/encryptionContext")?;
    let of = |name: &str| context.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((of(VOLUME)?, of(FILE)?, at.to_owned()))
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| writeln!(f, "{} {}", file.volume, file.file))
    }
}
