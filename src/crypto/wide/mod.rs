//! AES-256-GCM-SIV (RFC 8452) with two AES blocks, or two products, to an instruction.
//!
//! The libraries work on 16 bytes at a time; CPUs with VAES and VPCLMULQDQ on 32. A block of 4 KiB
//! takes half the time of the faster library so, and that is what a stream waits for. The bytes
//! are the same, and tests hold them against both libraries and against the RFC.
//!
//! Nothing here branches on a key or on data, or looks anything up by one: it is made of
//! instructions whose time does not depend on their operands. Keys are wiped, a message's own as
//! soon as it is done; what registers and copies of the compiler's making held is not.
//!
//! | file | is |
//! |---|---|
//! | `schedule` | AES-256: expanding a key, encrypting blocks |
//! | `polyval` | the authenticator's field |
//! | `sys` | the way in, open on CPUs that have the instructions |

mod polyval;
mod schedule;
mod sys;

use core::arch::x86_64::*;

use zerocopy::transmute;
use zeroize::Zeroize;

use self::polyval::Polyval;
use self::schedule::Schedule;
pub use self::sys::WideKey;

/// Vectors that are worked on at once, two AES blocks each: as many as there are registers for.
const VECTORS: usize = 8;

/// Their bytes.
const CHUNK: usize = VECTORS * 32;

/// Chunks that are opened before they are taken in: 4 KiB, which stay in the nearest cache. One by
/// one it would take a third longer, because there are not registers enough for both.
const NEAR: usize = 16;

/// Most bytes of a plaintext or of associated data, RFC 8452, section 6.
const MOST: usize = 1 << 36;

/// What sealing and opening one message takes.
struct Message {
    cipher: Schedule,
    auth: Polyval,
    nonce: __m128i,
}

impl Message {
    /// Derives a message's keys (section 4 of the RFC), and takes in its associated data. `large`:
    /// it is at least [`CHUNK`] bytes long.
    #[target_feature(enable = "avx2,vaes,vpclmulqdq")]
    #[inline]
    fn new(key: &Schedule, nonce: &[u8; 12], aad: &[u8], large: bool) -> Message {
        let (auth, cipher) = derive(key, nonce);
        let mut auth = Polyval::new(auth, large);
        auth.padded(aad);
        let mut padded = [0; 16];
        padded.iter_mut().zip(nonce).for_each(|(to, from)| *to = *from);
        Message { cipher, auth, nonce: transmute!(padded) }
    }

    /// The tag of a message whose bytes have all been taken in.
    #[target_feature(enable = "avx2,vaes,vpclmulqdq")]
    fn tag(&mut self, aad: usize, text: usize) -> __m128i {
        let bits = |bytes: usize| (bytes as u64) * 8;
        let lengths: [u64; 2] = [bits(aad).to_le(), bits(text).to_le()];
        self.auth.block(transmute!(lengths));
        let sum = _mm_xor_si128(self.auth.sum(), self.nonce);
        // All but the highest bit.
        let kept = _mm_set_epi64x(i64::MAX, -1);
        self.cipher.encrypt_one(_mm_and_si128(sum, kept))
    }

    /// The counter block that the key stream begins with.
    #[target_feature(enable = "avx2,vaes,vpclmulqdq")]
    fn first(tag: __m128i) -> __m256i {
        let start = _mm_or_si128(tag, _mm_set_epi64x(i64::MIN, 0));
        let start = _mm256_broadcastsi128_si256(start);
        _mm256_add_epi32(start, _mm256_set_epi32(0, 0, 0, 1, 0, 0, 0, 0))
    }

    /// Bytes that do not fill a chunk, from counter block `at` on.
    #[target_feature(enable = "avx2,vaes,vpclmulqdq")]
    fn crypt_rest(&self, at: __m256i, rest: &mut [u8]) {
        let mut at = _mm256_castsi256_si128(at);
        for piece in rest.chunks_mut(16) {
            let stream: [u8; 16] = transmute!(self.cipher.encrypt_one(at));
            piece.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
            at = _mm_add_epi32(at, _mm_set_epi32(0, 0, 0, 1));
        }
    }

