//! Locked memory: the arena of small slots, and regions of whole pages.
//!
//! Every region begins with a mark that is not zero. The kernel empties these pages in a forked
//! child, and a child that went on with keys of all zeros would seal data under a key that
//! everybody knows; the mark makes it stop instead.
#![expect(unsafe_code, reason = "memory that can be locked page by page comes from mmap alone")]

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

/// Bytes of a slot: the mark and a secret of up to 56 bytes.
const SLOT: usize = 64;
/// Bytes by which the arena grows. Small, because RLIMIT_MEMLOCK may be.
const CHUNK: usize = 16 * 1024;
/// Bytes of the mark before every secret.
const MARK_LEN: usize = 8;
/// The mark.
const MARK: [u8; MARK_LEN] = *b"kmsfs ok";

static LOCKS_WORK: AtomicBool = AtomicBool::new(true);
static FREE_SLOTS: Mutex<Vec<FreeSlot>> = Mutex::new(Vec::new());

pub(super) fn locks_work() -> bool {
    LOCKS_WORK.load(Ordering::Relaxed)
}

/// Memory for one secret: zeros when made, zeros again when dropped.
pub(super) struct Region {
    /// Where the mark begins; the secret follows it.
    start: NonNull<u8>,
    /// Bytes of the secret, without the mark.
    len: usize,
}

// SAFETY: a region is owned memory that nothing else points to, like a `Box<[u8]>`.
unsafe impl Send for Region {}
// SAFETY: a shared region is only read.
unsafe impl Sync for Region {}

struct FreeSlot(NonNull<u8>);

// SAFETY: the memory behind a free slot belongs to whoever holds the slot, and to no thread.
unsafe impl Send for FreeSlot {}

impl Region {
    pub(super) fn new(len: usize) -> Self {
        let start = if len + MARK_LEN <= SLOT { take_slot() } else { map(len + MARK_LEN) };
        // SAFETY: the memory at `start` is at least `MARK_LEN` bytes, writable, and ours.
        unsafe { ptr::copy_nonoverlapping(MARK.as_ptr(), start.as_ptr(), MARK_LEN) };
        Self { start, len }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `new` got `MARK_LEN + len` initialized bytes (mmap zeroes, `drop` wipes), which
        // live as long as `self`, and nobody writes while `&self` is out.
        let (mark, secret) = unsafe {
            (
                slice::from_raw_parts(self.start.as_ptr(), MARK_LEN),
                slice::from_raw_parts(self.start.as_ptr().add(MARK_LEN), self.len),
            )
        };
        assert!(mark == MARK, "a forked child has no secrets of its parent");
        secret
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes this the only borrow.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().add(MARK_LEN), self.len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        let whole = self.len + MARK_LEN;
        if whole <= SLOT {
            FREE_SLOTS.lock().push(FreeSlot(self.start));
        } else {
            // SAFETY: `map` made exactly this mapping for this region; no borrow outlives it.
            // A failure would leave wiped pages mapped, which harms nobody.
            let _ = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), whole) };
        }
    }
}

/// A slot of the arena, all zero past the mark.
fn take_slot() -> NonNull<u8> {
    let mut free = FREE_SLOTS.lock();
    if let Some(FreeSlot(slot)) = free.pop() {
        return slot;
    }
    let chunk = map(CHUNK);
    for at in (SLOT..CHUNK).step_by(SLOT).rev() {
        // SAFETY: `at + SLOT <= CHUNK`, so the slot lies inside the mapping.
        free.push(FreeSlot(unsafe { chunk.add(at) }));
    }
    chunk
}

/// Maps zeroed, locked pages.
///
/// # Panics
/// If the system has no memory left, as an allocation would abort.
fn map(len: usize) -> NonNull<u8> {
    // SAFETY: a fresh private mapping at an address of the kernel's choice aliases nothing.
    let at = unsafe {
        mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let at = at.expect("out of memory for a secret");
    // SAFETY: the range is the mapping just made; these calls change what the kernel does with
    // its pages (swap, dumps, fork), not what they hold now.
    unsafe {
        if mlock(at, len).is_err() {
            LOCKS_WORK.store(false, Ordering::Relaxed);
        }
        // Both only make the fences higher; kernels without them are no reason to stop.
        let _ = madvise(at, len, Advice::LinuxDontDump);
        let _ = madvise(at, len, Advice::LinuxWipeOnFork);
    }
    NonNull::new(at.cast::<u8>()).expect("mmap never returns the null page for a free choice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_wiped() {
        let mut first = Region::new(32);
        let start = first.start;
        first.bytes_mut().fill(0xAA);
        drop(first);
        // Other tests may take the slot first; look until this one comes round again.
        let mut held = Vec::new();
        for _ in 0..100_000 {
            let again = Region::new(32);
            let found = again.start == start;
            assert!(again.bytes().iter().all(|&b| b == 0), "a new region is all zero");
            if found {
                return;
            }
            held.push(again);
        }
    }

    #[test]
    fn a_forked_child_finds_no_secret() {
        let mut region = Region::new(32);
        region.bytes_mut().fill(0x5A);
        let start = region.start;
        // SAFETY: the child only reads mapped memory and calls `_exit`: both are allowed after a
        // fork of a process with threads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: the mapping exists in the child, wiped or not.
            let wiped = unsafe { slice::from_raw_parts(start.as_ptr(), SLOT) };
            // SAFETY: ends the child at once, without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(wiped.iter().any(|&b| b != 0))) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call, and `child` is a child of this process.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status:#x}");
        assert!(region.bytes().iter().all(|&b| b == 0x5A), "the parent keeps its own");
    }
}
