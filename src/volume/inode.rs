//! Inodes as the kernel remembers them, and how each is found again below.
//!
//! Inode numbers are the lower ones, so they are stable; only the root and whoever has number 1
//! below change places. An inode holds no descriptor of its own: it is reached by a name in its
//! parent, and the parent's descriptor is cached. When its last known name is removed while the
//! kernel still remembers it, it is pinned by an `O_PATH` descriptor first.

use std::os::fd::OwnedFd;

use dashmap::DashMap;
use smallvec::SmallVec;

use crate::lower::LowerStat;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use super::directory::DirState;
use super::file::FileState;
use super::types::{FileKind, Ino};

/// A name under which an inode was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    /// The directory.
    pub parent: Ino,
    /// The lower name in it.
    pub lower: Box<[u8]>,
}

/// A file's shared state and the number of handles on it.
#[derive(Default)]
pub(super) struct OpenFile {
    pub state: Option<Arc<FileState>>,
    pub handles: usize,
    /// The last handle is closed and no name is left, so its header was not written: it is kept
    /// for whoever comes back by an O_PATH descriptor, until the kernel forgets the inode.
    pub nameless: bool,
}

impl OpenFile {
    fn may_be_forgotten(&self) -> bool {
        self.state.is_none() || self.nameless && self.handles == 0
    }
}

/// What the kernel knows by one number.
pub(super) struct Inode {
    pub ino: Ino,
    lower_ino: AtomicU64,
    /// Of its number's use: as it was when the kernel first heard of it.
    pub generation: u32,
    pub kind: FileKind,
    lookups: AtomicU64,
    /// Held for writing while names, pin and link tag are not in step with each other or with what
    /// is below; for reading by whoever goes by them, see [`Inode::settled`].
    pub place: RwLock<()>,
    /// Known names, the one looked up last at the end.
    /// Nearly all have one, and there are millions of them.
    pub aliases: Mutex<SmallVec<[Alias; 1]>>,
    /// It had more names than are remembered.
    crowded: AtomicBool,
    /// Keeps a nameless inode reachable.
    pub pin: Mutex<Option<Arc<OwnedFd>>>,
    /// Of a directory: id, keys, descriptor.
    pub dir: Mutex<Option<Arc<DirState>>>,
    /// Of a regular file. Held while the key service is asked for this file's key.
    pub file: Mutex<OpenFile>,
}

impl Inode {
    fn new(ino: Ino, lower_ino: u64, kind: FileKind, generation: u32) -> Inode {
        Inode {
            ino,
            lower_ino: AtomicU64::new(lower_ino),
            generation,
            kind,
            lookups: AtomicU64::new(0),
            place: RwLock::default(),
            aliases: Mutex::default(),
            crowded: AtomicBool::new(false),
            pin: Mutex::default(),
            dir: Mutex::default(),
            file: Mutex::default(),
        }
    }

    /// The lower inode number, to notice that a name means another object by now.
    pub fn lower_ino(&self) -> u64 {
        self.lower_ino.load(Ordering::Acquire)
    }

    /// Keeps it where it is, for one who reaches it by name: otherwise an open in the middle of a
    /// rename would find the new name without its tag. Not to be taken twice.
    pub fn settled(&self) -> RwLockReadGuard<'_, ()> {
        self.place.read()
    }

    /// What keeps it reachable without a name. The lock is not held on return: whoever holds a
    /// file's lock takes this one.
    pub fn pinned(&self) -> Option<Arc<OwnedFd>> {
        self.pin.lock().clone()
    }

    /// The name it was last seen under.
    pub fn alias(&self) -> Option<Alias> {
        self.aliases.lock().last().cloned()
    }

    /// Notes a name, as the latest.
    pub fn seen_as(&self, alias: Alias) {
        let mut aliases = self.aliases.lock();
        if aliases.last() == Some(&alias) {
            return;
        }
        aliases.retain(|a| *a != alias);
        if aliases.len() >= MAX_ALIASES {
            aliases.remove(0);
            self.crowded.store(true, Ordering::Release);
        }
        aliases.push(alias);
    }

    /// Whether it may have names that the kernel knows and this table does not.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Acquire)
    }

    /// Forgets a name. `true` if it was the last known one.
    pub fn lost(&self, parent: Ino, lower: &[u8]) -> bool {
        let mut aliases = self.aliases.lock();
        aliases.retain(|a| !(a.parent == parent && *a.lower == *lower));
        aliases.is_empty()
    }
}