    /// Encrypts or decrypts chunks from counter block `at` on; gives the one that comes next.
    #[target_feature(enable = "avx2,vaes,vpclmulqdq")]
    #[inline]
    fn crypt(&self, mut at: __m256i, chunks: &mut [[u8; CHUNK]]) -> __m256i {
        let two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
        for chunk in chunks {
            let mut stream = [at; VECTORS];
            for block in &mut stream {
                *block = at;
                at = _mm256_add_epi32(at, two);
            }
            self.cipher.encrypt(&mut stream);
            let text: [__m256i; VECTORS] = transmute!(*chunk);
            stream.iter_mut().zip(text).for_each(|(key, text)| *key = _mm256_xor_si256(*key, text));
            *chunk = transmute!(stream);
        }
        at
    }

    /// Takes chunks in.
    #[target_feature(enable = "avx2,vaes,vpclmulqdq")]
    #[inline]
    fn take_in(&mut self, chunks: &[[u8; CHUNK]]) {
        for chunk in chunks {
            self.auth.chunk(&transmute!(*chunk));
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.auth.zeroize();
    }
}

/// The keys of a message: the authenticator's, and the cipher's, expanded.
#[target_feature(enable = "avx2,vaes,vpclmulqdq")]
#[inline]
fn derive(key: &Schedule, nonce: &[u8; 12]) -> (__m256i, Schedule) {
    let mut block = [0; 16];
    block.iter_mut().skip(4).zip(nonce).for_each(|(to, from)| *to = *from);
    let base = _mm256_broadcastsi128_si256(transmute!(block));
    let count = |a: i32, b: i32| _mm256_set_epi32(0, 0, 0, b, 0, 0, 0, a);
    let mut blocks = [count(0, 1), count(2, 3), count(4, 5)];
    blocks.iter_mut().for_each(|counted| *counted = _mm256_or_si256(*counted, base));
    key.encrypt(&mut blocks);
    // The first half of each, in both lanes.
    let [auth, low, high] = &blocks;
    let halves = |two: &__m256i| _mm256_permute4x64_epi64::<0b10_00_10_00>(*two);
    let (auth, mut cipher) = (halves(auth), Schedule::empty());
    cipher.expand(halves(low), halves(high));
    blocks.zeroize();
    (auth, cipher)
}

/// Encrypts in place and gives the tag; `None` if it is too long.
#[target_feature(enable = "avx2,vaes,vpclmulqdq")]
fn seal(key: &Schedule, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Option<[u8; 16]> {
    if buf.len() > MOST || aad.len() > MOST {
        return None;
    }
    let lengths = (aad.len(), buf.len());
    let mut message = Message::new(key, nonce, aad, buf.len() >= CHUNK);
    let (chunks, rest) = buf.as_chunks_mut::<CHUNK>();
    message.take_in(chunks);
    message.auth.padded(rest);
    let tag = message.tag(lengths.0, lengths.1);
    let at = message.crypt(Message::first(tag), chunks);
    message.crypt_rest(at, rest);
    Some(transmute!(tag))
}

/// Decrypts in place; false, with `buf` undefined, if the tag is another.
#[target_feature(enable = "avx2,vaes,vpclmulqdq")]
fn open(key: &Schedule, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; 16]) -> bool {
    if buf.len() > MOST || aad.len() > MOST {
        return false;
    }
    let lengths = (aad.len(), buf.len());
    let tag: __m128i = transmute!(*tag);
    let mut message = Message::new(key, nonce, aad, buf.len() >= CHUNK);
    let mut at = Message::first(tag);
    let (chunks, rest) = buf.as_chunks_mut::<CHUNK>();
    for chunks in chunks.chunks_mut(NEAR) {
        at = message.crypt(at, chunks);
        message.take_in(chunks);
    }
    message.crypt_rest(at, rest);
    message.auth.padded(rest);
    let differs = _mm_xor_si128(message.tag(lengths.0, lengths.1), tag);
    _mm_testz_si128(differs, differs) == 1
}
