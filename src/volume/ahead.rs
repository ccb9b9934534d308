//! Asking for data keys ahead of those who open files one after the other.
//!
//! Every unwrapped key has its own durable line in the audit trail before it is used, and the
//! line costs a sync and a way to the key service. Somebody who goes through a directory would
//! wait for one per file. Whoever opens a second file in a directory, or comes from another one
//! that he went through, therefore has the keys of others there asked for, for the same user, many
//! in one question: as many decisions, as many lines, one sync. The next question goes out when
//! half of what the last one brought was used, so that nobody waits for it. Whoever had to ask in
//! the last directories has it done in the next one as soon as he opens that, before he has read
//! its names: most directories are too small for a second file to gain much. The keys of
//! directories, which are the filesystem's own to ask for, come in the same way. All of them stay
//! in the key client's cache, where each open must still find its decision.

use std::collections::HashSet;
use std::io::IoSliceMut;
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use crate::format::{
    DIR_HEADER, DIR_HEADER_LEN, FileId, LowerName, Slots, VolumeId, WrappedKey, classify,
};
use crate::lower::{Dir, FileIo, leave_atime};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

use super::Volume;
use super::directory::DirState;
use super::inode::Inode;
use super::keys::{Caller, KeyContext, Operation, Purpose};
use super::types::Errno;

/// Keys searched at once: few at first, more as they prove useful.
const FIRST: usize = 8;
const MOST: usize = 256;

/// Who comes back later than this is not going through the directory.
const PAUSE: Duration = Duration::from_secs(2);

/// Files remembered as asked for; past it the memory begins anew.
const REMEMBERED: usize = 8192;

/// What may be asked for without any use: so many, and so many more for each open.
const CREDIT: usize = 2 * MOST;
const CREDIT_PER_OPEN: usize = 32;

/// Directories that somebody may open without opening a file in them, until he is no longer
/// believed to go through the files.
const LISTED: usize = 4;

/// Keys, those of directories among them, that may be asked for in this way for each one of a file
/// that was used.
const WORTH: usize = 6;

/// Files whose keys are in memory already, until no directory's are asked for any more.
const WARM: usize = 4;

/// After so many opens, one in four must have been asked for ahead, or it is not worth it.
const TRIAL: usize = 512;

/// How far somebody is in going through a directory.
#[derive(Default)]
pub(super) struct Scan {
    uid: u32,
    last: Option<Instant>,
    opened: usize,
    /// Opens whose key was asked for ahead.
    useful: usize,
    /// Keys asked for ahead.
    ordered: usize,
    batch: usize,
    /// A batch is being searched.
    searching: bool,
    /// Position in the lower directory where the next batch begins.
    position: u64,
    /// The end was reached: what comes from now on is new, or was forgotten.
    through: bool,
    /// Lower inode numbers of those whose keys were asked for ahead and not used yet.
    asked: HashSet<u64>,
}

impl Scan {
    /// Begins before anything was opened. Gives the size of the batch to ask for, if any.
    fn begin(&mut self, uid: u32, before: usize) -> Option<usize> {
        let now = Instant::now();
        let begun = self.uid == uid && self.last.is_some_and(|t| now - t < PAUSE);
        if self.searching || begun {
            return None;
        }
        let batch = before.clamp(FIRST, MOST);
        *self = Scan { uid, last: Some(now), searching: true, batch, ..Scan::default() };
        Some(batch)
    }

    /// Notes an open, for which the key service `missed` a question or not. `before` is how many
    /// the same user opened in the directory that he comes from. Gives the size of the batch to
    /// ask for now, if any, and before that whether this one was asked for ahead.
    fn note(
        &mut self,
        uid: u32,
        lower_ino: u64,
        missed: bool,
        before: usize,
    ) -> (bool, Option<usize>) {
        let now = Instant::now();
        let goes_on = self.uid == uid && self.last.is_some_and(|t| now - t < PAUSE);
        if !goes_on {
            *self = Scan { uid, searching: self.searching, ..Scan::default() };
        }
        self.last = Some(now);
        self.opened += 1;
        let known = self.asked.remove(&lower_ino);
        self.useful += usize::from(known);
        let wanted = match self.batch {
            0 => missed && self.opened.max(before) >= 2,
            _ => missed || known && !self.through && self.asked.len() <= self.batch / 2,
        };
        let spent = self.ordered > CREDIT + self.opened * CREDIT_PER_OPEN;
        let useless = self.opened > TRIAL && self.useful * 4 < self.opened;
        if !wanted || spent || useless || self.searching {
            return (known, None);
        }
        self.searching = true;
        self.batch = (self.batch * 2).max(before).clamp(FIRST, MOST);
        if self.asked.len() > REMEMBERED {
            self.asked.clear();
        }
        (known, Some(self.batch))
    }
}

