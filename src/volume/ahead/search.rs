//! Finding the keys of one directory: a batch of names below, and the headers behind them.

use rustix::fs::FileType;

use super::budget::Budget;
use super::head::key_of;
use super::scan::Scan;
use crate::format::{LowerName, VolumeId, classify};
use crate::lower::{Dir, leave_atime};
use crate::sync::{Arc, Mutex};
use crate::volume::directory::DirState;
use crate::volume::keys::{Caller, KeyAhead};
use crate::volume::types::Errno;

/// One batch of a [`Scan`].
pub struct Search {
    pub(super) state: Arc<DirState>,
    pub(super) fd: Arc<Dir>,
    pub(super) volume: VolumeId,
    pub(super) kind: FileType,
    /// For whom; each wants all of them.
    pub(super) callers: Vec<Caller>,
    pub(super) left: usize,
    /// Where to count what is found.
    pub(super) budget: Option<Arc<Budget>>,
}

impl Search {
    fn scan(&self) -> &Mutex<Scan> {
        if self.kind == FileType::Directory { &self.state.dir_scan } else { &self.state.scan }
    }

    /// The keys of at most `most` others.
    pub(super) fn next(&mut self, most: usize) -> Vec<KeyAhead> {
        let mut found = Vec::with_capacity(most);
        while found.is_empty() && self.left > 0 {
            let names = self.names(most.min(self.left)).unwrap_or_else(|error| {
                tracing::debug!(?error, "keys could not be asked for ahead");
                self.left = 0;
                Vec::new()
            });
            for name in names {
                let key = key_of(&self.fd, &name, self.kind, self.volume);
                found.extend(key.into_iter().flat_map(|key| key.for_each(&self.callers)));
            }
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
        if let Some(budget) = &self.budget {
            budget.order(names.len());
        }
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.scan().lock().searched();
    }
}

/// Lower inode number and lower name.
pub type Found = (u64, Vec<u8>);

/// The next of a kind from a position on, and the position after them; the start again after the
/// end.
fn next_names(
    fd: &Dir,
    from: u64,
    count: usize,
    kind: FileType,
) -> Result<(Vec<Found>, u64), Errno> {
    let mut names = Vec::with_capacity(count);
    let next = read_names(fd, from, |its_kind, found| {
        if its_kind == kind {
            names.push(found);
        }
        names.len() < count
    })?;
    Ok((names, next))
}

/// Offers what is in a directory from a position on, until `each` has enough. Gives the position
/// to go on at; the start again after the end.
pub fn read_names(
    fd: &Dir,
    from: u64,
    mut each: impl FnMut(FileType, Found) -> bool,
) -> Result<u64, Errno> {
    let mut next = 0;
    let dir = fd.open_for_reading()?;
    leave_atime(dir.fd());
    dir.read(from, |entry| {
        let ours = matches!(classify(entry.name), LowerName::Short | LowerName::Long);
        let more = !ours || each(entry.kind, (entry.ino, entry.name.to_vec()));
        next = if more { 0 } else { entry.next };
        Ok::<_, Errno>(more)
    })?;
    Ok(next)
}
