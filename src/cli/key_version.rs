//! `kmsfs key usage`, `retire-version` and `forget-volume`: what is still under which version of a
//! key, and the end of versions that nothing is under.

use std::fmt;

use serde::Serialize;

use super::args::OneKey;
use super::error::CliError;
use super::exit::Exit;
use super::out::{Out, table};
use super::service::{KeyService, unexpected};
use crate::kms::api::{Reply, Request, ScheduleKeyDeletionRequest};
use crate::server::messages::KnownVolume;

/// A volume that uses a key.
#[derive(Debug, Serialize)]
struct Volume {
    volume: String,
    place: String,
    /// No header is under an older version; 0 where that is not known.
    at_least: u32,
    headers: Vec<Headers>,
    /// When they were counted: seconds since 1970; 0 for never.
    counted: u64,
}

/// Headers under one version.
#[derive(Debug, Serialize)]
struct Headers {
    version: u32,
    headers: u64,
}

#[derive(Debug, Serialize)]
struct Usage {
    key_id: String,
    current_version: u32,
    /// Of all volumes, by version.
    headers: Vec<Headers>,
    volumes: Vec<Volume>,
}

fn shown(key_id: &str, known: KnownVolume) -> Volume {
    let of_key = known.counts.into_iter().filter(|(key, ..)| key == key_id);
    Volume {
        at_least: known.floors.into_iter().find(|(k, _)| k == key_id).map_or(0, |(_, floor)| floor),
        volume: known.volume,
        place: known.place,
        headers: of_key.map(|(_, version, headers)| Headers { version, headers }).collect(),
        counted: known.counted,
    }
}

/// `kmsfs key usage`
pub fn usage(one: OneKey, out: Out) -> Result<(), CliError> {
    let service = KeyService::from_args(one.service)?;
    let (key_id, current_version, volumes) = service.key_usage(&one.key)?;
    let volumes: Vec<Volume> = volumes.into_iter().map(|known| shown(&key_id, known)).collect();
    let mut all = std::collections::BTreeMap::new();
    for headers in volumes.iter().flat_map(|volume| &volume.headers) {
        *all.entry(headers.version).or_insert(0) += headers.headers;
    }
    let headers = all.into_iter().map(|(version, headers)| Headers { version, headers }).collect();
    out.result(&Usage { key_id, current_version, headers, volumes });
    Ok(())
}

/// `kmsfs key retire-version`
pub fn retire(one: OneKey, version: u32, out: Out) -> Result<(), CliError> {
    let service = KeyService::from_args(one.service)?;
    let in_the_way = service.retire_version(&one.key, version)?;
    if in_the_way.is_empty() {
        out.note(format!("version {version} of {} is gone for good", one.key));
        return Ok(());
    }
    let places: Vec<String> =
        in_the_way.into_iter().map(|v| format!("{} ({})", v.place, v.volume)).collect();
    Err(CliError::KeyService {
        what: format!(
            "version {version} of {} may still be in use by {}",
            one.key,
            places.join(", ")
        ),
        remedy: "let `kmsfs rewrap` end there, or see `kmsfs key forget-volume`",
        exit: Exit::Busy,
    })
}

/// `kmsfs key delete`
pub fn delete(one: OneKey, days: i32, force: bool, out: Out) -> Result<(), CliError> {
    let service = KeyService::from_args(one.service)?;
    let (key_id, _, volumes) = service.key_usage(&one.key)?;
    let headers: u64 = volumes
        .iter()
        .flat_map(|volume| &volume.counts)
        .filter(|(key, ..)| *key == key_id)
        .map(|(.., headers)| headers)
        .sum();
    if !volumes.is_empty() && !force {
        let places: Vec<&str> = volumes.iter().map(|volume| volume.place.as_str()).collect();
        return Err(CliError::KeyService {
            what: format!(
                "{} is needed for {headers} files and directories of {}",
                one.key,
                places.join(", ")
            ),
            remedy: "they would be lost: put them under another key, or use --force",
            exit: Exit::Busy,
        });
    }
    let pending_window_in_days = Some(days);
    let request = ScheduleKeyDeletionRequest { key_id, pending_window_in_days };
    let Reply::ScheduleKeyDeletion(done) = service.call(Request::ScheduleKeyDeletion(request))?
    else {
        return Err(unexpected());
    };
    if headers > 0 {
        out.note(format!("{headers} files and directories are lost with it"));
    }
    out.note(format!(
        "{} will be gone in {} days; until then its deletion can be cancelled",
        one.key, done.pending_window_in_days
    ));
    Ok(())
}

/// `kmsfs key forget-volume`
pub fn forget(place: &str, service: super::args::ServiceArgs, out: Out) -> Result<(), CliError> {
    let service = KeyService::from_args(service)?;
    if service.forget_volume(place)? == 0 {
        return Err(CliError::KeyService {
            what: format!("no volume is known at {place}"),
            remedy: "`kmsfs key usage` lists the places",
            exit: Exit::Failed,
        });
    }
    out.note(format!("{place} is forgotten"));
    Ok(())
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["VERSION", "HEADERS"].map(String::from).to_vec()];
        for h in &self.headers {
            let current = if h.version == self.current_version { " (current)" } else { "" };
            rows.push(vec![format!("{}{current}", h.version), h.headers.to_string()]);
        }
        writeln!(f, "{}", table(&rows))?;
        let mut rows = vec![["VOLUME", "AT LEAST", "COUNTED", "PLACE"].map(String::from).to_vec()];
        for v in &self.volumes {
            let at_least = match v.at_least {
                0 => "not known".to_owned(),
                version => format!("version {version}"),
            };
            let counted = i64::try_from(v.counted).ok().filter(|at| *at > 0);
            let counted = counted.and_then(|at| jiff::Timestamp::from_second(at).ok());
            let counted = counted.map_or_else(|| "never".to_owned(), |at| at.to_string());
            rows.push(vec![v.volume.clone(), at_least, counted, v.place.clone()]);
        }
        f.write_str(&table(&rows))
    }
}
