//! What can be done with bare key material, by spec. For implementations of
//! [`super::custody::Custody`] that hold it in software.
//!
//! Raw bytes for symmetric and HMAC keys, PKCS #8 in DER for the others. Material is checked
//! against its spec whenever it is read, since it may have been imported.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use aws_lc_rs::{agreement, hmac};

use super::api::types::{
    EncryptionAlgorithm, KeySpec, MacAlgorithm, MessageType, SigningAlgorithm,
};
use super::custody::{CustodyError, Task};
use super::ml_kem;
use super::public_key::digest_of;
use crate::crypto::sys;
use crate::secret::Secret;

/// Bytes of raw material; `None` for specs whose material is a private key.
pub fn raw_len(spec: KeySpec) -> Option<usize> {
    match spec {
        KeySpec::SymmetricDefault | KeySpec::Hmac256 => Some(32),
        KeySpec::Hmac224 => Some(28),
        KeySpec::Hmac384 => Some(48),
        KeySpec::Hmac512 => Some(64),
        _ => None,
    }
}

/// Makes fresh material.
pub fn generate(spec: KeySpec) -> Result<Secret<Vec<u8>>, CustodyError> {
    if let Some(length) = raw_len(spec) {
        let mut bytes = vec![0; length];
        getrandom::fill(&mut bytes).map_err(|_| CustodyError::Unavailable)?;
        return Ok(Secret::new(bytes));
    }
    if ml_kem::is(spec) {
        return ml_kem::generate(spec);
    }
    let away = |_| CustodyError::Unavailable;
    let der = if let Some(size) = rsa_size(spec) {
        let pair = rsa::KeyPair::generate(size).map_err(away)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(away)?;
        der.as_ref().to_vec()
    } else if let Some(curve) = curve(spec) {
        let pair = EcdsaKeyPair::generate(curve.signing).map_err(away)?;
        pair.to_pkcs8v1().map_err(away)?.as_ref().to_vec()
    } else if spec == KeySpec::EccNistEdwards25519 {
        let pair = Ed25519KeyPair::generate().map_err(away)?;
        pair.to_pkcs8v1().map_err(away)?.as_ref().to_vec()
    } else {
        let algorithm = ml_dsa(spec).ok_or(CustodyError::BadInput)?;
        let pair = PqdsaKeyPair::generate(algorithm).map_err(away)?;
        pair.to_pkcs8v1().map_err(away)?.as_ref().to_vec()
    };
    Ok(Secret::new(der))
}

/// The SubjectPublicKeyInfo, in DER; nothing for raw material. An error for material that does
/// not fit its spec.
pub fn public_key(spec: KeySpec, material: &[u8]) -> Result<Vec<u8>, CustodyError> {
    if let Some(length) = raw_len(spec) {
        return if material.len() == length { Ok(Vec::new()) } else { Err(CustodyError::BadInput) };
    }
    if ml_kem::is(spec) {
        return ml_kem::public_key(spec, material);
    }
    let wrong = |_| CustodyError::BadInput;
    let der: PublicKeyX509Der<'_> = if rsa_size(spec).is_some() {
        rsa_pair(spec, material)?.public_key().as_der()
    } else if curve(spec).is_some() {
        ecdsa(spec, material)?.public_key().as_der()
    } else if spec == KeySpec::EccNistEdwards25519 {
        ed25519(material)?.public_key().as_der()
    } else {
        post_quantum(spec, material)?.public_key().as_der()
    }
    .map_err(wrong)?;
    Ok(der.as_ref().to_vec())
}

/// Does `task` with material of `spec`.
pub fn perform(
    spec: KeySpec,
    material: &[u8],
    task: Task<'_>,
) -> Result<Secret<Vec<u8>>, CustodyError> {
    match task {
        Task::Sign { algorithm, kind, message } => {
            sign(spec, material, algorithm, kind, message).map(Secret::new)
        }
        Task::Mac { algorithm, message } => {
            let key = hmac::Key::new(mac_algorithm(algorithm), material);
            Ok(Secret::new(hmac::sign(&key, message).as_ref().to_vec()))
        }
        Task::Decrypt { algorithm, ciphertext } => {
            let algorithm = match algorithm {
                EncryptionAlgorithm::RsaesOaepSha1 => &rsa::OAEP_SHA1_MGF1SHA1,
                EncryptionAlgorithm::RsaesOaepSha256 => &rsa::OAEP_SHA256_MGF1SHA256,
                EncryptionAlgorithm::SymmetricDefault => return Err(CustodyError::BadInput),
            };
            unwrap_oaep(material, algorithm, ciphertext)
        }
        Task::Agree { peer } => agree(spec, material, peer),
        Task::Decapsulate { ciphertext } => ml_kem::decapsulate(spec, material, ciphertext),
    }
}

