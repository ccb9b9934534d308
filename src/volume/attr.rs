//! Attributes: showing them and setting them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::format::MTIME_MARK;
use crate::lower::{FileIo, LowerStat, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::inode::Inode;
use super::keys::Operation;
use super::types::{Attr, Errno, Fh, FileKind, Ino, ReqCtx, SetAttr, SetTime, StatFs};

impl Volume {
    /// stat(2) of an inode that the kernel remembers.
    pub fn getattr(&self, ino: Ino, _fh: Option<Fh>) -> Result<Attr, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        self.attr(&inode)
    }

    /// When an inode was made, for statx(2); `None` where the lower filesystem does not remember.
    pub fn born(&self, ino: Ino) -> Result<Option<SystemTime>, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        self.with_pinned(&inode, |pin| Ok(pin.born()?.map(LowerStat::time)))
    }

    pub(super) fn attr(&self, inode: &Arc<Inode>) -> Result<Attr, Errno> {
        if inode.ino == Ino::ROOT {
            return Ok(self.attr_of(Ino::ROOT, &self.root.stat_self()?));
        }
        // An open file tells best: it needs no name.
        let open = inode.file.lock().state.clone();
        if let Some(file) = open {
            return Ok(self.attr_at(inode, &file.io().stat()?, None));
        }
        // So does the descriptor of a directory; whoever holds the lock may be asking for its key.
        let open = inode.dir.try_lock().and_then(|state| state.as_ref()?.open_fd());
        if let Some(fd) = open {
            return Ok(self.attr_at(inode, &fd.stat_self()?, None));
        }
        let _here = inode.settled();
        if let Some(pin) = inode.pinned() {
            return Ok(self.attr_at(inode, &Pinned::new(pin.as_fd()).stat()?, None));
        }
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let (_, parent) = self.dir_and_fd(alias.parent)?;
        let st = parent.stat(&alias.lower)?;
        if st.ino != inode.lower_ino() {
            return Err(Errno::ESTALE);
        }
        Ok(self.attr_at(inode, &st, Some((&parent, &alias.lower))))
    }

    /// EPERM for a caller who is neither the owner of an inode nor root.
    pub(super) fn owner_or_root(&self, cx: &ReqCtx, inode: &Arc<Inode>) -> Result<(), Errno> {
        if cx.uid == 0 || self.attr(inode)?.uid == cx.uid { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Runs `work` on the inode below, held as a reference.
    pub(super) fn with_pinned<T>(
        &self,
        inode: &Arc<Inode>,
        work: impl FnOnce(&Pinned<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if inode.kind == FileKind::Directory {
            let state = self.dir(inode)?;
            let fd = self.dir_fd(inode, &state)?;
            return work(&Pinned::new(fd.fd()));
        }
        let open = inode.file.lock().state.clone();
        if let Some(file) = open {
            return work(&Pinned::new(file.io().fd()));
        }
        let pin = {
            let _here = inode.settled();
            self.pin_of(inode)?
        };
        work(&Pinned::new(pin.as_fd()))
    }

    /// A reference to an inode that is settled and no directory.
    pub(super) fn pin_of(&self, inode: &Arc<Inode>) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(pin) = inode.pinned() {
            return Ok(pin);
        }
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let (_, parent) = self.dir_and_fd(alias.parent)?;
        let pin = parent.pin(&alias.lower)?;
        if Pinned::new(pin.as_fd()).stat()?.ino != inode.lower_ino() {
            return Err(Errno::ESTALE);
        }
        Ok(Arc::new(pin))
    }

    /// chmod, chown, truncate and utimens in one, as SETATTR has it.
    pub fn setattr(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        fh: Option<Fh>,
        set: &SetAttr,
    ) -> Result<Attr, Errno> {
        self.writable()?;
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        if let Some(attr) = self.takes_note(&inode, set)? {
            return Ok(attr);
        }
        if let Some(size) = set.size {
            self.set_size(cx, &inode, fh, size)?;
        }
        if set.keep_owner {
            self.owner_or_root(cx, &inode)?;
        }
        if set.uid.is_some() || set.gid.is_some() || set.keep_owner {
            self.with_pinned(&inode, |pin| Ok(pin.chown(set.uid, set.gid)?))?;
        }
        if let Some(mode) = set.mode {
            self.with_pinned(&inode, |pin| Ok(pin.chmod(mode & 0o7777)?))?;
        }
        if set.atime.is_some() || set.mtime.is_some() {
            self.set_times(&inode, set)?;
        }
        self.attr(&inode)
    }

    /// The attributes, if all that `set` asks for is a modification time that needs no call
    /// below: it is there already, or the file is open and gets it when it is synced or closed.
    /// The kernel, which keeps the times of files under its writeback cache, tells them with
    /// every sync, and again with every rename and unlink.
    fn takes_note(&self, inode: &Arc<Inode>, set: &SetAttr) -> Result<Option<Attr>, Errno> {
        let SetAttr { mode: None, uid: None, gid: None, size: None, atime: None, .. } = set else {
            return Ok(None);
        };
        let Some(SetTime::At(mtime)) = set.mtime else { return Ok(None) };
        {
            // Under the lock, or the last handle could close the file before the note is in it.
            let open = inode.file.lock();
            if let Some(file) = open.state.clone().filter(|file| file.writable()) {
                let mtime = unmarked(pair(mtime));
                file.set_mtime(Some(mtime));
                drop(open);
                // The lower one's are not looked at between two writes: the kernel would have a
                // new time to tell after each.
                let st = file.io().stat_but_times(mtime, super::data::now())?;
                return Ok(Some(self.attr_at(inode, &st, None)));
            }
        }
        let attr = self.attr(inode)?;
        Ok((attr.mtime == mtime).then_some(attr))
    }

    fn set_size(
        &self,
        cx: &ReqCtx,
        inode: &Arc<Inode>,
        fh: Option<Fh>,
        size: u64,
    ) -> Result<(), Errno> {
        let env = self.env();
        let cut = |file: &Arc<super::file::FileState>| {
            let same = file.size() == size;
            file.truncate(&env, size).map_err(|e| self.file_errno(inode, file, e))?;
            let now = super::data::now();
            file.set_mtime(Some(now));
            if same {
                // Nothing is written that would take the time along.
                file.io().set_mtime(now.0, now.1)?;
                file.io().mtime_was_set(now);
            }
            Ok(())
        };
        match fh {
            Some(fh) => cut(&self.usable(fh)?.file),
            None => self.with_file(inode, self.caller(cx).to(Operation::Write), cut),
        }
    }

    fn set_times(&self, inode: &Arc<Inode>, set: &SetAttr) -> Result<(), Errno> {
        let asked = |time| match time {
            SetTime::At(time) => SetTime::At(LowerStat::time(unmarked(pair(time)))),
            SetTime::Now => SetTime::Now,
        };
        let set = &SetAttr { mtime: set.mtime.map(asked), ..*set };
        let times =
            Timestamps { last_access: timespec(set.atime), last_modification: timespec(set.mtime) };
        self.with_pinned(inode, |pin| Ok(pin.set_times(&times)?))?;
        // What we write to the file later must not move what was just set.
        let open = inode.file.lock().state.clone();
        if let (Some(file), Some(mtime)) = (open, set.mtime) {
            let time = match mtime {
                SetTime::Now => file.io().stat()?.mtime,
                SetTime::At(time) => pair(time),
            };
            file.io().mtime_was_set(time);
            file.set_mtime(Some(time));
        }
        Ok(())
    }

    /// statfs(2), passed through: what is free below is free here, less the headers to come.
    pub fn statfs(&self, _ino: Ino) -> Result<StatFs, Errno> {
        let st = self.root.statvfs()?;
        let bytes = |n: u64| u32::try_from(n).unwrap_or(4096);
        Ok(StatFs {
            blocks: st.f_blocks,
            bfree: st.f_bfree,
            bavail: st.f_bavail,
            files: st.f_files,
            ffree: st.f_ffree,
            bsize: bytes(st.f_bsize),
            frsize: bytes(st.f_frsize),
            namelen: 255,
        })
    }

    /// access(2): decided by the kernel under default_permissions.
    pub fn access(&self, _cx: &ReqCtx, ino: Ino, _mask: i32) -> Result<(), Errno> {
        self.inodes.get(ino).map(|_| ()).ok_or(Errno::ESTALE)
    }
}

fn timespec(time: Option<SetTime>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(SetTime::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(SetTime::At(time)) => {
            let (sec, nsec) = pair(time);
            Timespec { tv_sec: sec, tv_nsec: i64::from(nsec) }
        }
    }
}

/// No user's time says that the one in the header counts. F-43.
fn unmarked((sec, nsec): (i64, u32)) -> (i64, u32) {
    (sec, if nsec == MTIME_MARK { nsec + 1 } else { nsec })
}

/// Seconds and nanoseconds since 1970; before it, seconds count down and nanoseconds up.
fn pair(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let sec = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-sec, 0),
                nanos => (-sec - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_before_1970_keep_their_fraction() {
        for time in [
            UNIX_EPOCH - Duration::new(10, 250),
            UNIX_EPOCH - Duration::new(0, 1),
            UNIX_EPOCH + Duration::new(7, 9),
        ] {
            assert_eq!(LowerStat::time(pair(time)), time);
        }
    }
}
