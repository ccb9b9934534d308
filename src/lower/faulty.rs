//! A file that fails on purpose, for tests of what a crash leaves behind.
//!
//! A [`Fault`] is shared by all files of a volume and counts every call that changes something
//! below. When its turn comes it fails or tears that call, and from then on, if it is a crash,
//! nothing reaches the disk any more: what is below then is what a kill at that instant leaves.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::{FileIo, LowerStat, Result};

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// This call fails with ENOSPC; later ones work.
    Fail,
    /// This call fails before it does anything, and so does every later one.
    Crash,
    /// The first half of what this call would write arrives, in whole pages, then as `Crash`: a
    /// kill between two pages, or a power cut between two sectors of 4 KiB.
    Tear,
    /// The same in sectors of 512 bytes: a power cut on a disk that has such.
    TearSector,
}

/// When, and what. Shared by the files of a volume.
#[derive(Debug)]
pub struct Fault {
    calls: AtomicU64,
    at: u64,
    kind: FaultKind,
}

impl Fault {
    /// A fault at the `at`-th changing call, counted from 0.
    pub fn new(at: u64, kind: FaultKind) -> Arc<Fault> {
        Arc::new(Fault { calls: AtomicU64::new(0), at, kind })
    }

    /// Changing calls so far. Smaller than or equal to `at`: the fault never happened.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn turn(&self) -> Turn {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        match (n.cmp(&self.at), self.kind) {
            (std::cmp::Ordering::Less, _) => Turn::Work,
            (std::cmp::Ordering::Equal, FaultKind::Tear) => Turn::Tear(4096),
            (std::cmp::Ordering::Equal, FaultKind::TearSector) => Turn::Tear(512),
            (std::cmp::Ordering::Equal, FaultKind::Fail) => Turn::Fail(Errno::NOSPC),
            (std::cmp::Ordering::Greater, FaultKind::Fail) => Turn::Work,
            _ => Turn::Fail(Errno::IO),
        }
    }
}

enum Turn {
    Work,
    Tear(usize),
    Fail(Errno),
}

/// A file below a [`Fault`].
pub struct Faulty {
    inner: Box<dyn FileIo>,
    fault: Arc<Fault>,
}

impl Faulty {
    /// Puts `fault` in front of `inner`.
    pub fn new(inner: Box<dyn FileIo>, fault: Arc<Fault>) -> Faulty {
        Faulty { inner, fault }
    }

    fn guarded<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.fault.turn() {
            Turn::Work => call(),
            Turn::Tear(_) => Err(Errno::IO),
            Turn::Fail(e) => Err(e),
        }
    }

    fn write(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()> {
        match self.fault.turn() {
            Turn::Work => self.inner.write_at(bufs, offset),
            Turn::Fail(e) => Err(e),
            Turn::Tear(unit) => {
                let all: Vec<u8> = bufs.iter().flat_map(|b| b.iter().copied()).collect();
                let half = all.len() / 2 / unit * unit;
                let part = all.get(..half).unwrap_or_default();
                self.inner.write_at(&[IoSlice::new(part)], offset)?;
                Err(Errno::IO)
            }
        }
    }
}

impl FileIo for Faulty {
    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize> {
        self.inner.read_at(bufs, offset)
    }
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()> {
        self.write(bufs, offset)
    }
    fn write_durable_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> Result<()> {
        self.write(bufs, offset)
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.guarded(|| self.inner.set_len(len))
    }
    fn sync(&self, all: bool) -> Result<()> {
        self.guarded(|| self.inner.sync(all))
    }
    fn punch(&self, offset: u64, len: u64) -> Result<bool> {
        self.guarded(|| self.inner.punch(offset, len))
    }
    fn reserve(&self, offset: u64, len: u64) -> Result<bool> {
        self.guarded(|| self.inner.reserve(offset, len))
    }
    fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        self.inner.next_data(offset)
    }
    fn stat(&self) -> Result<LowerStat> {
        self.inner.stat()
    }
    fn stat_but_times(&self, mtime: (i64, u32), ctime: (i64, u32)) -> Result<LowerStat> {
        self.inner.stat_but_times(mtime, ctime)
    }
    fn born(&self) -> Result<Option<i64>> {
        self.inner.born()
    }
    fn set_mtime(&self, sec: i64, nsec: u32) -> Result<()> {
        self.guarded(|| self.inner.set_mtime(sec, nsec))
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.inner.fd()
    }
}