/// Where each user was last: whoever goes on to the next directory goes through that one too.
#[derive(Default)]
pub(super) struct Walk {
    uid: u32,
    last: Option<Instant>,
    directory: Option<FileId>,
    opened: usize,
    before: usize,
    /// Directories opened since.
    listed: usize,
    /// How many more opens without a question there may be.
    cold: usize,
    /// Opens whose key was asked for ahead.
    useful: usize,
    /// Keys asked for because a directory was opened.
    ordered: Arc<AtomicUsize>,
}

impl Walk {
    /// Notes an open. Gives how many there were in the directory before.
    fn note(&mut self, uid: u32, directory: FileId) -> usize {
        let now = Instant::now();
        if self.uid != uid || self.last.is_none_or(|t| now - t >= PAUSE) {
            *self = Walk { uid, directory: Some(directory), ..Walk::default() };
        } else if self.directory != Some(directory) {
            self.before = std::mem::take(&mut self.opened);
            self.directory = Some(directory);
        }
        self.last = Some(now);
        self.opened += 1;
        self.listed = 0;
        self.before
    }

    /// Notes whether the key of the file just opened had to be asked for, or had been, `ahead`.
    fn asked(&mut self, missed: bool, ahead: bool) {
        self.cold = if missed || ahead { WARM } else { self.cold.saturating_sub(1) };
        self.useful += usize::from(ahead);
    }

    /// Notes that a directory was opened. If whoever did that is going through files whose keys
    /// have to be asked for, gives how many there were in the directory that he comes from, and
    /// where to count the keys that are asked for.
    fn lists(&mut self, uid: u32) -> Option<(usize, Arc<AtomicUsize>)> {
        if self.uid != uid || self.last.is_none_or(|t| t.elapsed() >= PAUSE) {
            return None;
        }
        self.listed += 1;
        let goes_through = self.opened + self.before >= 2 && self.listed <= LISTED;
        let worth = self.ordered.load(Ordering::Relaxed) <= CREDIT + self.useful * WORTH;
        (goes_through && worth && self.cold > 0)
            .then(|| (self.opened.max(self.before), Arc::clone(&self.ordered)))
    }
}

/// Stands for the filesystem itself where users are told apart.
const NOBODY: u32 = u32::MAX;

impl Volume {
    /// To be called when a file was opened that nobody has open; `missed` if a question had to be
    /// asked for it.
    pub(super) fn ask_ahead(&self, inode: &Arc<Inode>, caller: Caller, missed: bool) {
        let Caller::User { uid, .. } = caller else { return };
        let Some(alias) = inode.alias() else { return };
        let Ok((state, fd)) = self.dir_and_fd(alias.parent) else { return };
        let before = self.walk.lock().note(uid, state.id());
        let (known, batch) = state.scan.lock().note(uid, inode.lower_ino(), missed, before);
        self.walk.lock().asked(missed, known);
        if let Some(batch) = batch {
            let callers = [caller.to(Operation::Read)];
            self.ask_batch(state, fd, &callers, batch, FileType::RegularFile, None);
        }
    }

    /// The same for a directory whose key was just asked for.
    pub(super) fn ask_dirs_ahead(&self, inode: &Arc<Inode>, missed: bool) {
        let Some(alias) = inode.alias() else { return };
        let Ok((state, fd)) = self.dir_and_fd(alias.parent) else { return };
        let (_, batch) = state.dir_scan.lock().note(NOBODY, inode.lower_ino(), missed, 0);
        if let Some(batch) = batch {
            self.ask_batch(state, fd, &[Caller::Service], batch, FileType::Directory, None);
        }
    }

