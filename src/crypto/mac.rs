//! Message authentication: HMAC-SHA256 over a list of parts.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// HMAC-SHA256 over `parts`, encoded so that no two lists give the same bytes: the number of
/// parts, then for each part its length and its bytes; numbers are eight bytes, low one first. F-6.
pub fn mac(key: &Secret<[u8; 32]>, parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac =
        Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    hmac.update(&count(parts.len()));
    for part in parts {
        hmac.update(&count(part.len()));
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

/// Whether two tags are equal; takes the same time wherever they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn count(n: usize) -> [u8; 8] {
    u64::try_from(n).expect("usize has at most 64 bits").to_le_bytes()
}
