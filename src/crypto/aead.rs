//! Authenticated encryption with a 16-byte nonce field, in place, with a detached tag.
//!
//! One shape for both suites. AES-256-GCM-SIV takes 12 nonce bytes; the other four go to the end
//! of the associated data, so that all sixteen count. XChaCha20-Poly1305 takes 24: the sixteen,
//! and eight that say the place (a block number, or zero), which need not be random.

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use zeroize::Zeroize;

use super::Suite;
use super::gcm_siv::GcmSiv;
use crate::secret::Secret;

/// The tag does not fit the bytes, the place or the key: nobody can tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed")]
pub struct BadTag;

/// A suite with its key; made once per key, shared by threads. The expanded key is wiped on drop,
/// but lies in ordinary memory: it exists for files in use only.
pub struct Aead(Keyed);

enum Keyed {
    GcmSiv(GcmSiv),
    XChaCha(Box<XChaCha20Poly1305>),
}

impl Aead {
    /// Expands `key` for `suite`.
    pub fn new(suite: Suite, key: &Secret<[u8; 32]>) -> Self {
        let key = key.expose();
        Self(match suite {
            Suite::Aes256GcmSiv => Keyed::GcmSiv(GcmSiv::new(key)),
            Suite::XChaCha20Poly1305 => {
                Keyed::XChaCha(Box::new(XChaCha20Poly1305::new(key.into())))
            }
        })
    }

    /// Encrypts `buf` in place, bound to `aad`, and returns the tag.
    pub fn seal(&self, nonce: &[u8; 16], place: u64, aad: &[u8], buf: &mut [u8]) -> [u8; 16] {
        match &self.0 {
            Keyed::GcmSiv(cipher) => {
                let (nonce, tail) = split_nonce(nonce);
                with_tail(aad, &tail, |aad| cipher.seal(nonce, aad, buf))
            }
            Keyed::XChaCha(cipher) => {
                let nonce = widen_nonce(nonce, place).into();
                let tag = cipher.encrypt_inout_detached(&nonce, aad, InOutBuf::from(buf));
                tag.expect("only buffers of 256 GiB and more are refused").into()
            }
        }
    }

    /// Decrypts `buf` in place. On failure `buf` is all zero.
    pub fn open(
        &self,
        nonce: &[u8; 16],
        place: u64,
        aad: &[u8],
        buf: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), BadTag> {
        let opened = match &self.0 {
            Keyed::GcmSiv(cipher) => {
                let (nonce, tail) = split_nonce(nonce);
                with_tail(aad, &tail, |aad| cipher.open(nonce, aad, buf, tag))
            }
            Keyed::XChaCha(cipher) => {
                let nonce = widen_nonce(nonce, place).into();
                let inout = InOutBuf::from(&mut *buf);
                cipher.decrypt_inout_detached(&nonce, aad, inout, tag.into()).map_err(|_| BadTag)
            }
        };
        opened.inspect_err(|_| buf.zeroize())
    }
}

impl core::fmt::Debug for Aead {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self.0 {
            Keyed::GcmSiv(_) => "Aead(aes-256-gcm-siv, ..)",
            Keyed::XChaCha(_) => "Aead(xchacha20-poly1305, ..)",
        })
    }
}

/// The nonce that GCM-SIV takes, and the bytes that are left over.
fn split_nonce(nonce: &[u8; 16]) -> ([u8; 12], [u8; 4]) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, tail @ ..] = *nonce;
    ([a, b, c, d, e, f, g, h, i, j, k, l], tail)
}

/// Lends `work` the associated data with the tail behind it. That of blocks is short, and nothing
/// is allocated for it.
fn with_tail<R>(aad: &[u8], tail: &[u8; 4], work: impl FnOnce(&[u8]) -> R) -> R {
    let mut short = [0; 64];
    match short.get_mut(..aad.len() + tail.len()) {
        Some(whole) => {
            let (head, end) = whole.split_at_mut(aad.len());
            head.copy_from_slice(aad);
            end.copy_from_slice(tail);
            work(whole)
        }
        None => work(&[aad, tail].concat()),
    }
}

/// The nonce that XChaCha takes.
fn widen_nonce(nonce: &[u8; 16], place: u64) -> [u8; 24] {
    let mut wide = [0; 24];
    let (head, tail) = wide.split_at_mut(16);
    head.copy_from_slice(nonce);
    tail.copy_from_slice(&place.to_le_bytes());
    wide
}
