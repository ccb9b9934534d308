//! What is made of a file whose writer was stopped.
//!
//! Until somebody writes to it again, such a file is read in relaxed fashion: the header's size
//! holds, the tree is not looked at, a block whose data is one write behind its entry opens with
//! the entry's previous seal. The next writer settles all that first, once: it looks at every
//! block, keeps the seal that its data has, and goes on with a strict file.

use crate::format::{
    BLOCK, BlockNo, Entry, MAX_WRITES, PageNo, PlainLen, Seal, cipher_len, entry_page_at,
    entry_page_of,
};

use crate::lower::FileIo;

use super::super::options::CrashSafety;
use super::blocks::Block;
use super::state::{FileEnv, FileError, FileState, Found, Meta};
use super::tree::node_count;
use super::write::MAX_UNTOLD;

impl FileState {
    /// Makes a relaxed file strict. A block that opens with neither seal stays as it is: reading
    /// it goes on giving EIO, and nothing else is touched by that.
    ///
    /// # Crash
    /// The header says that a writer is at work throughout, first of the session that was
    /// stopped, then of this one; entries only lose seals that no data has.
    pub(super) fn recover(&self, env: &FileEnv, meta: &mut Meta) -> Result<(), FileError> {
        tracing::info!(file = %self.identity.id, "a stopped writer's file is put in order");
        if env.crash == CrashSafety::Power {
            // Entries are about to lose the seals that older data has: no such data may come
            // back from the disk.
            self.io.sync(false)?;
        }
        let end = meta.size.div_ceil(BLOCK as u64);
        let lower_end = self.io.len()?;
        let mut k = 0;
        let last = entry_page_of(BlockNo(end.saturating_sub(1))).0;
        while k <= last {
            // Where nothing lies below there is nothing to put in order.
            let at = crate::format::entry_page_offset(PageNo(k));
            if k > 0 {
                match self.io.next_data(at)? {
                    None => break,
                    Some(data) if data > at => {
                        k = entry_page_at(data).0.max(k + 1);
                        continue;
                    }
                    Some(_) => {}
                }
            }
            self.recover_page(meta, PageNo(k), end)?;
            k += 1;
        }
        let len = cipher_len(PlainLen(meta.size)).ok_or(FileError::TooBig)?;
        if lower_end != len.0 {
            self.cut_below(meta.size)?;
        }
        {
            // The nodes below are of no use: all are made again from the pages.
            let mut pages = self.pages.lock();
            pages.nodes.clear();
            for j in 0..node_count(meta.size) {
                let offset = crate::format::node_offset(crate::format::NodeNo(j));
                if self.io.next_data(offset)?.is_some_and(|at| at < offset + BLOCK as u64) {
                    let zero = [0u8; BLOCK];
                    self.io.write_at(&[std::io::IoSlice::new(&zero)], offset)?;
                }
            }
        }
        // How many seals the stopped writer did not come to count is not known (S-10).
        meta.writes = (meta.writes + MAX_UNTOLD).min(MAX_WRITES);
        meta.len_stale = false;
        meta.tree_valid = true;
        meta.found = Found::Strict;
        meta.tail_zero = false;
        // One session's name on it, so that a second stop is judged by this one.
        self.write_header(env, meta, false, [0; 16], false)
    }

    fn recover_page(&self, meta: &mut Meta, k: PageNo, end: u64) -> Result<(), FileError> {
        let range = crate::format::blocks_of(k);
        let entries = self.entries(meta, range.clone())?;
        let mut fixed = Vec::with_capacity(entries.len());
        for (b, entry) in range.clone().zip(&entries) {
            let settled = if b >= end {
                Entry::HOLE
            } else if *entry == Entry::HOLE {
                continue;
            } else {
                let mut block: Block = [0; BLOCK];
                self.fetch(b, block.as_mut_slice())?;
                match self.resolve(b, entry, &mut block) {
                    Ok(seal) => Entry { cur: seal, prev: Seal::HOLE },
                    Err(_) => *entry,
                }
            };
            if settled != *entry {
                fixed.push((b, settled));
            }
        }
        let mut pages = self.pages.lock();
        self.load_page(meta, &mut pages, k)?;
        for &(b, entry) in &fixed {
            self.set_entry(&mut pages, b, entry);
        }
        pages.changed.insert(k.0);
        if !fixed.is_empty() {
            self.write_page(meta, &pages, k, false)?;
        }
        Ok(())
    }
}