/// Opens an OAEP ciphertext with a private key in PKCS #8.
pub fn unwrap_oaep(
    private: &[u8],
    algorithm: &'static rsa::OaepAlgorithm,
    ciphertext: &[u8],
) -> Result<Secret<Vec<u8>>, CustodyError> {
    let key = PrivateDecryptingKey::from_pkcs8(private).map_err(|_| CustodyError::BadMaterial)?;
    let key = OaepPrivateDecryptingKey::new(key).map_err(|_| CustodyError::BadMaterial)?;
    let mut out = zeroize::Zeroizing::new(vec![0; key.min_output_size()]);
    let plain =
        key.decrypt(algorithm, ciphertext, &mut out, None).map_err(|_| CustodyError::BadInput)?;
    Ok(Secret::new(plain.to_vec()))
}

fn sign(
    spec: KeySpec,
    material: &[u8],
    algorithm: SigningAlgorithm,
    kind: MessageType,
    message: &[u8],
) -> Result<Vec<u8>, CustodyError> {
    let wrong = |_| CustodyError::BadInput;
    if algorithm == SigningAlgorithm::Ed25519PhSha512 {
        return sign_prehashed(spec, material, message);
    }
    if kind == MessageType::ExternalMu {
        let mu = message.try_into().map_err(|_| CustodyError::BadInput)?;
        ml_dsa(spec).ok_or(CustodyError::BadInput)?;
        return sys::ml_dsa_sign_mu(material, mu).ok_or(CustodyError::BadInput);
    }
    let digest = if kind == MessageType::Digest {
        let algorithm = digest_of(algorithm).ok_or(CustodyError::BadInput)?;
        Some(Digest::import_less_safe(message, algorithm).map_err(wrong)?)
    } else {
        None
    };
    if rsa_size(spec).is_some() {
        let pair = rsa_pair(spec, material)?;
        let padding: &'static dyn signature::RsaEncoding = match algorithm {
            SigningAlgorithm::RsassaPssSha256 => &signature::RSA_PSS_SHA256,
            SigningAlgorithm::RsassaPssSha384 => &signature::RSA_PSS_SHA384,
            SigningAlgorithm::RsassaPssSha512 => &signature::RSA_PSS_SHA512,
            SigningAlgorithm::RsassaPkcs1Sha256 => &signature::RSA_PKCS1_SHA256,
            SigningAlgorithm::RsassaPkcs1Sha384 => &signature::RSA_PKCS1_SHA384,
            SigningAlgorithm::RsassaPkcs1Sha512 => &signature::RSA_PKCS1_SHA512,
            _ => return Err(CustodyError::BadInput),
        };
        let mut out = vec![0; pair.public_modulus_len()];
        match &digest {
            Some(digest) => pair.sign_digest(padding, digest, &mut out),
            None => pair.sign(padding, &SystemRandom::new(), message, &mut out),
        }
        .map_err(wrong)?;
        return Ok(out);
    }
    if curve(spec).is_some() {
        let pair = ecdsa(spec, material)?;
        let signature = match &digest {
            Some(digest) => pair.sign_digest(digest),
            None => pair.sign(&SystemRandom::new(), message),
        };
        return Ok(signature.map_err(wrong)?.as_ref().to_vec());
    }
    if digest.is_some() {
        return Err(CustodyError::BadInput);
    }
    if spec == KeySpec::EccNistEdwards25519 {
        return Ok(ed25519(material)?.sign(message).as_ref().to_vec());
    }
    let pair = post_quantum(spec, material)?;
    let mut out = vec![0; pair.algorithm().signature_len()];
    let length = pair.sign(message, &mut out).map_err(wrong)?;
    out.truncate(length);
    Ok(out)
}

fn sign_prehashed(spec: KeySpec, material: &[u8], digest: &[u8]) -> Result<Vec<u8>, CustodyError> {
    let bad = |_: aws_lc_rs::error::Unspecified| CustodyError::BadInput;
    if spec != KeySpec::EccNistEdwards25519 {
        return Err(CustodyError::BadInput);
    }
    let pair = ed25519(material)?;
    let seed = pair.seed().map_err(bad)?.as_be_bytes().map_err(bad)?;
    let seed = zeroize::Zeroizing::new(
        <[u8; 32]>::try_from(seed.as_ref()).map_err(|_| CustodyError::BadInput)?,
    );
    let public = pair.public_key().as_ref().try_into().map_err(|_| CustodyError::BadInput)?;
    let digest = digest.try_into().map_err(|_| CustodyError::BadInput)?;
    let signature = sys::ed25519ph_sign(&seed, public, digest).ok_or(CustodyError::Unavailable)?;
    Ok(signature.to_vec())
}

fn agree(spec: KeySpec, material: &[u8], peer: &[u8]) -> Result<Secret<Vec<u8>>, CustodyError> {
    let algorithm = curve(spec).and_then(|curve| curve.agreement).ok_or(CustodyError::BadInput)?;
    let own = agreement::PrivateKey::from_private_key_der(algorithm, material)
        .map_err(|_| CustodyError::BadMaterial)?;
    // The library also takes bare points, and does not look at what follows.
    if !one_sequence(peer) {
        return Err(CustodyError::BadInput);
    }
    let peer = agreement::UnparsedPublicKey::new(algorithm, peer);
    agreement::agree(&own, peer, CustodyError::BadInput, |shared| Ok(Secret::new(shared.to_vec())))
}

