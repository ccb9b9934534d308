//! Key derivation of the key service: NIST SP 800-108 in counter mode with HMAC-SHA256.
//!
//! Every use has a label of its own, all in one enum, so that no two uses can share a key.

use aws_lc_rs::hmac;

use crate::secret::Secret;

/// What a derived key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// From a CMK version and the nonce of a ciphertext: the key of that one ciphertext.
    OneTime,
    /// From a CMK version and its key id: the name of the material that callers see.
    MaterialId,
    /// From the root key: seals the material of CMK versions.
    Material,
    /// From the root key: seals other secrets of the store, such as those of access keys.
    StoredSecret,
    /// From the root key: authenticates the records of the store.
    Records,
    /// From the root key: authenticates the lines of the audit trail.
    Audit,
    /// From the root key: authenticates page markers.
    Marker,
    /// From an unlocking secret: seals the root key in its slot.
    Slot,
}

impl Label {
    fn bytes(self) -> &'static [u8] {
        match self {
            Label::OneTime => b"kmsfs one-time key",
            Label::MaterialId => b"kmsfs material id",
            Label::Material => b"kmsfs material seal",
            Label::StoredSecret => b"kmsfs stored secret",
            Label::Records => b"kmsfs store records",
            Label::Audit => b"kmsfs audit trail",
            Label::Marker => b"kmsfs page marker",
            Label::Slot => b"kmsfs unlock slot",
        }
    }
}

/// 256 bits from `key` for one use. One block of the counter mode: counter 1, label, a zero
/// byte, context, output length in bits; numbers are four bytes, high one first.
pub fn derive(key: &[u8; 32], label: Label, context: &[u8]) -> Secret<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut prf = hmac::Context::with_key(&key);
    prf.update(&1u32.to_be_bytes());
    prf.update(label.bytes());
    prf.update(&[0]);
    prf.update(context);
    prf.update(&256u32.to_be_bytes());
    let tag = prf.sign();
    Secret::new_with(|out| {
        for (to, from) in out.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected bytes were computed with an independent SP 800-108 implementation.
    #[test]
    fn matches_an_independent_implementation() {
        let key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let nonce: [u8; 16] = std::array::from_fn(|i| 0xa0 + u8::try_from(i).unwrap());
        let derived = derive(&key, Label::OneTime, &nonce);
        assert_eq!(
            crate::kms::hex::encode(derived.expose()),
            "4fa70b0f3e5ed030eebfce2569bb20d0b24015ddc5c0a7af431082c88ebc45fb"
        );
    }

    #[test]
    fn labels_and_contexts_separate() {
        let key = [7; 32];
        let a = derive(&key, Label::OneTime, b"x");
        assert!(!a.same(&derive(&key, Label::Material, b"x")));
        assert!(!a.same(&derive(&key, Label::OneTime, b"y")));
    }
}
