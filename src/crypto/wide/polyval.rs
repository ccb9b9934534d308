//! POLYVAL (RFC 8452, section 3): a sum of products in a field of 2^128 elements.
//!
//! Sixteen blocks are multiplied at once with the sixteen first powers of the key, and their
//! products added before they are reduced, which is the slow part.

use core::arch::x86_64::*;

use zerocopy::transmute;
use zeroize::Zeroize;

use super::VECTORS;

/// A sum so far, and what goes on with it.
pub struct Polyval {
    /// The key and its powers, two to a vector, the lower lane's the higher: 16 and 15, 14 and 13,
    /// down to 2 and 1. Without chunks only the last is there.
    powers: [Factor; VECTORS],
    /// In the lower lane; the upper one is zero.
    sum: __m256i,
}

/// A factor, and the sum of its two halves in each half.
#[derive(Clone, Copy)]
struct Factor {
    whole: __m256i,
    halves: __m256i,
}

impl Factor {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn of(whole: __m256i) -> Factor {
        let swapped = _mm256_shuffle_epi32::<0b01_00_11_10>(whole);
        Factor { whole, halves: _mm256_xor_si256(whole, swapped) }
    }
}

/// A product of 256 bits in each lane, not reduced yet, from three multiplications (Karatsuba).
#[derive(Clone, Copy)]
struct Product {
    low: __m256i,
    /// What belongs between the other two, with both of them added to it.
    middle: __m256i,
    high: __m256i,
}

impl Product {
    #[target_feature(enable = "avx2,vpclmulqdq")]
    #[inline]
    fn of(a: __m256i, b: Factor) -> Product {
        let halves = Factor::of(a).halves;
        Product {
            low: _mm256_clmulepi64_epi128::<0x00>(a, b.whole),
            middle: _mm256_clmulepi64_epi128::<0x00>(halves, b.halves),
            high: _mm256_clmulepi64_epi128::<0x11>(a, b.whole),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn plus(self, other: Product) -> Product {
        Product {
            low: _mm256_xor_si256(self.low, other.low),
            middle: _mm256_xor_si256(self.middle, other.middle),
            high: _mm256_xor_si256(self.high, other.high),
        }
    }

    /// Divided by x^128, modulo x^128 + x^127 + x^126 + x^121 + 1: twice 64 bits from below.
    #[target_feature(enable = "avx2,vpclmulqdq")]
    #[inline]
    fn reduced(self) -> __m256i {
        let middle = _mm256_xor_si256(self.middle, _mm256_xor_si256(self.low, self.high));
        let low = _mm256_xor_si256(self.low, _mm256_slli_si256::<8>(middle));
        let high = _mm256_xor_si256(self.high, _mm256_srli_si256::<8>(middle));
        _mm256_xor_si256(high, folded(folded(low)))
    }
}

#[target_feature(enable = "avx2,vpclmulqdq")]
#[inline]
fn folded(low: __m256i) -> __m256i {
    // x^63 + x^62 + x^57: the polynomial's middle, less x^64.
    let middle = _mm256_set1_epi64x(0xc200_0000_0000_0000_u64.cast_signed());
    let swapped = _mm256_shuffle_epi32::<0b01_00_11_10>(low);
    _mm256_xor_si256(swapped, _mm256_clmulepi64_epi128::<0x00>(low, middle))
}

#[target_feature(enable = "avx2,vpclmulqdq")]
#[inline]
fn times(a: __m256i, b: __m256i) -> __m256i {
    Product::of(a, Factor::of(b)).reduced()
}

/// Both lanes with the lower one's value.
#[target_feature(enable = "avx2")]
#[inline]
fn both(a: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b01_00_01_00>(a)
}

impl Polyval {
    /// Under a key, which is in both lanes; `large`: there will be chunks.
    #[target_feature(enable = "avx2,vpclmulqdq")]
    #[inline]
    pub fn new(key: __m256i, large: bool) -> Polyval {
        let sum = _mm256_setzero_si256();
        let two = times(key, key);
        // Lanes: the second power below, the first above.
        let p21 = _mm256_blend_epi32::<0b1111_0000>(two, key);
        let mut powers = [Factor::of(p21); VECTORS];
        if large {
            let p43 = times(p21, two);
            let four = both(p43);
            let (p65, p87) = (times(p21, four), times(p43, four));
            let eight = Factor::of(both(p87));
            let lower = [p87, p65, p43, p21];
            let (first, second) = powers.split_at_mut(VECTORS / 2);
            for ((high, low), power) in first.iter_mut().zip(second).zip(lower) {
                *high = Factor::of(Product::of(power, eight).reduced());
                *low = Factor::of(power);
            }
        }
        Polyval { powers, sum }
    }

    /// Takes in a chunk.
    #[target_feature(enable = "avx2,vpclmulqdq")]
    #[inline]
    pub fn chunk(&mut self, chunk: &[__m256i; VECTORS]) {
        let ([first, rest @ ..], [power, powers @ ..]) = (chunk, &self.powers);
        let mut all = Product::of(_mm256_xor_si256(*first, self.sum), *power);
        for (vector, power) in rest.iter().zip(powers) {
            all = all.plus(Product::of(*vector, *power));
        }
        // Both lanes' products are one sum's: so is what is left of them.
        let sum = all.reduced();
        let sum = _mm_xor_si128(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        self.sum = _mm256_zextsi128_si256(sum);
    }

    /// Takes in a block.
    #[target_feature(enable = "avx2,vpclmulqdq")]
    pub fn block(&mut self, block: __m128i) {
        let [.., last] = &self.powers;
        let key = _mm256_permute4x64_epi64::<0b11_10_11_10>(last.whole);
        self.sum = times(_mm256_xor_si256(self.sum, _mm256_zextsi128_si256(block)), key);
    }

    /// Takes in bytes, with zeros behind them up to a whole block.
    #[target_feature(enable = "avx2,vpclmulqdq")]
    pub fn padded(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            self.block(transmute!(*block));
        }
        if !rest.is_empty() {
            let mut block = [0; 16];
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.block(transmute!(block));
            block.zeroize();
        }
    }

    /// The sum of all that was taken in.
    #[target_feature(enable = "avx2")]
    pub fn sum(&self) -> __m128i {
        _mm256_castsi256_si128(self.sum)
    }
}

impl Zeroize for Polyval {
    fn zeroize(&mut self) {
        self.powers.iter_mut().for_each(|power| {
            power.whole.zeroize();
            power.halves.zeroize();
        });
        self.sum.zeroize();
    }
}
