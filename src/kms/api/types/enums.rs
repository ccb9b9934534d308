//! AWS's enumerations of keys and what is done with them, by their names on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An AWS enumeration: its values by their names on the wire, in the service's own order. The
/// names that complaints about unknown values list are all of them, unless others are given.
macro_rules! aws_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        aws_enum! { $(#[$doc])* $name listed [$($text),*] {
            $($(#[$vdoc])* $variant = $text,)*
        } }
    };
    ($(#[$doc:meta])* $name:ident listed [$($listed:literal),*] {
        $($(#[$vdoc:meta])* $variant:ident = $text:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// The names of all values.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// The names that a complaint about an unknown value lists.
            pub const LISTED: &'static [&'static str] = &[$($listed),*];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use aws_enum;

aws_enum! {
    /// What a key's material is.
    KeySpec listed [
        "RSA_2048", "ECC_NIST_P384", "ECC_NIST_P256", "ECC_NIST_P521", "HMAC_384", "RSA_3072",
        "ECC_SECG_P256K1", "RSA_4096", "SYMMETRIC_DEFAULT", "HMAC_256", "HMAC_224", "HMAC_512"
    ] {
        /// 2048-bit RSA.
        Rsa2048 = "RSA_2048",
        /// 3072-bit RSA.
        Rsa3072 = "RSA_3072",
        /// 4096-bit RSA.
        Rsa4096 = "RSA_4096",
        /// NIST P-256.
        EccNistP256 = "ECC_NIST_P256",
        /// NIST P-384.
        EccNistP384 = "ECC_NIST_P384",
        /// NIST P-521.
        EccNistP521 = "ECC_NIST_P521",
        /// secp256k1.
        EccSecgP256k1 = "ECC_SECG_P256K1",
        /// 256 bits for AES-256-GCM.
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        /// HMAC-SHA-224.
        Hmac224 = "HMAC_224",
        /// HMAC-SHA-256.
        Hmac256 = "HMAC_256",
        /// HMAC-SHA-384.
        Hmac384 = "HMAC_384",
        /// HMAC-SHA-512.
        Hmac512 = "HMAC_512",
        /// ML-DSA-44.
        MlDsa44 = "ML_DSA_44",
        /// ML-DSA-65.
        MlDsa65 = "ML_DSA_65",
        /// ML-DSA-87.
        MlDsa87 = "ML_DSA_87",
        /// Edwards curve 25519.
        EccNistEdwards25519 = "ECC_NIST_EDWARDS25519",
        /// ML-KEM-512.
        MlKem512 = "ML_KEM_512",
        /// ML-KEM-768.
        MlKem768 = "ML_KEM_768",
        /// ML-KEM-1024.
        MlKem1024 = "ML_KEM_1024",
    }
}

aws_enum! {
    /// What a key is for.
    KeyUsage listed ["ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC"] {
        /// Sign and Verify.
        SignVerify = "SIGN_VERIFY",
        /// Encrypt, Decrypt and data keys.
        EncryptDecrypt = "ENCRYPT_DECRYPT",
        /// GenerateMac and VerifyMac.
        GenerateVerifyMac = "GENERATE_VERIFY_MAC",
        /// DeriveSharedSecret.
        KeyAgreement = "KEY_AGREEMENT",
        /// Encapsulate and Decapsulate.
        EncapsulateDecapsulate = "ENCAPSULATE_DECAPSULATE",
    }
}

aws_enum! {
    /// Where a key's material comes from.
    Origin {
        /// Made by the service.
        AwsKms = "AWS_KMS",
        /// Imported.
        External = "EXTERNAL",
        /// Made in an HSM that never lets it out.
        AwsCloudHsm = "AWS_CLOUDHSM",
        /// Held by another key manager.
        ExternalKeyStore = "EXTERNAL_KEY_STORE",
    }
}

aws_enum! {
    /// Whether a key can be used, and why not.
    KeyState {
        /// Being made.
        Creating = "Creating",
        /// Usable.
        Enabled = "Enabled",
        /// Switched off.
        Disabled = "Disabled",
        /// Waiting for its end.
        PendingDeletion = "PendingDeletion",
        /// Waiting for its material.
        PendingImport = "PendingImport",
        /// Waiting for its replicas' end.
        PendingReplicaDeletion = "PendingReplicaDeletion",
        /// Its key store is away.
        Unavailable = "Unavailable",
        /// Changing its primary region.
        Updating = "Updating",
    }
}

aws_enum! {
    /// Who manages a key.
    KeyManager {
        /// The service, for a service integrated with it.
        Aws = "AWS",
        /// The customer.
        Customer = "CUSTOMER",
    }
}

aws_enum! {
    /// Lengths of data keys by name.
    DataKeySpec {
        /// 32 bytes.
        Aes256 = "AES_256",
        /// 16 bytes.
        Aes128 = "AES_128",
    }
}

aws_enum! {
    /// How to encrypt.
    EncryptionAlgorithm {
        /// AES-256-GCM under a symmetric key.
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        /// RSA-OAEP with SHA-1.
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256.
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
    }
}

aws_enum! {
    /// How to sign.
    SigningAlgorithm {
        /// RSA-PSS with SHA-256.
        RsassaPssSha256 = "RSASSA_PSS_SHA_256",
        /// RSA-PSS with SHA-384.
        RsassaPssSha384 = "RSASSA_PSS_SHA_384",
        /// RSA-PSS with SHA-512.
        RsassaPssSha512 = "RSASSA_PSS_SHA_512",
        /// RSA PKCS #1 v1.5 with SHA-256.
        RsassaPkcs1Sha256 = "RSASSA_PKCS1_V1_5_SHA_256",
        /// RSA PKCS #1 v1.5 with SHA-384.
        RsassaPkcs1Sha384 = "RSASSA_PKCS1_V1_5_SHA_384",
        /// RSA PKCS #1 v1.5 with SHA-512.
        RsassaPkcs1Sha512 = "RSASSA_PKCS1_V1_5_SHA_512",
        /// ECDSA with SHA-256.
        EcdsaSha256 = "ECDSA_SHA_256",
        /// ECDSA with SHA-384.
        EcdsaSha384 = "ECDSA_SHA_384",
        /// ECDSA with SHA-512.
        EcdsaSha512 = "ECDSA_SHA_512",
        /// ML-DSA.
        MlDsaShake256 = "ML_DSA_SHAKE_256",
        /// Ed25519.
        Ed25519Sha512 = "ED25519_SHA_512",
        /// Ed25519 over a SHA-512 digest.
        Ed25519PhSha512 = "ED25519_PH_SHA_512",
    }
}

aws_enum! {
    /// What the message to sign is.
    MessageType {
        /// The message.
        Raw = "RAW",
        /// Its digest.
        Digest = "DIGEST",
        /// The message representative of ML-DSA, made outside.
        ExternalMu = "EXTERNAL_MU",
    }
}

aws_enum! {
    /// How to make a MAC.
    MacAlgorithm listed ["HMAC_SHA_384", "HMAC_SHA_256", "HMAC_SHA_224", "HMAC_SHA_512"] {
        /// HMAC-SHA-224.
        HmacSha224 = "HMAC_SHA_224",
        /// HMAC-SHA-256.
        HmacSha256 = "HMAC_SHA_256",
        /// HMAC-SHA-384.
        HmacSha384 = "HMAC_SHA_384",
        /// HMAC-SHA-512.
        HmacSha512 = "HMAC_SHA_512",
    }
}

aws_enum! {
    /// How to agree on a secret.
    KeyAgreementAlgorithm {
        /// Elliptic-curve Diffie-Hellman, cofactor form.
        Ecdh = "ECDH",
    }
}

aws_enum! {
    /// How to encapsulate a secret.
    EncapsulationAlgorithm {
        /// ML-KEM.
        MlKem = "ML_KEM",
    }
}

aws_enum! {
    /// Pairs of keys that can be made as data keys.
    DataKeyPairSpec {
        /// 2048-bit RSA.
        Rsa2048 = "RSA_2048",
        /// 3072-bit RSA.
        Rsa3072 = "RSA_3072",
        /// 4096-bit RSA.
        Rsa4096 = "RSA_4096",
        /// NIST P-256.
        EccNistP256 = "ECC_NIST_P256",
        /// NIST P-384.
        EccNistP384 = "ECC_NIST_P384",
        /// NIST P-521.
        EccNistP521 = "ECC_NIST_P521",
        /// secp256k1.
        EccSecgP256k1 = "ECC_SECG_P256K1",
        /// Edwards curve 25519.
        EccNistEdwards25519 = "ECC_NIST_EDWARDS25519",
        /// ML-KEM-512.
        MlKem512 = "ML_KEM_512",
        /// ML-KEM-768.
        MlKem768 = "ML_KEM_768",
        /// ML-KEM-1024.
        MlKem1024 = "ML_KEM_1024",
    }
}

aws_enum! {
    /// How material to import is wrapped.
    WrappingAlgorithm {
        /// RSA-OAEP with SHA-1.
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256.
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
        /// An AES key under RSA-OAEP with SHA-1, the material under the AES key.
        RsaAesKeyWrapSha1 = "RSA_AES_KEY_WRAP_SHA_1",
        /// An AES key under RSA-OAEP with SHA-256, the material under the AES key.
        RsaAesKeyWrapSha256 = "RSA_AES_KEY_WRAP_SHA_256",
    }
}

aws_enum! {
    /// The key that wraps material to import.
    WrappingKeySpec {
        /// 2048-bit RSA.
        Rsa2048 = "RSA_2048",
        /// 3072-bit RSA.
        Rsa3072 = "RSA_3072",
        /// 4096-bit RSA.
        Rsa4096 = "RSA_4096",
    }
}

aws_enum! {
    /// Whether imported material ends.
    ExpirationModel {
        /// At its time.
        Expires = "KEY_MATERIAL_EXPIRES",
        /// Never.
        DoesNotExpire = "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
}

aws_enum! {
    /// What an import brings.
    ImportType {
        /// Material that the key has not had yet.
        New = "NEW_KEY_MATERIAL",
        /// Material that it had.
        Existing = "EXISTING_KEY_MATERIAL",
    }
}

aws_enum! {
    /// Why a key's material was changed.
    RotationType {
        /// It was time.
        Automatic = "AUTOMATIC",
        /// Somebody asked.
        OnDemand = "ON_DEMAND",
    }
}

aws_enum! {
    /// What ListKeyRotations lists.
    IncludeKeyMaterial {
        /// All material, whether it came by rotation or not.
        All = "ALL_KEY_MATERIAL",
        /// Completed rotations.
        RotationsOnly = "ROTATIONS_ONLY",
    }
}

aws_enum! {
    /// What a version of a key's material is used for.
    MaterialState {
        /// Opening.
        NonCurrent = "NON_CURRENT",
        /// Sealing and opening.
        Current = "CURRENT",
        /// Nothing yet: the next rotation makes it current.
        PendingRotation = "PENDING_ROTATION",
    }
}

aws_enum! {
    /// Whether imported material is there.
    ImportState {
        /// It is.
        Imported = "IMPORTED",
        /// It expired or was removed.
        PendingImport = "PENDING_IMPORT",
    }
}

/// What kind of key it is; an alias stays with its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFamily {
    /// One secret, for encryption.
    Symmetric,
    /// One secret, for codes.
    Hmac,
    /// A public and a private key.
    Asymmetric,
}

impl KeySpec {
    /// Which kind of key it makes.
    pub fn family(self) -> KeyFamily {
        match self {
            KeySpec::SymmetricDefault => KeyFamily::Symmetric,
            KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => {
                KeyFamily::Hmac
            }
            _ => KeyFamily::Asymmetric,
        }
    }
}
