//! Holes: making them, keeping them, finding them.

use crate::format::{BLOCK, BlockNo, Entry, MAX_PLAIN, PageNo, Seal, block_offset, blocks_of};
use crate::format::{entry_page_at, entry_page_of, entry_page_offset};

use crate::lower::FileIo;

use super::super::options::CrashSafety;
use super::blocks::{Block, run_length};
use super::state::{FileEnv, FileError, FileState, Meta};

/// What fallocate(2) asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::volume) enum Allocate {
    /// Space, and the size if the range ends past it.
    Extend,
    /// Space alone.
    KeepSize,
    /// A hole in place of data; the size stays.
    Punch,
    /// Zeros in place of data, and the size if asked.
    Zero {
        /// Leave the size alone.
        keep_size: bool,
    },
}

/// What lseek(2) looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::volume) enum Whence {
    /// SEEK_DATA
    Data,
    /// SEEK_HOLE
    Hole,
}

impl FileState {
    /// fallocate(2) on plaintext bytes `offset .. offset + len`.
    pub fn allocate(
        &self,
        env: &FileEnv,
        offset: u64,
        len: u64,
        how: Allocate,
    ) -> Result<(), FileError> {
        let end = offset.checked_add(len).filter(|&e| e <= MAX_PLAIN).ok_or(FileError::TooBig)?;
        let mut meta = self.meta.write();
        self.begin_change(env, &mut meta)?;
        self.let_go(&mut meta)?;
        match how {
            Allocate::Punch => {
                let inside = end.min(meta.size);
                self.punch(env, &mut meta, offset, inside)
            }
            Allocate::Zero { keep_size } => {
                let inside = end.min(meta.size);
                self.punch(env, &mut meta, offset, inside)?;
                if !keep_size {
                    self.extend_to(env, &mut meta, end)?;
                }
                Ok(())
            }
            Allocate::Extend | Allocate::KeepSize => {
                let first = block_offset(BlockNo(offset / BLOCK as u64));
                let last = block_offset(BlockNo(end.saturating_sub(1) / BLOCK as u64));
                self.io.reserve(first, last + BLOCK as u64 - first)?;
                meta.reserved = true;
                if how == Allocate::Extend {
                    self.extend_to(env, &mut meta, end)?;
                }
                Ok(())
            }
        }
    }

    fn extend_to(&self, env: &FileEnv, meta: &mut Meta, end: u64) -> Result<(), FileError> {
        if end > meta.size {
            self.settle_cut(meta)?;
            self.zero_tail(env, meta)?;
            meta.size = end;
            meta.size_stale = true;
            meta.len_stale = true;
            meta.touched = true;
        }
        Ok(())
    }

    /// Makes `from .. end` (within the size) read as zeros: whole blocks become holes, the edges
    /// are written.
    ///
    /// # Crash
    /// As for data: the entry first, with the old seal beside the hole; then the data goes.
    fn punch(&self, env: &FileEnv, meta: &mut Meta, from: u64, end: u64) -> Result<(), FileError> {
        let size = BLOCK as u64;
        if from >= end {
            return Ok(());
        }
        let to_the_end = end == meta.size;
        let first = from.div_ceil(size);
        // The last block counts as whole when the hole reaches the end of the file.
        let past = if to_the_end { end.div_ceil(size) } else { end / size };
        if first > past || (first == past && from / size == (end - 1) / size) {
            return self.zero_inside(env, meta, from, end);
        }
        if !from.is_multiple_of(size) {
            self.zero_inside(env, meta, from, first * size)?;
        }
        if past * size < end {
            self.zero_inside(env, meta, past * size, end)?;
        }
        let mut at = first;
        while at < past {
            let k = entry_page_of(BlockNo(at));
            let stop = past.min(blocks_of(k).end);
            self.punch_blocks(env, meta, k, at, stop)?;
            at = stop;
        }
        Ok(())
    }

