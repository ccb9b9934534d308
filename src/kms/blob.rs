#![doc = include_str!("KMS-BLOB.md")]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::api::types::EncryptionContext;
use super::id::{KeyId, KeyVersion};
use crate::secret::Secret;

/// Bytes before the ciphertext.
const HEADER: usize = 38;
/// Bytes after it.
const TAG: usize = 16;
/// What a blob is longer than its plaintext.
pub const OVERHEAD: usize = HEADER + TAG;

const FORMAT: u8 = 1;
const DOMAIN: &[u8] = b"kmsfs ciphertext blob";

/// The readable part of a blob: which material opens it. B-1, B-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The CMK.
    pub key: KeyId,
    /// The version of its material.
    pub version: KeyVersion,
    /// Derives the one-time key.
    pub nonce: [u8; 16],
}

/// Not a blob, or not one that opens here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext does not open")]
pub struct BadBlob;

impl Header {
    /// A header with a fresh nonce.
    pub fn fresh(key: KeyId, version: KeyVersion) -> Header {
        Header { key, version, nonce: *Secret::<[u8; 16]>::random().expose() }
    }

    /// Reads the header of `blob` and finds the sealed part behind it.
    pub fn parse(blob: &[u8]) -> Result<(Header, &[u8]), BadBlob> {
        if blob.len() < OVERHEAD {
            return Err(BadBlob);
        }
        let (format, rest) = blob.split_first().ok_or(BadBlob)?;
        let (form, rest) = rest.split_first().ok_or(BadBlob)?;
        let (id, rest) = rest.split_first_chunk::<16>().ok_or(BadBlob)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(BadBlob)?;
        let (nonce, sealed) = rest.split_first_chunk::<16>().ok_or(BadBlob)?;
        let version = KeyVersion(u32::from_le_bytes(*version));
        if *format != FORMAT || *form > 1 || version < KeyVersion::FIRST {
            return Err(BadBlob);
        }
        Ok((Header { key: KeyId::from_parts(*form == 1, *id), version, nonce: *nonce }, sealed))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.push(FORMAT);
        bytes.push(u8::from(self.key.multi_region()));
        bytes.extend_from_slice(&self.key.bytes());
        bytes.extend_from_slice(&self.version.0.to_le_bytes());
        bytes.extend_from_slice(&self.nonce);
        bytes
    }
}

/// Seals `plaintext` under a one-time key derived for `header`. B-2.
pub fn seal(
    header: &Header,
    one_time: &Secret<[u8; 32]>,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<Vec<u8>, BadBlob> {
    let mut blob = header.bytes();
    let aad = associated_data(&blob, context)?;
    blob.extend_from_slice(plaintext);
    let (_, sealed) = blob.split_at_mut_checked(HEADER).ok_or(BadBlob)?;
    let tag = cipher(one_time)?
        .seal_in_place_separate_tag(nonce(), Aad::from(aad), sealed)
        .map_err(|_| BadBlob)?;
    blob.extend_from_slice(tag.as_ref());
    Ok(blob)
}

/// Opens the sealed part of a blob whose header was `header`.
pub fn open(
    header: &Header,
    one_time: &Secret<[u8; 32]>,
    context: &EncryptionContext,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, BadBlob> {
    let aad = associated_data(&header.bytes(), context)?;
    let mut buffer = sealed.to_vec();
    let length = cipher(one_time)?
        .open_in_place(nonce(), Aad::from(aad), &mut buffer)
        .map_err(|_| BadBlob)?
        .len();
    buffer.truncate(length);
    Ok(Secret::new(buffer))
}

/// B-3.
fn associated_data(header: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, BadBlob> {
    let mut aad = Vec::with_capacity(256);
    aad.extend_from_slice(DOMAIN);
    aad.extend_from_slice(header);
    let count = u32::try_from(context.len()).map_err(|_| BadBlob)?;
    aad.extend_from_slice(&count.to_le_bytes());
    for part in context.iter().flat_map(|(key, value)| [key, value]) {
        let length = u32::try_from(part.len()).map_err(|_| BadBlob)?;
        aad.extend_from_slice(&length.to_le_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    Ok(aad)
}

fn cipher(key: &Secret<[u8; 32]>) -> Result<LessSafeKey, BadBlob> {
    UnboundKey::new(&AES_256_GCM, key.expose()).map(LessSafeKey::new).map_err(|_| BadBlob)
}

/// Always the same: the key is used once. B-2.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::hex;
    use crate::kms::kdf::{Label, derive};

    /// Computed with another library from B-1 to B-3.
    const KNOWN: &str = "01001234abcd12ab34cd56ef1234567890ab07000000a0a1a2a3a4a5a6a7a8a9aaabac\
        adaeaf07099fdacf22dc7ebc51b97d63428d9938ecb6c6bba9d4a560da7439c40f63efee6c546a18c6885f8fe5\
        aae6b46cd06e";

    fn material() -> [u8; 32] {
        std::array::from_fn(|i| u8::try_from(i).unwrap())
    }

    fn context() -> EncryptionContext {
        [("kmsfs:volume", "00112233445566778899aabbccddeeff"), ("app", "x")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    }

    fn reopen(blob: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, BadBlob> {
        let (header, sealed) = Header::parse(blob)?;
        let key = derive(&material(), Label::OneTime, &header.nonce);
        open(&header, &key, context, sealed).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn b1_to_b3_known_answer() {
        let header = Header {
            key: "1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap(),
            version: KeyVersion(7),
            nonce: std::array::from_fn(|i| 0xa0 + u8::try_from(i).unwrap()),
        };
        let key = derive(&material(), Label::OneTime, &header.nonce);
        let blob = seal(&header, &key, &context(), &material()).unwrap();
        assert_eq!(hex::encode(&blob), KNOWN);
        assert_eq!(blob.len(), 32 + OVERHEAD);
        assert_eq!(reopen(&blob, &context()).unwrap(), material());
    }

    #[test]
    fn b5_every_flipped_bit_is_found() {
        let blob = hex::decode(KNOWN).unwrap();
        for bit in 0..blob.len() * 8 {
            let mut bad = blob.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(reopen(&bad, &context()), Err(BadBlob), "bit {bit}");
        }
    }

    #[test]
    fn b5_cuts_and_additions_are_found() {
        let blob = hex::decode(KNOWN).unwrap();
        for length in 0..blob.len() {
            assert_eq!(reopen(&blob[..length], &context()), Err(BadBlob), "cut to {length}");
        }
        let mut longer = blob;
        longer.push(0);
        assert_eq!(reopen(&longer, &context()), Err(BadBlob));
    }

    #[test]
    fn b3_contexts_do_not_run_into_each_other() {
        let blob = hex::decode(KNOWN).unwrap();
        let mut other = context();
        other.remove("app");
        assert_eq!(reopen(&blob, &other), Err(BadBlob));
        other.insert("ap".into(), "px".into());
        assert_eq!(reopen(&blob, &other), Err(BadBlob));
        assert_eq!(reopen(&blob, &EncryptionContext::new()), Err(BadBlob));
        let mut case = context();
        case.insert("app".into(), "X".into());
        assert_eq!(reopen(&blob, &case), Err(BadBlob));
    }

    #[test]
    fn b1_two_seals_of_one_text_share_no_nonce() {
        let id = KeyId::random();
        let a = Header::fresh(id, KeyVersion::FIRST);
        assert_ne!(a.nonce, Header::fresh(id, KeyVersion::FIRST).nonce);
    }
}