/// Names remembered per inode; one is enough, others are for the day it goes.
pub(super) const MAX_ALIASES: usize = 8;

/// All inodes that the kernel remembers.
pub(super) struct Inodes {
    table: DashMap<u64, Arc<Inode>>,
    root_lower_ino: u64,
    /// Lower numbers that stand for another: see [`Inodes::took_the_place`].
    swapped: DashMap<u64, u64>,
    /// Inodes forgotten since [`Inodes::tidy_up`] had looked.
    forgotten: AtomicUsize,
    /// And before that, of those whose memory was not given back yet.
    untidy: AtomicUsize,
}

/// So many forgotten inodes are worth a walk through the heap: some 25 MB.
const MANY: usize = 100_000;

/// Fewer than so many between two looks: the kernel is done forgetting for now.
const FEW: usize = 1_000;

/// So many are worth it although more are on their way: some mounts forget all day long.
const TOO_MANY: usize = 10 * MANY;

impl Inodes {
    /// A table with the root alone.
    pub fn new(root: &LowerStat) -> Inodes {
        let inodes = Inodes {
            table: DashMap::new(),
            root_lower_ino: root.ino,
            swapped: DashMap::new(),
            forgotten: AtomicUsize::new(0),
            untidy: AtomicUsize::new(0),
        };
        let root = Arc::new(Inode::new(Ino::ROOT, root.ino, FileKind::Directory, 0));
        root.lookups.store(1, Ordering::Relaxed);
        inodes.table.insert(Ino::ROOT.0, root);
        inodes
    }

    /// The number that the kernel is told for a lower one.
    pub fn number(&self, lower_ino: u64) -> Ino {
        if !self.swapped.is_empty()
            && let Some(ino) = self.swapped.get(&lower_ino)
        {
            return Ino(*ino);
        }
        if lower_ino == self.root_lower_ino {
            Ino::ROOT
        } else if lower_ino == Ino::ROOT.0 {
            Ino(self.root_lower_ino)
        } else {
            Ino(lower_ino)
        }
    }

    /// The lower number that the kernel's stands for: it is a matter of changing places.
    pub fn lower_number(&self, ino: Ino) -> u64 {
        match self.number(ino.0) {
            Ino::ROOT => self.root_lower_ino,
            Ino(number) if number == self.root_lower_ino => Ino::ROOT.0,
            Ino(number) => number,
        }
    }

    /// A renamed symlink is another inode below, but the same one above: from here on the two
    /// lower numbers stand for each other's, until unmount.
    pub fn took_the_place(&self, new_lower: u64, old_lower: u64) {
        let (new, old) = (self.number(new_lower), self.number(old_lower));
        self.swapped.insert(new_lower, old.0);
        self.swapped.insert(old_lower, new.0);
        if let Some(inode) = self.get(old) {
            inode.lower_ino.store(new_lower, Ordering::Release);
        }
    }

    /// An inode that the kernel has not forgotten.
    pub fn get(&self, ino: Ino) -> Option<Arc<Inode>> {
        self.table.get(&ino.0).map(|i| Arc::clone(&i))
    }

    /// Finds or makes the inode for a lower object, notes its name, and counts one lookup.
    pub fn intern(&self, st: &LowerStat, alias: Alias) -> Arc<Inode> {
        let inode = self.intern_nameless(st);
        inode.seen_as(alias);
        inode
    }

    /// The same for an object that no name is known of; the caller pins it.
    pub fn intern_nameless(&self, st: &LowerStat) -> Arc<Inode> {
        self.count(st.ino, super::shown::kind_of(st.file_type()), st.generation())
    }

