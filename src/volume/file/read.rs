//! Reading: ciphertext lands where the plaintext is wanted and is opened in place.

use crate::format::BLOCK;

use super::blocks::{Block, run_length};
use super::state::{FileError, FileState, Found, Meta};

impl FileState {
    /// Reads from plaintext `offset` into `out`; returns the bytes read, fewer than asked only
    /// at the end of the file.
    ///
    /// # Errors
    /// `Tampered` if any block in the range does not open; `out` then holds nothing of it.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, FileError> {
        let meta = self.meta.read();
        let len = usize::try_from(meta.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(out.len());
        let Some(out) = out.get_mut(..len) else { return Ok(0) };
        self.read_range(&meta, offset, out).inspect_err(|_| out.fill(0))?;
        Ok(len)
    }

    /// All that is in the file, if that is at most `room` and came along with the header.
    pub fn at_hand<'a>(&self, room: &'a mut [u8; BLOCK]) -> Option<&'a [u8]> {
        let meta = self.meta.read();
        let len = usize::try_from(meta.size).ok().filter(|len| (1..=BLOCK).contains(len))?;
        if meta.found != Found::Strict || self.pages.lock().block0.is_none() {
            return None;
        }
        let whole = room.get_mut(..len)?;
        // What does not open is for whoever reads it to be told of.
        self.read_range(&meta, 0, whole).ok()?;
        Some(whole)
    }

    pub(super) fn read_range(
        &self,
        meta: &Meta,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), FileError> {
        let size = BLOCK as u64;
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let inside = usize::try_from(at % size).unwrap_or(0);
            if inside != 0 || rest.len() < BLOCK {
                let mut block: Block = [0; BLOCK];
                self.plain_block(meta, at / size, &mut block)?;
                let n = rest.len().min(BLOCK - inside);
                let (head, after) = rest.split_at_mut(n);
                head.copy_from_slice(block.get(inside..inside + n).unwrap_or_default());
                rest = after;
                at += n as u64;
            } else {
                // In pieces without an entry page in between, which also stay in the CPU's cache
                // from the lower filesystem's copy to the cipher's last step.
                let run = usize::try_from(run_length(at / size)).unwrap_or(usize::MAX);
                let whole = (rest.len() / BLOCK).min(run) * BLOCK;
                let (head, after) = rest.split_at_mut(whole);
                self.read_blocks(meta, at / size, head)?;
                rest = after;
                at += whole as u64;
            }
        }
        Ok(())
    }

    /// Whole blocks, all within the size.
    fn read_blocks(&self, meta: &Meta, first: u64, out: &mut [u8]) -> Result<(), FileError> {
        let count = (out.len() / BLOCK) as u64;
        let entries = self.entries(meta, first..first + count)?;
        if meta.found == Found::Strict && entries.iter().all(|e| e.cur.is_hole()) {
            out.fill(0);
            return Ok(());
        }
        let cached = if first == 0 && count == 1 { self.pages.lock().block0.take() } else { None };
        match cached {
            Some(bytes) => out.copy_from_slice(&bytes),
            None => self.fetch(first, out)?,
        }
        meta.held.overlay(first, out);
        let (blocks, _) = out.as_chunks_mut::<BLOCK>();
        for ((b, entry), block) in (first..).zip(&entries).zip(blocks) {
            self.open_block(meta, b, entry, block)?;
        }
        Ok(())
    }
}
