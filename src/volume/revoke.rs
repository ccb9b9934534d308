//! Open handles whose user has lost the right to them, as a transport needs to know of them.
//!
//! Every request that reaches the volume is judged anyway. These are for requests that the kernel
//! would answer from its caches without asking, and for keys that lie in memory with nobody left who
//! may use them.

use std::collections::HashSet;

use crate::sync::Arc;
use crate::sync::atomic::Ordering;

use super::Volume;
use super::file::FileState;
use super::handle::{FileHandle, Handle};
use super::types::{Errno, Fh, FileKind, Ino};

impl Volume {
    /// Whether some handle on `ino` is open for a user who may no longer use the file. Judges
    /// every handle that was not judged under the current epoch, which may block for a round
    /// trip to the key service each.
    pub fn contested(&self, ino: Ino) -> bool {
        let handles = self.handles.of_inode(ino);
        // Every one is judged: who is not may have what is locked away.
        handles.into_iter().filter(|fh| self.still_allowed(*fh).is_err()).count() > 0
    }

    /// Whether somebody has `ino` open for writing, so that the kernel may hold pages of it that
    /// are still to come.
    pub fn has_writer(&self, ino: Ino) -> bool {
        let writes = |fh| self.handles.file(fh).is_ok_and(|handle| handle.writes);
        self.handles.of_inode(ino).into_iter().any(writes)
    }

    /// Files and directories that somebody has open: what the kernel has of them is dropped when
    /// the policy epoch moves.
    pub fn open_inodes(&self) -> HashSet<Ino> {
        self.handles.inodes()
    }

    /// Wipes the keys of `ino` if nobody who has it open may use them: the file is closed as if the
    /// last of them had gone, and opened again for the first of them who gets his right back. To be
    /// called after [`Volume::contested`], and again while that is so: a request on its way, and a
    /// file that cannot be closed now, put it off.
    pub fn lock_away(&self, ino: Ino) {
        let Some(inode) = self.inodes.get(ino) else { return };
        if inode.kind != FileKind::Regular {
            return;
        }
        let handles: Vec<_> = self.handles.of_inode(ino);
        let handles: Vec<_> =
            handles.into_iter().filter_map(|fh| self.handles.file(fh).ok()).collect();
        let epoch = self.keys.epoch();
        let allowed = |handle: &Arc<FileHandle>| handle.epoch.load(Ordering::Acquire) == epoch;
        if handles.is_empty() || handles.iter().any(allowed) {
            return;
        }
        // Whoever uses the file now has it by himself; whoever comes from here on has to ask for it
        // below, under the lock.
        for handle in &handles {
            handle.file.store(None);
        }
        let mut open = inode.file.lock();
        let Some(file) = open.state.as_ref() else { return };
        if Arc::strong_count(file) > 1 || open.handles != handles.len() {
            return;
        }
        if let Err(error) = file.settle(&self.env(), super::file::Settle::Clean) {
            tracing::warn!(inode = ino.0, %error, "a file that nobody may use cannot be closed yet");
            return;
        }
        open.state = None;
        tracing::debug!(inode = ino.0, "nobody who has it open may use it: its keys were wiped");
    }

    /// Gives a handle its file back, if its opener may use it.
    pub(super) fn unlock(&self, handle: &FileHandle) -> Result<Arc<FileState>, Errno> {
        let _here = handle.inode.settled();
        let mut open = handle.inode.file.lock();
        let file = match &open.state {
            Some(file) => {
                let file = Arc::clone(file);
                self.judge(&handle.inode, &file, handle.opener)?;
                file
            }
            None => Arc::new(self.load_file(&handle.inode, handle.opener)?),
        };
        open.state = Some(Arc::clone(&file));
        handle.file.store(Some(Arc::clone(&file)));
        Ok(file)
    }

    /// Whether the opener of `fh` still has the right to it.
    ///
    /// # Errors
    /// What a read through the handle would give: EACCES, ENOKEY or EIO.
    pub fn still_allowed(&self, fh: Fh) -> Result<(), Errno> {
        match self.handles.any(fh)? {
            Handle::File(_) => self.usable(fh).map(drop),
            Handle::Dir(_) => self.usable_dir(fh).map(drop),
        }
    }
}
