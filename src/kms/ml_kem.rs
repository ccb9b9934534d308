//! ML-KEM (FIPS 203): material, and what is done with either half.
//!
//! The material is the decapsulation key as the standard encodes it. It contains the
//! encapsulation key, so nothing else is kept.

use aws_lc_rs::kem::{
    Algorithm, AlgorithmId, Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_512, ML_KEM_768,
    ML_KEM_1024,
};

use super::api::types::KeySpec;
use super::custody::CustodyError;
use crate::secret::Secret;

/// Bytes of the secret that both sides have in the end.
const SECRET: usize = 32;

/// What the specs differ in.
struct Set {
    algorithm: &'static Algorithm<AlgorithmId>,
    /// Last arc of the object identifier 2.16.840.1.101.3.4.4.
    arc: u8,
    /// Rank of the module; the lengths follow from it.
    rank: usize,
}

fn set(spec: KeySpec) -> Option<Set> {
    Some(match spec {
        KeySpec::MlKem512 => Set { algorithm: &ML_KEM_512, arc: 1, rank: 2 },
        KeySpec::MlKem768 => Set { algorithm: &ML_KEM_768, arc: 2, rank: 3 },
        KeySpec::MlKem1024 => Set { algorithm: &ML_KEM_1024, arc: 3, rank: 4 },
        _ => return None,
    })
}

impl Set {
    /// Where the encapsulation key begins in a decapsulation key, and its length.
    fn public_at(&self) -> (usize, usize) {
        let vector = self.rank.saturating_mul(384);
        (vector, vector.saturating_add(32))
    }

    fn public<'a>(&self, material: &'a [u8]) -> Option<&'a [u8]> {
        let (at, length) = self.public_at();
        // After it come its hash and the seed of implicit rejection.
        let whole = at.checked_add(length)?.checked_add(64)?;
        (material.len() == whole).then(|| material.get(at..at.checked_add(length)?)).flatten()
    }

    /// `SEQUENCE { OBJECT IDENTIFIER }`
    fn identifier(&self) -> Vec<u8> {
        let oid = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, self.arc];
        der(0x30, &der(0x06, &oid))
    }
}

/// Whether keys of that spec are of this kind.
pub fn is(spec: KeySpec) -> bool {
    set(spec).is_some()
}

/// Makes fresh material.
pub fn generate(spec: KeySpec) -> Result<Secret<Vec<u8>>, CustodyError> {
    let set = set(spec).ok_or(CustodyError::BadInput)?;
    let key = DecapsulationKey::generate(set.algorithm).map_err(|_| CustodyError::Unavailable)?;
    let bytes = key.key_bytes().map_err(|_| CustodyError::Unavailable)?;
    Ok(Secret::new(bytes.as_ref().to_vec()))
}

/// The SubjectPublicKeyInfo, DER. An error for material that does not fit its spec.
pub fn public_key(spec: KeySpec, material: &[u8]) -> Result<Vec<u8>, CustodyError> {
    let set = set(spec).ok_or(CustodyError::BadInput)?;
    let public = set.public(material).ok_or(CustodyError::BadInput)?;
    let mut bits = vec![0];
    bits.extend_from_slice(public);
    let mut inside = set.identifier();
    inside.extend(der(0x03, &bits));
    Ok(der(0x30, &inside))
}

/// The private key in PKCS #8, in its expanded form.
pub fn pkcs8(spec: KeySpec, material: &[u8]) -> Result<Secret<Vec<u8>>, CustodyError> {
    let set = set(spec).ok_or(CustodyError::BadInput)?;
    let key = Secret::new(der(0x04, material));
    let key = Secret::new(der(0x04, key.expose()));
    let mut inside = zeroize::Zeroizing::new(der(0x02, &[0]));
    inside.extend(set.identifier());
    inside.extend_from_slice(key.expose());
    Ok(Secret::new(der(0x30, &inside)))
}

/// A fresh secret, and what carries it to the holder of the private key: `(ciphertext, secret)`.
pub fn encapsulate(
    spec: KeySpec,
    public: &[u8],
) -> Result<(Vec<u8>, Secret<Vec<u8>>), CustodyError> {
    let set = set(spec).ok_or(CustodyError::BadInput)?;
    let (_, length) = set.public_at();
    // It is the last thing in the SubjectPublicKeyInfo, which was made here.
    let at = public.len().checked_sub(length).ok_or(CustodyError::BadMaterial)?;
    let bytes = public.get(at..).ok_or(CustodyError::BadMaterial)?;
    let key = EncapsulationKey::new(set.algorithm, bytes).map_err(|_| CustodyError::BadMaterial)?;
    let (ciphertext, secret) = key.encapsulate().map_err(|_| CustodyError::BadMaterial)?;
    Ok((ciphertext.as_ref().to_vec(), Secret::new(secret.as_ref().to_vec())))
}

/// The secret that a ciphertext carries. One of the right length that was changed on the way
/// carries another secret, as the standard wants it.
pub fn decapsulate(
    spec: KeySpec,
    material: &[u8],
    ciphertext: &[u8],
) -> Result<Secret<Vec<u8>>, CustodyError> {
    let set = set(spec).ok_or(CustodyError::BadInput)?;
    let key =
        DecapsulationKey::new(set.algorithm, material).map_err(|_| CustodyError::BadMaterial)?;
    let secret =
        key.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| CustodyError::BadInput)?;
    let secret = Secret::new(secret.as_ref().to_vec());
    if secret.expose().len() == SECRET { Ok(secret) } else { Err(CustodyError::BadMaterial) }
}

/// Tag, length and content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = length.iter().copied().skip_while(|&byte| byte == 0);
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let count = u8::try_from(digits.clone().count()).unwrap_or_default();
            out.push(0x80 | count);
            out.extend(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_the_same_secret() {
        for spec in [KeySpec::MlKem512, KeySpec::MlKem768, KeySpec::MlKem1024] {
            let material = generate(spec).unwrap();
            let public = public_key(spec, material.expose()).unwrap();
            let (ciphertext, secret) = encapsulate(spec, &public).unwrap();
            let opened = decapsulate(spec, material.expose(), &ciphertext).unwrap();
            assert_eq!(opened.expose(), secret.expose());
            let mut changed = ciphertext.clone();
            changed[7] ^= 1;
            let other = decapsulate(spec, material.expose(), &changed).unwrap();
            assert_ne!(other.expose(), secret.expose());
            for wrong in [&ciphertext[1..], &[][..]] {
                let got = decapsulate(spec, material.expose(), wrong).unwrap_err();
                assert_eq!(got, CustodyError::BadInput);
            }
            let again = encapsulate(spec, &public).unwrap();
            assert_ne!(again.0, ciphertext);
        }
    }

    #[test]
    fn material_of_another_length_does_not_fit() {
        let material = generate(KeySpec::MlKem768).unwrap();
        for spec in [KeySpec::MlKem512, KeySpec::MlKem1024, KeySpec::Rsa2048] {
            assert!(public_key(spec, material.expose()).is_err());
        }
        assert!(public_key(KeySpec::MlKem768, &material.expose()[1..]).is_err());
    }
}
