//! Structs and numbers of the kernel's FUSE protocol, version 7.45, as far as they are used.
//!
//! Everything is in the machine's own byte order, as the kernel has it. Fields that are only
//! there to fill up are called `pad`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Numbers of the operations.
pub mod op {
    /// Find a name.
    pub const LOOKUP: u32 = 1;
    /// Drop references; has no reply.
    pub const FORGET: u32 = 2;
    /// Attributes.
    pub const GETATTR: u32 = 3;
    /// Change attributes.
    pub const SETATTR: u32 = 4;
    /// Target of a symlink.
    pub const READLINK: u32 = 5;
    /// Make a symlink.
    pub const SYMLINK: u32 = 6;
    /// Make a node.
    pub const MKNOD: u32 = 8;
    /// Make a directory.
    pub const MKDIR: u32 = 9;
    /// Remove a name.
    pub const UNLINK: u32 = 10;
    /// Remove a directory.
    pub const RMDIR: u32 = 11;
    /// Rename.
    pub const RENAME: u32 = 12;
    /// Make a hard link.
    pub const LINK: u32 = 13;
    /// Open a file.
    pub const OPEN: u32 = 14;
    /// Read.
    pub const READ: u32 = 15;
    /// Write.
    pub const WRITE: u32 = 16;
    /// Room of the filesystem.
    pub const STATFS: u32 = 17;
    /// The last descriptor of a handle is closed.
    pub const RELEASE: u32 = 18;
    /// Make a file durable.
    pub const FSYNC: u32 = 20;
    /// Set an attribute.
    pub const SETXATTR: u32 = 21;
    /// Read an attribute.
    pub const GETXATTR: u32 = 22;
    /// List attributes.
    pub const LISTXATTR: u32 = 23;
    /// Remove an attribute.
    pub const REMOVEXATTR: u32 = 24;
    /// One descriptor of a handle is closed.
    pub const FLUSH: u32 = 25;
    /// The first message.
    pub const INIT: u32 = 26;
    /// Open a directory.
    pub const OPENDIR: u32 = 27;
    /// List.
    pub const READDIR: u32 = 28;
    /// Close a directory.
    pub const RELEASEDIR: u32 = 29;
    /// Make a directory durable.
    pub const FSYNCDIR: u32 = 30;
    /// access(2), without `default_permissions`.
    pub const ACCESS: u32 = 34;
    /// Make and open a file.
    pub const CREATE: u32 = 35;
    /// A caller wants its request to end early.
    pub const INTERRUPT: u32 = 36;
    /// The last message, of some mounts.
    pub const DESTROY: u32 = 38;
    /// Several FORGETs.
    pub const BATCH_FORGET: u32 = 42;
    /// fallocate(2).
    pub const FALLOCATE: u32 = 43;
    /// List with attributes.
    pub const READDIRPLUS: u32 = 44;
    /// Rename with flags.
    pub const RENAME2: u32 = 45;
    /// SEEK_DATA and SEEK_HOLE.
    pub const LSEEK: u32 = 46;
    /// copy_file_range(2); the reply counts in 32 bits.
    pub const COPY_FILE_RANGE: u32 = 47;
    /// Make a file without a name and open it.
    pub const TMPFILE: u32 = 51;
    /// Attributes, the time of birth among them.
    pub const STATX: u32 = 52;
    /// The same as COPY_FILE_RANGE; the reply counts in 64 bits.
    pub const COPY_FILE_RANGE_64: u32 = 53;
}

/// What may be agreed on in INIT.
pub mod flag {
    /// Several reads of a file at a time.
    pub const ASYNC_READ: u64 = 1 << 0;
    /// open(2) truncates by itself.
    pub const ATOMIC_O_TRUNC: u64 = 1 << 3;
    /// Inodes may be asked for by number.
    pub const EXPORT_SUPPORT: u64 = 1 << 4;
    /// Writes of more than a page.
    pub const BIG_WRITES: u64 = 1 << 5;
    /// The umask is for the filesystem to apply.
    pub const DONT_MASK: u64 = 1 << 6;
    /// Attributes are checked before buffered reads.
    pub const AUTO_INVAL_DATA: u64 = 1 << 12;
    /// Listing with attributes.
    pub const DO_READDIRPLUS: u64 = 1 << 13;
    /// ... where it pays.
    pub const READDIRPLUS_AUTO: u64 = 1 << 14;
    /// Direct I/O in several requests at a time.
    pub const ASYNC_DIO: u64 = 1 << 15;
    /// Writes stay in the page cache.
    pub const WRITEBACK_CACHE: u64 = 1 << 16;
    /// Lookups and listings of one directory at a time.
    pub const PARALLEL_DIROPS: u64 = 1 << 18;
    /// ACLs.
    pub const POSIX_ACL: u64 = 1 << 20;
    /// `max_pages` of the reply counts.
    pub const MAX_PAGES: u64 = 1 << 22;
    /// Set-user-id bits are dropped by the filesystem, told when.
    pub const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    /// SETXATTR has flags of its own.
    pub const SETXATTR_EXT: u64 = 1 << 29;
    /// There are more than 32 flags.
    pub const INIT_EXT: u64 = 1 << 30;
    /// Files that are read past the page cache may be mapped all the same.
    pub const DIRECT_IO_ALLOW_MMAP: u64 = 1 << 36;
    /// Requests may come over a ring.
    pub const OVER_IO_URING: u64 = 1 << 41;
}

