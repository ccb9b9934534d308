//! Open handles: who opened what.

use std::collections::HashSet;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;

use crate::lower::Dir;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};

use super::Volume;
use super::file::FileState;
use super::inode::Inode;
use super::keys::Caller;
use super::types::{Errno, Fh, Ino, Opened};

/// A file that somebody has open.
pub(super) struct FileHandle {
    pub inode: Arc<Inode>,
    /// What is open of the file. Nothing while nobody who has it open may use its key: see
    /// [`Volume::lock_away`](super::Volume::lock_away).
    pub file: ArcSwapOption<FileState>,
    /// The one who opened is the one who is judged, whoever the descriptor is passed on to.
    pub opener: Caller,
    /// The epoch under which the opener was last judged.
    pub epoch: AtomicU64,
    /// Opened for writing.
    pub writes: bool,
}

/// A file in use through a handle whose opener has the right to it.
pub(super) struct InUse {
    pub inode: Arc<Inode>,
    pub file: Arc<FileState>,
}

/// A directory that somebody has open. The lock guards the position of the descriptor.
pub(super) struct DirHandle {
    pub inode: Arc<Inode>,
    pub dir: Mutex<Dir>,
    /// Who is judged, and under which epoch he last was; as of [`FileHandle`].
    pub opener: Caller,
    pub epoch: AtomicU64,
}

/// An open handle.
#[derive(Clone)]
pub(super) enum Handle {
    File(Arc<FileHandle>),
    Dir(Arc<DirHandle>),
}

impl Handle {
    /// The inode that it is open on.
    pub fn ino(&self) -> Ino {
        match self {
            Handle::File(file) => file.inode.ino,
            Handle::Dir(dir) => dir.inode.ino,
        }
    }
}

/// All open handles, by number. Numbers are never used twice.
pub(super) struct Handles {
    table: DashMap<u64, Handle>,
    next: AtomicU64,
    uses: AtomicU64,
}

impl Handles {
    pub fn new() -> Handles {
        Handles { table: DashMap::new(), next: AtomicU64::new(1), uses: AtomicU64::new(0) }
    }

    pub fn add(&self, handle: Handle) -> Fh {
        let fh = self.next.fetch_add(1, Ordering::Relaxed);
        self.table.insert(fh, handle);
        Fh(fh)
    }

    /// How often a file's handle was used so far.
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    pub fn file(&self, fh: Fh) -> Result<Arc<FileHandle>, Errno> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        match self.table.get(&fh.0).as_deref() {
            Some(Handle::File(handle)) => Ok(Arc::clone(handle)),
            _ => Err(Errno::EBADF),
        }
    }

    pub fn dir(&self, fh: Fh) -> Result<Arc<DirHandle>, Errno> {
        match self.table.get(&fh.0).as_deref() {
            Some(Handle::Dir(handle)) => Ok(Arc::clone(handle)),
            _ => Err(Errno::EBADF),
        }
    }

    /// The handles open on one inode. Looks through the whole table: for rare events.
    pub fn of_inode(&self, ino: Ino) -> Vec<Fh> {
        self.table.iter().filter(|e| e.value().ino() == ino).map(|e| Fh(*e.key())).collect()
    }

    /// The inodes that some handle is open on. As rare.
    pub fn inodes(&self) -> HashSet<Ino> {
        self.table.iter().map(|e| e.value().ino()).collect()
    }

    pub fn any(&self, fh: Fh) -> Result<Handle, Errno> {
        self.table.get(&fh.0).map(|handle| handle.clone()).ok_or(Errno::EBADF)
    }

    pub fn remove(&self, fh: Fh) -> Option<Handle> {
        self.table.remove(&fh.0).map(|(_, handle)| handle)
    }
}

impl Volume {
    /// Registers a handle for an acquired file, whose opener was judged under `epoch` or later.
    pub(super) fn add_handle(
        &self,
        inode: Arc<Inode>,
        file: Arc<FileState>,
        (opener, epoch): (Caller, u64),
        flags: i32,
    ) -> Opened {
        let epoch = AtomicU64::new(epoch);
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        let file = ArcSwapOption::new(Some(file));
        let handle = FileHandle { inode, file, opener, epoch, writes };
        Opened { fh: self.handles.add(Handle::File(Arc::new(handle))), keep_cache: true }
    }
}
