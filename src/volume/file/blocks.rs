//! Data blocks: fetching their ciphertext, and opening it with whichever seal is right.

use std::io::IoSliceMut;

use crate::format::{BLOCK, BlockNo, Entry, GROUP, HEADER_ENTRIES, NODE_FANOUT, block_offset};

use crate::lower::FileIo;

use super::state::{FileError, FileState, Found, Meta};

/// A plaintext or ciphertext block.
pub(super) type Block = [u8; BLOCK];

/// Splits `blocks` where the layout puts a node page in between: each part lies in one stretch
/// below that holds only data and entry pages. Gives `(first, end)` pairs.
pub(super) fn stretches(blocks: std::ops::Range<u64>) -> impl Iterator<Item = (u64, u64)> {
    let per_node = NODE_FANOUT * GROUP;
    let mut at = blocks.start;
    std::iter::from_fn(move || {
        if at >= blocks.end {
            return None;
        }
        let stop = if at < HEADER_ENTRIES {
            HEADER_ENTRIES
        } else {
            HEADER_ENTRIES + ((at - HEADER_ENTRIES) / per_node + 1) * per_node
        };
        let part = (at, blocks.end.min(stop));
        at = part.1;
        Some(part)
    })
}

/// How many blocks from `b` on lie side by side below, without an entry page in between.
pub(super) fn run_length(b: u64) -> u64 {
    if b < HEADER_ENTRIES { HEADER_ENTRIES - b } else { GROUP - (b - HEADER_ENTRIES) % GROUP }
}

impl FileState {
    /// Fetches the ciphertext of the blocks from `first` on into `out` (whole blocks), in one
    /// call per stretch. What lies past the end of the lower file becomes zero; the number of
    /// bytes that really exist is given for the last block: 0 or `BLOCK`, a part counts as 0.
    pub(super) fn fetch(&self, first: u64, out: &mut [u8]) -> Result<(), FileError> {
        let count = (out.len() / BLOCK) as u64;
        let mut rest = out;
        for (from, end) in stretches(first..first + count) {
            let bytes = usize::try_from(end - from).unwrap_or(0) * BLOCK;
            let (part, after) = rest.split_at_mut(bytes);
            self.fetch_stretch(from, part)?;
            rest = after;
        }
        Ok(())
    }

    fn fetch_stretch(&self, first: u64, out: &mut [u8]) -> Result<(), FileError> {
        let total = out.len();
        // Vectors: data run, entry page to throw away, data run, ...
        let mut lens = Vec::with_capacity(8);
        let mut at = first;
        let mut left = (total / BLOCK) as u64;
        while left > 0 {
            let run = run_length(at).min(left);
            lens.push(usize::try_from(run).unwrap_or(0) * BLOCK);
            at += run;
            left -= run;
        }
        let mut data_got = 0usize;
        if lens.len() == 1 {
            data_got =
                self.io.read_at(&mut [IoSliceMut::new(out)], block_offset(BlockNo(first)))?;
        } else {
            // The entry pages in between land in pages that nobody reads.
            let mut spare: Vec<Block> = vec![[0; BLOCK]; lens.len() - 1];
            let mut vectors = Vec::with_capacity(lens.len() * 2);
            let mut rest = &mut *out;
            let mut spares = spare.iter_mut();
            for len in &lens {
                if !vectors.is_empty()
                    && let Some(page) = spares.next()
                {
                    vectors.push(IoSliceMut::new(page));
                }
                let (part, after) = rest.split_at_mut(*len);
                vectors.push(IoSliceMut::new(part));
                rest = after;
            }
            let mut got = self.io.read_at(&mut vectors, block_offset(BlockNo(first)))?;
            drop(vectors);
            for (i, len) in lens.iter().enumerate() {
                if i > 0 {
                    got = got.saturating_sub(BLOCK);
                }
                let here = got.min(*len);
                data_got += here;
                got -= here;
                if here < *len {
                    break;
                }
            }
        }
        // A block that is there in part is as good as gone: it cannot open.
        out.iter_mut().skip(data_got / BLOCK * BLOCK).for_each(|b| *b = 0);
        Ok(())
    }

    /// Turns the ciphertext of block `b` in `buf` into its plaintext.
    ///
    /// In a relaxed file the entry may be ahead of the data by one write: then the previous
    /// seal is the right one. A previous hole is believed only where nothing was written yet.
    pub(super) fn open_block(
        &self,
        meta: &Meta,
        b: u64,
        entry: &Entry,
        buf: &mut Block,
    ) -> Result<(), FileError> {
        match meta.found {
            Found::Strict if entry.cur.is_hole() => {
                buf.fill(0);
                Ok(())
            }
            Found::Strict => self
                .keys
                .load()
                .block()
                .open(BlockNo(b), &entry.cur, buf)
                .map_err(|_| FileError::Tampered("a data block")),
            Found::Relaxed => self.resolve(b, entry, buf).map(|_| ()),
        }
    }

    /// Opens block `b` of a relaxed file and tells which seal its data has.
    pub(super) fn resolve(
        &self,
        b: u64,
        entry: &Entry,
        buf: &mut Block,
    ) -> Result<crate::format::Seal, FileError> {
        let nothing_there = buf.iter().all(|&byte| byte == 0);
        for seal in [entry.cur, entry.prev] {
            if seal.is_hole() {
                if nothing_there {
                    return Ok(seal);
                }
                continue;
            }
            let mut copy = *buf;
            if self.keys.load().block().open(BlockNo(b), &seal, &mut copy).is_ok() {
                *buf = copy;
                return Ok(seal);
            }
        }
        Err(FileError::Tampered("a data block"))
    }

    /// The plaintext of one block, zero past the end of the file.
    pub(super) fn plain_block(
        &self,
        meta: &Meta,
        b: u64,
        buf: &mut Block,
    ) -> Result<(), FileError> {
        let start = b.saturating_mul(BLOCK as u64);
        if start >= meta.size {
            buf.fill(0);
            return Ok(());
        }
        let entries = self.entries(meta, b..b + 1)?;
        let entry = entries.first().copied().unwrap_or(Entry::HOLE);
        if entry.cur.is_hole() && meta.found == Found::Strict {
            buf.fill(0);
            return Ok(());
        }
        let cached = if b == 0 { self.pages.lock().block0.take() } else { None };
        match cached {
            Some(bytes) => buf.copy_from_slice(&bytes),
            None => self.fetch(b, buf.as_mut_slice())?,
        }
        meta.held.overlay(b, buf.as_mut_slice());
        self.open_block(meta, b, &entry, buf)?;
        let valid = usize::try_from(meta.size - start).unwrap_or(BLOCK);
        buf.iter_mut().skip(valid).for_each(|byte| *byte = 0);
        Ok(())
    }
}