/// Bits of SETATTR's `valid`.
pub mod fattr {
    /// `mode` counts.
    pub const MODE: u32 = 1 << 0;
    /// `uid` counts.
    pub const UID: u32 = 1 << 1;
    /// `gid` counts.
    pub const GID: u32 = 1 << 2;
    /// `size` counts.
    pub const SIZE: u32 = 1 << 3;
    /// `atime` counts.
    pub const ATIME: u32 = 1 << 4;
    /// `mtime` counts.
    pub const MTIME: u32 = 1 << 5;
    /// `fh` counts.
    pub const FH: u32 = 1 << 6;
    /// The access time is now.
    pub const ATIME_NOW: u32 = 1 << 7;
    /// The modification time is now.
    pub const MTIME_NOW: u32 = 1 << 8;
    /// `ctime` counts.
    pub const CTIME: u32 = 1 << 10;
    /// Set-user-id bits go.
    pub const KILL_SUIDGID: u32 = 1 << 11;
}

/// GETATTR's `fh` counts.
pub const GETATTR_FH: u32 = 1 << 0;
/// The bytes come out of the page cache.
pub const WRITE_CACHE: u32 = 1 << 0;
/// Set-user-id bits go with this write.
pub const WRITE_KILL_SUIDGID: u32 = 1 << 2;
/// Set-user-id bits go with this truncating open.
pub const OPEN_KILL_SUIDGID: u32 = 1 << 0;
/// The set-group-id bit goes with this ACL.
pub const SETXATTR_ACL_KILL_SGID: u32 = 1 << 0;
/// Data alone.
pub const FSYNC_FDATASYNC: u32 = 1 << 0;
/// A notification's number, in place of an error: drop an inode's pages and attributes.
pub const NOTIFY_INVAL_INODE: i32 = 2;

/// Another one: take these pages of an inode.
pub const NOTIFY_STORE: i32 = 4;

/// Declares a struct of the protocol with its size in bytes.
macro_rules! wire {
    ($(#[$doc:meta])* $name:ident: $size:literal { $($field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub struct $name {
            $(pub $field: $kind,)*
        }
        const _: () = assert!(size_of::<$name>() == $size);
    };
}

