//! Requests and replies of the actions on asymmetric keys and HMAC keys.

use serde::{Deserialize, Serialize};

use super::types::{
    Blob, EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, KeyUsage,
    MacAlgorithm, MessageType, Origin, Plaintext, SigningAlgorithm,
};
use super::validate::{Validate, bytes_len, grant_tokens, key_id};
use crate::kms::error::KmsError;

/// Asks for [`Sign`](super::Action::Sign).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// 0 to 4096 bytes.
    pub message: Blob,
    /// RAW when absent.
    pub message_type: Option<MessageType>,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// One of the key's.
    pub signing_algorithm: SigningAlgorithm,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for SignRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        bytes_len("message", self.message.0.len(), 0, 4096)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`SignRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignReply {
    /// ARN of the key.
    pub key_id: String,
    /// DER for ECDSA, the bare bytes otherwise.
    pub signature: Blob,
    /// What was used.
    pub signing_algorithm: SigningAlgorithm,
}

/// Asks for [`Verify`](super::Action::Verify).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// 0 to 4096 bytes.
    pub message: Blob,
    /// RAW when absent.
    pub message_type: Option<MessageType>,
    /// 1 to 6144 bytes.
    pub signature: Blob,
    /// One of the key's.
    pub signing_algorithm: SigningAlgorithm,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for VerifyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        bytes_len("message", self.message.0.len(), 0, 4096)?;
        bytes_len("signature", self.signature.0.len(), 1, 6144)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`VerifyRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyReply {
    /// ARN of the key.
    pub key_id: String,
    /// True: a bad signature is an error.
    pub signature_valid: bool,
    /// What was used.
    pub signing_algorithm: SigningAlgorithm,
}

/// Asks for [`GenerateMac`](super::Action::GenerateMac).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateMacRequest {
    /// 1 to 4096 bytes.
    pub message: Blob,
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// The key's.
    pub mac_algorithm: MacAlgorithm,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for GenerateMacRequest {
    fn validate(&self) -> Result<(), KmsError> {
        bytes_len("message", self.message.0.len(), 1, 4096)?;
        key_id("keyId", &self.key_id)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`GenerateMacRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateMacReply {
    /// All its bytes.
    pub mac: Blob,
    /// What was used.
    pub mac_algorithm: MacAlgorithm,
    /// ARN of the key.
    pub key_id: String,
}

/// Asks for [`VerifyMac`](super::Action::VerifyMac).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyMacRequest {
    /// 1 to 4096 bytes.
    pub message: Blob,
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// The key's.
    pub mac_algorithm: MacAlgorithm,
    /// 1 to 6144 bytes.
    pub mac: Blob,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for VerifyMacRequest {
    fn validate(&self) -> Result<(), KmsError> {
        bytes_len("message", self.message.0.len(), 1, 4096)?;
        key_id("keyId", &self.key_id)?;
        bytes_len("mac", self.mac.0.len(), 1, 6144)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`VerifyMacRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyMacReply {
    /// ARN of the key.
    pub key_id: String,
    /// True: a bad MAC is an error.
    pub mac_valid: bool,
    /// What was used.
    pub mac_algorithm: MacAlgorithm,
}

/// Asks for [`GetPublicKey`](super::Action::GetPublicKey).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetPublicKeyRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
}

impl Validate for GetPublicKeyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`GetPublicKeyRequest`]. Of the lists the one of the key's usage is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetPublicKeyReply {
    /// ARN of the key.
    pub key_id: String,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Blob,
    /// The old name of `key_spec`.
    pub customer_master_key_spec: KeySpec,
    /// What the key is.
    pub key_spec: KeySpec,
    /// What it is for.
    pub key_usage: KeyUsage,
    /// What it can encrypt with.
    pub encryption_algorithms: Option<Vec<EncryptionAlgorithm>>,
    /// What it can sign with.
    pub signing_algorithms: Option<Vec<SigningAlgorithm>>,
    /// What it can agree with.
    pub key_agreement_algorithms: Option<Vec<KeyAgreementAlgorithm>>,
    /// What it can encapsulate with.
    pub encapsulation_algorithms: Option<Vec<EncapsulationAlgorithm>>,
}

/// Asks for [`DeriveSharedSecret`](super::Action::DeriveSharedSecret).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeriveSharedSecretRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// ECDH.
    pub key_agreement_algorithm: KeyAgreementAlgorithm,
    /// The other side's SubjectPublicKeyInfo, DER; 1 to 8192 bytes.
    pub public_key: Blob,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for DeriveSharedSecretRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        bytes_len("publicKey", self.public_key.0.len(), 1, 8192)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Asks for [`Encapsulate`](super::Action::Encapsulate).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncapsulateRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// ML_KEM.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for EncapsulateRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`EncapsulateRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncapsulateReply {
    /// ARN of the key.
    pub key_id: String,
    /// 32 bytes.
    pub shared_secret: Plaintext,
    /// What carries it to the holder of the private key.
    pub shared_secret_ciphertext_blob: Blob,
    /// What was used.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
}

/// Asks for [`Decapsulate`](super::Action::Decapsulate).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecapsulateRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// What [`EncapsulateReply`] carried; 1 to 6144 bytes.
    pub shared_secret_ciphertext_blob: Blob,
    /// ML_KEM.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for DecapsulateRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        let length = self.shared_secret_ciphertext_blob.0.len();
        bytes_len("sharedSecretCiphertextBlob", length, 1, 6144)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`DecapsulateRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecapsulateReply {
    /// ARN of the key.
    pub key_id: String,
    /// 32 bytes.
    pub shared_secret: Plaintext,
    /// What was used.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
}

/// Answers [`DeriveSharedSecretRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeriveSharedSecretReply {
    /// ARN of the key.
    pub key_id: String,
    /// The x coordinate of the shared point.
    pub shared_secret: Plaintext,
    /// What was used.
    pub key_agreement_algorithm: KeyAgreementAlgorithm,
    /// Where the key's material comes from.
    pub key_origin: Origin,
}
