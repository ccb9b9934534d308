//! `kmsfs rekey --deep PATH`: fresh data keys for files of a mount, whose content is sealed anew.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::{self, BufRead as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::info::attribute;
use super::out::Out;

const DATA_KEY: &str = "kmsfs.data-key";
const FILE_ID: &str = "kmsfs.file-id";

/// `kmsfs rekey`
#[derive(Args, Debug)]
pub struct RekeyArgs {
    /// Seal the content anew; there is no other way, as every file has one data key.
    #[arg(long, required = true)]
    deep: bool,
    /// A file or directory in a mount.
    #[arg(value_hint = ValueHint::AnyPath)]
    path: PathBuf,
    /// Only files whose id is the last word of a line in here, as `kmsfs key compromise` writes
    /// them.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    only: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Rekeyed {
    files: u64,
    bytes: u64,
    /// Files that were asked for by --only and are not there.
    missing: u64,
    /// What could not be put under a fresh key, and why.
    failed: Vec<(PathBuf, String)>,
}

/// Runs the command.
pub fn run(args: &RekeyArgs, out: Out) -> Result<(), CliError> {
    if attribute(&args.path, FILE_ID)?.is_none() {
        return Err(CliError::NotMounted { path: args.path.clone() });
    }
    let wanted = args.only.as_deref().map(ids).transpose()?;
    let mut done = Rekeyed::default();
    let files = found(&args.path, wanted.as_ref(), &mut done);
    let bar = bar(files.iter().map(|(_, size)| size).sum(), out);
    for (path, size) in files {
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::lsetxattr(&path, DATA_KEY, b"new", flags) {
            Ok(()) => {
                done.files += 1;
                done.bytes += size;
            }
            // Gone meanwhile.
            Err(rustix::io::Errno::NOENT) => {}
            Err(e) => done.failed.push((path, io::Error::from(e).to_string())),
        }
        bar.inc(size);
    }
    bar.finish_and_clear();
    if let Some(wanted) = wanted {
        let seen = done.files + done.failed.len() as u64;
        done.missing = (wanted.len() as u64).saturating_sub(seen);
    }
    out.result(&done);
    match done.failed.len() {
        0 => Ok(()),
        n => Err(CliError::Volume {
            path: args.path.clone(),
            what: format!("{n} files may have their old data key still"),
            exit: Exit::Failed,
        }),
    }
}

/// The regular files at `path` and below, each once, with their sizes.
fn found(path: &Path, wanted: Option<&HashSet<String>>, done: &mut Rekeyed) -> Vec<(PathBuf, u64)> {
    let (mut ahead, mut seen, mut files) = (vec![path.to_owned()], HashSet::new(), Vec::new());
    let device = path.symlink_metadata().map(|st| st.dev()).ok();
    while let Some(path) = ahead.pop() {
        let mut look = || -> Result<(), CliError> {
            let failed = |source| CliError::Io { action: "look at", path: path.clone(), source };
            let st = match path.symlink_metadata() {
                // Gone meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other.map_err(failed)?,
            };
            if device != Some(st.dev()) {
                return Ok(());
            }
            if st.is_dir() {
                for entry in fs::read_dir(&path).map_err(failed)? {
                    ahead.push(entry.map_err(failed)?.path());
                }
            } else if st.is_file() && (st.nlink() == 1 || seen.insert(st.ino())) {
                let asked = match wanted {
                    None => true,
                    Some(ids) => attribute(&path, FILE_ID)?.is_some_and(|id| ids.contains(&id)),
                };
                if asked {
                    files.push((path.clone(), st.size()));
                }
            }
            Ok(())
        };
        if let Err(what) = look() {
            done.failed.push((path, what.to_string()));
        }
    }
    files
}

/// The last word of each line.
fn ids(list: &Path) -> Result<HashSet<String>, CliError> {
    let failed = |source| CliError::Io { action: "read", path: list.to_owned(), source };
    let mut ids = HashSet::new();
    for line in io::BufReader::new(fs::File::open(list).map_err(failed)?).lines() {
        ids.extend(line.map_err(failed)?.split_whitespace().next_back().map(str::to_owned));
    }
    Ok(ids)
}

fn bar(bytes: u64, out: Out) -> ProgressBar {
    if out.is_json() {
        return ProgressBar::hidden();
    }
    // Draws on a terminal and nowhere else.
    let bar = ProgressBar::new(bytes);
    let style = "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

impl fmt::Display for Rekeyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} files, {} bytes sealed anew", self.files, self.bytes)?;
        if self.missing > 0 {
            writeln!(f, "{} files of the list are not here", self.missing)?;
        }
        for (path, why) in &self.failed {
            writeln!(f, "{}: {why}", path.display())?;
        }
        Ok(())
    }
}