wire!(/// Before every request.
InHeader: 40 {
    len: u32, opcode: u32, unique: u64, nodeid: u64,
    uid: u32, gid: u32, pid: u32, total_extlen: u16, pad: u16,
});
wire!(/// Before every reply.
OutHeader: 16 { len: u32, error: i32, unique: u64, });
wire!(/// INIT.
InitIn: 64 { major: u32, minor: u32, max_readahead: u32, flags: u32, flags2: u32, pad: [u32; 11], });
wire!(/// What INIT of an old kernel has.
OldInitIn: 16 { major: u32, minor: u32, max_readahead: u32, flags: u32, });
wire!(/// The reply to INIT.
InitOut: 64 {
    major: u32, minor: u32, max_readahead: u32, flags: u32,
    max_background: u16, congestion_threshold: u16, max_write: u32, time_gran: u32,
    max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32,
    request_timeout: u16, pad: [u16; 11],
});
wire!(/// One of a BATCH_FORGET.
ForgetOne: 16 { nodeid: u64, nlookup: u64, });
wire!(/// BATCH_FORGET.
BatchForgetIn: 8 { count: u32, pad: u32, });
wire!(/// GETATTR.
GetattrIn: 16 { flags: u32, pad: u32, fh: u64, });
wire!(/// SETATTR.
SetattrIn: 88 {
    valid: u32, pad: u32, fh: u64, size: u64, lock_owner: u64,
    atime: u64, mtime: u64, ctime: u64, atimensec: u32, mtimensec: u32, ctimensec: u32,
    mode: u32, pad2: u32, uid: u32, gid: u32, pad3: u32,
});
wire!(/// MKNOD.
MknodIn: 16 { mode: u32, rdev: u32, umask: u32, pad: u32, });
wire!(/// MKDIR.
MkdirIn: 8 { mode: u32, umask: u32, });
wire!(/// RENAME2; RENAME has the first field alone.
Rename2In: 16 { newdir: u64, flags: u32, pad: u32, });
wire!(/// OPEN and OPENDIR.
OpenIn: 8 { flags: u32, open_flags: u32, });
wire!(/// STATX.
StatxIn: 24 { flags: u32, pad: u32, fh: u64, sync_flags: u32, mask: u32, });
wire!(/// A time in the reply to STATX.
StatxTime: 16 { sec: u64, nsec: u32, pad: u32, });
wire!(/// The reply to STATX.
StatxOut: 288 {
    attr_valid: u64, attr_valid_nsec: u32, flags: u32, pad: [u64; 2],
    mask: u32, blksize: u32, attributes: u64, nlink: u32, uid: u32, gid: u32, mode: u16, pad2: u16,
    ino: u64, size: u64, blocks: u64, attributes_mask: u64,
    atime: StatxTime, btime: StatxTime, ctime: StatxTime, mtime: StatxTime,
    rdev_major: u32, rdev_minor: u32, dev_major: u32, dev_minor: u32, pad3: [u64; 14],
});
wire!(/// CREATE and TMPFILE.
CreateIn: 16 { flags: u32, mode: u32, umask: u32, open_flags: u32, });
wire!(/// The reply to OPEN, and part of the one to CREATE.
OpenOut: 16 { fh: u64, open_flags: u32, backing_id: i32, });
wire!(/// RELEASE and RELEASEDIR.
ReleaseIn: 24 { fh: u64, flags: u32, release_flags: u32, lock_owner: u64, });
wire!(/// FLUSH.
FlushIn: 24 { fh: u64, pad: [u32; 2], lock_owner: u64, });
wire!(/// READ, READDIR and READDIRPLUS.
ReadIn: 40 {
    fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, pad: u32,
});
wire!(/// WRITE.
WriteIn: 40 {
    fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, pad: u32,
});
wire!(/// The reply to whatever says a 32-bit count: WRITE, COPY_FILE_RANGE, sizes of attributes.
CountOut: 8 { count: u32, pad: u32, });
wire!(/// FSYNC and FSYNCDIR.
FsyncIn: 16 { fh: u64, flags: u32, pad: u32, });
wire!(/// SETXATTR, with SETXATTR_EXT.
SetxattrExtIn: 16 { size: u32, flags: u32, setxattr_flags: u32, pad: u32, });
wire!(/// SETXATTR, without.
SetxattrIn: 8 { size: u32, flags: u32, });
wire!(/// GETXATTR, LISTXATTR and ACCESS: one number.
NumberIn: 8 { number: u32, pad: u32, });
wire!(/// FALLOCATE.
FallocateIn: 32 { fh: u64, offset: u64, length: u64, mode: u32, pad: u32, });
wire!(/// LSEEK.
LseekIn: 24 { fh: u64, offset: u64, whence: u32, pad: u32, });
wire!(/// COPY_FILE_RANGE and COPY_FILE_RANGE_64.
CopyIn: 56 {
    fh_in: u64, off_in: u64, nodeid_out: u64, fh_out: u64, off_out: u64, len: u64, flags: u64,
});
wire!(/// Attributes.
Attr: 88 {
    ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64,
    atimensec: u32, mtimensec: u32, ctimensec: u32, mode: u32, nlink: u32,
    uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
});
wire!(/// The reply to LOOKUP and whatever makes a name.
EntryOut: 128 {
    nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64,
    entry_valid_nsec: u32, attr_valid_nsec: u32, attr: Attr,
});
wire!(/// The reply to GETATTR and SETATTR.
AttrOut: 104 { attr_valid: u64, attr_valid_nsec: u32, pad: u32, attr: Attr, });
wire!(/// The reply to CREATE.
CreateOut: 144 { entry: EntryOut, open: OpenOut, });
wire!(/// The reply to STATFS.
StatfsOut: 80 {
    blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64,
    bsize: u32, namelen: u32, frsize: u32, pad: u32, spare: [u32; 6],
});
wire!(/// Before a name in a listing.
Dirent: 24 { ino: u64, off: u64, namelen: u32, kind: u32, });
wire!(/// Drop an inode's pages and attributes.
InvalInode: 24 { ino: u64, off: i64, len: i64, });
wire!(/// Before the bytes that an inode's pages are to hold.
Store: 24 { ino: u64, offset: u64, size: u32, padding: u32, });
