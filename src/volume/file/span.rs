//! The blocks that a write touches, from its plaintext to their ciphertext.

use std::cell::RefCell;

use crate::crypto::{random_array, random_nonces};
use crate::format::{BLOCK, BlockNo, FileKeys, Seal};
use crate::lower::LowerError;
use crate::sync::Arc;

use super::super::types::Plain;
use super::state::{FileError, FileState, Meta};

thread_local! {
    /// Ciphertext on its way down; kept, so that a write allocates nothing.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Consecutive blocks, which become ciphertext in `buf`.
pub(super) struct Span<'a> {
    pub first: u64,
    /// All of the blocks. Ciphertext where they are sealed.
    pub buf: &'a mut [u8],
    plain: Source<'a>,
}

/// Where the plaintext is.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// In the buffer already, and it covers every block whole.
    Here,
    /// Elsewhere; in the first block it begins at `inside`.
    There { data: &'a [u8], inside: usize },
}

/// Lends `work` the span of `plain`, which is not empty, at plaintext `offset`. What fills whole
/// blocks and was given away becomes ciphertext where it is; all else is copied.
pub(super) fn with_span<R>(
    offset: u64,
    plain: Plain<'_>,
    work: impl FnOnce(&mut Span<'_>) -> R,
) -> R {
    let first = offset / BLOCK as u64;
    let inside = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
    let data = match plain {
        Plain::Given(buf) if inside == 0 && buf.len().is_multiple_of(BLOCK) => {
            return work(&mut Span { first, buf, plain: Source::Here });
        }
        Plain::Given(data) => data,
        Plain::Lent(data) => data,
    };
    let bytes = (inside + data.len()).next_multiple_of(BLOCK);
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < bytes {
            scratch.resize(bytes, 0);
        }
        let buf = scratch.get_mut(..bytes).unwrap_or_default();
        work(&mut Span { first, buf, plain: Source::There { data, inside } })
    })
}

impl<'a> Source<'a> {
    /// The data of block `n` of the span, if that is all of the block.
    fn whole(self, n: usize) -> Option<&'a [u8]> {
        let Self::There { data, inside } = self else { return None };
        let from = (n * BLOCK).checked_sub(inside)?;
        data.get(from..from + BLOCK)
    }

    /// The data of block `n` of the span, if that is a part of the block only, and where it goes.
    fn part(self, n: usize) -> Option<(usize, &'a [u8])> {
        let Self::There { data, inside } = self else { return None };
        if self.whole(n).is_some() {
            return None;
        }
        let from = (n * BLOCK).saturating_sub(inside);
        let at = if n == 0 { inside } else { 0 };
        let end = data.len().min(from + BLOCK - at);
        Some((at, data.get(from..end)?))
    }
}

impl Span<'_> {
    /// Seals the blocks that the data covers whole. Gives a seal for every block of the span, of
    /// which those at its edges are none yet.
    pub fn seal_whole(&mut self, keys: &FileKeys) -> Vec<Seal> {
        let (blocks, _) = self.buf.as_chunks_mut::<BLOCK>();
        let mut seals = vec![Seal::HOLE; blocks.len()];
        if let Source::There { data, .. } = self.plain
            && data.len() < BLOCK
        {
            return seals;
        }
        let nonces = random_nonces(blocks.len());
        let each = (self.first..).zip(blocks).zip(&mut seals).zip(nonces).enumerate();
        for (n, (((b, block), seal), nonce)) in each {
            match (self.plain, self.plain.whole(n)) {
                (Source::Here, _) => {}
                (_, Some(data)) => block.copy_from_slice(data),
                (_, None) => continue,
            }
            *seal = keys.block().seal(BlockNo(b), block, nonce);
        }
        seals
    }

    /// The same with other keys than those that gave `seals`.
    ///
    /// # Errors
    /// EIO: this process's own memory has changed meanwhile.
    pub fn seal_again(
        &mut self,
        before: &FileKeys,
        seals: &[Seal],
        keys: &FileKeys,
    ) -> Result<Vec<Seal>, FileError> {
        if let Source::Here = self.plain {
            let (blocks, _) = self.buf.as_chunks_mut::<BLOCK>();
            for ((b, block), seal) in (self.first..).zip(blocks).zip(seals) {
                let opened = before.block().open(BlockNo(b), seal, block);
                opened.map_err(|_| {
                    tracing::error!("memory of this process has changed by itself");
                    FileError::Lower(LowerError::IO)
                })?;
            }
        }
        Ok(self.seal_whole(keys))
    }
}