    /// To be called when somebody opens a directory, who has the right to.
    pub(super) fn ask_ahead_in(&self, inode: &Arc<Inode>, state: &Arc<DirState>, caller: Caller) {
        let Caller::User { uid, .. } = caller else { return };
        let Some((before, count)) = self.walk.lock().lists(uid) else { return };
        let Ok(fd) = self.dir_fd(inode, state) else { return };
        let files = state.scan.lock().begin(uid, before);
        if let Some(batch) = files {
            let (state, fd) = (Arc::clone(state), Arc::clone(&fd));
            let callers = [caller.to(Operation::Read)];
            let count = Some(Arc::clone(&count));
            self.ask_batch(state, fd, &callers, batch, FileType::RegularFile, count);
        }
        let dirs = state.dir_scan.lock().begin(NOBODY, 0);
        if let Some(batch) = dirs {
            let callers = [Caller::Service, caller.to(Operation::List)];
            self.ask_batch(
                Arc::clone(state),
                fd,
                &callers,
                batch,
                FileType::Directory,
                Some(count),
            );
        }
    }

    /// The search is made where the keys are asked for: whoever opened a file does not wait.
    fn ask_batch(
        &self,
        state: Arc<DirState>,
        fd: Arc<Dir>,
        callers: &[Caller],
        batch: usize,
        kind: FileType,
        count: Option<Arc<AtomicUsize>>,
    ) {
        let mut search = Search { state, fd, volume: self.id, kind, left: batch, count };
        let next = Box::new(move |most| search.next(most));
        self.keys.unwrap_ahead(callers, next);
    }
}

/// One batch of a [`Scan`].
struct Search {
    state: Arc<DirState>,
    fd: Arc<Dir>,
    volume: VolumeId,
    kind: FileType,
    left: usize,
    /// Where to count what is found.
    count: Option<Arc<AtomicUsize>>,
}

impl Search {
    fn scan(&self) -> &Mutex<Scan> {
        if self.kind == FileType::Directory { &self.state.dir_scan } else { &self.state.scan }
    }

