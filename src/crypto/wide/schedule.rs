//! AES-256 (FIPS 197): the key schedule, and blocks under it, two to a vector.

use core::arch::x86_64::*;

use zerocopy::transmute;
use zeroize::Zeroize;

/// Round keys.
const KEYS: usize = 15;

/// An expanded key, each round's in both lanes.
pub struct Schedule([__m256i; KEYS]);

impl Schedule {
    /// Of no key yet.
    pub fn empty() -> Schedule {
        Schedule(transmute!([[0_u8; 32]; KEYS]))
    }

    /// Expands a key of 32 bytes where it is to stay.
    #[target_feature(enable = "avx2,vaes")]
    pub fn set(&mut self, key: &[u8; 32]) {
        let [low, high]: [__m128i; 2] = transmute!(*key);
        self.expand(_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high));
    }

    /// Expands a key in two halves, each in both lanes.
    ///
    /// The last round of AES substitutes each byte and moves rows; of a state with four equal
    /// columns the rows stay as they are. So it is SubWord of a word that was spread over all
    /// columns, with the round constant as its key, and quicker than the instruction that exists
    /// for that (Gueron, "Intel Advanced Encryption Standard (AES) New Instructions Set").
    #[target_feature(enable = "avx2,vaes")]
    #[inline]
    pub fn expand(&mut self, mut low: __m256i, mut high: __m256i) {
        // RotWord of the last word, in every column.
        let rotated = _mm256_set1_epi32(0x0c0f_0e0d);
        let none = _mm256_setzero_si256();
        let mut constant = _mm256_set1_epi32(1);
        for (n, key) in self.0.iter_mut().enumerate() {
            if n >= 2 && n % 2 == 0 {
                let word = _mm256_shuffle_epi8(high, rotated);
                low = _mm256_xor_si256(sums(low), _mm256_aesenclast_epi128(word, constant));
                constant = _mm256_slli_epi32::<1>(constant);
            } else if n >= 2 {
                let word = _mm256_shuffle_epi32::<0xff>(low);
                high = _mm256_xor_si256(sums(high), _mm256_aesenclast_epi128(word, none));
            }
            *key = if n % 2 == 0 { low } else { high };
        }
    }

    /// Encrypts two blocks in each vector.
    #[target_feature(enable = "avx2,vaes")]
    #[inline]
    pub fn encrypt<const N: usize>(&self, blocks: &mut [__m256i; N]) {
        let [first, rounds @ .., last] = &self.0;
        blocks.iter_mut().for_each(|block| *block = _mm256_xor_si256(*block, *first));
        for key in rounds {
            blocks.iter_mut().for_each(|block| *block = _mm256_aesenc_epi128(*block, *key));
        }
        blocks.iter_mut().for_each(|block| *block = _mm256_aesenclast_epi128(*block, *last));
    }

    /// Encrypts one block.
    #[target_feature(enable = "avx2,vaes")]
    pub fn encrypt_one(&self, block: __m128i) -> __m128i {
        let mut blocks = [_mm256_castsi128_si256(block)];
        self.encrypt(&mut blocks);
        let [block] = blocks;
        _mm256_castsi256_si128(block)
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Each word with the words before it.
#[target_feature(enable = "avx2")]
#[inline]
fn sums(words: __m256i) -> __m256i {
    let words = _mm256_xor_si256(words, _mm256_slli_si256::<4>(words));
    _mm256_xor_si256(words, _mm256_slli_si256::<8>(words))
}
