//! Writing: seal, entries, data, in this order.
//!
//! An entry has room for two seals. Writing a block puts the new seal beside the one that the
//! data below still has, makes that reach the disk first, and only then overwrites the data:
//! whichever of the two is found after a stop, its seal is in the entry. For a kill the order of
//! the calls is enough. For power loss the entry must be durable before the data is touched:
//! such blocks go through `held`. Blocks that held nothing need no barrier.

use std::io::IoSlice;

use crate::crypto::random_nonces;
use crate::format::{
    BLOCK, BlockNo, Entry, MAX_PLAIN, MAX_WRITES, PageNo, Seal, block_offset, blocks_of,
    entry_page_of, entry_page_offset, entry_slot,
};

use crate::lower::FileIo;
use crate::sync::{Arc, write_soon};

use super::super::data::now;
use super::super::types::Plain;
use super::blocks::{Block, run_length, stretches};
use super::pages::Pages;
use super::settle::{Head, first_entries};
use super::span::{Span, with_span};
use super::state::{FileEnv, FileError, FileState, Meta, OnDisk};

/// Blocks sealed and written in one go.
const BATCH: usize = 256;

/// Seals that a header may not know of; a stop loses the count of no more (S-10).
pub(super) const MAX_UNTOLD: u64 = 1 << 28;

/// What a write does to the modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::volume) enum Stamp {
    /// It becomes the time of the write.
    Now,
    /// It stays what users see: the kernel knows better, and tells it by itself.
    Stays,
    /// It is the lower file's, whatever becomes of that.
    Below,
}

impl FileState {
    /// Writes `data` at plaintext `offset`, extending the file if it ends past the size. Says
    /// whether anything is held back afterwards.
    ///
    /// # Errors
    /// `Lower(NOSPC)` and the like leave every block with its old content or its new.
    ///
    /// # Crash
    /// See the module's text.
    pub fn write(
        &self,
        env: &FileEnv,
        offset: u64,
        data: Plain<'_>,
        stamp: Stamp,
    ) -> Result<bool, FileError> {
        let len = data.bytes().len();
        let end = offset.checked_add(len as u64).filter(|&end| end <= MAX_PLAIN);
        let end = end.ok_or(FileError::TooBig)?;
        if len == 0 {
            return Ok(false);
        }
        with_span(offset, data, |span| self.write_span(env, offset..end, span, stamp))
    }

    fn write_span(
        &self,
        env: &FileEnv,
        range: std::ops::Range<u64>,
        span: &mut Span<'_>,
        stamp: Stamp,
    ) -> Result<bool, FileError> {
        // The long part of the work, for which nobody else has to wait.
        let keys = self.keys.load_full();
        let mut seals = span.seal_whole(&keys);
        // Taken once: with many writers each time more is one to wait for.
        let mut meta = write_soon(&self.meta);
        let now_keys = self.keys.load_full();
        if !Arc::ptr_eq(&keys, &now_keys) {
            // Another data key has come meanwhile, and does not change under the lock.
            seals = span.seal_again(&keys, &seals, &now_keys)?;
        }
        if stamp == Stamp::Stays && meta.mtime.is_none() {
            // Ours is the only write that moves the lower time; it goes back to what it was.
            let lower = self.io.stat()?.mtime;
            let shown = meta.shown_mtime(lower).unwrap_or(lower);
            meta.set_mtime(Some(shown));
        }
        self.begin_change(env, &mut meta)?;
        if range.start > meta.size {
            self.zero_tail(env, &mut meta)?;
        }
        self.seal_edges(&meta, span, &mut seals)?;
        let mut first = span.first;
        for (seals, part) in seals.chunks(BATCH).zip(span.buf.chunks(BATCH * BLOCK)) {
            self.commit_sealed(env, &mut meta, first, part, seals)?;
            first += seals.len() as u64;
            // The size follows each batch, so that an error later loses nothing before it.
            self.grow_to(&mut meta, range.end.min(first * BLOCK as u64));
        }
        if stamp == Stamp::Now {
            meta.set_mtime(Some(now()));
        }
        Ok(!meta.held.is_empty())
    }

    /// The size after data was written up to `end`.
    fn grow_to(&self, meta: &mut Meta, end: u64) {
        if end > meta.size {
            meta.size = end;
            meta.size_stale = true;
            meta.len_stale = true;
            meta.tail_zero = true;
        }
    }

    /// Seals whole plaintext blocks in `buf` and brings them to the disk from block `first` on.
    pub(super) fn commit(
        &self,
        env: &FileEnv,
        meta: &mut Meta,
        first: u64,
        buf: &mut [u8],
    ) -> Result<(), FileError> {
        let (blocks, _) = buf.as_chunks_mut::<BLOCK>();
        let nonces = random_nonces(blocks.len());
        let keys = self.keys.load();
        let seals: Vec<Seal> = (first..)
            .zip(blocks.iter_mut().zip(nonces))
            .map(|(b, (block, nonce))| keys.block().seal(BlockNo(b), block, nonce))
            .collect();
        self.commit_sealed(env, meta, first, buf, &seals)
    }

