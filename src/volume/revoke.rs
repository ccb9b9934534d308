//! Open handles whose user has lost the right to them, as a transport needs to know of them.
//!
//! Every request that reaches the volume is judged anyway. These two are for requests that the
//! kernel would answer from its caches without asking.

use std::collections::HashSet;

use super::Volume;
use super::handle::Handle;
use super::types::{Errno, Fh, Ino};

impl Volume {
    /// Whether some handle on `ino` is open for a user who may no longer use the file. Judges
    /// every handle that was not judged under the current epoch, which may block for a round
    /// trip to the key service each.
    pub fn contested(&self, ino: Ino) -> bool {
        self.handles.of_inode(ino).into_iter().any(|fh| self.still_allowed(fh).is_err())
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
