//! Overwrites held back, so that many share one barrier.
//!
//! Where power loss must be survived, an entry has to be durable before the data that it
//! describes is overwritten. Doing that write by write would cost a sync each. Instead the sealed
//! blocks wait in memory, and when there are enough of them, or somebody syncs, closes or does
//! anything else with the file, all their entries go out under one barrier, and then the data.
//! Nobody is promised that what was not synced survives a stop; readers see held blocks at once.

use std::collections::BTreeMap;
use std::io::IoSlice;

use crate::format::{BLOCK, BlockNo, Entry, Seal, block_offset, entry_page_of};
use crate::sync::atomic::{AtomicUsize, Ordering};

use crate::lower::FileIo;

use super::super::options::CrashSafety;
use super::blocks::{Block, run_length};
use super::state::{FileEnv, FileError, FileState, Meta, OnDisk};

/// Blocks that one file holds back at most.
const MAX_HELD: usize = 2048;

/// Blocks that all files of the process hold back together; past it a file lets its own go.
const MAX_HELD_IN_ALL: usize = 16384;

static HELD_IN_ALL: AtomicUsize = AtomicUsize::new(0);

/// Sealed blocks on their way down. Their entries are in memory, with the seal of the data below
/// as the other half.
#[derive(Default)]
pub(super) struct Held {
    blocks: BTreeMap<u64, Box<Block>>,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn put(&mut self, b: u64, block: &Block) {
        if self.blocks.insert(b, Box::new(*block)).is_none() {
            HELD_IN_ALL.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn clear(&mut self) {
        HELD_IN_ALL.fetch_sub(self.blocks.len(), Ordering::Relaxed);
        self.blocks.clear();
    }

    /// Puts held ciphertext over what was read from below, for blocks from `first` on.
    pub fn overlay(&self, first: u64, out: &mut [u8]) {
        if self.is_empty() {
            return;
        }
        let (blocks, _) = out.as_chunks_mut::<BLOCK>();
        let end = first + blocks.len() as u64;
        for (&b, held) in self.blocks.range(first..end) {
            let at = usize::try_from(b - first).unwrap_or(usize::MAX);
            if let Some(block) = blocks.get_mut(at) {
                block.copy_from_slice(held.as_slice());
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

impl FileState {
    /// Whether these sealed blocks are to be held back: they overwrite, or others wait already.
    pub(super) fn holds_back(&self, env: &FileEnv, meta: &Meta, overwrites: bool) -> bool {
        let needs_barrier = env.crash == CrashSafety::Power && meta.on_disk != OnDisk::Fresh;
        needs_barrier && (overwrites || !meta.held.is_empty())
    }

    /// Takes sealed blocks in. `old` are their entries so far.
    pub(super) fn hold(
        &self,
        meta: &mut Meta,
        first: u64,
        seals: &[Seal],
        old: &[Entry],
        sealed: &[u8],
    ) -> Result<(), FileError> {
        let beyond = meta.size.div_ceil(BLOCK as u64);
        let (blocks, _) = sealed.as_chunks::<BLOCK>();
        let mut pages = self.pages.lock();
        for (((b, seal), old), block) in (first..).zip(seals).zip(old).zip(blocks) {
            // The data below still has the seal that it had before the first held version.
            let below = match () {
                () if meta.held.blocks.contains_key(&b) => old.prev,
                () if b < beyond => old.cur,
                () => Seal::HOLE,
            };
            self.set_entry(&mut pages, b, Entry { cur: *seal, prev: below });
            pages.unwritten.insert(entry_page_of(BlockNo(b)).0);
            meta.held.put(b, block);
        }
        drop(pages);
        let full = meta.held.blocks.len() >= MAX_HELD
            || HELD_IN_ALL.load(Ordering::Relaxed) >= MAX_HELD_IN_ALL;
        if full { self.let_go(meta) } else { Ok(()) }
    }

    /// Brings everything held back to the disk: entries, barrier, data.
    ///
    /// # Errors
    /// What could not be written stays held, and is tried again at the next occasion.
    ///
    /// # Crash
    /// Before the barrier the data is untouched. After it each entry has the seal of what was
    /// there and of what comes.
    pub(super) fn let_go(&self, meta: &mut Meta) -> Result<(), FileError> {
        if meta.held.is_empty() {
            return Ok(());
        }
        // Data overwritten since the last sync may be there in two versions; with these it would
        // be three, and an entry has room for two.
        if meta.held.blocks.keys().any(|b| meta.in_flight.contains(b)) {
            self.io.sync(false)?;
            meta.in_flight.clear();
        }
        let mut pages = self.pages.lock();
        let mut unwritten: Vec<u64> = pages.unwritten.iter().copied().collect();
        unwritten.sort_unstable();
        let alone = unwritten.len() == 1;
        for &k in &unwritten {
            self.write_page(meta, &pages, crate::format::PageNo(k), alone)?;
        }
        if !alone {
            self.io.sync(false)?;
        }
        pages.unwritten.clear();
        drop(pages);
        meta.in_flight.extend(meta.held.blocks.keys().copied());
        self.write_held(meta)?;
        meta.held.clear();
        Ok(())
    }

    /// The data of the held blocks, neighbours in one call.
    fn write_held(&self, meta: &Meta) -> Result<(), FileError> {
        let mut run: Vec<IoSlice<'_>> = Vec::new();
        let mut start = 0;
        for (&b, block) in &meta.held.blocks {
            let next = start + run.len() as u64;
            let joins = !run.is_empty() && b == next && run_length(start) > run.len() as u64;
            if !joins {
                if !run.is_empty() {
                    self.io.write_at(&run, block_offset(BlockNo(start)))?;
                }
                run.clear();
                start = b;
            }
            run.push(IoSlice::new(block.as_slice()));
        }
        Ok(self.io.write_at(&run, block_offset(BlockNo(start)))?)
    }

    /// [`FileState::let_go`], from outside.
    pub fn write_behind(&self) -> Result<(), FileError> {
        self.let_go(&mut self.meta.write())
    }
}
