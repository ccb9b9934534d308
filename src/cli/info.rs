//! `kmsfs info PATH`: what a file is sealed with.
//!
//! In a mount the filesystem says it, from an authenticated header. Of a file of a lower tree
//! the header is read here, without a key: what it claims is shown as a claim.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::InfoArgs;
use super::error::CliError;
use super::exit::Exit;
use super::out::{Out, table};
use crate::format::{DIR_HEADER, HeaderError, SlotState, UnverifiedHeader, newest, parse_slots};

/// Pages of the two header slots.
const HEADER_BYTES: u64 = 4096;

/// What is known of a file.
#[derive(Debug, Serialize)]
struct Info {
    path: PathBuf,
    /// Whether the header's tag was checked.
    authenticated: bool,
    file_id: String,
    key_id: String,
    key_version: u32,
    suite: String,
    /// Plaintext bytes; unknown without the key.
    size: Option<u64>,
    /// Bytes taken below, or the lower file's length.
    stored: u64,
}

/// Runs the command.
pub fn run(args: &InfoArgs, out: Out) -> Result<(), CliError> {
    let info = match of_mount(&args.path)? {
        Some(info) => info,
        None => of_lower(&args.path)?,
    };
    out.result(&info);
    Ok(())
}

/// From the virtual attributes; `None` if the path is in no kmsfs mount.
fn of_mount(path: &Path) -> Result<Option<Info>, CliError> {
    let Some(file_id) = attribute(path, "kmsfs.file-id")? else { return Ok(None) };
    let must = |name| attribute(path, name).map(Option::unwrap_or_default);
    let meta = path.symlink_metadata().map_err(|e| read_error(path, e))?;
    let version = must("kmsfs.key-version")?;
    Ok(Some(Info {
        path: path.to_owned(),
        authenticated: true,
        file_id,
        key_id: must("kmsfs.key-id")?,
        key_version: version.parse().unwrap_or(0),
        suite: must("kmsfs.suite")?,
        size: meta.is_file().then_some(meta.len()),
        stored: std::os::unix::fs::MetadataExt::blocks(&meta).saturating_mul(512),
    }))
}

/// A virtual attribute, of the link itself if it is one; `None` where there is no such thing.
pub(super) fn attribute(path: &Path, name: &str) -> Result<Option<String>, CliError> {
    let mut value = [0u8; 128];
    match rustix::fs::lgetxattr(path, name, &mut value) {
        Ok(n) => {
            let text = value.get(..n).unwrap_or_default();
            Ok(Some(String::from_utf8_lossy(text).into_owned()))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {
            Ok(None)
        }
        Err(e) => Err(read_error(path, e.into())),
    }
}

fn of_lower(path: &Path) -> Result<Info, CliError> {
    let meta = path.symlink_metadata().map_err(|e| read_error(path, e))?;
    let file = if meta.is_dir() { path.join(DIR_HEADER) } else { path.to_owned() };
    let header = read_header(&file).map_err(|e| match e {
        Unreadable::Io(e) if e.kind() != io::ErrorKind::NotFound => read_error(&file, e),
        Unreadable::Header(e @ HeaderError::TooNew { .. }) => {
            CliError::Volume { path: path.to_owned(), what: e.to_string(), exit: Exit::TooNew }
        }
        _ => CliError::NoHeader { path: path.to_owned() },
    })?;
    Ok(Info {
        path: path.to_owned(),
        authenticated: false,
        file_id: header.id().to_string(),
        key_id: header.wrapped().key_id.clone(),
        key_version: header.wrapped().version,
        suite: header.suite().to_string(),
        size: None,
        stored: meta.len(),
    })
}

/// Why there is no header to show.
enum Unreadable {
    Io(io::Error),
    Header(HeaderError),
}

fn read_header(file: &Path) -> Result<UnverifiedHeader, Unreadable> {
    let mut page = Vec::new();
    let opened = OpenOptions::new()
        .read(true)
        // A pipe in the lower tree must not make this wait, nor a link lead out of it.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(file)
        .map_err(Unreadable::Io)?;
    opened.take(HEADER_BYTES).read_to_end(&mut page).map_err(Unreadable::Io)?;
    let slots = parse_slots(&page);
    let fault = slots.iter().find_map(|s| match s {
        SlotState::Bad(e) => Some(*e),
        SlotState::Empty | SlotState::Slot(_) => None,
    });
    match newest(slots).next() {
        Some((_, header)) => Ok(header),
        None => Err(Unreadable::Header(fault.unwrap_or(HeaderError::BadMagic))),
    }
}

fn read_error(path: &Path, source: io::Error) -> CliError {
    CliError::Io { action: "read", path: path.to_owned(), source }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |k: &str, v: String| vec![k.to_owned(), v];
        let header = if self.authenticated { "authenticated" } else { "read without its key" };
        let mut rows = vec![
            row("file id", self.file_id.clone()),
            row("key id", self.key_id.clone()),
            row("key version", self.key_version.to_string()),
            row("suite", self.suite.clone()),
            row("header", header.to_owned()),
        ];
        if let Some(size) = self.size {
            rows.push(row("size", format!("{size} bytes")));
        }
        rows.push(row("stored", format!("{} bytes", self.stored)));
        f.write_str(&table(&rows))
    }
}
