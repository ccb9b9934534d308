//! What the C library below `aws_lc_rs` can and the safe crate does not offer: Ed25519 over a
//! digest (RFC 8032's Ed25519ph), ML-DSA over a message representative made outside (FIPS 204's
//! external mu), and AES-256-GCM-SIV in place with the tag elsewhere.
#![expect(unsafe_code, reason = "calls of the C library, each with its argument")]

use std::ptr::{NonNull, null, null_mut};

use aws_lc_sys as lc;

/// Signs a SHA-512 digest; `None` if the library fails.
pub fn ed25519ph_sign(seed: &[u8; 32], public: &[u8; 32], digest: &[u8; 64]) -> Option<[u8; 64]> {
    let mut private = zeroize::Zeroizing::new([0; 64]);
    let (first, second) = private.split_at_mut(32);
    first.copy_from_slice(seed);
    second.copy_from_slice(public);
    let mut signature = [0; 64];
    // SAFETY: the function writes 64 bytes to its first argument and reads 64 each of the next
    // two, which are arrays of that length; a null context of length 0 is allowed.
    let done = unsafe {
        lc::ED25519ph_sign_digest(
            signature.as_mut_ptr(),
            digest.as_ptr(),
            private.as_ptr(),
            null(),
            0,
        )
    };
    (done == 1).then_some(signature)
}

/// Whether it is the key's signature over that digest.
pub fn ed25519ph_verify(public: &[u8; 32], digest: &[u8; 64], signature: &[u8; 64]) -> bool {
    // SAFETY: the function reads 64, 64 and 32 bytes, which is what the arrays have; a null
    // context of length 0 is allowed.
    let valid = unsafe {
        lc::ED25519ph_verify_digest(digest.as_ptr(), signature.as_ptr(), public.as_ptr(), null(), 0)
    };
    valid == 1
}

/// Signs an ML-DSA message representative under a private key in PKCS #8; `None` if the key is
/// none, or another.
pub fn ml_dsa_sign_mu(private: &[u8], mu: &[u8; 64]) -> Option<Vec<u8>> {
    let key = Pkey::private(private)?;
    let context = Context::of(&key)?;
    let mut length = 0;
    // SAFETY: `context` is live; with a null output the length that is needed is written to
    // `length`, and nothing else.
    let asked = unsafe {
        lc::EVP_PKEY_sign_init(context.0.as_ptr()) == 1
            && lc::EVP_PKEY_sign(context.0.as_ptr(), null_mut(), &mut length, mu.as_ptr(), mu.len())
                == 1
    };
    if !asked {
        return None;
    }
    let mut signature = vec![0; length];
    // SAFETY: `signature` has `length` bytes, which the function is told and does not exceed; it
    // reads the 64 of `mu`.
    let done = unsafe {
        lc::EVP_PKEY_sign(
            context.0.as_ptr(),
            signature.as_mut_ptr(),
            &mut length,
            mu.as_ptr(),
            mu.len(),
        )
    };
    signature.truncate(length);
    (done == 1).then_some(signature)
}

/// Whether it is the signature of the key with that SubjectPublicKeyInfo over that representative.
pub fn ml_dsa_verify_mu(public: &[u8], mu: &[u8; 64], signature: &[u8]) -> bool {
    let Some(key) = Pkey::public(public) else { return false };
    let Some(context) = Context::of(&key) else { return false };
    // SAFETY: `context` is live, and the function reads the two slices with the lengths given.
    unsafe {
        lc::EVP_PKEY_verify_init(context.0.as_ptr()) == 1
            && lc::EVP_PKEY_verify(
                context.0.as_ptr(),
                signature.as_ptr(),
                signature.len(),
                mu.as_ptr(),
                mu.len(),
            ) == 1
    }
}

/// Bytes of a tag of AES-GCM-SIV.
const TAG: usize = 16;

/// An AES-256-GCM-SIV key, expanded. The library wipes it when it is freed.
pub struct GcmSivKey(NonNull<lc::EVP_AEAD_CTX>);

// SAFETY: the context is memory of its own, bound to no thread.
unsafe impl Send for GcmSivKey {}
// SAFETY: sealing and opening take the context as const, and the library's documentation of
// EVP_AEAD_CTX lets any number of threads do so at once.
unsafe impl Sync for GcmSivKey {}

impl GcmSivKey {
    /// `None` if memory is short.
    pub fn new(key: &[u8; 32]) -> Option<GcmSivKey> {
        // SAFETY: the algorithm is a constant of the library, and 32 bytes are read of the key.
        let context = unsafe {
            lc::EVP_AEAD_CTX_new(lc::EVP_aead_aes_256_gcm_siv(), key.as_ptr(), key.len(), TAG)
        };
        NonNull::new(context).map(GcmSivKey)
    }

