//! What a transport asks of the volume: one call per request of the kernel, in values of ours.
//!
//! Everything that is the same whichever way a request came is here: the net under a handler
//! that panics, how long the kernel may keep an answer, what an open file's flags are. A
//! transport decodes, calls, encodes, and adds nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::groups;
use super::notify::Notifier;
use super::watch::Contested;
use crate::volume::{
    Attr, DirSink, Entry, Errno, Fh, FileKind, Ino, Opened, Plain, ReqCtx, SetAttr, StatFs, Volume,
    WriteFrom,
};

/// How long the kernel may keep names and attributes without asking again. The lower tree is
/// ours alone while it is mounted, so every change passes through this process, and the kernel
/// drops what a change made stale by itself.
pub const TTL: Duration = Duration::from_secs(3600);

/// How long the kernel may keep an entry with these attributes. A file with set-user-id bits
/// loses them when certain users write to it, and the kernel, which leaves that to us
/// (FUSE_HANDLE_KILLPRIV_V2), does not forget the mode by itself.
pub fn ttl(attr: &Attr) -> Duration {
    let may_lose = attr.kind == FileKind::Regular && u32::from(attr.perm) & SUID_BITS != 0;
    if may_lose { Duration::ZERO } else { TTL }
}

const SUID_BITS: u32 = libc::S_ISUID | libc::S_ISGID;

/// Bits of an open reply, as the kernel numbers them.
pub mod fopen {
    /// Reads and writes pass the page cache by.
    pub const DIRECT_IO: u32 = 1 << 0;
    /// Pages from before stay valid.
    pub const KEEP_CACHE: u32 = 1 << 1;
    /// The listing of a directory may be kept.
    pub const CACHE_DIR: u32 = 1 << 3;
    /// Direct writes to one file need not wait for each other.
    pub const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
}

/// A handle for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Its number.
    pub fh: Fh,
    /// Bits of [`fopen`].
    pub flags: u32,
}

/// Attributes, and how long they may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// The attributes.
    pub attr: Attr,
    /// Zero for an inode whose users are not all allowed.
    pub ttl: Duration,
}

/// The volume, as transports see it. A handler that panics is that request's EIO.
pub struct Calls {
    volume: Arc<Volume>,
    contested: Arc<Contested>,
    notifier: OnceLock<Arc<Notifier>>,
}

type Answer<T> = Result<T, Errno>;

impl Calls {
    /// For one session.
    pub fn new(volume: Arc<Volume>, contested: Arc<Contested>) -> Calls {
        Calls { volume, contested, notifier: OnceLock::new() }
    }

    /// The way to tell the kernel things, known once there is a mount.
    pub fn attach(&self, notifier: Arc<Notifier>) {
        let _ = self.notifier.set(notifier); // a session has one
    }

    /// Whether requests that need a key service can expect an answer at once, as far as is known.
    pub fn keys_respond(&self) -> bool {
        self.volume.keys().responds()
    }

