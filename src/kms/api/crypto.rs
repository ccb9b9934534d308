//! Requests and replies of the actions that use key material.

use serde::{Deserialize, Serialize};

use super::types::{Blob, DataKeySpec, EncryptionAlgorithm, EncryptionContext, Plaintext};
use super::validate::{Validate, bytes_len, context, grant_tokens, key_id, range};
use crate::kms::error::{KmsError, Violation};

/// Asks for [`Encrypt`](super::Action::Encrypt).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncryptRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// 1 to 4096 bytes.
    pub plaintext: Plaintext,
    /// Bound into the ciphertext.
    #[serde(default)]
    pub encryption_context: EncryptionContext,
    /// SYMMETRIC_DEFAULT when absent.
    pub encryption_algorithm: Option<EncryptionAlgorithm>,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for EncryptRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        bytes_len("plaintext", self.plaintext.expose().len(), 1, 4096)?;
        context("encryptionContext", &self.encryption_context)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`EncryptRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncryptReply {
    /// The sealed bytes.
    pub ciphertext_blob: Blob,
    /// ARN of the key.
    pub key_id: String,
    /// What was used.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// Asks for [`Decrypt`](super::Action::Decrypt).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecryptRequest {
    /// 1 to 6144 bytes.
    pub ciphertext_blob: Blob,
    /// The pairs that were given when it was sealed.
    #[serde(default)]
    pub encryption_context: EncryptionContext,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// The key it must have been sealed under, if the caller wants to be sure.
    pub key_id: Option<String>,
    /// SYMMETRIC_DEFAULT when absent.
    pub encryption_algorithm: Option<EncryptionAlgorithm>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for DecryptRequest {
    fn validate(&self) -> Result<(), KmsError> {
        bytes_len("ciphertextBlob", self.ciphertext_blob.0.len(), 1, 6144)?;
        if let Some(id) = &self.key_id {
            key_id("keyId", id)?;
        }
        context("encryptionContext", &self.encryption_context)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`DecryptRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DecryptReply {
    /// ARN of the key.
    pub key_id: String,
    /// The bytes that were sealed.
    pub plaintext: Plaintext,
    /// What was used.
    pub encryption_algorithm: EncryptionAlgorithm,
    /// Names the version of the material that was used: 64 hex digits.
    pub key_material_id: Option<String>,
}

/// Asks for [`ReEncrypt`](super::Action::ReEncrypt).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReEncryptRequest {
    /// 1 to 6144 bytes.
    pub ciphertext_blob: Blob,
    /// The pairs that were given when it was sealed.
    #[serde(default)]
    pub source_encryption_context: EncryptionContext,
    /// The key it must have been sealed under, if the caller wants to be sure.
    pub source_key_id: Option<String>,
    /// The key to seal it under: key id, key ARN, alias name or alias ARN.
    pub destination_key_id: String,
    /// The pairs to bind into the new ciphertext.
    #[serde(default)]
    pub destination_encryption_context: EncryptionContext,
    /// SYMMETRIC_DEFAULT when absent.
    pub source_encryption_algorithm: Option<EncryptionAlgorithm>,
    /// SYMMETRIC_DEFAULT when absent.
    pub destination_encryption_algorithm: Option<EncryptionAlgorithm>,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for ReEncryptRequest {
    fn validate(&self) -> Result<(), KmsError> {
        bytes_len("ciphertextBlob", self.ciphertext_blob.0.len(), 1, 6144)?;
        if let Some(id) = &self.source_key_id {
            key_id("sourceKeyId", id)?;
        }
        key_id("destinationKeyId", &self.destination_key_id)?;
        context("sourceEncryptionContext", &self.source_encryption_context)?;
        context("destinationEncryptionContext", &self.destination_encryption_context)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`ReEncryptRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReEncryptReply {
    /// Sealed under the destination key.
    pub ciphertext_blob: Blob,
    /// ARN of the key it was sealed under.
    pub source_key_id: String,
    /// ARN of the key it is sealed under now.
    pub key_id: String,
    /// What it was opened with.
    pub source_encryption_algorithm: EncryptionAlgorithm,
    /// What it was sealed with.
    pub destination_encryption_algorithm: EncryptionAlgorithm,
    /// Names the version of the material that opened it.
    pub source_key_material_id: Option<String>,
    /// Names the version of the material that sealed it.
    pub destination_key_material_id: Option<String>,
}

/// Asks for [`GenerateDataKey`](super::Action::GenerateDataKey) and its sealed-only form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKeyRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// Bound into the ciphertext.
    #[serde(default)]
    pub encryption_context: EncryptionContext,
    /// 1 to 1024; excludes `key_spec`.
    pub number_of_bytes: Option<i32>,
    /// Length by name; excludes `number_of_bytes`.
    pub key_spec: Option<DataKeySpec>,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl GenerateDataKeyRequest {
    /// Bytes of the key to make. An error unless exactly one of the two members says so.
    pub fn length(&self) -> Result<usize, KmsError> {
        match (self.key_spec, self.number_of_bytes) {
            (Some(DataKeySpec::Aes256), None) => Ok(32),
            (Some(DataKeySpec::Aes128), None) => Ok(16),
            (None, Some(n)) => range("numberOfBytes", n, 1, 1024),
            _ => Err(Violation::EitherSpecOrLength.into()),
        }
    }
}

impl Validate for GenerateDataKeyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        self.length()?;
        context("encryptionContext", &self.encryption_context)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`GenerateDataKeyRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKeyReply {
    /// The key, sealed.
    pub ciphertext_blob: Blob,
    /// The key.
    pub plaintext: Plaintext,
    /// ARN of the CMK.
    pub key_id: String,
    /// Names the version of the CMK's material: 64 hex digits.
    pub key_material_id: Option<String>,
}

/// Answers [`GenerateDataKeyRequest`] without the key itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKeyWithoutPlaintextReply {
    /// The key, sealed.
    pub ciphertext_blob: Blob,
    /// ARN of the CMK.
    pub key_id: String,
    /// Names the version of the CMK's material: 64 hex digits.
    pub key_material_id: Option<String>,
}

/// Asks for [`GenerateRandom`](super::Action::GenerateRandom).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateRandomRequest {
    /// 1 to 1024.
    pub number_of_bytes: Option<i32>,
    /// A key store whose generator to use.
    pub custom_key_store_id: Option<String>,
}

impl GenerateRandomRequest {
    /// How many bytes.
    pub fn length(&self) -> Result<usize, KmsError> {
        match self.number_of_bytes {
            Some(n) => range("numberOfBytes", n, 1, 1024),
            None => Err(Violation::NumberOfBytesRequired.into()),
        }
    }
}

impl Validate for GenerateRandomRequest {
    fn validate(&self) -> Result<(), KmsError> {
        self.length().map(drop)
    }
}

/// Answers [`GenerateRandomRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateRandomReply {
    /// The bytes.
    pub plaintext: Plaintext,
}
