//! Asking for data keys ahead of those who open files one after the other.
//!
//! Every unwrapped key has its own durable line in the audit trail before it is used, and the
//! line costs a sync. Somebody who goes through a directory would wait for one per file. The
//! second file that a user opens in a directory therefore has the keys of others there asked for
//! along with its own, for the same user, in one question: as many decisions, as many lines, one
//! sync. The keys stay in the key client's cache, where each open must still find its decision.

use std::collections::HashSet;
use std::io::IoSliceMut;
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use crate::format::{DIR_HEADER_LEN, LowerName, Slots, classify};
use crate::lower::{Dir, FileIo};
use crate::sync::Arc;

use super::Volume;
use super::directory::DirState;
use super::inode::Inode;
use super::keys::{Caller, Operation};
use super::types::Errno;

/// Keys asked for at once: few at first, more as they prove useful.
const FIRST: usize = 8;
const MOST: usize = 128;

/// Who comes back later than this is not going through the directory.
const PAUSE: Duration = Duration::from_secs(2);

/// Files remembered as asked for; past it the memory begins anew.
const REMEMBERED: usize = 8192;

/// How far somebody is in going through a directory.
#[derive(Default)]
pub(super) struct Scan {
    uid: u32,
    last: Option<Instant>,
    opened: usize,
    batch: usize,
    /// Position in the lower directory where the next batch begins.
    position: u64,
    /// Lower inode numbers of files whose keys were asked for ahead.
    asked: HashSet<u64>,
}

impl Scan {
    /// Notes an open. Gives the size of the batch to ask for now, if any.
    fn note(&mut self, uid: u32, lower_ino: u64) -> Option<usize> {
        let now = Instant::now();
        let goes_on = self.uid == uid && self.last.is_some_and(|t| now - t < PAUSE);
        if !goes_on {
            *self = Scan { uid, ..Scan::default() };
        }
        self.last = Some(now);
        self.opened += 1;
        if self.asked.remove(&lower_ino) || self.opened < 2 {
            return None;
        }
        self.batch = (self.batch * 2).clamp(FIRST, MOST);
        if self.asked.len() > REMEMBERED {
            self.asked.clear();
        }
        Some(self.batch)
    }
}

impl Volume {
    /// To be called when a file is about to be opened that nobody has open.
    pub(super) fn ask_ahead(&self, inode: &Arc<Inode>, caller: Caller) {
        let Caller::User { uid, .. } = caller else { return };
        let Some(alias) = inode.alias() else { return };
        let Ok((state, fd)) = self.dir_and_fd(alias.parent) else { return };
        let Some(batch) = state.scan.lock().note(uid, inode.lower_ino()) else { return };
        if let Err(error) = self.ask_batch(&state, &fd, caller, batch) {
            tracing::debug!(?error, "keys could not be asked for ahead");
        }
    }

    fn ask_batch(
        &self,
        state: &DirState,
        fd: &Dir,
        caller: Caller,
        batch: usize,
    ) -> Result<(), Errno> {
        let (names, next) = {
            let scan = state.scan.lock();
            next_files(fd, scan.position, batch, &scan.asked)?
        };
        let mut wanted = Vec::with_capacity(names.len());
        for (_, name) in &names {
            // Whatever is wrong with a file is for its own open to find.
            let Ok((file, _)) = fd.open_file(name, false) else { continue };
            let mut head = [0u8; DIR_HEADER_LEN];
            let Ok(got) = file.read_at(&mut [IoSliceMut::new(&mut head)], 0) else { continue };
            if let Slots::Newest { header, .. } = Slots::of(&head)
                && got == head.len()
            {
                wanted.push((header.wrapped().clone(), self.file_context(header.id())));
            }
        }
        self.keys.unwrap_ahead(caller.to(Operation::Read), &wanted);
        let mut scan = state.scan.lock();
        scan.position = next;
        scan.asked.extend(names.into_iter().map(|(ino, _)| ino));
        Ok(())
    }
}

/// Lower inode number and lower name.
type Found = (u64, Vec<u8>);

/// The next regular files from a position on, and the position after them; the start again
/// after the end.
fn next_files(
    fd: &Dir,
    from: u64,
    count: usize,
    known: &HashSet<u64>,
) -> Result<(Vec<Found>, u64), Errno> {
    let mut names = Vec::with_capacity(count);
    let mut next = 0;
    fd.open_for_reading()?.read(from, |entry| {
        let ours = matches!(classify(entry.name), LowerName::Short | LowerName::Long);
        if ours && entry.kind == FileType::RegularFile && !known.contains(&entry.ino) {
            names.push((entry.ino, entry.name.to_vec()));
        }
        let more = names.len() < count;
        next = if more { 0 } else { entry.next };
        Ok::<_, Errno>(more)
    })?;
    Ok((names, next))
}
