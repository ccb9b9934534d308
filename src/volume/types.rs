//! The values that go in and out of [`super::Volume`]: no kernel types, no fuser types.

use std::time::SystemTime;

/// Number of an inode as the kernel knows it. 1 is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the mount.
    pub const ROOT: Ino = Ino(1);
}

/// Number of an open file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fh(pub u64);

/// An errno. Made in `volume::errno` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// Who makes a request, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReqCtx {
    /// Filesystem user id.
    pub uid: u32,
    /// Filesystem group id.
    pub gid: u32,
    /// Thread id; 0 when the kernel itself asks (writeback, readahead).
    pub pid: u32,
    /// The caller's umask; applied by the volume only where the kernel does not (POSIX ACLs).
    pub umask: u32,
}

/// Plaintext on its way into a file.
#[derive(Debug)]
pub enum Plain<'a> {
    /// It stays what it is.
    Lent(&'a [u8]),
    /// Nobody needs it any more: it may become its own ciphertext, which saves a copy.
    Given(&'a mut [u8]),
}

impl Plain<'_> {
    /// The plaintext.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Given(bytes) => bytes,
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Plain<'a> {
    fn from(bytes: &'a T) -> Self {
        Self::Lent(bytes.as_ref())
    }
}

/// The type bits of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// S_IFREG
    Regular,
    /// S_IFDIR
    Directory,
    /// S_IFLNK
    Symlink,
    /// S_IFIFO
    Fifo,
    /// S_IFSOCK
    Socket,
    /// S_IFCHR
    CharDevice,
    /// S_IFBLK
    BlockDevice,
}

/// What stat(2) shows; sizes are of the plaintext, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Stable number of the inode.
    pub ino: Ino,
    /// Type.
    pub kind: FileKind,
    /// Permission bits with set-uid, set-gid and sticky: 0o7777.
    pub perm: u16,
    /// Links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u32,
    /// Plaintext bytes.
    pub size: u64,
    /// Units of 512 bytes taken below.
    pub blocks: u64,
    /// Preferred I/O size, bytes.
    pub blksize: u32,
    /// Last access.
    pub atime: SystemTime,
    /// Last modification of the plaintext.
    pub mtime: SystemTime,
    /// Last change of the inode.
    pub ctime: SystemTime,
}

/// A name found: what LOOKUP and its kin reply. One reference is taken for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Attributes, the inode number among them.
    pub attr: Attr,
    /// Distinguishes two uses of one inode number.
    pub generation: u64,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// UTIME_NOW
    Now,
    /// This one.
    At(SystemTime),
}

/// What SETATTR asks for; `None` leaves a field alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// New permission bits (0o7777).
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New plaintext size in bytes.
    pub size: Option<u64>,
    /// New access time.
    pub atime: Option<SetTime>,
    /// New modification time.
    pub mtime: Option<SetTime>,
    /// Owner and group are set to what they are: chown(2) with -1 for both, which takes privileges
    /// away like any other.
    pub keep_owner: bool,
}

/// Where the bytes of a write come from, and with that whose word on the modification time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFrom {
    /// A program, now: the time moves.
    Program,
    /// The kernel's page cache: the kernel keeps the time itself and tells it separately.
    PageCache,
}

/// A file opened.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// Its handle.
    pub fh: Fh,
    /// The kernel may keep pages it has from before.
    pub keep_cache: bool,
}

/// Takes directory entries as they are produced. Returns `false` when it is full; the entry it
/// refused is offered again by the next call.
pub trait DirSink {
    /// `next` is the position after this entry. With READDIRPLUS `entry` is there for all names
    /// but `.` and `..`, and a reference counts for the kernel if it is accepted.
    fn add(
        &mut self,
        ino: Ino,
        next: u64,
        kind: FileKind,
        name: &[u8],
        entry: Option<&Entry>,
    ) -> bool;
}

/// What statfs(2) shows. Counts are in units of `frsize` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub bfree: u64,
    /// Blocks free for others than root.
    pub bavail: u64,
    /// Inodes.
    pub files: u64,
    /// Inodes free.
    pub ffree: u64,
    /// Preferred I/O size in bytes.
    pub bsize: u32,
    /// Fragment size in bytes.
    pub frsize: u32,
    /// Longest plaintext name in bytes.
    pub namelen: u32,
}