    /// Encrypts in place and gives the tag; `None`, with `buf` undefined, if it is too long.
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Option<[u8; TAG]> {
        let (mut tag, mut tag_len) = ([0; TAG], 0);
        let at = buf.as_mut_ptr();
        // SAFETY: the context is live. Input and output are the same bytes, which the function
        // allows, and it writes as many as it reads; at most `TAG` more go to `tag`. The other
        // slices are read with the lengths given; there is no extra input.
        let done = unsafe {
            lc::EVP_AEAD_CTX_seal_scatter(
                self.0.as_ptr(),
                at,
                tag.as_mut_ptr(),
                &mut tag_len,
                tag.len(),
                nonce.as_ptr(),
                nonce.len(),
                at,
                buf.len(),
                null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        (done == 1 && tag_len == TAG).then_some(tag)
    }

    /// Decrypts in place; false, with `buf` undefined, if the tag is another.
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; TAG]) -> bool {
        let at = buf.as_mut_ptr();
        // SAFETY: as for sealing; the tag is read.
        let done = unsafe {
            lc::EVP_AEAD_CTX_open_gather(
                self.0.as_ptr(),
                at,
                nonce.as_ptr(),
                nonce.len(),
                at,
                buf.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        done == 1
    }
}

impl Drop for GcmSivKey {
    fn drop(&mut self) {
        // SAFETY: it is live, ours, and let go of once.
        unsafe { lc::EVP_AEAD_CTX_free(self.0.as_ptr()) }
    }
}

/// An ML-DSA key of the library's.
struct Pkey(NonNull<lc::EVP_PKEY>);

impl Pkey {
    fn private(der: &[u8]) -> Option<Pkey> {
        // SAFETY: the parser reads no further than the slice, and gives null or a key that is ours.
        Self::only_ml_dsa(unsafe { lc::EVP_parse_private_key(&mut reader(der)) })
    }

    fn public(der: &[u8]) -> Option<Pkey> {
        // SAFETY: as above.
        Self::only_ml_dsa(unsafe { lc::EVP_parse_public_key(&mut reader(der)) })
    }

    /// With other keys the calls above mean other things.
    fn only_ml_dsa(key: *mut lc::EVP_PKEY) -> Option<Pkey> {
        let key = Pkey(NonNull::new(key)?);
        // SAFETY: the key is live.
        let kind = unsafe { lc::EVP_PKEY_id(key.0.as_ptr()) };
        (kind == lc::EVP_PKEY_PQDSA).then_some(key)
    }
}

impl Drop for Pkey {
    fn drop(&mut self) {
        // SAFETY: it was given to us by the parser, and is let go of once.
        unsafe { lc::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// An operation under way.
struct Context(NonNull<lc::EVP_PKEY_CTX>);

impl Context {
    fn of(key: &Pkey) -> Option<Context> {
        // SAFETY: the key is live, and the context counts it as used; null is no engine.
        NonNull::new(unsafe { lc::EVP_PKEY_CTX_new(key.0.as_ptr(), null_mut()) }).map(Context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was given to us, and is let go of once.
        unsafe { lc::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

fn reader(bytes: &[u8]) -> lc::CBS {
    // What CBS_init does.
    lc::CBS { data: bytes.as_ptr(), len: bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    /// The example of RFC 8032, section 7.3.
    #[test]
    fn the_example_of_the_standard() {
        let hex = |text: &str| -> Vec<u8> {
            let pairs = text.as_bytes().chunks(2);
            pairs
                .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
                .collect()
        };
        let seed = hex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
        let expected = hex(concat!(
            "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41",
            "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
        ));
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, b"abc");
        let digest: [u8; 64] = digest.as_ref().try_into().unwrap();
        let seed: [u8; 32] = seed.try_into().unwrap();
        let signature = ed25519ph_sign(&seed, &public, &digest).unwrap();
        assert_eq!(signature.as_slice(), expected);
        assert!(ed25519ph_verify(&public, &digest, &signature));
        for at in 0..64 {
            let mut other = signature;
            other[at] ^= 1;
            assert!(!ed25519ph_verify(&public, &digest, &other), "byte {at}");
        }
        // One over the message itself is another signature.
        let plain: [u8; 64] = pair.sign(b"abc").as_ref().try_into().unwrap();
        assert!(!ed25519ph_verify(&public, &digest, &plain));
    }

    #[test]
    fn keys_of_another_kind_are_none() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        assert!(ml_dsa_sign_mu(der.as_ref(), &[0; 64]).is_none());
        for bad in [&b""[..], b"x", &[0x30, 0x82, 0xff, 0xff]] {
            assert!(ml_dsa_sign_mu(bad, &[0; 64]).is_none());
            assert!(!ml_dsa_verify_mu(bad, &[0; 64], b"x"));
        }
    }
}
