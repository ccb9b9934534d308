//! From the volume's values to fuser's, and a net under every handler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use ::fuser::{FileAttr, FileType, FopenFlags, INodeNo, TimeOrNow, WriteFlags};

use crate::volume::{Attr, Errno, FileKind, Opened, SetTime, WriteFrom};

/// How long the kernel may keep names and attributes without asking again. The lower tree is
/// ours alone while it is mounted, so every change passes through this process, and the kernel
/// drops what a change made stale by itself.
pub const TTL: Duration = Duration::from_secs(3600);

/// Calls `body`; a panic in it is this request's EIO and nobody else's. A thread that dies would
/// take a share of the mount's requests with it for good.
pub fn guarded<T>(body: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    // Unwind safety: the volume's locks do not poison, and its invariants on disk are kept by
    // the order of writes, for a stop at any instant.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        tracing::error!("a request handler panicked; its caller gets EIO");
        Err(Errno(libc::EIO))
    })
}

/// The errno for fuser. Not a positive number becomes EIO.
pub fn errno(e: Errno) -> ::fuser::Errno {
    ::fuser::Errno::from_i32(e.0)
}

/// The type for fuser.
pub fn kind(kind: FileKind) -> FileType {
    match kind {
        FileKind::Regular => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
    }
}

/// The attributes for fuser.
pub fn attr(a: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(a.ino.0),
        size: a.size,
        blocks: a.blocks,
        atime: a.atime,
        mtime: a.mtime,
        ctime: a.ctime,
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(a.kind),
        perm: a.perm,
        nlink: a.nlink,
        uid: a.uid,
        gid: a.gid,
        rdev: a.rdev,
        blksize: a.blksize,
        flags: 0,
    }
}

/// An entry that says "no such name" and lets the kernel remember it.
pub fn absent() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

/// The flags of an open file. Direct writes to different places need not wait for each other:
/// the volume orders what overlaps.
pub fn open_flags(o: &Opened) -> FopenFlags {
    let mut flags = FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
    if o.keep_cache {
        flags |= FopenFlags::FOPEN_KEEP_CACHE;
    }
    flags
}

/// A time of SETATTR.
pub fn set_time(t: TimeOrNow) -> SetTime {
    match t {
        TimeOrNow::SpecificTime(at) => SetTime::At(at),
        TimeOrNow::Now => SetTime::Now,
    }
}

/// Whether a write comes out of the page cache.
pub fn write_from(flags: WriteFlags) -> WriteFrom {
    if flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
        WriteFrom::PageCache
    } else {
        WriteFrom::Program
    }
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
    fn no_errno_is_lost_or_made_up() {
        for e in [libc::EACCES, libc::ENOKEY, libc::EIO, libc::ENOSPC, libc::ENODATA] {
            assert_eq!(errno(Errno(e)).code(), e);
        }
        assert_eq!(errno(Errno(0)).code(), libc::EIO);
        assert_eq!(errno(Errno(-5)).code(), libc::EIO);
    }
}
