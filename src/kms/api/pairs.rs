//! Requests and replies of the actions that make data key pairs.

use serde::{Deserialize, Serialize};

use super::types::{Blob, DataKeyPairSpec, EncryptionContext, Plaintext};
use super::validate::{Validate, context, grant_tokens, key_id};
use crate::kms::error::KmsError;

/// Asks for [`GenerateDataKeyPair`](super::Action::GenerateDataKeyPair) and its sealed-only form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKeyPairRequest {
    /// Bound into the sealed private key.
    #[serde(default)]
    pub encryption_context: EncryptionContext,
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// What to make.
    pub key_pair_spec: DataKeyPairSpec,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for GenerateDataKeyPairRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        context("encryptionContext", &self.encryption_context)?;
        grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`GenerateDataKeyPairRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKeyPairReply {
    /// The private key, sealed.
    pub private_key_ciphertext_blob: Blob,
    /// The private key: PKCS #8, DER.
    pub private_key_plaintext: Plaintext,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Blob,
    /// ARN of the CMK.
    pub key_id: String,
    /// What was made.
    pub key_pair_spec: DataKeyPairSpec,
    /// Names the version of the CMK's material: 64 hex digits.
    pub key_material_id: Option<String>,
}

/// Answers [`GenerateDataKeyPairRequest`] without the private key itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKeyPairWithoutPlaintextReply {
    /// The private key, sealed.
    pub private_key_ciphertext_blob: Blob,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Blob,
    /// ARN of the CMK.
    pub key_id: String,
    /// What was made.
    pub key_pair_spec: DataKeyPairSpec,
    /// Names the version of the CMK's material: 64 hex digits.
    pub key_material_id: Option<String>,
}
