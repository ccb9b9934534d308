//! The lower file of an open file, and what is known of its inode without asking.
//!
//! Only this process changes a lower file while it is mounted, so a length that was set is the
//! length that it has, and a modification time that was set stays until the next change of ours.
//! Calls that would set what is there already are left out.
//!
//! The lower filesystem takes the capabilities of a program away with every write to it. Writes
//! of headers and of pages that were dirty before are not what that is meant for, so capabilities
//! that were given to an open file are given again after them.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;

use crate::lower::{FileIo, LowerError, LowerStat, Pinned};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The attribute in which the kernel keeps the capabilities of a program.
pub(in crate::volume) const CAPABILITY: &[u8] = b"security.capability";

/// Stands for a length that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Seconds and nanoseconds since 1970.
type Time = (i64, u32);

/// A lower file with a memory for its length and its modification time.
pub(in crate::volume) struct Below {
    io: Box<dyn FileIo>,
    /// Lower bytes, or [`UNKNOWN`].
    len: AtomicU64,
    /// `None`: moved since it was set, or never asked for.
    mtime: Mutex<Option<Time>>,
    /// What is known of `security.capability`.
    caps: Mutex<Caps>,
}

#[derive(Default)]
struct Caps {
    /// What it was set to while the file was open.
    value: Option<Vec<u8>>,
    /// No value means that there is none below.
    known: bool,
    /// A write of ours has taken them away.
    lost: bool,
}

impl Below {
    /// Takes the file, and its length in lower bytes where that is known.
    pub fn new(io: Box<dyn FileIo>, len: Option<u64>) -> Below {
        let len = AtomicU64::new(len.unwrap_or(UNKNOWN));
        Below { io, len, mtime: Mutex::new(None), caps: Mutex::default() }
    }

    /// Its length in lower bytes, asked for only where it is not known.
    pub fn len(&self) -> Result<u64, LowerError> {
        match self.len.load(Ordering::Acquire) {
            UNKNOWN => {
                let len = self.io.stat()?.size;
                self.len.store(len, Ordering::Release);
                Ok(len)
            }
            len => Ok(len),
        }
    }

    /// Whether its modification time is known to be `time`.
    pub fn has_mtime(&self, time: Time) -> bool {
        *self.mtime.lock() == Some(time)
    }

    /// Its modification time was set to `time` by way of the inode.
    pub fn mtime_was_set(&self, time: Time) {
        *self.mtime.lock() = Some(time);
    }

    /// Its capabilities were set to `value`, or taken away as they should be.
    pub fn caps_were_set(&self, value: Option<&[u8]>) {
        *self.caps.lock() = Caps { value: value.map(<[u8]>::to_vec), known: true, lost: false };
    }

    /// Whether it certainly has no capabilities. The kernel asks before the first write to every
    /// file, also to one that was just made.
    pub fn has_no_caps(&self) -> bool {
        let caps = self.caps.lock();
        caps.known && caps.value.is_none()
    }

    /// Gives back the capabilities that a write of ours has taken away.
    pub fn restore_caps(&self) -> Result<(), LowerError> {
        let mut caps = self.caps.lock();
        if let (Some(value), true) = (&caps.value, caps.lost) {
            Pinned::new(self.io.fd()).set_xattr(CAPABILITY, value, XattrFlags::empty())?;
            caps.lost = false;
        }
        Ok(())
    }

    fn moved(&self) {
        *self.mtime.lock() = None;
        self.caps.lock().lost = true;
    }

    fn wrote(
        &self,
        bufs: &[IoSlice<'_>],
        offset: u64,
        result: Result<(), LowerError>,
    ) -> Result<(), LowerError> {
        self.moved();
        if result.is_err() {
            self.len.store(UNKNOWN, Ordering::Release);
        } else if self.len.load(Ordering::Acquire) != UNKNOWN {
            let end = bufs.iter().fold(offset, |end, buf| end + buf.len() as u64);
            self.len.fetch_max(end, Ordering::AcqRel);
        }
        result
    }

    /// Gives back what was reserved behind the end: a filesystem does that when a file is cut to
    /// the length that it has, but not when it is made longer.
    pub fn cut_behind(&self) -> Result<(), LowerError> {
        self.moved();
        self.io.set_len(self.io.stat()?.size)
    }
}

impl FileIo for Below {
    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize, LowerError> {
        self.io.read_at(bufs, offset)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<(), LowerError> {
        self.wrote(bufs, offset, self.io.write_at(bufs, offset))
    }

    fn write_durable_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<(), LowerError> {
        self.wrote(bufs, offset, self.io.write_durable_at(bufs, offset))
    }

    /// No call where the length is known to be `len`.
    fn set_len(&self, len: u64) -> Result<(), LowerError> {
        if self.len.load(Ordering::Acquire) == len {
            return Ok(());
        }
        self.moved();
        self.len.store(UNKNOWN, Ordering::Release);
        self.io.set_len(len)?;
        self.len.store(len, Ordering::Release);
        Ok(())
    }

    fn sync(&self, all: bool) -> Result<(), LowerError> {
        self.io.sync(all)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<bool, LowerError> {
        self.moved();
        self.io.punch(offset, len)
    }

    fn reserve(&self, offset: u64, len: u64) -> Result<bool, LowerError> {
        self.moved();
        self.io.reserve(offset, len)
    }

    fn next_data(&self, offset: u64) -> Result<Option<u64>, LowerError> {
        self.io.next_data(offset)
    }

    fn stat(&self) -> Result<LowerStat, LowerError> {
        self.io.stat()
    }

    fn stat_but_times(&self, mtime: Time, ctime: Time) -> Result<LowerStat, LowerError> {
        self.io.stat_but_times(mtime, ctime)
    }

    fn born(&self) -> Result<Option<i64>, LowerError> {
        self.io.born()
    }

    /// No call where the time is known to be this one.
    fn set_mtime(&self, sec: i64, nsec: u32) -> Result<(), LowerError> {
        if self.has_mtime((sec, nsec)) {
            return Ok(());
        }
        self.io.set_mtime(sec, nsec)?;
        self.mtime_was_set((sec, nsec));
        Ok(())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.io.fd()
    }
}
