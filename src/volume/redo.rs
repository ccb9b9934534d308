//! Whole lower files that are to take another's place, bytes and all: `.kmsfs/rekey`.
//!
//! A file is put under another data key by way of a copy that lies there as `ID`, and once it is
//! durable as `ID.ready`, with the lower path of the file in `ID.at`. From that moment on the copy
//! counts: its bytes are written over the file's, and whoever is stopped at that is finished by
//! the next mount. The inode stays, and with it every name, owner and handle.
//!
//! Nothing here needs a key, and nothing here is believed: the copy is authenticated when the file
//! is next opened, like any other. Whoever can put a copy here could write to the file itself.

use std::io::{IoSlice, IoSliceMut};

use rustix::fs::{FileType, RenameFlags, XattrFlags};

use crate::format::{
    BLOCK, DIR_HEADER_LEN, FileId, LowerName, REKEY_DIR, REKEY_READY, Slots, XATTR_PREFIX, classify,
};
use crate::lower::{Dir, FileIo, LowerError, LowerFile, Pinned};

use super::file::CAPABILITY;

const DIR: &[u8] = REKEY_DIR.as_bytes();

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// Longest path that is remembered; a file that lies deeper is looked for.
const MAX_PATH: usize = 4000;

/// A copy that is being made.
pub(super) struct Journal {
    dir: Dir,
    name: String,
    durable: bool,
}

impl Journal {
    /// Begins a copy for the file `id`. With `durable` its steps survive a power cut.
    pub fn begin(
        kmsfs: &Dir,
        id: &FileId,
        durable: bool,
    ) -> Result<(Journal, LowerFile), LowerError> {
        match kmsfs.mkdir(DIR, 0o700) {
            Ok(()) | Err(LowerError::EXIST) => {}
            Err(e) => return Err(e),
        }
        let journal = Journal { dir: kmsfs.open_dir(DIR)?, name: id.to_string(), durable };
        journal.discard();
        let file = journal.dir.create_file(journal.name.as_bytes(), 0o600)?;
        Ok((journal, file))
    }

    fn named(&self, suffix: &str) -> Vec<u8> {
        format!("{}{suffix}", self.name).into_bytes()
    }

    /// Lets the copy, which is durable by now, count for the file at lower path `at`.
    pub fn ready(&self, at: &[u8]) -> Result<(), LowerError> {
        if at.len() <= MAX_PATH {
            let file = self.dir.create_file(&self.named(".at"), 0o600)?;
            file.write_at(&[IoSlice::new(at)], 0)?;
            if self.durable {
                file.sync(true)?;
            }
        }
        let (name, ready) = (self.named(""), self.named(REKEY_READY));
        self.dir.rename(&name, &self.dir, &ready, RenameFlags::empty())
    }

    /// Makes durable that the copy counts. If that fails, nobody knows whether it does: nothing of
    /// the file may change until the next mount has looked.
    pub fn settle(&self) -> Result<(), LowerError> {
        if self.durable { self.dir.open_for_reading()?.sync() } else { Ok(()) }
    }

    /// The file is the copy: that is not needed any more.
    pub fn done(self) {
        for suffix in [REKEY_READY, ".at"] {
            let gone = self.dir.unlink(&self.named(suffix));
            if let Err(error) = gone
                && error != LowerError::NOENT
            {
                tracing::warn!(copy = self.name, %error, "a copy stays in .kmsfs/rekey");
            }
        }
    }

    /// Forgets a copy that does not count.
    pub fn discard(&self) {
        for suffix in ["", ".at"] {
            // Left by somebody who was stopped, or not there.
            let _ = self.dir.unlink(&self.named(suffix));
        }
    }
}

