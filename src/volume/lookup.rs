//! Names looked up: from a name to the inode that answers to it.

use crate::lower::Dir;

use super::Volume;
use super::inode::Alias;
use super::types::{Entry, Errno, Ino, ReqCtx};

impl Volume {
    /// Finds a name and counts one reference for the kernel.
    pub fn lookup(&self, cx: &ReqCtx, parent: Ino, name: &[u8]) -> Result<Entry, Errno> {
        match name {
            // So the kernel asks for an inode by its number, and for the directory above one.
            b"." => return self.revive(cx, parent),
            b".." => return self.revive_parent(cx, parent),
            _ => {}
        }
        let (state, fd) = self.dir_and_fd(parent)?;
        let lower = state.lower_name(name)?;
        self.entry_of(parent, &fd, lower.name().as_bytes())
    }

    /// The kernel drops `n` references.
    pub fn forget(&self, ino: Ino, n: u64) {
        self.inodes.forget(ino, n);
    }

    /// Stats a lower name and takes its inode into the table.
    pub(super) fn entry_of(&self, parent: Ino, fd: &Dir, lower: &[u8]) -> Result<Entry, Errno> {
        let st = fd.stat(lower)?;
        let alias = Alias { parent, lower: lower.into() };
        let inode = self.inodes.intern(&st, alias);
        let attr = self.attr_at(&inode, &st, Some((fd, lower)));
        Ok(Entry { attr, generation: inode.generation.into() })
    }
}
