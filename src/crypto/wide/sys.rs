//! The way in: code that was compiled for instructions which not every CPU has.
#![expect(
    unsafe_code,
    reason = "calls of functions that need instructions, on CPUs that have them"
)]

use super::schedule::Schedule;

/// An AES-256-GCM-SIV key, expanded; wiped on drop. There is one only on a CPU that can use it.
pub struct WideKey(Schedule);

impl WideKey {
    /// `None`: not on this CPU. On the heap from the beginning, so that no copy of it is left behind.
    pub fn new(key: &[u8; 32]) -> Option<Box<WideKey>> {
        let here = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("vaes")
            && std::is_x86_feature_detected!("vpclmulqdq");
        here.then(|| {
            let mut new = Box::new(WideKey(Schedule::empty()));
            // SAFETY: the function was compiled for AVX2 and VAES, which this CPU has.
            unsafe { new.0.set(key) }
            new
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise none of the tests would see it.
    #[test]
    fn it_is_there_where_the_kernel_says_that_the_instructions_are() {
        let said = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags: Vec<&str> =
            said.lines().find(|l| l.starts_with("flags")).unwrap().split(' ').collect();
        let all = ["avx2", "vaes", "vpclmulqdq"].iter().all(|flag| flags.contains(flag));
        assert_eq!(WideKey::new(&[1; 32]).is_some(), all);
    }

    /// A tag is also where the counter begins. With one that is all ones in its lowest 32 bits, the
    /// counter wraps in the first chunk; block by block it was shown to do that rightly.
    #[test]
    fn the_counter_wraps_within_a_chunk_as_it_does_block_by_block() {
        let Some(key) = WideKey::new(&[1; 32]) else { return };
        for below in 0..16 {
            let mut tag = [0xff; 16];
            tag[0] -= below;
            let sealed = [0x5a; 512];
            let mut chunks = sealed;
            assert!(!key.open(&[2; 12], &[], &mut chunks, &tag), "it is nobody's tag");
            for end in [16, 32, 240, 255] {
                let mut blocks = sealed[..end].to_vec();
                assert!(!key.open(&[2; 12], &[], &mut blocks, &tag));
                assert_eq!(blocks, chunks[..end], "{below} {end}");
            }
            assert_ne!(chunks[..256], chunks[256..]);
        }
    }
}
