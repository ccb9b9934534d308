//! Sizes: cutting and extending.
//!
//! The size is in the header, and a header is one sector: it is the point at which a truncation
//! has happened. Cutting what lies below comes after it, extending before; bytes that a cut left
//! in the last block are ignored by readers and zeroed by whoever extends over them.

use crate::format::{BLOCK, BlockNo, Entry, MAX_PLAIN, PageNo, PlainLen, cipher_len};
use crate::format::{entry_page_of, entry_slot};

use crate::lower::FileIo;

use super::super::options::CrashSafety;
use super::blocks::Block;
use super::pages::Pages;
use super::state::{FileEnv, FileError, FileState, Meta, OnDisk};

impl FileState {
    /// Sets the plaintext size.
    ///
    /// # Crash
    /// A stop leaves the old size with the old content, or the new size.
    pub fn truncate(&self, env: &FileEnv, size: u64) -> Result<(), FileError> {
        if size > MAX_PLAIN {
            return Err(FileError::TooBig);
        }
        let mut meta = self.meta.write();
        if size == meta.size {
            if meta.reserved {
                self.begin_change(env, &mut meta)?;
                self.give_back(&mut meta)?;
            }
            return Ok(());
        }
        self.begin_change(env, &mut meta)?;
        self.let_go(&mut meta)?;
        meta.touched = true;
        if size > meta.size {
            self.settle_cut(&mut meta)?;
            self.zero_tail(env, &mut meta)?;
            meta.size = size;
            meta.size_stale = true;
            meta.len_stale = true;
            return Ok(());
        }
        self.shrink(env, &mut meta, size)
    }

    fn shrink(&self, env: &FileEnv, meta: &mut Meta, size: u64) -> Result<(), FileError> {
        let old_size = meta.size;
        meta.size = size;
        meta.size_stale = true;
        if meta.on_disk != OnDisk::Fresh {
            // In the clear of power loss too, the size must be down before the data goes.
            let durable = env.crash == CrashSafety::Power;
            let written = self.write_header(env, meta, false, [0; 16], durable);
            if let Err(e) = written {
                meta.size = old_size;
                return Err(e);
            }
        }
        meta.tail_zero = size.is_multiple_of(BLOCK as u64);
        let end = size.div_ceil(BLOCK as u64);
        meta.in_flight.retain(|&b| b < end);
        let mut pages = self.pages.lock();
        if end == 0 {
            pages.block0 = None;
        }
        // The lower cut takes later entry pages and nodes with it; what stays are the entries
        // behind the end in the page of the last block, and the macs in its node.
        let last = entry_page_of(BlockNo(end.saturating_sub(1)));
        self.clear_entries_from(meta, &mut pages, end, last)?;
        pages.cut(PageNo(last.0 + 1));
        self.cut_tree(&mut pages, PageNo(last.0 + 1))?;
        drop(pages);
        meta.cut_unsynced =
            env.crash == CrashSafety::Power && meta.on_disk != OnDisk::Fresh && size < old_size;
        self.cut_below(size)?;
        meta.len_stale = false;
        if meta.reserved { self.give_back(meta) } else { Ok(()) }
    }

    /// Gives space back that was reserved behind the end.
    fn give_back(&self, meta: &mut Meta) -> Result<(), FileError> {
        self.cut_below(meta.size)?;
        self.io.cut_behind()?;
        meta.len_stale = false;
        meta.reserved = false;
        Ok(())
    }

    /// Makes an earlier cut durable. To be called before anything is put, or a hole is shown,
    /// where it cut: a power cut could bring the old data back under an entry that does not
    /// know it.
    pub(super) fn settle_cut(&self, meta: &mut Meta) -> Result<(), FileError> {
        if meta.cut_unsynced {
            self.io.sync(true)?;
            meta.cut_unsynced = false;
            meta.in_flight.clear();
        }
        Ok(())
    }

    /// Gives the lower file the length for `size`, with nothing behind the last block: first it
    /// is cut there, then the part that only tells the size is added as a hole. Were it one cut,
    /// that part would keep the beginning of whatever page came next.
    pub(super) fn cut_below(&self, size: u64) -> Result<(), FileError> {
        let len = cipher_len(PlainLen(size)).ok_or(FileError::TooBig)?.0;
        let tail = len % BLOCK as u64;
        if tail != 0 {
            self.io.set_len(len - tail)?;
        }
        Ok(self.io.set_len(len)?)
    }

    /// Makes holes of all entries in page `k` from block `from` on, below too.
    fn clear_entries_from(
        &self,
        meta: &Meta,
        pages: &mut Pages,
        from: u64,
        k: PageNo,
    ) -> Result<(), FileError> {
        self.load_page(meta, pages, k)?;
        let range = crate::format::blocks_of(k);
        let mut cleared = false;
        if let Some(page) = pages.get_mut(k) {
            for b in range.start.max(from)..range.end {
                let slot = entry_slot(BlockNo(b));
                if Entry::read(page, slot) != Entry::HOLE {
                    Entry::HOLE.write(page, slot);
                    cleared = true;
                }
            }
        }
        if cleared {
            pages.changed.insert(k.0);
            self.write_page(meta, pages, k, false)?;
        }
        Ok(())
    }

    /// Zeroes what an earlier cut left behind the size in the last block. To be called before
    /// the file grows past that block other than by writing it.
    pub(super) fn zero_tail(&self, env: &FileEnv, meta: &mut Meta) -> Result<(), FileError> {
        if meta.tail_zero || meta.size.is_multiple_of(BLOCK as u64) {
            return Ok(());
        }
        let b = meta.size / BLOCK as u64;
        let entries = self.entries(meta, b..b + 1)?;
        if entries.first().is_some_and(|e| !e.cur.is_hole()) {
            let mut block: Block = [0; BLOCK];
            self.plain_block(meta, b, &mut block)?;
            self.commit(env, meta, b, &mut block)?;
        }
        meta.tail_zero = true;
        Ok(())
    }
}
