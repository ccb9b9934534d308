//! One lower directory: everything that is done to a name in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::ffi::CStr;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, StatVfs, Statx, StatxFlags,
    StatxTimestamp, Uid,
};
use rustix::io::Errno;

use super::file::retry;
use super::{LowerFile, Result};

/// What statx(2) tells about a lower object; sizes are lower bytes.
#[derive(Clone, Copy, Debug)]
pub struct LowerStat {
    /// Device number of the filesystem.
    pub dev: u64,
    /// Inode number below.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u64,
    /// Lower bytes.
    pub size: u64,
    /// Units of 512 bytes.
    pub blocks: u64,
    /// Last access: seconds, nanoseconds since 1970.
    pub atime: (i64, u32),
    /// Last modification.
    pub mtime: (i64, u32),
    /// Last change.
    pub ctime: (i64, u32),
    /// When it was made, where the filesystem remembers.
    pub born: Option<(i64, u32)>,
}

/// Reading through this descriptor moves no access time from here on: for what nobody has asked
/// to be read. Who is neither the owner nor root may not say so, and the time moves.
pub fn leave_atime(fd: BorrowedFd<'_>) {
    let _ = rustix::fs::fcntl_setfl(fd, OFlags::NOATIME); // the other flags that it sets are not used
}

/// What [`LowerStat`] has.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

impl LowerStat {
    /// statx of a descriptor, of any kind.
    pub(super) fn of(fd: impl AsFd) -> Result<Self> {
        Ok(Self::from_statx(&rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, WANTED)?))
    }

    /// The same, with these times of modification and change, which are not looked at.
    pub(super) fn but_times(fd: impl AsFd, mtime: (i64, u32), ctime: (i64, u32)) -> Result<Self> {
        let want = WANTED.difference(StatxFlags::MTIME.union(StatxFlags::CTIME));
        let st = Self::from_statx(&rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, want)?);
        Ok(Self { mtime, ctime, ..st })
    }

    fn from_statx(st: &Statx) -> Self {
        let time = |t: &StatxTimestamp| (t.tv_sec, t.tv_nsec);
        Self {
            dev: rustix::fs::makedev(st.stx_dev_major, st.stx_dev_minor),
            ino: st.stx_ino,
            mode: u32::from(st.stx_mode),
            nlink: st.stx_nlink,
            uid: st.stx_uid,
            gid: st.stx_gid,
            rdev: rustix::fs::makedev(st.stx_rdev_major, st.stx_rdev_minor),
            size: st.stx_size,
            blocks: st.stx_blocks,
            atime: time(&st.stx_atime),
            mtime: time(&st.stx_mtime),
            ctime: time(&st.stx_ctime),
            born: (st.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| time(&st.stx_btime)),
        }
    }

    /// Tells two uses of one inode number apart: made of the time of birth, so that it is the same
    /// after a remount. 0 where there is none.
    pub fn generation(&self) -> u32 {
        let Some((sec, nsec)) = self.born else { return 0 };
        // Nanoseconds take 30 bits; what the lowest bits of the seconds are matters most.
        let [a, b, c, d, ..] = sec.to_le_bytes();
        u32::from_le_bytes([a, b, c, d]).rotate_left(24) ^ nsec
    }

    /// The type bits.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// A pair of seconds and nanoseconds as a time.
    pub fn time((sec, nsec): (i64, u32)) -> SystemTime {
        let whole = Duration::from_secs(sec.unsigned_abs());
        let base = if sec < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        base + Duration::from_nanos(u64::from(nsec))
    }
}

/// A name that getdents gave.
#[derive(Debug)]
pub struct DirEntry<'a> {
    /// Lower inode number.
    pub ino: u64,
    /// Position after this entry.
    pub next: u64,
    /// Type; `Unknown` where the lower filesystem does not say.
    pub kind: FileType,
    /// The lower name.
    pub name: &'a [u8],
}

/// A lower directory, open as `O_PATH` or for reading.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// Names below are looked up in this directory alone.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_MAGICLINKS);