    /// The keys of at most `most` others.
    fn next(&mut self, most: usize) -> Vec<(WrappedKey, KeyContext)> {
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
        let position = self.scan().lock().position;
        let (mut names, next) = next_names(&self.fd, position, count, self.kind)?;
        self.left = if next == 0 { 0 } else { self.left - count };
        let mut scan = self.scan().lock();
        scan.position = next;
        scan.through |= next == 0;
        names.retain(|(ino, _)| scan.asked.insert(*ino));
        scan.ordered += names.len();
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
        self.scan().lock().searching = false;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Goes through `files` in this order, as if every batch came at once and brought the next
    /// ones in the order of their numbers. Gives the batches and how many opens had to ask.
    fn go(
        scan: &mut Scan,
        files: impl Iterator<Item = u64>,
        of: u64,
        before: usize,
    ) -> (Vec<usize>, usize) {
        let (mut batches, mut missed) = (Vec::new(), 0);
        let mut there = HashSet::new();
        for file in files {
            let miss = !there.contains(&file);
            missed += usize::from(miss);
            if let (_, Some(batch)) = scan.note(7, file, miss, before) {
                batches.push(batch);
                scan.searching = false;
                let next = (scan.position..of).take(batch);
                scan.ordered += batch;
                for ino in next {
                    scan.position = ino + 1;
                    there.insert(ino);
                    scan.asked.insert(ino);
                }
                scan.through |= scan.position == of;
            }
        }
        (batches, missed)
    }

    #[test]
    fn one_file_asks_for_no_other() {
        assert_eq!(go(&mut Scan::default(), 5..6, 100, 0), (vec![], 1));
        assert_eq!(go(&mut Scan::default(), 5..6, 100, 1), (vec![], 1));
    }

    #[test]
    fn who_goes_through_a_directory_waits_for_few_keys() {
        let (batches, missed) = go(&mut Scan::default(), 0..1000, 1000, 0);
        assert_eq!(missed, 2, "{batches:?}");
        assert_eq!(batches[..5], [8, 16, 32, 64, 128]);
        let mixed = (0..1000).map(|n| n * 387 % 1000);
        let (batches, missed) = go(&mut Scan::default(), mixed, 1000, 0);
        assert!(missed < 40, "{missed} of 1000 in another order: {batches:?}");
    }

    #[test]
    fn who_comes_from_another_directory_waits_for_the_first_alone() {
        let (batches, missed) = go(&mut Scan::default(), 0..200, 200, 200);
        assert_eq!((batches, missed), (vec![200], 1));
    }

    #[test]
    fn here_and_there_in_a_large_directory_is_noticed() {
        let far = (0..4000).map(|n| n * 7919 % 1_000_000);
        let (batches, _) = go(&mut Scan::default(), far, 1_000_000, 0);
        let ordered: usize = batches.iter().sum();
        assert!(ordered < CREDIT + (TRIAL + 8) * CREDIT_PER_OPEN, "{ordered}");
    }

    #[test]
    fn nothing_is_asked_for_what_memory_has() {
        let mut scan = Scan::default();
        go(&mut scan, 0..200, 200, 0);
        assert!((0..200).all(|file| scan.note(7, file, false, 200).1.is_none()));
    }

    #[test]
    fn a_walk_tells_how_many_were_opened_where_one_comes_from() {
        let mut walk = Walk::default();
        let (here, there) = (FileId([1; 16]), FileId([2; 16]));
        assert_eq!((walk.note(7, here), walk.note(7, here), walk.note(7, there)), (0, 0, 2));
        assert_eq!(walk.note(7, here), 1);
        assert_eq!(walk.note(8, here), 0, "another user");
    }

    #[test]
    fn a_directory_is_asked_for_when_it_is_opened_by_who_had_to_ask_in_the_last() {
        let mut walk = Walk::default();
        assert!(walk.lists(7).is_none(), "nothing was opened");
        walk.note(7, FileId([1; 16]));
        walk.asked(true, false);
        assert!(walk.lists(7).is_none(), "one file is no habit");
        walk.note(7, FileId([2; 16]));
        walk.asked(true, false);
        assert!(walk.lists(8).is_none(), "another user");
        assert!(matches!(walk.lists(7), Some((1, _))));
        let listed = (1..LISTED).filter(|_| walk.lists(7).is_some()).count();
        assert_eq!(listed, LISTED - 1);
        assert!(walk.lists(7).is_none(), "he opens nothing any more");
        walk.note(7, FileId([3; 16]));
        assert!(walk.lists(7).is_some());
        (0..WARM).for_each(|_| walk.asked(false, false));
        assert!(walk.lists(7).is_none(), "memory has what he opens");
    }

    #[test]
    fn who_opens_one_file_in_each_of_many_directories_is_noticed() {
        let mut walk = Walk::default();
        for n in 0..10_000_u128 {
            if let Some((_, count)) = walk.lists(7) {
                // Eight files and eight directories.
                count.fetch_add(2 * FIRST, Ordering::Relaxed);
            }
            walk.note(7, FileId(n.to_be_bytes()));
            walk.asked(false, n % 4 == 0);
        }
        let ordered = walk.ordered.load(Ordering::Relaxed);
        assert!(ordered <= CREDIT + 10_000 / 4 * WORTH + 2 * FIRST, "{ordered}");
        assert!(ordered > CREDIT, "{ordered}");
    }

    #[test]
    fn a_directory_is_begun_once() {
        let mut scan = Scan::default();
        assert_eq!(scan.begin(7, 0), Some(FIRST));
        assert_eq!(scan.begin(7, 0), None, "it is being searched");
        scan.searching = false;
        assert_eq!(scan.begin(7, 0), None, "it was just searched");
        scan.asked.extend([1, 2]);
        assert_eq!(scan.note(7, 1, false, 1), (true, Some(2 * FIRST)), "and the rest of it");
        assert_eq!(Scan::default().begin(7, 1 << 20), Some(MOST));
    }
}
