//! Finding the keys: one batch of names below, and the headers behind them.

use std::io::IoSliceMut;

use rustix::fs::FileType;

use super::scan::Scan;
use crate::format::{DIR_HEADER, DIR_HEADER_LEN, LowerName, Slots, VolumeId, WrappedKey, classify};
use crate::lower::{Dir, FileIo, leave_atime};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use crate::volume::directory::DirState;
use crate::volume::keys::{KeyContext, Purpose};
use crate::volume::types::Errno;

/// One batch of a [`Scan`].
pub struct Search {
    pub(super) state: Arc<DirState>,
    pub(super) fd: Arc<Dir>,
    pub(super) volume: VolumeId,
    pub(super) kind: FileType,
    pub(super) left: usize,
    /// Where to count what is found.
    pub(super) count: Option<Arc<AtomicUsize>>,
}

impl Search {
    fn scan(&self) -> &Mutex<Scan> {
        if self.kind == FileType::Directory { &self.state.dir_scan } else { &self.state.scan }
    }

    /// The keys of at most `most` others.
    pub(super) fn next(&mut self, most: usize) -> Vec<(WrappedKey, KeyContext)> {
        let mut found = Vec::with_capacity(most);
        while found.is_empty() && self.left > 0 {
            let names = self.names(most.min(self.left)).unwrap_or_else(|error| {
                tracing::debug!(?error, "keys could not be asked for ahead");
                self.left = 0;
                Vec::new()
            });
            found.extend(names.iter().filter_map(|name| self.key_of(name)));
        }
        found
    }

    /// The next names that were not asked for yet. There may be none although there are more.
    fn names(&mut self, count: usize) -> Result<Vec<Vec<u8>>, Errno> {
        let position = self.scan().lock().position();
        let (mut names, next) = next_names(&self.fd, position, count, self.kind)?;
        self.left = if next == 0 { 0 } else { self.left - count };
        let new = self.scan().lock().found(names.iter().map(|(ino, _)| *ino), next);
        let mut new = new.into_iter();
        names.retain(|_| new.next() == Some(true));
        if let Some(count) = &self.count {
            count.fetch_add(names.len(), Ordering::Relaxed);
        }
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }

    /// Whatever is wrong with one of them is for its own open to find.
    fn key_of(&self, name: &[u8]) -> Option<(WrappedKey, KeyContext)> {
        let mut head = [0u8; DIR_HEADER_LEN];
        let got = read_head(&self.fd, name, self.kind, &mut head).ok()?;
        let Slots::Newest { header, .. } = Slots::of(&head) else { return None };
        if got != head.len() {
            return None;
        }
        let purpose = match self.kind {
            FileType::Directory => Purpose::Directory(header.id()),
            _ => Purpose::File(header.id()),
        };
        Some((header.wrapped().clone(), KeyContext { volume: self.volume, purpose }))
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.scan().lock().searched();
    }
}

/// Reads the header of a file, or of a directory.
fn read_head(
    fd: &Dir,
    name: &[u8],
    kind: FileType,
    head: &mut [u8; DIR_HEADER_LEN],
) -> Result<usize, Errno> {
    let (file, _) = match kind {
        FileType::Directory => fd.open_dir(name)?.open_file(DIR_HEADER.as_bytes(), false)?,
        _ => fd.open_file(name, false)?,
    };
    leave_atime(file.fd());
    Ok(file.read_at(&mut [IoSliceMut::new(head)], 0)?)
}

/// Lower inode number and lower name.
type Found = (u64, Vec<u8>);

/// The next of a kind from a position on, and the position after them; the start again after the
/// end.
fn next_names(
    fd: &Dir,
    from: u64,
    count: usize,
    kind: FileType,
) -> Result<(Vec<Found>, u64), Errno> {
    let mut names = Vec::with_capacity(count);
    let mut next = 0;
    let dir = fd.open_for_reading()?;
    leave_atime(dir.fd());
    dir.read(from, |entry| {
        let ours = matches!(classify(entry.name), LowerName::Short | LowerName::Long);
        if ours && entry.kind == kind {
            names.push((entry.ino, entry.name.to_vec()));
        }
        let more = names.len() < count;
        next = if more { 0 } else { entry.next };
        Ok::<_, Errno>(more)
    })?;
    Ok((names, next))
}