    /// Counts one lookup more of an inode that was in the table just now.
    pub fn again(&self, inode: &Inode) -> Arc<Inode> {
        self.count(inode.lower_ino(), inode.kind, inode.generation)
    }

    fn count(&self, lower_ino: u64, kind: FileKind, generation: u32) -> Arc<Inode> {
        let ino = self.number(lower_ino);
        {
            let entry = self
                .table
                .entry(ino.0)
                .or_insert_with(|| Arc::new(Inode::new(ino, lower_ino, kind, generation)));
            // A number that was freed below and given out again, before the kernel forgot its
            // first use: the kernel tells them apart by type at least, and so do we.
            let inode = if entry.kind == kind {
                Arc::clone(&entry)
            } else {
                drop(entry);
                let fresh = Arc::new(Inode::new(ino, lower_ino, kind, generation));
                self.table.insert(ino.0, Arc::clone(&fresh));
                fresh
            };
            inode.lookups.fetch_add(1, Ordering::AcqRel);
            inode
        }
    }

    /// Takes back `n` lookups. Gives the inode if it is forgotten by that: with 0 if that was held
    /// up by a file that was open and is closed by now.
    pub fn forget(&self, ino: Ino, n: u64) -> Option<Arc<Inode>> {
        if ino == Ino::ROOT {
            return None;
        }
        let removed = self.table.remove_if(&ino.0, |_, inode| {
            let before = inode
                .lookups
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |c| Some(c.saturating_sub(n)));
            // Not waited for: whoever holds it looks inodes up in this table. And he who is
            // opening the file has a lookup of his own.
            let idle = || inode.file.try_lock().is_some_and(|open| open.may_be_forgotten());
            before.unwrap_or(0) <= n && idle()
        });
        let (_, inode) = removed?;
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        Some(inode)
    }

    /// Makes the table smaller after the kernel has forgotten many inodes. Gives whether it was so:
    /// then their memory, which lies about in between other things, can be given back as well. To
    /// be called every few seconds, by one thread.
    pub fn tidy_up(&self) -> bool {
        let lately = self.forgotten.swap(0, Ordering::Relaxed);
        let all = self.untidy.load(Ordering::Relaxed) + lately;
        if all < MANY || lately >= FEW && all < TOO_MANY {
            self.untidy.store(all, Ordering::Relaxed);
            return false;
        }
        self.untidy.store(0, Ordering::Relaxed);
        if self.table.capacity() > 4 * self.table.len() {
            self.table.shrink_to_fit();
        }
        true
    }

    /// Every inode, for what concerns all of them.
    pub fn all(&self) -> Vec<Arc<Inode>> {
        self.table.iter().map(|i| Arc::clone(i.value())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::Dir;

    #[test]
    fn memory_of_forgotten_inodes_is_given_back_once_and_only_when_it_is_much() {
        let fd = std::fs::File::open(std::env::temp_dir()).unwrap();
        let mut st = Dir::new(fd.into()).stat_self().unwrap();
        let inodes = Inodes::new(&st);
        let root = st.ino;
        let mut come_and_go = |count: u64| {
            for n in 0..count {
                st.ino = root + 1 + n;
                let inode = inodes.intern_nameless(&st);
                assert!(inodes.forget(inode.ino, 1).is_some());
            }
        };
        come_and_go(MANY as u64 / 2);
        assert!(!inodes.tidy_up() && !inodes.tidy_up(), "not for so few");
        come_and_go(MANY as u64 / 2);
        assert!(!inodes.tidy_up(), "more may be on their way");
        assert!(inodes.tidy_up(), "now nothing comes any more");
        assert!(!inodes.tidy_up(), "and that was it");
        for round in 1..TOO_MANY / MANY {
            come_and_go(MANY as u64);
            assert!(!inodes.tidy_up(), "{round}: it goes on");
        }
        come_and_go(MANY as u64);
        assert!(inodes.tidy_up(), "for too long to wait for an end");
        assert!(inodes.table.capacity() < MANY);
    }
}