/// Makes `to` the same as `from`: bytes, holes, sealed attributes, capabilities, modification
/// time. The header's two slots come last.
///
/// # Crash
/// Anything in between; the same call again makes it whole.
pub(super) fn apply(from: &dyn FileIo, to: &dyn FileIo, durable: bool) -> Result<(), LowerError> {
    let st = from.stat()?;
    to.set_len(st.size)?;
    let head = DIR_HEADER_LEN as u64;
    let mut at = head;
    let mut buffer = vec![0u8; CHUNK];
    while at < st.size {
        let data = from.next_data(at)?.unwrap_or(st.size).max(at).min(st.size);
        clear(to, at, data)?;
        if data == st.size {
            break;
        }
        // The first one ends with a page, so that all others begin with one.
        let most = CHUNK - usize::try_from(data % BLOCK as u64).unwrap_or(0);
        let most = most.min(usize::try_from(st.size - data).unwrap_or(CHUNK));
        let chunk = buffer.get_mut(..most).unwrap_or_default();
        let got = from.read_at(&mut [IoSliceMut::new(chunk)], data)?;
        if got == 0 {
            return Err(LowerError::IO);
        }
        write_or_clear(to, data, chunk.get(..got).unwrap_or_default())?;
        at = data + got as u64;
    }
    attributes(from, to)?;
    if durable {
        to.sync(true)?;
    }
    let mut slots = [0u8; DIR_HEADER_LEN];
    from.read_at(&mut [IoSliceMut::new(&mut slots)], 0)?;
    to.write_at(&[IoSlice::new(&slots)], 0)?;
    let program = Pinned::new(from.fd()).xattr(CAPABILITY).ok();
    if let Some(caps) = program {
        Pinned::new(to.fd()).set_xattr(CAPABILITY, &caps, XattrFlags::empty())?;
    }
    to.set_mtime(st.mtime.0, st.mtime.1)?;
    if durable { to.sync(true) } else { Ok(()) }
}

/// Pages of zeros become holes: that is what they stand for.
fn write_or_clear(to: &dyn FileIo, offset: u64, bytes: &[u8]) -> Result<(), LowerError> {
    let first = BLOCK - usize::try_from(offset % BLOCK as u64).unwrap_or(0);
    let (partial, pages) = bytes.split_at(if first == BLOCK { 0 } else { first.min(bytes.len()) });
    if !partial.is_empty() {
        to.write_at(&[IoSlice::new(partial)], offset)?;
    }
    let mut at = offset + partial.len() as u64;
    let pages: Vec<&[u8]> = pages.chunks(BLOCK).collect();
    let zero = |page: &&[u8]| page.iter().all(|&b| b == 0);
    for run in pages.chunk_by(|a, b| zero(a) == zero(b)) {
        let len: usize = run.iter().map(|page| page.len()).sum();
        if run.first().is_some_and(zero) {
            clear(to, at, at + len as u64)?;
        } else {
            let run: Vec<IoSlice<'_>> = run.iter().map(|page| IoSlice::new(page)).collect();
            to.write_at(&run, at)?;
        }
        at += len as u64;
    }
    Ok(())
}

fn clear(to: &dyn FileIo, from: u64, end: u64) -> Result<(), LowerError> {
    let mut at = from;
    if at >= end || to.next_data(at)?.is_none_or(|data| data >= end) || to.punch(at, end - at)? {
        return Ok(());
    }
    let zeros = [0u8; BLOCK];
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        to.write_at(&[IoSlice::new(zeros.get(..len).unwrap_or_default())], at)?;
        at += len as u64;
    }
    Ok(())
}

/// Gives `to` the sealed attributes of `from`, and no others.
fn attributes(from: &dyn FileIo, to: &dyn FileIo) -> Result<(), LowerError> {
    let (from, to) = (Pinned::new(from.fd()), Pinned::new(to.fd()));
    let new = sealed_attributes(&from)?;
    for name in sealed_attributes(&to)? {
        if !new.contains(&name) {
            to.remove_xattr(&name)?;
        }
    }
    for name in new {
        to.set_xattr(&name, &from.xattr(&name)?, XattrFlags::empty())?;
    }
    Ok(())
}