impl FileState {
    /// Merges what the data covers in part with what is there, and seals it.
    pub(super) fn seal_edges(
        &self,
        meta: &Meta,
        span: &mut Span<'_>,
        seals: &mut [Seal],
    ) -> Result<(), FileError> {
        let keys: Arc<FileKeys> = self.keys.load_full();
        let (blocks, _) = span.buf.as_chunks_mut::<BLOCK>();
        for (n, ((b, block), seal)) in (span.first..).zip(blocks).zip(seals).enumerate() {
            let Some((at, data)) = span.plain.part(n) else { continue };
            self.plain_block(meta, b, block)?;
            if let Some(place) = block.get_mut(at..at + data.len()) {
                place.copy_from_slice(data);
            }
            *seal = keys.block().seal(BlockNo(b), block, random_array());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Suite;
    use crate::format::FileId;
    use crate::secret::Secret;

    /// What becomes of each block: `.` untouched, `w` sealed whole, and parts with their place.
    fn shape(offset: u64, plain: Plain<'_>) -> (u64, String) {
        with_span(offset, plain, |span| {
            let blocks = span.buf.len() / BLOCK;
            let one = |n| match (span.plain, span.plain.whole(n), span.plain.part(n)) {
                (Source::Here, None, None) => "here ".to_owned(),
                (_, Some(data), None) => format!("all {} ", data.len()),
                (_, None, Some((at, data))) => format!("{at}+{} ", data.len()),
                _ => "?".to_owned(),
            };
            (span.first, (0..blocks).map(one).collect())
        })
    }

    #[test]
    fn only_what_was_given_and_fills_its_blocks_is_sealed_where_it_is() {
        let data = vec![1; 3 * BLOCK];
        let all = |offset, len| {
            let mut given = data[..len].to_vec();
            let address = given.as_ptr();
            let in_place =
                with_span(offset, Plain::Given(&mut given), |span| span.buf.as_ptr() == address);
            let lent = with_span(offset, Plain::Lent(&data[..len]), |span| {
                span.buf.as_ptr() == data.as_ptr()
            });
            assert!(!lent, "what is lent stays");
            let lent = shape(offset, Plain::Lent(&data[..len]));
            let blocks = "here ".repeat(len / BLOCK);
            let expected = if in_place { (lent.0, blocks) } else { lent.clone() };
            assert_eq!(shape(offset, Plain::Given(&mut given)), expected);
            (in_place, lent.0, lent.1)
        };
        assert_eq!(all(0, 2 * BLOCK), (true, 0, "all 4096 all 4096 ".into()));
        assert_eq!(all(5 * 4096, BLOCK), (true, 5, "all 4096 ".into()));
        assert_eq!(all(4096, 4097), (false, 1, "all 4096 0+1 ".into()));
        assert_eq!(all(4095, 2 * BLOCK), (false, 0, "4095+1 all 4096 0+4095 ".into()));
        assert_eq!(all(1, 4095), (false, 0, "1+4095 ".into()));
        assert_eq!(all(8191, 2), (false, 1, "4095+1 0+1 ".into()));
        assert_eq!(all(0, 1), (false, 0, "0+1 ".into()));
    }

    #[test]
    fn another_key_finds_the_plaintext_again_wherever_it_was() {
        let keys = |n| FileKeys::new(&Secret::new([n; 32]), Suite::Aes256GcmSiv, &FileId([3; 16]));
        let (old, new) = (keys(1), keys(2));
        let plain: Vec<u8> = (0..251).cycle().take(3 * BLOCK).collect();
        let mut given = plain.clone();
        for data in [Plain::Lent(&plain), Plain::Given(&mut given)] {
            with_span(4096, data, |span| {
                let first = span.seal_whole(&old);
                let again = span.seal_again(&old, &first, &new).unwrap();
                for (n, block) in span.buf.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                    new.block().open(BlockNo(1 + n as u64), &again[n], block).unwrap();
                }
                assert!(span.buf == plain);
            });
        }
        with_span(0, Plain::Given(&mut given), |span| {
            let seals = span.seal_whole(&old);
            span.buf[BLOCK] ^= 1;
            let again = span.seal_again(&old, &seals, &new);
            assert!(
                matches!(again, Err(FileError::Lower(LowerError::IO))),
                "not what was asked for"
            );
        });
    }
}
