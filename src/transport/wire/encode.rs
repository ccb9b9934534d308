//! From the volume's values to the kernel's structs.

use std::time::{Duration, SystemTime};

use super::abi;
use crate::transport::calls::{Handle, Kept, TTL, ttl};
use crate::volume::{Attr, Entry, FileKind, StatFs};

/// Attributes.
pub fn attr(a: &Attr) -> abi::Attr {
    let (atime, atimensec) = time(a.atime);
    let (mtime, mtimensec) = time(a.mtime);
    let (ctime, ctimensec) = time(a.ctime);
    abi::Attr {
        ino: a.ino.0,
        size: a.size,
        blocks: a.blocks,
        atime,
        mtime,
        ctime,
        atimensec,
        mtimensec,
        ctimensec,
        mode: format_bits(a.kind) | u32::from(a.perm),
        nlink: a.nlink,
        uid: a.uid,
        gid: a.gid,
        rdev: a.rdev,
        blksize: a.blksize,
        flags: 0,
    }
}

/// A name that is there.
pub fn entry(e: &Entry) -> abi::EntryOut {
    let attr_ttl = ttl(&e.attr);
    abi::EntryOut {
        nodeid: e.attr.ino.0,
        generation: e.generation,
        entry_valid: TTL.as_secs(),
        entry_valid_nsec: TTL.subsec_nanos(),
        attr_valid: attr_ttl.as_secs(),
        attr_valid_nsec: attr_ttl.subsec_nanos(),
        attr: attr(&e.attr),
    }
}

/// A name that is not there, to be remembered: no inode has the number 0.
pub fn absent() -> abi::EntryOut {
    abi::EntryOut {
        entry_valid: TTL.as_secs(),
        entry_valid_nsec: TTL.subsec_nanos(),
        ..abi::EntryOut::default()
    }
}

/// Attributes and how long they last.
pub fn kept(k: &Kept) -> abi::AttrOut {
    let Kept { attr: a, ttl } = k;
    let (attr_valid, attr_valid_nsec) = (ttl.as_secs(), ttl.subsec_nanos());
    abi::AttrOut { attr_valid, attr_valid_nsec, pad: 0, attr: attr(a) }
}

/// Attributes as STATX has them.
pub fn statx(k: &Kept, born: Option<SystemTime>) -> abi::StatxOut {
    let a = &k.attr;
    let at = |t| {
        let (sec, nsec) = time(t);
        abi::StatxTime { sec, nsec, pad: 0 }
    };
    let known = libc::STATX_BASIC_STATS | born.map_or(0, |_| libc::STATX_BTIME);
    let mode = format_bits(a.kind) | u32::from(a.perm);
    abi::StatxOut {
        attr_valid: k.ttl.as_secs(),
        attr_valid_nsec: k.ttl.subsec_nanos(),
        mask: known,
        blksize: a.blksize,
        nlink: a.nlink,
        uid: a.uid,
        gid: a.gid,
        // 16 bits hold every type and permission.
        mode: u16::try_from(mode).unwrap_or(a.perm),
        ino: a.ino.0,
        size: a.size,
        blocks: a.blocks,
        atime: at(a.atime),
        btime: born.map(at).unwrap_or_default(),
        ctime: at(a.ctime),
        mtime: at(a.mtime),
        rdev_major: libc::major(a.rdev.into()),
        rdev_minor: libc::minor(a.rdev.into()),
        ..abi::StatxOut::default()
    }
}

/// A handle.
pub fn opened(h: Handle) -> abi::OpenOut {
    abi::OpenOut { fh: h.fh.0, open_flags: h.flags, backing_id: 0 }
}

/// Room of the filesystem.
pub fn statfs(s: &StatFs) -> abi::StatfsOut {
    abi::StatfsOut {
        blocks: s.blocks,
        bfree: s.bfree,
        bavail: s.bavail,
        files: s.files,
        ffree: s.ffree,
        bsize: s.bsize,
        namelen: s.namelen,
        frsize: s.frsize,
        ..abi::StatfsOut::default()
    }
}

/// The type bits of a mode.
pub fn format_bits(kind: FileKind) -> u32 {
    match kind {
        FileKind::Regular => libc::S_IFREG,
        FileKind::Directory => libc::S_IFDIR,
        FileKind::Symlink => libc::S_IFLNK,
        FileKind::Fifo => libc::S_IFIFO,
        FileKind::Socket => libc::S_IFSOCK,
        FileKind::CharDevice => libc::S_IFCHR,
        FileKind::BlockDevice => libc::S_IFBLK,
    }
}

/// Seconds, which are a signed number in disguise, and the nanoseconds after them.
fn time(t: SystemTime) -> (u64, u32) {
    match t.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (since.as_secs(), since.subsec_nanos()),
        Err(e) => {
            let before: Duration = e.duration();
            let whole = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            let nanos = (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000;
            (whole.wrapping_neg(), nanos)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_around_1970() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(time(epoch), (0, 0));
        assert_eq!(time(epoch + Duration::new(5, 6)), (5, 6));
        assert_eq!(time(epoch - Duration::from_secs(1)), (u64::MAX, 0));
        assert_eq!(time(epoch - Duration::from_nanos(1)), (u64::MAX, 999_999_999));
        let early = epoch - Duration::new(10, 250_000_000);
        assert_eq!(time(early), ((-11i64).cast_unsigned(), 750_000_000));
    }
}