/// The lower names of attributes that are sealed under the file's key.
pub(super) fn sealed_attributes(pin: &Pinned<'_>) -> Result<Vec<Vec<u8>>, LowerError> {
    let names = match pin.xattr_names() {
        Err(LowerError::OPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    let sealed = |name: &&[u8]| name.starts_with(XATTR_PREFIX.as_bytes());
    Ok(names.split(|&b| b == 0).filter(sealed).map(<[u8]>::to_vec).collect())
}

/// The directory of copies, and the names in it.
type Found = (Dir, Vec<Vec<u8>>);

/// What lies in `.kmsfs/rekey`, if there is such a directory.
fn names(kmsfs: &Dir) -> Result<Option<Found>, LowerError> {
    let dir = match kmsfs.open_dir(DIR) {
        Err(LowerError::NOENT) => return Ok(None),
        other => other?,
    };
    let mut names = Vec::new();
    dir.open_for_reading()?.read(0, |entry| {
        names.push(entry.name.to_vec());
        Ok::<_, LowerError>(true)
    })?;
    names.retain(|name| name != b"." && name != b"..");
    Ok(Some((dir, names)))
}

/// Finishes what a stop interrupted: copies that count take their file's place, others go. To be
/// called before anything of the volume is looked at. Gives the number of files.
///
/// # Errors
/// The copy that could not be put in place stays, for the next time.
pub fn finish_interrupted(root: &Dir, kmsfs: &Dir) -> Result<usize, LowerError> {
    let Some((dir, names)) = names(kmsfs)? else { return Ok(0) };
    let mut done = 0;
    for name in names.iter().filter(|name| name.ends_with(REKEY_READY.as_bytes())) {
        let place =
            [name.strip_suffix(REKEY_READY.as_bytes()).unwrap_or_default(), b".at"].concat();
        done += usize::from(put_in_place(root, &dir, name, &place)?);
        dir.unlink(name)?;
    }
    for name in names.iter().filter(|name| !name.ends_with(REKEY_READY.as_bytes())) {
        dir.unlink(name)?;
    }
    Ok(done)
}

fn put_in_place(root: &Dir, dir: &Dir, name: &[u8], place: &[u8]) -> Result<bool, LowerError> {
    let (copy, _) = dir.open_file(name, false)?;
    let Some((id, generation)) = id_of(&copy)? else { return Ok(false) };
    let mut found = None;
    if let Ok((file, _)) = dir.open_file(place, false) {
        let mut path = vec![0u8; MAX_PATH];
        let got = file.read_at(&mut [IoSliceMut::new(&mut path)], 0)?;
        path.truncate(got);
        let named = root.open_file(&path, true).ok().filter(|(_, writable)| *writable);
        let named = named.map(|(file, _)| file);
        found = named.filter(|file| matches!(id_of(file), Ok(Some((other, _))) if other == id));
    }
    if found.is_none() {
        found = search(root.open_dir(b".")?, &id)?;
    }
    let Some(file) = found else { return Ok(false) };
    // Whoever wrote to the file since had seen the copy put in its place.
    let newer = id_of(&file)?.is_some_and(|(_, other)| other > generation);
    if !newer {
        apply(&copy, &file, true)?;
        tracing::info!(file = %id, "a file that was being put under another data key is finished");
    }
    Ok(!newer)
}

/// Id and generation in the newest header, whether it is authentic or not.
fn id_of(file: &dyn FileIo) -> Result<Option<(FileId, u64)>, LowerError> {
    let mut head = [0u8; DIR_HEADER_LEN];
    file.read_at(&mut [IoSliceMut::new(&mut head)], 0)?;
    Ok(match Slots::of(&head) {
        Slots::Newest { header, .. } => Some((header.id(), header.generation())),
        Slots::Empty | Slots::Damaged => None,
    })
}

/// The file of that id: for one that was renamed since its path was noted.
fn search(root: Dir, id: &FileId) -> Result<Option<LowerFile>, LowerError> {
    let mut ahead = vec![root];
    while let Some(dir) = ahead.pop() {
        let mut found = None;
        dir.open_for_reading()?.read(0, |entry| {
            if !matches!(classify(entry.name), LowerName::Short | LowerName::Long) {
                return Ok::<_, LowerError>(true);
            }
            match dir.stat(entry.name)?.file_type() {
                FileType::Directory => ahead.push(dir.open_dir(entry.name)?),
                FileType::RegularFile => {
                    let (file, writable) = dir.open_file(entry.name, true)?;
                    if writable && id_of(&file)?.is_some_and(|(other, _)| other == *id) {
                        found = Some(file);
                    }
                }
                _ => {}
            }
            Ok(found.is_none())
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
