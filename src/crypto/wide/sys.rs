//! The way in: code that was compiled for instructions which not every CPU has.
#![expect(
    unsafe_code,
    reason = "calls of functions that need instructions, on CPUs that have them"
)]

use super::schedule::Schedule;

/// An AES-256-GCM-SIV key, expanded; wiped on drop. There is one only on a CPU that can use it.
pub struct WideKey(Schedule);

impl WideKey {
    /// `None`: not on this CPU.
    pub fn new(key: &[u8; 32]) -> Option<WideKey> {
        let here = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("vaes")
            && std::is_x86_feature_detected!("vpclmulqdq");
        // SAFETY: the function was compiled for AVX2 and VAES, which this CPU has.
        here.then(|| WideKey(unsafe { Schedule::of(key) }))
    }

    /// Encrypts in place and gives the tag; `None`, with `buf` as it was, if it is too long.
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Option<[u8; 16]> {
        // SAFETY: where there is a key, `new` found all instructions that the function was
        // compiled for.
        unsafe { super::seal(&self.0, nonce, aad, buf) }
    }

    /// Decrypts in place; false, with `buf` undefined, if the tag is another.
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; 16]) -> bool {
        // SAFETY: as for sealing.
        unsafe { super::open(&self.0, nonce, aad, buf, tag) }
    }
}
