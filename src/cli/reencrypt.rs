//! `kmsfs reencrypt PATH --to KEY`: files and trees of a mount under another key.
//!
//! Directories go first, so that what is made in them meanwhile is under the new key already. A
//! tree that was left half done is continued by the same command: what is there is passed over.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::info::attribute;
use super::out::Out;

const KEY_ID: &str = "kmsfs.key-id";

#[derive(Debug, Serialize)]
struct Moved {
    files: u64,
    directories: u64,
    /// What could not be put under the key, and why.
    failed: Vec<(PathBuf, String)>,
}

/// Runs the command.
pub fn run(path: &Path, to: &str, out: Out) -> Result<(), CliError> {
    if attribute(path, KEY_ID)?.is_none() {
        return Err(CliError::NotMounted { path: path.to_owned() });
    }
    let mut moved = Moved { files: 0, directories: 0, failed: Vec::new() };
    let mut ahead = vec![path.to_owned()];
    while let Some(path) = ahead.pop() {
        if let Err(e) = one(&path, to, &mut moved, &mut ahead) {
            moved.failed.push((path, e.to_string()));
        }
    }
    out.result(&moved);
    match moved.failed.len() {
        0 => Ok(()),
        n => Err(CliError::Volume {
            path: path.to_owned(),
            what: format!("{n} files or directories are under their old key still"),
            exit: Exit::Failed,
        }),
    }
}

fn one(path: &Path, to: &str, moved: &mut Moved, ahead: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let kind = path.symlink_metadata()?.file_type();
    if !(kind.is_file() || kind.is_dir()) {
        // Others have no key of their own.
        return Ok(());
    }
    rustix::fs::lsetxattr(path, KEY_ID, to.as_bytes(), rustix::fs::XattrFlags::empty())?;
    if kind.is_file() {
        moved.files += 1;
        return Ok(());
    }
    moved.directories += 1;
    for entry in fs::read_dir(path)? {
        ahead.push(entry?.path());
    }
    Ok(())
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} files and {} directories", self.files, self.directories)?;
        for (path, why) in &self.failed {
            writeln!(f, "{}: {why}", path.display())?;
        }
        Ok(())
    }
}
