//! AES-256-GCM-SIV (RFC 8452) by whichever implementation this CPU runs faster.
//!
//! On x86-64 with AES and AVX that is AWS-LC's assembly, at less than 60 % of the time of the
//! portable one for a 4 KiB block; everywhere else it is the `aes-gcm-siv` crate, which brings
//! the instructions of other CPUs, or constant-time code where there are none. Both give the
//! same bytes, and a test compares them.

use aes_gcm_siv::Aes256GcmSiv;
use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::aead::{AeadInOut, KeyInit};

use super::BadTag;
use super::sys::GcmSivKey;

/// A key, expanded for one of the implementations. Both wipe it on drop.
pub(super) enum GcmSiv {
    Portable(Box<Aes256GcmSiv>),
    Assembly(GcmSivKey),
}

impl GcmSiv {
    /// Expands `key` for the faster one.
    pub fn new(key: &[u8; 32]) -> Self {
        if has_assembly() { Self::assembly(key) } else { Self::portable(key) }
    }

    fn portable(key: &[u8; 32]) -> Self {
        Self::Portable(Box::new(Aes256GcmSiv::new(key.into())))
    }

    fn assembly(key: &[u8; 32]) -> Self {
        // None: out of memory.
        GcmSivKey::new(key).map_or_else(|| Self::portable(key), Self::Assembly)
    }

    /// Encrypts in place; gives the tag.
    pub fn seal(&self, nonce: [u8; 12], aad: &[u8], buf: &mut [u8]) -> [u8; 16] {
        match self {
            Self::Portable(cipher) => cipher
                .encrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(buf))
                .expect("only buffers of 64 GiB and more are refused")
                .into(),
            Self::Assembly(cipher) => {
                cipher.seal(&nonce, aad, buf).expect("only buffers of 64 GiB and more are refused")
            }
        }
    }

    /// Decrypts in place. What is in `buf` after a failure is of no use.
    pub fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        buf: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), BadTag> {
        match self {
            Self::Portable(cipher) => cipher
                .decrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(buf), tag.into())
                .map_err(|_| BadTag),
            Self::Assembly(cipher) => {
                if cipher.open(&nonce, aad, buf, tag) {
                    Ok(())
                } else {
                    Err(BadTag)
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_assembly() -> bool {
    std::is_x86_feature_detected!("aes")
        && std::is_x86_feature_detected!("pclmulqdq")
        && std::is_x86_feature_detected!("avx")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_assembly() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Either opens what the other has sealed, and neither what was changed since.
        #[test]
        fn both_implementations_are_one(
            key: [u8; 32],
            nonce: [u8; 12],
            aad in prop::collection::vec(any::<u8>(), 0..80),
            plain in prop::collection::vec(any::<u8>(), 0..9000),
            at: prop::sample::Index,
        ) {
            let both = [GcmSiv::portable(&key), GcmSiv::assembly(&key)];
            let sealed = both.each_ref().map(|cipher| {
                let mut buf = plain.clone();
                let tag = cipher.seal(nonce, &aad, &mut buf);
                (buf, tag)
            });
            prop_assert_eq!(&sealed[0], &sealed[1]);
            let (ciphertext, tag) = &sealed[0];
            for cipher in &both {
                let mut buf = ciphertext.clone();
                prop_assert_eq!(cipher.open(nonce, &aad, &mut buf, tag), Ok(()));
                prop_assert_eq!(&buf, &plain);
                let mut other = *tag;
                other[at.index(16)] ^= 1;
                let mut buf = ciphertext.clone();
                prop_assert_eq!(cipher.open(nonce, &aad, &mut buf, &other), Err(BadTag));
                if !plain.is_empty() {
                    let mut buf = ciphertext.clone();
                    buf[at.index(plain.len())] ^= 0x80;
                    prop_assert_eq!(cipher.open(nonce, &aad, &mut buf, tag), Err(BadTag));
                }
            }
        }
    }

    /// RFC 8452, appendix C.2: 8 bytes of plaintext under AES-256.
    #[test]
    fn the_rfc_agrees() {
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; 12];
        nonce[0] = 3;
        for cipher in [GcmSiv::portable(&key), GcmSiv::assembly(&key)] {
            let mut buf = [1, 0, 0, 0, 0, 0, 0, 0];
            let tag = cipher.seal(nonce, &[], &mut buf);
            assert_eq!(buf, [0xc2, 0xef, 0x32, 0x8e, 0x5c, 0x71, 0xc8, 0x3b]);
            let expected: [u8; 16] = [
                0x84, 0x31, 0x22, 0x13, 0x0f, 0x73, 0x64, 0xb7, 0x61, 0xe0, 0xb9, 0x74, 0x27, 0xe3,
                0xdf, 0x28,
            ];
            assert_eq!(tag, expected);
        }
    }
}