    /// Blocks `from .. end`, all of them in entry page `k`.
    fn punch_blocks(
        &self,
        env: &FileEnv,
        meta: &mut Meta,
        k: PageNo,
        from: u64,
        end: u64,
    ) -> Result<(), FileError> {
        // An edge that was written just now may be held back.
        self.let_go(meta)?;
        let old = self.entries(meta, from..end)?;
        if old.iter().all(|e| e.cur.is_hole()) {
            return Ok(());
        }
        let barrier = env.crash == CrashSafety::Power;
        if barrier && (from..end).any(|b| meta.in_flight.contains(&b)) {
            self.io.sync(false)?;
            meta.in_flight.clear();
        }
        meta.touched = true;
        {
            let mut pages = self.pages.lock();
            if from == 0 {
                pages.block0 = None;
            }
            for (b, entry) in (from..end).zip(&old) {
                if !entry.cur.is_hole() {
                    self.set_entry(&mut pages, b, Entry { cur: Seal::HOLE, prev: entry.cur });
                }
            }
            self.write_page(meta, &pages, k, barrier)?;
        }
        if barrier {
            meta.in_flight.extend(from..end);
        }
        let mut at = from;
        while at < end {
            let run = run_length(at).min(end - at);
            let (offset, len) = (block_offset(BlockNo(at)), run * BLOCK as u64);
            if !self.io.punch(offset, len)? {
                // No holes below: zeros say the same.
                let zeros = vec![0u8; usize::try_from(len).unwrap_or(0)];
                self.io.write_at(&[std::io::IoSlice::new(&zeros)], offset)?;
            }
            at += run;
        }
        Ok(())
    }

    /// Zeroes bytes `from .. end` of one block.
    fn zero_inside(
        &self,
        env: &FileEnv,
        meta: &mut Meta,
        from: u64,
        end: u64,
    ) -> Result<(), FileError> {
        let b = from / BLOCK as u64;
        let entries = self.entries(meta, b..b + 1)?;
        if entries.iter().all(|e| e.cur.is_hole()) || from >= end {
            return Ok(());
        }
        let mut block: Block = [0; BLOCK];
        self.plain_block(meta, b, &mut block)?;
        let start = usize::try_from(from % BLOCK as u64).unwrap_or(0);
        let len = usize::try_from(end - from).unwrap_or(0);
        block.iter_mut().skip(start).take(len).for_each(|byte| *byte = 0);
        self.commit(env, meta, b, &mut block)
    }

    /// lseek(2): the first data or hole at `offset` or after it. `None`: ENXIO.
    pub fn seek(&self, offset: u64, whence: Whence) -> Result<Option<u64>, FileError> {
        self.seek_in(&self.meta.read(), offset, whence)
    }

    pub(super) fn seek_in(
        &self,
        meta: &Meta,
        offset: u64,
        whence: Whence,
    ) -> Result<Option<u64>, FileError> {
        if offset >= meta.size {
            return Ok(None);
        }
        let size = BLOCK as u64;
        let end = meta.size.div_ceil(size);
        let mut at = offset / size;
        while at < end {
            let k = entry_page_of(BlockNo(at));
            if k.0 > 0 && whence == Whence::Data {
                // Holes of whole groups are stepped over by asking below.
                match self.io.next_data(entry_page_offset(k))? {
                    None => return Ok(None),
                    Some(data) => {
                        let there = entry_page_at(data);
                        if there > k {
                            at = blocks_of(there).start;
                            continue;
                        }
                    }
                }
            }
            let stop = end.min(blocks_of(k).end);
            let entries = self.entries(meta, at..stop)?;
            let wanted = |e: &Entry| e.cur.is_hole() == (whence == Whence::Hole);
            if let Some(i) = entries.iter().position(wanted) {
                return Ok(Some(((at + i as u64) * size).max(offset)));
            }
            at = stop;
        }
        Ok(if whence == Whence::Hole { Some(meta.size) } else { None })
    }
}
