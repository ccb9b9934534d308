//! From the volume's values to fuser's.

use std::time::SystemTime;

use ::fuser::{FileAttr, FileType, FopenFlags, INodeNo, TimeOrNow, WriteFlags};

use super::calls::Handle;
use crate::volume::{Attr, Errno, FileKind, SetTime, WriteFrom};

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

/// The flags of an open file for fuser.
pub fn open_flags(h: Handle) -> FopenFlags {
    FopenFlags::from_bits_retain(h.flags)
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
    fn no_errno_is_lost_or_made_up() {
        for e in [libc::EACCES, libc::ENOKEY, libc::EIO, libc::ENOSPC, libc::ENODATA] {
            assert_eq!(errno(Errno(e)).code(), e);
        }
        assert_eq!(errno(Errno(0)).code(), libc::EIO);
        assert_eq!(errno(Errno(-5)).code(), libc::EIO);
    }
}
