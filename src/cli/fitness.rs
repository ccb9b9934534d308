//! `kmsfs doctor LOWER`: what a lower filesystem and this machine can do for a volume.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config::directory;
use super::error::CliError;
use super::exit::Exit;
use super::out::{Out, table};
use super::volume::{Lower, look, refused};
use crate::format::VOLUME_DIR;
use crate::lower::{Dir, Features, probe};
use crate::transport;
use crate::volume::open_root;

#[derive(Serialize)]
struct Diagnosis {
    lower: PathBuf,
    /// There is a volume in it.
    volume: bool,
    features: Features,
    /// Every user there is can own something; not so in a user namespace.
    all_users: bool,
    /// Requests can come over io_uring; why not, if they cannot.
    ring: Result<(), String>,
    /// What a volume cannot do without and this does not have.
    missing: Vec<&'static str>,
}

/// Runs the command.
pub fn run(lower: &Path, out: Out) -> Result<(), CliError> {
    let lower = directory("open lower directory", lower)?;
    let volume = look(&lower)? == Lower::Volume;
    let root = open_root(&lower).map_err(|e| refused(&lower, e.into()))?;
    let features = probe(&Dir::new(root)).map_err(|e| refused(&lower, e.into()))?;
    let ring = transport::ring_possible().map_err(|obstacle| obstacle.to_string());
    let missing = missing(&features);
    let whole = missing.is_empty();
    let all_users = sees_all_users();
    out.result(&Diagnosis { lower: lower.clone(), volume, features, all_users, ring, missing });
    if whole {
        return Ok(());
    }
    let what = "this filesystem cannot hold a volume".to_owned();
    Err(CliError::Volume { path: lower, what, exit: Exit::Failed })
}

/// What can be there or not: its name, whether it is, and what becomes of whoever wants it then.
fn offers(f: &Features) -> [(&'static str, Option<bool>, &'static str); 19] {
    [
        ("case-sensitive", f.case_sensitive, "two names become one"),
        ("user attributes", f.user_attributes, "setfattr fails"),
        ("trusted attributes", f.trusted_attributes, "setfattr fails for root"),
        ("ACLs", f.acls, "setfacl fails"),
        ("hard links", f.hard_links, "link fails"),
        ("symbolic links", f.symlinks, "symlink fails"),
        ("device nodes", f.devices, "mknod fails"),
        ("O_TMPFILE", f.nameless_files, "it fails, and programs use names"),
        (
            "file handles",
            f.handles,
            "of what the kernel has forgotten they are stale; no export over NFS",
        ),
        ("locks", f.locks, "two mounts of the volume are not kept apart"),
        ("punch hole", f.punch, "zeros are written instead"),
        ("reserve room", f.reserve, "fallocate reserves nothing"),
        ("holes", f.holes, "SEEK_DATA shows no holes"),
        ("rename noreplace", f.rename_noreplace, "mv --no-clobber fails"),
        ("rename exchange", f.rename_exchange, "it fails"),
        ("rename whiteout", f.rename_whiteout, "no upper layer of an overlay"),
        ("birth times", f.birth_times, "statx shows none"),
        ("durable writes", f.durable_writes, "they are synced apart"),
        ("unbuffered I/O", f.direct, "all goes through the page cache"),
    ]
}

/// Whether this process sees every user there is, as outside of user namespaces.
fn sees_all_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Says in the log of a mount what its lower filesystem is and what it lacks. Tried out in the
/// volume's own directory, where no user sees it; not at all for a mount that must not write.
pub fn report(root: &Dir, read_only: bool) {
    if read_only {
        return;
    }
    let found = root.open_dir(VOLUME_DIR.as_bytes()).and_then(|own| probe(&own));
    match found {
        Ok(found) => {
            let lacks = offers(&found).into_iter().filter(|(_, is, _)| *is == Some(false));
            let lacks: Vec<_> = lacks.map(|(what, ..)| what).collect();
            let lacks = if lacks.is_empty() { "nothing".to_owned() } else { lacks.join(", ") };
            tracing::info!(filesystem = found.filesystem, lacks, "the lower filesystem");
        }
        Err(error) => tracing::warn!(%error, "what the lower filesystem offers is not known"),
    }
}

/// Bytes that a lower name may have.
const NAMES: u64 = 255;

/// What makes a filesystem unfit: names below need their length and their case. All else is
/// missed by whoever uses it, and by nobody else.
fn missing(f: &Features) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if f.name_max < NAMES {
        missing.push("names of 255 bytes");
    }
    if f.case_sensitive == Some(false) {
        missing.push("upper and lower case in names");
    }
    missing
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.features;
        let row = |k: &str, v: String| vec![k.to_owned(), v];
        let tried = |k: &str, v: Option<bool>, without: &str| {
            let text = match v {
                Some(true) => "yes".to_owned(),
                Some(false) => format!("no: {without}"),
                None => "not tried: read-only".to_owned(),
            };
            row(k, text)
        };
        let volume = if self.volume { "yes" } else { "no" };
        let power = if found.volatile { "no: it is in memory" } else { "as it promises itself" };
        let quotas = match found.quotas {
            Some(true) => "in force: EDQUOT is passed on",
            Some(false) => "none in force",
            None => "none of users or groups that could be asked for",
        };
        let users = match self.all_users {
            true => "all",
            false => "those of this user namespace: others cannot own files",
        };
        let ring = match &self.ring {
            Ok(()) => "yes".to_owned(),
            Err(obstacle) => format!("no: {obstacle}"),
        };
        let rows = vec![
            row("lower directory", self.lower.display().to_string()),
            row("volume", volume.to_owned()),
            row("filesystem", found.filesystem.clone()),
            row("free", format!("{} MiB", found.free >> 20)),
            row("writable", if found.writable { "yes" } else { "no: mount with ro" }.to_owned()),
            row("survives power loss", power.to_owned()),
            row("longest name", format!("{} bytes", found.name_max)),
            row("users", users.to_owned()),
            row("quotas", quotas.to_owned()),
        ];
        let offered = offers(found).into_iter().map(|(what, is, without)| tried(what, is, without));
        let last = row("requests over io_uring", ring);
        let rows: Vec<_> = rows.into_iter().chain(offered).chain([last]).collect();
        f.write_str(&table(&rows))?;
        match self.missing.as_slice() {
            [] => write!(f, "fit for a volume"),
            missing => write!(f, "not fit for a volume: no {}", missing.join(", no ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_what_was_not_tried_is_not() {
        let mut f = Features { name_max: 255, ..Features::default() };
        assert!(missing(&f).is_empty());
        f.acls = Some(false);
        assert!(missing(&f).is_empty());
        f = Features { name_max: 143, case_sensitive: Some(false), ..f };
        assert_eq!(missing(&f), ["names of 255 bytes", "upper and lower case in names"]);
    }

    #[test]
    fn probing_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let features = probe(&Dir::new(open_root(dir.path()).unwrap())).unwrap();
        assert!(features.writable && features.rename_noreplace == Some(true));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
