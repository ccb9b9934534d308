//! Reading and writing one lower file by offset.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FallocateFlags, SeekFrom, StatxFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::{Errno, ReadWriteFlags};

use super::{LowerStat, Result};

/// What the data path needs of a file below. All offsets and lengths are lower bytes.
///
/// Every method is one system call, or a loop of the same call until the request is whole, so
/// that a fault put in front of the n-th call is a fault between two states of the disk.
pub trait FileIo: Send + Sync {
    /// Fills `bufs` from `offset`. Stops early only at the end of the file; returns the bytes
    /// read.
    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize>;
    /// Writes all of `bufs` at `offset`, in order of position.
    ///
    /// # Crash
    /// Pages are copied in ascending order; a stop leaves a prefix, cut at a page boundary.
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()>;
    /// Like [`FileIo::write_at`], and durable on return (`RWF_DSYNC`).
    fn write_durable_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()>;
    /// Cuts or extends (with a hole).
    fn set_len(&self, len: u64) -> Result<()>;
    /// Makes data durable, and with `all` the times and owner too.
    fn sync(&self, all: bool) -> Result<()>;
    /// Gives the space of a range back; it reads as zeros. `Ok(false)`: not supported below.
    fn punch(&self, offset: u64, len: u64) -> Result<bool>;
    /// Reserves space without changing the length. `Ok(false)`: not supported below.
    fn reserve(&self, offset: u64, len: u64) -> Result<bool>;
    /// The first offset at or after `offset` that holds data; `None` when only a hole follows.
    fn next_data(&self, offset: u64) -> Result<Option<u64>>;
    /// fstat.
    fn stat(&self) -> Result<LowerStat>;
    /// fstat, with these times of modification and change in place of the file's own, which are
    /// not looked at. A file whose times were looked at gets a finer one with its next change, and
    /// no file on the machine an earlier one after that: the kernel would find that every file
    /// above has another time at once, and tell it. Linux: "Multigrain Timestamps".
    fn stat_but_times(&self, mtime: (i64, u32), ctime: (i64, u32)) -> Result<LowerStat>;
    /// Seconds since 1970 at which the inode was made, where the filesystem remembers; nobody
    /// can set that.
    fn born(&self) -> Result<Option<i64>>;
    /// Sets the modification time: seconds and nanoseconds since 1970.
    fn set_mtime(&self, sec: i64, nsec: u32) -> Result<()>;
    /// The descriptor, for calls on the inode (chown, xattr) that carry no data.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// The real thing.
#[derive(Debug)]
pub struct LowerFile {
    fd: OwnedFd,
}

impl LowerFile {
    /// Takes a descriptor that is open for reading, and for writing where it will be written.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    fn write_all(
        &self,
        bufs: &[IoSlice<'_>],
        mut offset: u64,
        flags: ReadWriteFlags,
    ) -> Result<()> {
        let total: usize = bufs.iter().map(|b| b.len()).sum();
        let mut done = 0usize;
        // The usual case is one call; a short write (signal, disk nearly full) is taken up again
        // where it stopped, buffer by buffer.
        while done < total {
            let mut skip = done;
            let mut rest = Vec::with_capacity(bufs.len());
            for b in bufs {
                if skip >= b.len() {
                    skip -= b.len();
                } else {
                    rest.push(IoSlice::new(b.get(skip..).unwrap_or_default()));
                    skip = 0;
                }
            }
            let batch = rest.get(..rest.len().min(MAX_IOV)).unwrap_or_default();
            let wrote = if flags.is_empty() {
                rustix::io::pwritev(&self.fd, batch, offset)
            } else {
                rustix::io::pwritev2(&self.fd, batch, offset, flags)
            };
            match wrote {
                Ok(0) => return Err(Errno::IO),
                Ok(n) => {
                    done += n;
                    offset += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The kernel's limit of vectors per call (UIO_MAXIOV).
const MAX_IOV: usize = 1024;

impl FileIo for LowerFile {
    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize> {
        let total: usize = bufs.iter().map(|b| b.len()).sum();
        let mut done = 0usize;
        loop {
            let n = if done == 0 {
                match rustix::io::preadv(&self.fd, bufs, offset) {
                    Err(Errno::INTR) => continue,
                    other => other?,
                }
            } else {
                // A short read in the middle: go on one buffer at a time.
                let mut skip = done;
                let mut got = 0;
                for b in bufs.iter_mut() {
                    if skip >= b.len() {
                        skip -= b.len();
                        continue;
                    }
                    let Some(rest) = b.get_mut(skip..) else { break };
                    got = retry(|| rustix::io::pread(&self.fd, &mut *rest, offset + done as u64))?;
                    break;
                }
                got
            };
            done += n;
            if n == 0 || done >= total {
                return Ok(done);
            }
        }
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()> {
        self.write_all(bufs, offset, ReadWriteFlags::empty())
    }

    fn write_durable_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()> {
        self.write_all(bufs, offset, ReadWriteFlags::DSYNC)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        retry(|| rustix::fs::ftruncate(&self.fd, len))
    }

    fn sync(&self, all: bool) -> Result<()> {
        if all {
            retry(|| rustix::fs::fsync(&self.fd))
        } else {
            retry(|| rustix::fs::fdatasync(&self.fd))
        }
    }

    fn punch(&self, offset: u64, len: u64) -> Result<bool> {
        supported(retry(|| {
            let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&self.fd, how, offset, len)
        }))
    }

    fn reserve(&self, offset: u64, len: u64) -> Result<bool> {
        supported(retry(|| rustix::fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, offset, len)))
    }

    fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        match rustix::fs::seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // No such notion below: all of it counts as data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(offset)),
            Err(e) => Err(e),
        }
    }

    fn stat(&self) -> Result<LowerStat> {
        LowerStat::of(&self.fd)
    }

    fn stat_but_times(&self, mtime: (i64, u32), ctime: (i64, u32)) -> Result<LowerStat> {
        LowerStat::but_times(&self.fd, mtime, ctime)
    }

    fn born(&self) -> Result<Option<i64>> {
        let want = StatxFlags::BTIME;
        let st = rustix::fs::statx(&self.fd, c"", AtFlags::EMPTY_PATH, want)?;
        let known = st.stx_mask & want.bits() != 0;
        Ok(known.then_some(st.stx_btime.tv_sec))
    }

    fn set_mtime(&self, sec: i64, nsec: u32) -> Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: sec, tv_nsec: i64::from(nsec) },
        };
        rustix::fs::futimens(&self.fd, &times)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Runs a call again for as long as a signal cuts it short.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn supported(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(e) => Err(e),
    }
}
