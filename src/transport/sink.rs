//! Directory entries, from the volume into the kernel's two reply layouts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use ::fuser::{FileAttr, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus};

use super::calls::{TTL, ttl};
use super::reply::{attr, kind};
use crate::volume::{DirSink, Entry, FileKind, Ino};

/// READDIR: names and types.
pub struct Plain<'a>(pub &'a mut ReplyDirectory);

impl DirSink for Plain<'_> {
    fn add(&mut self, ino: Ino, next: u64, of: FileKind, name: &[u8], _: Option<&Entry>) -> bool {
        !self.0.add(INodeNo(ino.0), next, kind(of), OsStr::from_bytes(name))
    }
}

/// READDIRPLUS: names with what LOOKUP would say of them.
pub struct Plus<'a>(pub &'a mut ReplyDirectoryPlus);

impl DirSink for Plus<'_> {
    fn add(
        &mut self,
        ino: Ino,
        next: u64,
        of: FileKind,
        name: &[u8],
        entry: Option<&Entry>,
    ) -> bool {
        let (attr, generation, ttl) = match entry {
            Some(e) => (attr(&e.attr), e.generation, ttl(&e.attr)),
            // `.` and `..`: the kernel takes type and number from them and counts no reference.
            None => (bare(ino, of), 0, TTL),
        };
        let name = OsStr::from_bytes(name);
        !self.0.add(INodeNo(ino.0), next, name, &ttl, &attr, Generation(generation))
    }
}

fn bare(ino: Ino, of: FileKind) -> FileAttr {
    let epoch = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(ino.0),
        size: 0,
        blocks: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        crtime: epoch,
        kind: kind(of),
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
