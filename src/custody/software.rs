//! Key material in software: sealed under a root key, unsealed for the moment of its use.
//!
//! Invariant: what leaves is a key for one ciphertext, never a CMK's material. Sealed material
//! is bound to its key id and version, so records swapped in the store do not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::crypto;
use crate::kms::api::types::{KeySpec, Origin};
use crate::kms::custody::{Custody, CustodyError, NewMaterial, Task};
use crate::kms::id::{KeyId, KeyVersion};
use crate::kms::kdf::{self, Label};
use crate::kms::material;
use crate::secret::Secret;

/// First byte of everything sealed here.
const FORMAT: u8 = 1;

/// Holds the root key.
#[derive(Debug)]
pub struct Software {
    material: Secret<[u8; 32]>,
    secrets: Secret<[u8; 32]>,
}

impl Software {
    /// Works under `root`, of which it keeps only derived keys.
    pub fn new(root: &Secret<[u8; 32]>) -> Software {
        Software {
            material: kdf::derive(root.expose(), Label::Material, b""),
            secrets: kdf::derive(root.expose(), Label::StoredSecret, b""),
        }
    }
}

impl Custody for Software {
    fn origin(&self) -> Origin {
        Origin::AwsKms
    }

    fn create(
        &self,
        key: KeyId,
        version: KeyVersion,
        spec: KeySpec,
    ) -> Result<NewMaterial, CustodyError> {
        self.import(key, version, spec, &material::generate(spec)?)
    }

    fn import(
        &self,
        key: KeyId,
        version: KeyVersion,
        spec: KeySpec,
        material: &Secret<Vec<u8>>,
    ) -> Result<NewMaterial, CustodyError> {
        let public = material::public_key(spec, material.expose())?;
        let binding = binding(key, version);
        let sealed = seal(&self.material, &binding, material.expose())?;
        let id = match <&[u8; 32]>::try_from(material.expose()) {
            Ok(bytes) => kdf::derive(bytes, Label::MaterialId, &binding),
            Err(_) => {
                let short = Secret::new(crypto::mac(&self.secrets, &[material.expose()]));
                kdf::derive(short.expose(), Label::MaterialId, &binding)
            }
        };
        Ok(NewMaterial { sealed, id: *id.expose(), public })
    }

    fn perform(
        &self,
        key: KeyId,
        version: KeyVersion,
        spec: KeySpec,
        sealed: &[u8],
        task: Task<'_>,
    ) -> Result<Secret<Vec<u8>>, CustodyError> {
        let material = open(&self.material, &binding(key, version), sealed)?;
        material::perform(spec, material.expose(), task)
    }

    fn one_time_key(
        &self,
        key: KeyId,
        version: KeyVersion,
        sealed: &[u8],
        nonce: &[u8; 16],
    ) -> Result<Secret<[u8; 32]>, CustodyError> {
        let material = open(&self.material, &binding(key, version), sealed)?;
        let material: &[u8; 32] =
            material.expose().try_into().map_err(|_| CustodyError::BadMaterial)?;
        Ok(kdf::derive(material, Label::OneTime, nonce))
    }

    fn seal_secret(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, CustodyError> {
        seal(&self.secrets, name.as_bytes(), secret)
    }

    fn open_secret(&self, name: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, CustodyError> {
        open(&self.secrets, name.as_bytes(), sealed)
    }
}

/// AES-256-GCM with a random nonce: `format, nonce (12), ciphertext, tag (16)`. A root key seals
/// once per key version, far below the 2^32 that random 96-bit nonces allow.
pub(super) fn seal(
    key: &Secret<[u8; 32]>,
    binding: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, CustodyError> {
    let nonce = *Secret::<[u8; NONCE_LEN]>::random().expose();
    let mut buffer = zeroize::Zeroizing::new(secret.to_vec());
    let tag = cipher(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(binding),
            &mut buffer,
        )
        .map_err(|_| CustodyError::BadMaterial)?;
    let mut sealed = Vec::with_capacity(1 + NONCE_LEN + buffer.len() + 16);
    sealed.push(FORMAT);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&buffer);
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens what [`seal`] sealed under the same binding.
pub(super) fn open(
    key: &Secret<[u8; 32]>,
    binding: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, CustodyError> {
    let (format, rest) = sealed.split_first().ok_or(CustodyError::BadMaterial)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CustodyError::BadMaterial)?;
    if *format != FORMAT {
        return Err(CustodyError::BadMaterial);
    }
    let mut buffer = rest.to_vec();
    let length = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(binding), &mut buffer)
        .map_err(|_| CustodyError::BadMaterial)?
        .len();
    buffer.truncate(length);
    Ok(Secret::new(buffer))
}

fn binding(key: KeyId, version: KeyVersion) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(21);
    bytes.push(u8::from(key.multi_region()));
    bytes.extend_from_slice(&key.bytes());
    bytes.extend_from_slice(&version.0.to_le_bytes());
    bytes
}

fn cipher(key: &Secret<[u8; 32]>) -> Result<LessSafeKey, CustodyError> {
    UnboundKey::new(&AES_256_GCM, key.expose())
        .map(LessSafeKey::new)
        .map_err(|_| CustodyError::BadMaterial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn material_opens_only_as_the_version_it_was_made_for() {
        let custody = Software::new(&Secret::new([1; 32]));
        let (key, other) = (KeyId::random(), KeyId::random());
        let made = custody.create(key, KeyVersion(1), KeySpec::SymmetricDefault).unwrap();
        let nonce = [3; 16];
        let use_it =
            |key, version, sealed: &[u8]| custody.one_time_key(key, version, sealed, &nonce);
        let first = use_it(key, KeyVersion(1), &made.sealed).unwrap();
        assert!(first.same(&use_it(key, KeyVersion(1), &made.sealed).unwrap()));
        let bad = CustodyError::BadMaterial;
        assert_eq!(use_it(key, KeyVersion(2), &made.sealed).unwrap_err(), bad);
        assert_eq!(use_it(other, KeyVersion(1), &made.sealed).unwrap_err(), bad);
        let elsewhere = Software::new(&Secret::new([2; 32]));
        let got = elsewhere.one_time_key(key, KeyVersion(1), &made.sealed, &nonce);
        assert_eq!(got.unwrap_err(), bad);
        for i in 0..made.sealed.len() {
            let mut flipped = made.sealed.clone();
            flipped[i] ^= 0x10;
            assert_eq!(use_it(key, KeyVersion(1), &flipped).unwrap_err(), bad, "byte {i}");
        }
    }

    #[test]
    fn secrets_open_only_under_their_name() {
        let custody = Software::new(&Secret::new([1; 32]));
        let sealed = custody.seal_secret("a", b"secret").unwrap();
        assert_eq!(custody.open_secret("a", &sealed).unwrap().expose(), b"secret");
        assert!(custody.open_secret("b", &sealed).is_err());
    }

    #[test]
    fn nothing_sealed_holds_the_material_in_the_clear() {
        let root = Secret::new([1; 32]);
        let sealed = Software::new(&root).seal_secret("a", b"PLANTED-MARKER").unwrap();
        assert!(!sealed.windows(14).any(|w| w == b"PLANTED-MARKER"));
    }
}