/// Whether it is one SEQUENCE in DER, with nothing behind it.
fn one_sequence(der: &[u8]) -> bool {
    let Some((&[0x30, first], rest)) = der.split_first_chunk() else { return false };
    let (length, content) = match (first, rest) {
        (0x81, [length, content @ ..]) if *length >= 0x80 => (usize::from(*length), content),
        (0x82, [high, low, content @ ..]) if *high > 0 => {
            (usize::from(u16::from_be_bytes([*high, *low])), content)
        }
        (short, content) if short < 0x80 => (usize::from(short), content),
        _ => return false,
    };
    content.len() == length
}

struct Curve {
    signing: &'static signature::EcdsaSigningAlgorithm,
    agreement: Option<&'static agreement::Algorithm>,
}

fn curve(spec: KeySpec) -> Option<Curve> {
    let (signing, agreement) = match spec {
        KeySpec::EccNistP256 => {
            (&signature::ECDSA_P256_SHA256_ASN1_SIGNING, Some(&agreement::ECDH_P256))
        }
        KeySpec::EccNistP384 => {
            (&signature::ECDSA_P384_SHA384_ASN1_SIGNING, Some(&agreement::ECDH_P384))
        }
        KeySpec::EccNistP521 => {
            (&signature::ECDSA_P521_SHA512_ASN1_SIGNING, Some(&agreement::ECDH_P521))
        }
        KeySpec::EccSecgP256k1 => (&signature::ECDSA_P256K1_SHA256_ASN1_SIGNING, None),
        _ => return None,
    };
    Some(Curve { signing, agreement })
}

fn rsa_size(spec: KeySpec) -> Option<KeySize> {
    match spec {
        KeySpec::Rsa2048 => Some(KeySize::Rsa2048),
        KeySpec::Rsa3072 => Some(KeySize::Rsa3072),
        KeySpec::Rsa4096 => Some(KeySize::Rsa4096),
        _ => None,
    }
}

fn ml_dsa(spec: KeySpec) -> Option<&'static signature::PqdsaSigningAlgorithm> {
    match spec {
        KeySpec::MlDsa44 => Some(&signature::ML_DSA_44_SIGNING),
        KeySpec::MlDsa65 => Some(&signature::ML_DSA_65_SIGNING),
        KeySpec::MlDsa87 => Some(&signature::ML_DSA_87_SIGNING),
        _ => None,
    }
}

fn mac_algorithm(algorithm: MacAlgorithm) -> hmac::Algorithm {
    match algorithm {
        MacAlgorithm::HmacSha224 => hmac::HMAC_SHA224,
        MacAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
        MacAlgorithm::HmacSha384 => hmac::HMAC_SHA384,
        MacAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
    }
}

fn rsa_pair(spec: KeySpec, material: &[u8]) -> Result<rsa::KeyPair, CustodyError> {
    let pair = rsa::KeyPair::from_pkcs8(material).map_err(|_| CustodyError::BadInput)?;
    let fits = rsa_size(spec).is_some_and(|size| size.len() == pair.public_modulus_len());
    if fits { Ok(pair) } else { Err(CustodyError::BadInput) }
}

fn ecdsa(spec: KeySpec, material: &[u8]) -> Result<EcdsaKeyPair, CustodyError> {
    let curve = curve(spec).ok_or(CustodyError::BadInput)?;
    EcdsaKeyPair::from_private_key_der(curve.signing, material).map_err(|_| CustodyError::BadInput)
}

fn ed25519(material: &[u8]) -> Result<Ed25519KeyPair, CustodyError> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(material).map_err(|_| CustodyError::BadInput)
}

fn post_quantum(spec: KeySpec, material: &[u8]) -> Result<PqdsaKeyPair, CustodyError> {
    let algorithm = ml_dsa(spec).ok_or(CustodyError::BadInput)?;
    PqdsaKeyPair::from_pkcs8(algorithm, material).map_err(|_| CustodyError::BadInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_one_sequence_to_its_last_byte() {
        let of = |length: usize| {
            let mut der = vec![0x30];
            match length {
                0..0x80 => der.push(u8::try_from(length).unwrap()),
                0x80..0x100 => der.extend([0x81, u8::try_from(length).unwrap()]),
                _ => {
                    der.push(0x82);
                    der.extend(u16::try_from(length).unwrap().to_be_bytes());
                }
            }
            der.extend(vec![7; length]);
            der
        };
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 4000] {
            let good = of(length);
            assert!(one_sequence(&good), "{length}");
            assert!(!one_sequence(&[&good[..], &[0]].concat()), "{length} and more");
            assert!(!one_sequence(&good[..good.len() - 1]), "{length} cut");
        }
        for bad in [&[][..], &[0x30], &[4, 0], &[0x30, 0x80, 0, 0], &[0x30, 0x81, 1, 7]] {
            assert!(!one_sequence(bad), "{bad:?}");
        }
    }
}
