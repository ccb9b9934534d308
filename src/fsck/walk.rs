//! Goes through the tree, one directory within the other, and has every object checked.

use std::collections::HashSet;
use std::io::IoSliceMut;

use rustix::fs::FileType;

use crate::format::{
    BLOCK, Binding, DIR_HEADER, DIR_HEADER_LEN, DirKeys, FileId, REKEY_DIR, REKEY_READY, Slots,
};
use crate::lower::{Dir, FileIo, LowerError, LowerStat};
use crate::volume::keys::DataKeys;

use super::descriptor::Volume;
use super::entries::{self, Wrong};
use super::header::{Outcome, Place};
use super::names::Seen;
use super::report::{Check, Finding, FsckError, Report};
use super::{Options, attributes, links, names};

/// A check under way.
pub(super) struct Walk<'a> {
    pub(super) volume: Volume,
    pub(super) keys: &'a dyn DataKeys,
    pub(super) options: &'a Options,
    kmsfs: Dir,
    report: Report,
    /// Files that were being put under another data key: the next mount finishes them.
    copies: HashSet<FileId>,
    /// Files with several names whose content was checked under one of them.
    seen: HashSet<u64>,
}

/// A directory that is being gone through. Those below wait by name, so that one descriptor is
/// open for each level.
struct Level {
    dir: Dir,
    keys: DirKeys,
    path: String,
    below: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        volume: Volume,
        kmsfs: Dir,
        keys: &'a dyn DataKeys,
        options: &'a Options,
    ) -> Result<Walk<'a>, FsckError> {
        let report = Report::new(volume.descriptor.id);
        let copies = unfinished(&kmsfs)?;
        Ok(Walk { volume, keys, options, kmsfs, report, copies, seen: HashSet::new() })
    }

    /// Checks everything below the root.
    pub(super) fn run(mut self, root: Dir) -> Result<Report, FsckError> {
        let mut levels = Vec::new();
        levels.extend(self.directory(root, None, b"", String::new())?);
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.below.pop() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, &name);
            let entered = match level.dir.open_dir(&name) {
                Ok(dir) => self.directory(dir, Some(&level.keys), &name, path.clone()),
                Err(e) => Err(e),
            };
            match entered {
                Ok(found) => levels.extend(found),
                Err(e) => self.found(&path, Check::Lower, e.to_string()),
            }
        }
        Ok(self.report)
    }

    /// Checks a directory's header and what is in it. `None`: what is in it cannot be read.
    fn directory(
        &mut self,
        dir: Dir,
        parent: Option<&DirKeys>,
        name: &[u8],
        path: String,
    ) -> Result<Option<Level>, LowerError> {
        self.report.directories += 1;
        // One byte more than there may be, so that a longer one is seen.
        let mut bytes = [0u8; DIR_HEADER_LEN + 1];
        let (got, ctime) = match dir.open_file(DIR_HEADER.as_bytes(), false) {
            Ok((file, _)) => {
                (file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?, file.stat()?.ctime.0)
            }
            Err(LowerError::NOENT) => (0, dir.stat_self()?.ctime.0),
            Err(e) => return Err(e),
        };
        let place = Place { parent, name, excused: self.volume.excuses(ctime) };
        let keys = match self.dir_header(bytes.get(..got).unwrap_or_default(), &place) {
            Outcome::Good(_, keys) if got == DIR_HEADER_LEN => keys,
            Outcome::Good(..) => {
                self.found(&path, Check::Header, "a directory header of the wrong length");
                return Ok(None);
            }
            other => {
                self.note(&path, other);
                return Ok(None);
            }
        };
        if !attributes::check(dir.fd(), keys.xattr())? {
            self.found(&path, Check::Attribute, "an attribute does not authenticate");
        }
        let mut level = Level { dir, keys, path, below: Vec::new() };
        self.contents(&mut level)?;
        Ok(Some(level))
    }

    fn contents(&mut self, level: &mut Level) -> Result<(), LowerError> {
        let mut found = Vec::new();
        level.dir.open_for_reading()?.read(0, |entry| {
            if !matches!(entry.name, b"." | b"..") {
                found.push(entry.name.to_vec());
            }
            Ok::<_, LowerError>(true)
        })?;
        for name in found {
            let path = join(&level.path, &name);
            match names::check(&level.dir, &level.keys, &name) {
                Seen::Internal => continue,
                Seen::Bad(what) => {
                    self.found(&path, Check::Name, what);
                    continue;
                }
                Seen::Object => self.report.names += 1,
            }
            let st = level.dir.stat(&name)?;
            match st.file_type() {
                FileType::Directory => level.below.push(name),
                FileType::RegularFile => {
                    self.report.files += 1;
                    if let Err(e) = self.file(level, &name, &st, &path) {
                        self.found(&path, Check::Lower, e.to_string());
                    }
                }
                FileType::Symlink => {
                    self.report.symlinks += 1;
                    let text = level.dir.readlink(&name)?;
                    let binding = Binding::Name { dir: level.keys.id(), name: &name };
                    let checked = links::check(&self.kmsfs, &self.volume.keys, binding, &text);
                    match checked {
                        Ok(()) => {}
                        Err(_) if self.volume.excuses(st.ctime.0) => self.report.unfinished += 1,
                        Err(what) => self.found(&path, Check::Link, what),
                    }
                }
                _ => self.report.specials += 1,
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        level: &Level,
        name: &[u8],
        st: &LowerStat,
        path: &str,
    ) -> Result<(), LowerError> {
        let (io, _) = level.dir.open_file(name, false)?;
        let mut page0 = vec![0u8; BLOCK];
        let got = io.read_at(&mut [IoSliceMut::new(&mut page0)], 0)?;
        page0.truncate(got);
        let copied = match Slots::of(&page0) {
            Slots::Newest { header, .. } => self.copies.contains(&header.id()),
            Slots::Empty | Slots::Damaged => false,
        };
        if copied {
            self.report.unfinished += 1;
            return Ok(());
        }
        let born = io.born()?.is_some_and(|born| self.volume.excuses(born));
        let empty = page0.iter().all(|&b| b == 0);
        // Without a header it counts when the file was made, whatever was done to it since.
        let excused = self.volume.excuses(st.ctime.0) || (empty && born);
        let place = Place { parent: Some(&level.keys), name, excused };
        let (header, keys) = match self.file_header(&page0, &place) {
            Outcome::Good(header, keys) => (header, keys),
            other => {
                self.note(path, other);
                return Ok(());
            }
        };
        if st.nlink > 1 && !self.seen.insert(st.ino) {
            return Ok(());
        }
        if !attributes::check(io.fd(), keys.xattr())? {
            self.found(path, Check::Attribute, "an attribute does not authenticate");
        }
        match entries::check(&io, &header, &keys, self.options.data) {
            Ok(counts) => {
                self.report.entry_pages += counts.entry_pages;
                self.report.blocks += counts.blocks;
            }
            Err(Wrong::Lower(e)) => return Err(e),
            Err(Wrong::Tampered(..)) if self.volume.stopped(header.session) => {
                self.report.unfinished += 1;
            }
            Err(Wrong::Tampered(check, what)) => self.found(path, check, what),
        }
        Ok(())
    }

    fn note<K>(&mut self, path: &str, outcome: Outcome<K>) {
        match outcome {
            Outcome::Good(..) => {}
            Outcome::Unfinished => self.report.unfinished += 1,
            Outcome::Unread => self.report.unread += 1,
            Outcome::Bad(check, what) => self.found(path, check, what),
        }
    }

    fn found(&mut self, path: &str, check: Check, what: impl Into<String>) {
        let object = if path.is_empty() { ".".to_owned() } else { path.to_owned() };
        self.report.findings.push(Finding { object, check, what: what.into() });
    }
}

/// Files whose copy counts already, and is not in their place yet. S-14.
fn unfinished(kmsfs: &Dir) -> Result<HashSet<FileId>, LowerError> {
    let mut ids = HashSet::new();
    let dir = match kmsfs.open_dir(REKEY_DIR.as_bytes()) {
        Err(LowerError::NOENT) => return Ok(ids),
        other => other?,
    };
    dir.open_for_reading()?.read(0, |entry| {
        let name = std::str::from_utf8(entry.name).ok();
        ids.extend(name.and_then(|name| name.strip_suffix(REKEY_READY)?.parse::<FileId>().ok()));
        Ok::<_, LowerError>(true)
    })?;
    Ok(ids)
}

fn join(path: &str, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") }
}
