//! What is done with the public half of a key: no secret is needed, so custody is not asked.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::rsa::{self, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::api::types::{EncryptionAlgorithm, KeySpec, MessageType, SigningAlgorithm};
use crate::crypto::sys;

/// It does not verify, or does not fit the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid for this key")]
pub struct Refused;

/// The digest that an algorithm signs; `None` for those that take messages only.
pub fn digest_of(algorithm: SigningAlgorithm) -> Option<&'static digest::Algorithm> {
    match algorithm {
        SigningAlgorithm::RsassaPssSha256
        | SigningAlgorithm::RsassaPkcs1Sha256
        | SigningAlgorithm::EcdsaSha256 => Some(&digest::SHA256),
        SigningAlgorithm::RsassaPssSha384
        | SigningAlgorithm::RsassaPkcs1Sha384
        | SigningAlgorithm::EcdsaSha384 => Some(&digest::SHA384),
        SigningAlgorithm::RsassaPssSha512
        | SigningAlgorithm::RsassaPkcs1Sha512
        | SigningAlgorithm::EcdsaSha512 => Some(&digest::SHA512),
        SigningAlgorithm::MlDsaShake256
        | SigningAlgorithm::Ed25519Sha512
        | SigningAlgorithm::Ed25519PhSha512 => None,
    }
}

/// Checks a signature over `message`, or over the digest or representative that it is.
pub fn verify(
    spec: KeySpec,
    public: &[u8],
    algorithm: SigningAlgorithm,
    kind: MessageType,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Refused> {
    if algorithm == SigningAlgorithm::Ed25519PhSha512 {
        let digest = message.try_into().map_err(|_| Refused)?;
        let signature = signature.try_into().map_err(|_| Refused)?;
        // The key is the last thing in the SubjectPublicKeyInfo, which was made here.
        let key = public.last_chunk().ok_or(Refused)?;
        let fits = spec == KeySpec::EccNistEdwards25519;
        let valid = fits && sys::ed25519ph_verify(key, digest, signature);
        return if valid { Ok(()) } else { Err(Refused) };
    }
    if kind == MessageType::ExternalMu {
        let mu = message.try_into().map_err(|_| Refused)?;
        let fits = algorithm == SigningAlgorithm::MlDsaShake256;
        let valid = fits && sys::ml_dsa_verify_mu(public, mu, signature);
        return if valid { Ok(()) } else { Err(Refused) };
    }
    let key = UnparsedPublicKey::new(verification(spec, algorithm).ok_or(Refused)?, public);
    let result = if kind == MessageType::Digest {
        let digest = digest_of(algorithm).ok_or(Refused)?;
        let digest = Digest::import_less_safe(message, digest).map_err(|_| Refused)?;
        key.verify_digest(&digest, signature)
    } else {
        key.verify(message, signature)
    };
    result.map_err(|_| Refused)
}

/// Most bytes that RSA-OAEP takes.
pub fn oaep_max(spec: KeySpec, algorithm: EncryptionAlgorithm) -> usize {
    let modulus = match spec {
        KeySpec::Rsa2048 => 256,
        KeySpec::Rsa3072 => 384,
        KeySpec::Rsa4096 => 512,
        _ => 0usize,
    };
    let digest: usize = if algorithm == EncryptionAlgorithm::RsaesOaepSha1 { 20 } else { 32 };
    modulus.saturating_sub(digest.saturating_mul(2)).saturating_sub(2)
}

/// Encrypts with RSA-OAEP.
pub fn encrypt(
    public: &[u8],
    algorithm: EncryptionAlgorithm,
    plaintext: &[u8],
) -> Result<Vec<u8>, Refused> {
    let algorithm = match algorithm {
        EncryptionAlgorithm::RsaesOaepSha1 => &rsa::OAEP_SHA1_MGF1SHA1,
        EncryptionAlgorithm::RsaesOaepSha256 => &rsa::OAEP_SHA256_MGF1SHA256,
        EncryptionAlgorithm::SymmetricDefault => return Err(Refused),
    };
    let key = PublicEncryptingKey::from_der(public).map_err(|_| Refused)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| Refused)?;
    let mut out = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(algorithm, plaintext, &mut out, None).map_err(|_| Refused)?;
    Ok(sealed.to_vec())
}

fn verification(
    spec: KeySpec,
    algorithm: SigningAlgorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        SigningAlgorithm::RsassaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
        SigningAlgorithm::RsassaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
        SigningAlgorithm::RsassaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
        SigningAlgorithm::RsassaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        SigningAlgorithm::RsassaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        SigningAlgorithm::RsassaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        SigningAlgorithm::EcdsaSha256 if spec == KeySpec::EccSecgP256k1 => {
            &signature::ECDSA_P256K1_SHA256_ASN1
        }
        SigningAlgorithm::EcdsaSha256 => &signature::ECDSA_P256_SHA256_ASN1,
        SigningAlgorithm::EcdsaSha384 => &signature::ECDSA_P384_SHA384_ASN1,
        SigningAlgorithm::EcdsaSha512 => &signature::ECDSA_P521_SHA512_ASN1,
        SigningAlgorithm::Ed25519Sha512 => &signature::ED25519,
        SigningAlgorithm::Ed25519PhSha512 => return None,
        SigningAlgorithm::MlDsaShake256 => match spec {
            KeySpec::MlDsa44 => &signature::ML_DSA_44,
            KeySpec::MlDsa65 => &signature::ML_DSA_65,
            _ => &signature::ML_DSA_87,
        },
    })
}
