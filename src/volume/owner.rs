//! Owner and permission bits of what is made, as if the caller had made it below.

use std::os::fd::AsFd;

use crate::lower::{Dir, Pinned};

use super::Volume;
use super::directory::DirState;
use super::types::{Errno, ReqCtx};

impl Volume {
    /// Permission bits for a new object: the umask counts unless a default ACL decides, which
    /// the lower filesystem applies by itself.
    pub(super) fn perm_for(&self, cx: &ReqCtx, state: &DirState, fd: &Dir, mode: u32) -> u32 {
        let perm = mode & 0o7777;
        if self.has_default_acl(state, fd) { perm } else { perm & !(cx.umask & 0o777) }
    }

    /// Makes the caller the owner of what we made as root. In a set-group-id directory the group
    /// stays what the lower filesystem chose.
    pub(super) fn give_to_caller(
        &self,
        cx: &ReqCtx,
        fd: &Dir,
        lname: &[u8],
        perm: u32,
        is_dir: bool,
    ) -> Result<(), Errno> {
        if self.euid != 0 || (cx.uid == 0 && cx.gid == 0) {
            return Ok(());
        }
        let inherits = fd.stat_self()?.mode & libc::S_ISGID != 0;
        let gid = if inherits { None } else { Some(cx.gid) };
        fd.chown(lname, Some(cx.uid), gid)?;
        if !is_dir && perm & (libc::S_ISUID | libc::S_ISGID) != 0 {
            let pin = fd.pin(lname)?;
            Pinned::new(pin.as_fd()).chmod(perm)?;
        }
        Ok(())
    }

    /// Makes what was created as root the caller's, by reference.
    pub(super) fn give_inode_to_caller(
        &self,
        cx: &ReqCtx,
        parent: &Dir,
        pin: &Pinned<'_>,
        perm: u32,
    ) -> Result<(), Errno> {
        if self.euid != 0 || (cx.uid == 0 && cx.gid == 0) {
            return Ok(());
        }
        let inherits = parent.stat_self()?.mode & libc::S_ISGID != 0;
        pin.chown(Some(cx.uid), (!inherits).then_some(cx.gid))?;
        if perm & (libc::S_ISUID | libc::S_ISGID) != 0 {
            pin.chmod(perm)?;
        }
        Ok(())
    }
}