impl Dir {
    /// Takes a descriptor of a directory.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn open(&self, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        retry(|| rustix::fs::openat2(&self.fd, name, flags, mode, BENEATH))
    }

    /// Opens a directory below by name, as a handle for further names (`O_PATH`).
    pub fn open_dir(&self, name: &[u8]) -> Result<Dir> {
        self.open(name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).map(Dir::new)
    }

    /// The directory that this one is in: the one call that goes up, out of the tree too.
    pub fn parent(&self) -> Result<Dir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        retry(|| rustix::fs::openat(&self.fd, c"..", flags, Mode::empty())).map(Dir::new)
    }

    /// Opens this same directory for reading: for getdents and fsync.
    pub fn open_for_reading(&self) -> Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        retry(|| rustix::fs::openat(&self.fd, c".", flags, Mode::empty())).map(Dir::new)
    }

    /// Opens a regular file for what the filesystem needs, not for what the caller asked: for
    /// reading and writing where that can be had, else for reading. Tells which.
    pub fn open_file(&self, name: &[u8], write: bool) -> Result<(LowerFile, bool)> {
        let common = OFlags::NOCTTY | OFlags::NONBLOCK;
        if write {
            match self.open(name, common | OFlags::RDWR, Mode::empty()) {
                Ok(fd) => return Ok((LowerFile::new(fd), true)),
                Err(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::TXTBSY) => {}
                Err(e) => return Err(e),
            }
        }
        let fd = self.open(name, common | OFlags::RDONLY, Mode::empty())?;
        Ok((LowerFile::new(fd), false))
    }

    /// Makes a regular file that must not be there yet, open for reading and writing.
    pub fn create_file(&self, name: &[u8], perm: u32) -> Result<LowerFile> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        self.open(name, flags, Mode::from_raw_mode(perm)).map(LowerFile::new)
    }

    /// Makes a regular file without a name in this directory's filesystem (O_TMPFILE).
    pub fn create_nameless(&self, perm: u32) -> Result<LowerFile> {
        let flags = OFlags::TMPFILE | OFlags::RDWR;
        self.open(b".", flags, Mode::from_raw_mode(perm)).map(LowerFile::new)
    }

    /// Opens whatever the name is as a mere reference (`O_PATH`), symlinks included.
    pub fn pin(&self, name: &[u8]) -> Result<OwnedFd> {
        self.open(name, OFlags::PATH, Mode::empty())
    }

    /// statx of one name, without following.
    pub fn stat(&self, name: &[u8]) -> Result<LowerStat> {
        let st = rustix::fs::statx(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)?;
        Ok(LowerStat::from_statx(&st))
    }

    /// statx of the directory itself.
    pub fn stat_self(&self) -> Result<LowerStat> {
        LowerStat::of(&self.fd)
    }

    /// mkdirat.
    pub fn mkdir(&self, name: &[u8], perm: u32) -> Result<()> {
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(perm))
    }

    /// mknodat, for FIFOs, sockets and device nodes.
    pub fn mknod(&self, name: &[u8], kind: FileType, perm: u32, rdev: u64) -> Result<()> {
        rustix::fs::mknodat(&self.fd, name, kind, Mode::from_raw_mode(perm), rdev)
    }

    /// symlinkat with a text that only we can read.
    pub fn symlink(&self, name: &[u8], text: &[u8]) -> Result<()> {
        rustix::fs::symlinkat(text, &self.fd, name)
    }

    /// readlinkat.
    pub fn readlink(&self, name: &[u8]) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, name, Vec::with_capacity(256))?.into_bytes())
    }

    /// linkat; the old name must not be followed and is not.
    pub fn link(&self, name: &[u8], to: &Dir, new: &[u8]) -> Result<()> {
        rustix::fs::linkat(&self.fd, name, &to.fd, new, AtFlags::empty())
    }

    /// renameat2.
    pub fn rename(&self, name: &[u8], to: &Dir, new: &[u8], flags: RenameFlags) -> Result<()> {
        if flags.is_empty() {
            rustix::fs::renameat(&self.fd, name, &to.fd, new)
        } else {
            rustix::fs::renameat_with(&self.fd, name, &to.fd, new, flags)
        }
    }

    /// unlinkat of a file.
    pub fn unlink(&self, name: &[u8]) -> Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
    }

    /// unlinkat of a directory.
    pub fn rmdir(&self, name: &[u8]) -> Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
    }

    /// fchownat without following; `None` leaves a side alone.
    pub fn chown(&self, name: &[u8], uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// fsync of the directory, which must be open for reading.
    pub fn sync(&self) -> Result<()> {
        retry(|| rustix::fs::fsync(&self.fd))
    }

    /// fstatvfs.
    pub fn statvfs(&self) -> Result<StatVfs> {
        rustix::fs::fstatvfs(&self.fd)
    }

    /// Reads entries from position `offset` on (0 is the start, else a `next` given before) and
    /// hands them to `each` until it returns `false` or the directory ends.
    ///
    /// The directory must be open for reading, and by this caller alone: the position belongs
    /// to the descriptor.
    pub fn read<E: From<Errno>>(
        &self,
        offset: u64,
        mut each: impl FnMut(DirEntry<'_>) -> std::result::Result<bool, E>,
    ) -> std::result::Result<(), E> {
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(offset))?;
        let mut buf = Vec::with_capacity(READ_BUFFER);
        let mut raw = rustix::fs::RawDir::new(&self.fd, buf.spare_capacity_mut());
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name: &CStr = entry.file_name();
            let go_on = each(DirEntry {
                ino: entry.ino(),
                next: entry.next_entry_cookie(),
                kind: entry.file_type(),
                name: name.to_bytes(),
            })?;
            if !go_on {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Bytes of directory entries that one getdents call may fill.
const READ_BUFFER: usize = 32 * 1024;
