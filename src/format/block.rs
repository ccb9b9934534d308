//! Data blocks and their entries.
//!
//! A block is always sealed as 4096 bytes; the plaintext past the end of the file is zero. Its
//! nonce and tag lie in its entry, apart from it, with those of the version before: a writer
//! that stops between entry and data leaves a block that the older half still opens.

use super::{BLOCK, BlockNo, FileId, Sealed};
use crate::crypto::{Aead, BadTag, Derivation, Label, Suite};

/// Bytes of an entry.
pub const ENTRY_LEN: usize = 64;

/// Block seals after which a data key is used up. S-9; FORMAT.md has the reckoning.
pub const MAX_WRITES: u64 = 1 << 40;

/// Block seals that may follow the last header before another one must be written, and that are
/// added to the count of a header that was found not clean. S-10.
pub const LOST_WRITES: u64 = 1 << 28;

/// What opens one version of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Random, chosen for this version of this block.
    pub nonce: [u8; 16],
    /// Authenticates the block's bytes in this place.
    pub tag: [u8; 16],
}

impl Seal {
    /// The block is a hole: 4096 zeros, with nothing stored.
    pub const HOLE: Seal = Seal { nonce: [0; 16], tag: [0; 16] };

    /// Whether this is [`Seal::HOLE`].
    pub fn is_hole(&self) -> bool {
        *self == Seal::HOLE
    }
}

/// The two seals that are kept for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of the version last written.
    pub cur: Seal,
    /// Of the version before.
    pub prev: Seal,
}

impl Entry {
    /// A block that has never been written.
    pub const HOLE: Entry = Entry { cur: Seal::HOLE, prev: Seal::HOLE };

    /// Entry `index` of an entry page. Beyond the page's end there is no entry, and what comes
    /// back opens nothing: a slip in the arithmetic must not read as a hole.
    pub fn read(page: &[u8], index: usize) -> Entry {
        let (entries, _) = page.as_chunks::<ENTRY_LEN>();
        let fields = entries.get(index).map(|bytes| bytes.as_chunks::<16>().0);
        let Some(&[cur_nonce, cur_tag, prev_nonce, prev_tag]) = fields else {
            return Entry { cur: NOTHING, prev: NOTHING };
        };
        Entry {
            cur: Seal { nonce: cur_nonce, tag: cur_tag },
            prev: Seal { nonce: prev_nonce, tag: prev_tag },
        }
    }

    /// Puts this entry at `index` of an entry page. Beyond the page's end nothing is written.
    pub fn write(&self, page: &mut [u8], index: usize) {
        let (entries, _) = page.as_chunks_mut::<ENTRY_LEN>();
        let fields = [self.cur.nonce, self.cur.tag, self.prev.nonce, self.prev.tag];
        match entries.get_mut(index) {
            Some(bytes) => bytes.copy_from_slice(fields.as_flattened()),
            None => debug_assert!(false, "entry {index} is not in its page"),
        }
    }

    /// The entry after a write: `cur` is `seal`, and what was `cur` is `prev`.
    pub fn replaced_by(&self, seal: Seal) -> Entry {
        Entry { cur: seal, prev: self.cur }
    }
}

/// A seal that no block has.
const NOTHING: Seal = Seal { nonce: [0xFF; 16], tag: [0xFF; 16] };

/// Seals and opens the blocks of one file. Made once per file; threads share it.
#[derive(Debug)]
pub struct BlockCipher {
    aead: Aead,
    id: FileId,
}

impl BlockCipher {
    pub(super) fn new(data_key: &Derivation, suite: Suite, context: &[u8], id: &FileId) -> Self {
        let key = data_key.key(Label::Block(suite), context);
        Self { aead: Aead::new(suite, &key), id: *id }
    }

    /// Encrypts a block in place. `nonce` must be random and fresh
    /// ([`random_nonces`](crate::crypto::random_nonces)).
    pub fn seal(&self, block: BlockNo, buf: &mut [u8; BLOCK], nonce: [u8; 16]) -> Seal {
        let tag = self.aead.seal(&nonce, block.0, &self.aad(block), buf);
        Seal { nonce, tag }
    }

