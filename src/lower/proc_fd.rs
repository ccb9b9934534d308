//! Calls that want a path, on an inode that we hold as `O_PATH`.
//!
//! chmod, the xattr calls and opening anew have no form that takes an `O_PATH` descriptor, but
//! all of them follow `/proc/self/fd/N` to exactly that inode (proc(5)). A descriptor of another
//! kind serves by itself, which takes a third to a fifth of the time: it is tried first, since the
//! refusal, EBADF, costs next to nothing.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::{Dir, LowerFile, LowerStat, Result};

/// An inode held open as a mere reference.
#[derive(Debug)]
pub struct Pinned<'a> {
    fd: BorrowedFd<'a>,
}

impl<'a> Pinned<'a> {
    /// Wraps a descriptor of any kind.
    pub fn new(fd: BorrowedFd<'a>) -> Self {
        Self { fd }
    }

    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// `call` on the descriptor, or if that is a mere reference, `by_path` on its path.
    fn either<T>(
        &self,
        call: impl FnOnce(BorrowedFd<'_>) -> Result<T>,
        by_path: impl FnOnce(&str) -> Result<T>,
    ) -> Result<T> {
        match call(self.fd) {
            Err(Errno::BADF) => by_path(&self.path()),
            other => other,
        }
    }

    /// fstat.
    pub fn stat(&self) -> Result<LowerStat> {
        LowerStat::of(self.fd)
    }

    /// chmod; not for symlinks.
    pub fn chmod(&self, perm: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(perm);
        self.either(|fd| rustix::fs::fchmod(fd, mode), |path| rustix::fs::chmod(path, mode))
    }

    /// fchownat with an empty path: works on symlinks too.
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(rustix::fs::Uid::from_raw), gid.map(rustix::fs::Gid::from_raw));
        rustix::fs::chownat(self.fd, c"", uid, gid, rustix::fs::AtFlags::EMPTY_PATH)
    }

    /// linkat of the inode itself.
    pub fn link(&self, to: &Dir, new: &[u8]) -> Result<()> {
        let (here, follow) = (rustix::fs::CWD, rustix::fs::AtFlags::SYMLINK_FOLLOW);
        rustix::fs::linkat(here, self.path(), to.fd(), new, follow)
    }

    /// When the inode was made: seconds and nanoseconds since 1970, where the filesystem
    /// remembers.
    pub fn born(&self) -> Result<Option<(i64, u32)>> {
        let (how, want) = (rustix::fs::AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::BTIME);
        let st = rustix::fs::statx(self.fd, c"", how, want)?;
        let known = st.stx_mask & want.bits() != 0;
        Ok(known.then_some((st.stx_btime.tv_sec, st.stx_btime.tv_nsec)))
    }

    /// utimensat on the inode, a symlink itself included.
    pub fn set_times(&self, times: &Timestamps) -> Result<()> {
        rustix::fs::utimensat(self.fd, c"", times, rustix::fs::AtFlags::EMPTY_PATH)
    }

    /// readlinkat with an empty path.
    pub fn readlink(&self) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.fd, c"", Vec::with_capacity(256))?.into_bytes())
    }

    /// Opens the inode anew, for reading and writing where that can be had. Tells which.
    pub fn reopen(&self, write: bool) -> Result<(LowerFile, bool)> {
        let path = self.path();
        let common = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        if write {
            match rustix::fs::open(path.as_str(), common | OFlags::RDWR, Mode::empty()) {
                Ok(fd) => return Ok((LowerFile::new(fd), true)),
                Err(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::TXTBSY) => {}
                Err(e) => return Err(e),
            }
        }
        let fd: OwnedFd = rustix::fs::open(path, common | OFlags::RDONLY, Mode::empty())?;
        Ok((LowerFile::new(fd), false))
    }

    /// getxattr; grows until the value fits.
    pub fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.either(
            |fd| grow(|buf| rustix::fs::fgetxattr(fd, name, buf)),
            |path| grow(|buf| rustix::fs::getxattr(path, name, buf)),
        )
    }

    /// listxattr: NUL-separated names.
    pub fn xattr_names(&self) -> Result<Vec<u8>> {
        self.either(
            |fd| grow(|buf| rustix::fs::flistxattr(fd, buf)),
            |path| grow(|buf| rustix::fs::listxattr(path, buf)),
        )
    }

    /// setxattr.
    pub fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        self.either(
            |fd| rustix::fs::fsetxattr(fd, name, value, flags),
            |path| rustix::fs::setxattr(path, name, value, flags),
        )
    }

    /// removexattr.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.either(
            |fd| rustix::fs::fremovexattr(fd, name),
            |path| rustix::fs::removexattr(path, name),
        )
    }
}

/// Runs an xattr call with a buffer that is made larger until the value fits; 64 KiB is the
/// kernel's own limit (XATTR_SIZE_MAX).
fn grow(mut call: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut buf = vec![0u8; 512];
    loop {
        match call(&mut buf) {
            Ok(len) => {
                buf.truncate(len);
                return Ok(buf);
            }
            Err(Errno::RANGE) if buf.len() < 65536 => buf.resize(65536, 0),
            Err(e) => return Err(e),
        }
    }
}
