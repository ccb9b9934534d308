//! Calls that want a path, on an inode that we hold as `O_PATH`.
//!
//! chmod, the xattr calls and opening anew have no form that takes an `O_PATH` descriptor, but
//! all of them follow `/proc/self/fd/N` to exactly that inode (proc(5)). Where the descriptor is of
//! another kind, attributes are read through it, which takes a fifth of the time.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::{Dir, LowerFile, LowerStat, Result};

/// An inode held open as a mere reference.
#[derive(Debug)]
pub struct Pinned<'a> {
    fd: BorrowedFd<'a>,
    path: String,
}

impl<'a> Pinned<'a> {
    /// Wraps a descriptor of any kind.
    pub fn new(fd: BorrowedFd<'a>) -> Self {
        Self { fd, path: format!("/proc/self/fd/{}", fd.as_raw_fd()) }
    }

    /// fstat.
    pub fn stat(&self) -> Result<LowerStat> {
        LowerStat::of(self.fd)
    }

    /// chmod; not for symlinks.
    pub fn chmod(&self, perm: u32) -> Result<()> {
        rustix::fs::chmod(self.path.as_str(), Mode::from_raw_mode(perm))
    }

    /// fchownat with an empty path: works on symlinks too.
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(rustix::fs::Uid::from_raw), gid.map(rustix::fs::Gid::from_raw));
        rustix::fs::chownat(self.fd, c"", uid, gid, rustix::fs::AtFlags::EMPTY_PATH)
    }

    /// linkat of the inode itself.
    pub fn link(&self, to: &Dir, new: &[u8]) -> Result<()> {
        let (here, follow) = (rustix::fs::CWD, rustix::fs::AtFlags::SYMLINK_FOLLOW);
        rustix::fs::linkat(here, self.path.as_str(), to.fd(), new, follow)
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
        let common = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        if write {
            match rustix::fs::open(self.path.as_str(), common | OFlags::RDWR, Mode::empty()) {
                Ok(fd) => return Ok((LowerFile::new(fd), true)),
                Err(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::TXTBSY) => {}
                Err(e) => return Err(e),
            }
        }
        let fd: OwnedFd =
            rustix::fs::open(self.path.as_str(), common | OFlags::RDONLY, Mode::empty())?;
        Ok((LowerFile::new(fd), false))
    }

    /// getxattr; grows until the value fits.
    pub fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        grow(|buf| match rustix::fs::fgetxattr(self.fd, name, &mut *buf) {
            Err(Errno::BADF) => rustix::fs::getxattr(self.path.as_str(), name, buf),
            other => other,
        })
    }

    /// listxattr: NUL-separated names.
    pub fn xattr_names(&self) -> Result<Vec<u8>> {
        grow(|buf| rustix::fs::listxattr(self.path.as_str(), buf))
    }

    /// setxattr.
    pub fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        rustix::fs::setxattr(self.path.as_str(), name, value, flags)
    }

    /// removexattr.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        rustix::fs::removexattr(self.path.as_str(), name)
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