    /// Brings sealed blocks to the disk from block `first` on.
    fn commit_sealed(
        &self,
        env: &FileEnv,
        meta: &mut Meta,
        first: u64,
        buf: &[u8],
        seals: &[Seal],
    ) -> Result<(), FileError> {
        let count = seals.len() as u64;
        if meta.writes.saturating_add(count) > MAX_WRITES {
            tracing::error!(file = %self.identity.id, "the data key's budget of block writes is used up");
            return Err(FileError::NonceBudget);
        }
        meta.writes += count;
        if meta.writes - meta.writes_told >= MAX_UNTOLD && meta.on_disk != OnDisk::Fresh {
            self.write_header(env, meta, false, [0; 16], false)?;
        }
        meta.touched = true;
        self.settle_cut(meta)?;
        let old = self.entries(meta, first..first + count)?;
        let beyond = meta.size.div_ceil(BLOCK as u64);
        let had_data = |(b, e): (u64, &Entry)| b < beyond && !e.cur.is_hole();
        // A block that was punched since the last sync counts as data: it may come back.
        let overwrites = (first..).zip(&old).any(had_data)
            || (first..first + count).any(|b| meta.in_flight.contains(&b));
        if first == 0 {
            self.pages.lock().block0 = None;
        }
        if self.holds_back(env, meta, overwrites) {
            return self.hold(meta, first, seals, &old, buf);
        }
        let mut pages = self.pages.lock();
        for ((b, seal), old) in (first..).zip(seals).zip(&old) {
            let prev = if b < beyond { old.cur } else { Seal::HOLE };
            self.set_entry(&mut pages, b, Entry { cur: *seal, prev });
        }
        let fresh = match meta.on_disk {
            OnDisk::Fresh => Some(self.head_of_writer(env, meta)?),
            OnDisk::Clean | OnDisk::Dirty => None,
        };
        let head = fresh.as_ref().map(|(_, head)| head);
        let written = self.write_out(meta, &pages, first, count, buf, head);
        drop(pages);
        if let Err(e) = written {
            self.after_failed_write(meta, first, seals, &old);
            return Err(e);
        }
        if let Some((header, _)) = fresh {
            meta.header_is_down(&header);
            meta.size_stale = true;
        }
        Ok(())
    }

    /// Puts an entry into its page in memory and notes the page as changed.
    pub(super) fn set_entry(&self, pages: &mut Pages, b: u64, entry: Entry) {
        let k = entry_page_of(BlockNo(b));
        if let Some(page) = pages.get_mut(k) {
            entry.write(page, entry_slot(BlockNo(b)));
        }
        pages.changed.insert(k.0);
    }

    /// Entries, then data. Each entry page but the first lies right before its data, so one call
    /// per stretch carries both, in the right order. `head` begins the first page of a file that
    /// has none yet: so what cannot be stored is noticed by the writer and not by whoever closes.
    ///
    /// # Crash
    /// A first page without the data behind it tells of seals that nothing has yet, beside holes;
    /// its size ends before them.
    fn write_out(
        &self,
        meta: &Meta,
        pages: &Pages,
        first: u64,
        count: u64,
        buf: &[u8],
        head: Option<&Head>,
    ) -> Result<(), FileError> {
        let mut rest = buf;
        let apart = head.filter(|_| first != 0);
        if let Some(head) = apart {
            self.io.write_at(&[IoSlice::new(head), first_entries(pages)?], 0)?;
        }
        for (from, end) in stretches(first..first + count) {
            let mut vectors = Vec::with_capacity(8);
            let mut start = block_offset(BlockNo(from));
            let mut at = from;
            while at < end {
                let k = entry_page_of(BlockNo(at));
                let at_group_start = blocks_of(k).start == at && k.0 != 0;
                if at == 0
                    && let Some(head) = head
                {
                    start = 0;
                    vectors.extend([IoSlice::new(head), first_entries(pages)?]);
                }
                if at_group_start {
                    if at == from {
                        start = entry_page_offset(k);
                    }
                    vectors.push(IoSlice::new(pages.get(k).unwrap_or_default()));
                } else {
                    self.write_page(meta, pages, k, false)?;
                }
                let run = run_length(at).min(end - at);
                let (part, after) = rest.split_at(usize::try_from(run).unwrap_or(0) * BLOCK);
                vectors.push(IoSlice::new(part));
                rest = after;
                at += run;
            }
            self.io.write_at(&vectors, start)?;
        }
        Ok(())
    }

    /// After a write that failed half way: finds out, block by block, which data is below now,
    /// and makes the entries say so. Nothing that was readable before may stop being so.
    fn after_failed_write(&self, meta: &mut Meta, first: u64, seals: &[Seal], old: &[Entry]) {
        let mut pages = self.pages.lock();
        let mut changed = std::collections::BTreeSet::new();
        for ((b, seal), old) in (first..).zip(seals).zip(old) {
            let mut block: Block = [0; BLOCK];
            let arrived = self.fetch(b, block.as_mut_slice()).is_ok()
                && self.keys.load().block().open(BlockNo(b), seal, &mut block).is_ok();
            if !arrived {
                self.set_entry(&mut pages, b, *old);
                changed.insert(entry_page_of(BlockNo(b)).0);
            }
        }
        for k in changed {
            // If this fails too, the page below still has both seals, and the header says that
            // a writer was at work.
            let _ = self.write_page(meta, &pages, PageNo(k), false);
        }
    }
}