    /// LOOKUP. `None`: there is no such name, and nobody else can make it appear, so the kernel
    /// may remember that.
    pub fn lookup(&self, cx: &ReqCtx, parent: Ino, name: &[u8]) -> Answer<Option<Entry>> {
        match guarded(|| self.volume.lookup(cx, parent, name)) {
            Ok(entry) => Ok(Some(entry)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// FORGET and BATCH_FORGET.
    pub fn forget(&self, ino: Ino, n: u64) {
        let _ = guarded(|| {
            self.volume.forget(ino, n);
            Ok(())
        });
    }

    /// GETATTR.
    pub fn getattr(&self, ino: Ino, fh: Option<Fh>) -> Answer<Kept> {
        let attr = guarded(|| {
            // Asked on behalf of a handle: before a buffered read or write through it.
            if let Some(fh) = fh.filter(|_| self.contested.contains(ino)) {
                self.volume.still_allowed(fh)?;
            }
            self.volume.getattr(ino, fh)
        })?;
        Ok(self.kept(attr))
    }

    /// SETATTR.
    pub fn setattr(&self, cx: &ReqCtx, ino: Ino, fh: Option<Fh>, set: &SetAttr) -> Answer<Kept> {
        let attr = guarded(|| self.volume.setattr(cx, ino, fh, set))?;
        Ok(self.kept(attr))
    }

    /// SETATTR as it comes when set-user-id bits are for the filesystem to drop: at a change of
    /// owner always, at a change of size when the kernel says so.
    pub fn setattr_and_kill(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        fh: Option<Fh>,
        mut set: SetAttr,
        kill: bool,
    ) -> Answer<Kept> {
        let changes_owner = set.uid.is_some() || set.gid.is_some() || set.keep_owner;
        if set.mode.is_none() && (kill || changes_owner) {
            set.mode = self.less_privileged(cx, ino)?;
        }
        // The kernel lets everybody ask for a chown that keeps both: who may not change the mode
        // changes nothing, and is told so where there was something to change.
        if set.keep_owner && cx.uid != 0 && self.getattr(ino, None)?.attr.uid != cx.uid {
            return if set.mode.is_some() { Err(Errno::EPERM) } else { self.getattr(ino, None) };
        }
        self.setattr(cx, ino, fh, &set)
    }

    /// Takes the set-user-id and set-group-id bits from a file that is about to be changed by
    /// somebody who may not keep them.
    pub fn drop_privileges(&self, cx: &ReqCtx, ino: Ino) -> Answer<()> {
        match self.less_privileged(cx, ino)? {
            None => Ok(()),
            mode => self.setattr(cx, ino, None, &SetAttr { mode, ..SetAttr::default() }).map(drop),
        }
    }

    /// Takes the set-group-id bit alone.
    pub fn drop_setgid(&self, cx: &ReqCtx, ino: Ino) -> Answer<()> {
        let mode = Some(u32::from(self.getattr(ino, None)?.attr.perm) & !libc::S_ISGID);
        self.setattr(cx, ino, None, &SetAttr { mode, ..SetAttr::default() }).map(drop)
    }

    /// The mode that a regular file has left without its privileges; `None` if it has none. The
    /// set-group-id bit of a file that its group may not run is a mark for locks: only somebody
    /// from outside of the group loses it.
    fn less_privileged(&self, cx: &ReqCtx, ino: Ino) -> Answer<Option<u32>> {
        let attr = self.getattr(ino, None)?.attr;
        if attr.kind != FileKind::Regular {
            return Ok(None);
        }
        let perm = u32::from(attr.perm);
        let marked = perm & libc::S_ISGID != 0;
        let loses = marked && (perm & libc::S_IXGRP != 0 || !groups::is_member(cx, attr.gid));
        let drop = libc::S_ISUID | if loses { libc::S_ISGID } else { 0 };
        Ok((perm & drop != 0).then_some(perm & !drop))
    }

    fn kept(&self, attr: Attr) -> Kept {
        let ttl = if self.contested.contains(attr.ino) { Duration::ZERO } else { ttl(&attr) };
        Kept { attr, ttl }
    }

    /// READLINK.
    pub fn readlink(&self, cx: &ReqCtx, ino: Ino) -> Answer<Vec<u8>> {
        guarded(|| self.volume.readlink(cx, ino))
    }

    /// MKNOD.
    pub fn mknod(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        name: &[u8],
        mode: u32,
        rdev: u32,
    ) -> Answer<Entry> {
        guarded(|| self.volume.mknod(cx, parent, name, mode, rdev))
    }

    /// MKDIR.
    pub fn mkdir(&self, cx: &ReqCtx, parent: Ino, name: &[u8], mode: u32) -> Answer<Entry> {
        guarded(|| self.volume.mkdir(cx, parent, name, mode))
    }

    /// UNLINK.
    pub fn unlink(&self, cx: &ReqCtx, parent: Ino, name: &[u8]) -> Answer<()> {
        guarded(|| self.volume.unlink(cx, parent, name))
    }

    /// RMDIR.
    pub fn rmdir(&self, cx: &ReqCtx, parent: Ino, name: &[u8]) -> Answer<()> {
        guarded(|| self.volume.rmdir(cx, parent, name))
    }

    /// SYMLINK.
    pub fn symlink(&self, cx: &ReqCtx, parent: Ino, name: &[u8], target: &[u8]) -> Answer<Entry> {
        guarded(|| self.volume.symlink(cx, parent, name, target))
    }

    /// RENAME and RENAME2.
    pub fn rename(
        &self,
        cx: &ReqCtx,
        from: (Ino, &[u8]),
        to: (Ino, &[u8]),
        flags: u32,
    ) -> Answer<()> {
        guarded(|| self.volume.rename(cx, from.0, from.1, to.0, to.1, flags))
    }

    /// LINK.
    pub fn link(&self, cx: &ReqCtx, ino: Ino, parent: Ino, name: &[u8]) -> Answer<Entry> {
        guarded(|| self.volume.link(cx, ino, parent, name))
    }

    /// OPEN. While an inode is contested, nobody's reads through new handles go by way of the
    /// page cache, where a mapping of him who lost the right would find them.
    pub fn open(&self, cx: &ReqCtx, ino: Ino, flags: i32) -> Answer<Handle> {
        let show = |whole: &[u8]| {
            // Pages of a contested file are not kept. Whatever else is against it, they are read.
            if let Some(notifier) = self.notifier.get().filter(|_| !self.contested.contains(ino)) {
                let _ = notifier.store(ino, whole);
            }
        };
        let handle = guarded(|| self.volume.open_showing(cx, ino, flags, show)).map(opened)?;
        if self.contested.contains(ino) {
            let flags = fopen::DIRECT_IO | fopen::PARALLEL_DIRECT_WRITES;
            return Ok(Handle { flags, ..handle });
        }
        Ok(handle)
    }

    /// CREATE.
    pub fn create(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        name: &[u8],
        mode: u32,
        flags: i32,
    ) -> Answer<(Entry, Handle)> {
        let made = guarded(|| self.volume.create(cx, parent, name, mode, flags));
        made.map(|(entry, o)| (entry, opened(o)))
    }

    /// TMPFILE.
    pub fn tmpfile(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        mode: u32,
        flags: i32,
    ) -> Answer<(Entry, Handle)> {
        let made = guarded(|| self.volume.tmpfile(cx, parent, mode, flags));
        made.map(|(entry, o)| (entry, opened(o)))
    }

    /// STATX: what GETATTR says, and when the inode was made.
    pub fn statx(&self, ino: Ino, fh: Option<Fh>) -> Answer<(Kept, Option<SystemTime>)> {
        let kept = self.getattr(ino, fh)?;
        Ok((kept, guarded(|| self.volume.born(ino))?))
    }

    /// READ. Fewer bytes than `out` has only at the end of the file.
    pub fn read(&self, ino: Ino, fh: Fh, offset: u64, out: &mut [u8]) -> Answer<usize> {
        let got = guarded(|| self.volume.read(ino, fh, offset, out))?;
        // A handle from before goes by way of the page cache still: what it brings in is dropped.
        self.contested.was_read(ino);
        Ok(got)
    }

    /// WRITE.
    pub fn write(
        &self,
        ino: Ino,
        fh: Fh,
        offset: u64,
        data: Plain<'_>,
        from: WriteFrom,
    ) -> Answer<usize> {
        guarded(|| self.volume.write(ino, fh, offset, data, from))
    }

    /// FLUSH: declined, once; the kernel then asks no more. It has written its pages back
    /// before, so a full disk is reported by close(2) all the same, and the header is settled on
    /// release: one wait less for every close.
    pub fn flush(&self, _: Ino, _: Fh) -> Answer<()> {
        Err(Errno(libc::ENOSYS))
    }

    /// RELEASE.
    pub fn release(&self, ino: Ino, fh: Fh) -> Answer<()> {
        guarded(|| self.volume.release(ino, fh))
    }

    /// FSYNC.
    pub fn fsync(&self, ino: Ino, fh: Fh, datasync: bool) -> Answer<()> {
        guarded(|| self.volume.fsync(ino, fh, datasync))
    }

    /// OPENDIR. The kernel keeps the listing until it changes the directory itself; not where
    /// somebody else still has it open who may not see it any more.
    pub fn opendir(&self, cx: &ReqCtx, ino: Ino) -> Answer<Handle> {
        let fh = guarded(|| self.volume.opendir(cx, ino))?;
        if self.contested.contains(ino) {
            return Ok(Handle { fh, flags: 0 });
        }
        Ok(Handle { fh, flags: fopen::CACHE_DIR | fopen::KEEP_CACHE })
    }

    /// READDIR, and READDIRPLUS with `plus`.
    pub fn readdir(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        fh: Fh,
        offset: u64,
        plus: bool,
        sink: &mut dyn DirSink,
    ) -> Answer<()> {
        guarded(|| self.volume.readdir(cx, ino, fh, offset, plus, sink))
    }

    /// RELEASEDIR.
    pub fn releasedir(&self, ino: Ino, fh: Fh) -> Answer<()> {
        guarded(|| self.volume.releasedir(ino, fh))
    }

    /// FSYNCDIR.
    pub fn fsyncdir(&self, ino: Ino, fh: Fh, datasync: bool) -> Answer<()> {
        guarded(|| self.volume.fsyncdir(ino, fh, datasync))
    }

    /// STATFS.
    pub fn statfs(&self, ino: Ino) -> Answer<StatFs> {
        guarded(|| self.volume.statfs(ino))
    }

    /// SETXATTR.
    pub fn setxattr(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        flags: i32,
    ) -> Answer<()> {
        guarded(|| self.volume.setxattr(cx, ino, name, value, flags))
    }

    /// GETXATTR.
    pub fn getxattr(&self, cx: &ReqCtx, ino: Ino, name: &[u8]) -> Answer<Vec<u8>> {
        guarded(|| self.volume.getxattr(cx, ino, name))
    }

    /// LISTXATTR: names, each with a NUL behind it.
    pub fn listxattr(&self, cx: &ReqCtx, ino: Ino) -> Answer<Vec<u8>> {
        guarded(|| self.volume.listxattr(cx, ino))
    }

    /// REMOVEXATTR.
    pub fn removexattr(&self, cx: &ReqCtx, ino: Ino, name: &[u8]) -> Answer<()> {
        guarded(|| self.volume.removexattr(cx, ino, name))
    }

    /// ACCESS.
    pub fn access(&self, cx: &ReqCtx, ino: Ino, mask: i32) -> Answer<()> {
        guarded(|| self.volume.access(cx, ino, mask))
    }

    /// FALLOCATE. It changes a file as a write does, but nobody says whether the caller has
    /// CAP_FSETID: nobody but root is taken to have it.
    pub fn fallocate(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        fh: Fh,
        offset: u64,
        len: u64,
        mode: i32,
    ) -> Answer<()> {
        if cx.uid != 0 {
            self.drop_privileges(cx, ino)?;
        }
        guarded(|| self.volume.fallocate(ino, fh, offset, len, mode))
    }

    /// LSEEK, of which the kernel passes on SEEK_DATA and SEEK_HOLE. It does so without writing
    /// its pages back: what was just written would be a hole, and cp(1) would leave it out. So
    /// the pages of a file that somebody writes to are called in first, which waits for WRITE
    /// requests: never to be called on the one thread that serves those.
    pub fn lseek(&self, ino: Ino, fh: Fh, offset: i64, whence: i32) -> Answer<i64> {
        guarded(|| {
            if self.volume.has_writer(ino)
                && let Some(notifier) = self.notifier.get()
            {
                notifier
                    .drop_pages(ino)
                    .map_err(|e| Errno(e.raw_os_error().unwrap_or(libc::EIO)))?;
            }
            let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            let at = self.volume.lseek(ino, fh, offset, whence)?;
            i64::try_from(at).map_err(|_| Errno(libc::EOVERFLOW))
        })
    }

    /// COPY_FILE_RANGE and its kin with a 64-bit reply. For set-user-id bits as FALLOCATE.
    pub fn copy_file_range(
        &self,
        cx: &ReqCtx,
        from: (Ino, Fh, u64),
        to: (Ino, Fh, u64),
        len: u64,
    ) -> Answer<usize> {
        if cx.uid != 0 {
            self.drop_privileges(cx, to.0)?;
        }
        guarded(|| self.volume.copy_file_range(from.0, from.1, from.2, to.0, to.1, to.2, len))
    }
}

/// Calls `body`; a panic in it is this request's EIO and nobody else's. A thread that dies would
/// take a share of the mount's requests with it for good.
fn guarded<T>(body: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    // Unwind safety: the volume's locks do not poison, and its invariants on disk are kept by
    // the order of writes, for a stop at any instant.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        tracing::error!("a request handler panicked; its caller gets EIO");
        Err(Errno::EIO)
    })
}

/// The volume orders direct writes that overlap; the others need not wait for each other.
fn opened(o: Opened) -> Handle {
    let keep = if o.keep_cache { fopen::KEEP_CACHE } else { 0 };
    Handle { fh: o.fh, flags: fopen::PARALLEL_DIRECT_WRITES | keep }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_eio() {
        let r: Result<(), Errno> = guarded(|| panic!("on purpose"));
        assert_eq!(r, Err(Errno(libc::EIO)));
        assert_eq!(guarded(|| Ok(7)), Ok(7));
        assert_eq!(guarded::<()>(|| Err(Errno(libc::EACCES))), Err(Errno(libc::EACCES)));
    }

    #[test]
    fn pages_are_kept_only_when_the_volume_says_so() {
        let o = |keep_cache| opened(Opened { fh: Fh(7), keep_cache });
        assert_eq!(o(true).flags, fopen::KEEP_CACHE | fopen::PARALLEL_DIRECT_WRITES);
        assert_eq!(o(false).flags, fopen::PARALLEL_DIRECT_WRITES);
    }
}