    /// Decrypts a block in place. On failure `buf` is all zero. A hole is not sealed and does
    /// not open: ask [`Seal::is_hole`] first.
    pub fn open(&self, block: BlockNo, seal: &Seal, buf: &mut [u8; BLOCK]) -> Result<(), BadTag> {
        self.aead.open(&seal.nonce, block.0, &self.aad(block), buf, &seal.tag)
    }

    /// What [`Sealed::aad`] gives, without its allocation: this is made for every block.
    fn aad(&self, block: BlockNo) -> [u8; 25] {
        let mut aad = [Sealed::Block as u8; 25];
        let parts = self.id.0.into_iter().chain(block.0.to_le_bytes());
        for (to, from) in aad.iter_mut().skip(1).zip(parts) {
            *to = from;
        }
        aad
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FileKeys;
    use super::*;
    use crate::crypto::random_nonces;
    use crate::secret::Secret;

    fn cipher(suite: Suite) -> FileKeys {
        FileKeys::new(&Secret::new([1; 32]), suite, &FileId([2; 16]))
    }

    /// F-8.
    #[test]
    fn two_seals_of_one_block_have_nothing_in_common() {
        for suite in Suite::ALL {
            let keys = cipher(suite);
            let nonces = random_nonces(2);
            let (mut a, mut b) = ([7; BLOCK], [7; BLOCK]);
            let seal_a = keys.block().seal(BlockNo(0), &mut a, nonces[0]);
            let seal_b = keys.block().seal(BlockNo(0), &mut b, nonces[1]);
            assert_ne!(seal_a.nonce, seal_b.nonce);
            assert_ne!(seal_a.tag, seal_b.tag);
            let equal = a.iter().zip(&b).filter(|(x, y)| x == y).count();
            assert!(equal < 64, "{equal} of 4096 bytes are equal under {suite}; chance gives 16");
        }
    }

    #[test]
    fn the_binding_of_a_block_is_that_of_its_kind() {
        let keys = cipher(Suite::default());
        for number in [0, 1, 0x0102_0304_0506_0708, u64::MAX] {
            let expected = Sealed::Block.aad(&[&[2; 16], &number.to_le_bytes()]);
            assert_eq!(keys.block().aad(BlockNo(number))[..], expected);
        }
    }

    #[test]
    fn an_entry_keeps_the_seal_before() {
        let (a, b) = (Seal { nonce: [1; 16], tag: [2; 16] }, Seal { nonce: [3; 16], tag: [4; 16] });
        let entry = Entry::HOLE.replaced_by(a).replaced_by(b);
        assert_eq!(entry, Entry { cur: b, prev: a });
        let mut page = [0; 3 * ENTRY_LEN];
        entry.write(&mut page, 1);
        assert_eq!(Entry::read(&page, 1), entry);
        assert_eq!(Entry::read(&page, 0), Entry::HOLE);
        assert_eq!(Entry::read(&page, 2), Entry::HOLE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// F-21.
        #[test]
        fn a_block_opens_as_itself_and_nowhere_else(
            fill: [u8; 32], number: u64, nonce: [u8; 16], at in 0..BLOCK, bit in 0..8u32,
            suite in prop::sample::select(&Suite::ALL[..]),
        ) {
            let keys = cipher(suite);
            let plain: [u8; BLOCK] = std::array::from_fn(|i| fill[i % 32] ^ (i / 32 % 256).to_le_bytes()[0]);
            let mut sealed = plain;
            let seal = keys.block().seal(BlockNo(number), &mut sealed, nonce);

            let mut buf = sealed;
            prop_assert_eq!(keys.block().open(BlockNo(number), &seal, &mut buf), Ok(()));
            prop_assert_eq!(buf, plain);

            let mut buf = sealed;
            buf[at] ^= 1 << bit;
            prop_assert_eq!(keys.block().open(BlockNo(number), &seal, &mut buf), Err(BadTag));
            prop_assert_eq!(buf, [0; BLOCK]);

            let mut buf = sealed;
            let elsewhere = BlockNo(number ^ (1 << (at % 64)));
            prop_assert_eq!(keys.block().open(elsewhere, &seal, &mut buf), Err(BadTag));

            for field in 0..32 {
                let mut other = seal;
                if field < 16 { other.nonce[field] ^= 1 } else { other.tag[field - 16] ^= 1 }
                let mut buf = sealed;
                prop_assert_eq!(keys.block().open(BlockNo(number), &other, &mut buf), Err(BadTag));
            }
        }
    }
}
