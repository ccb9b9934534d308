//! Requests and replies of the actions that import key material.

use serde::{Deserialize, Serialize};

use super::types::{
    Blob, ExpirationModel, ImportType, Timestamp, WrappingAlgorithm, WrappingKeySpec,
};
use super::validate::{Validate, bytes_len, key_id, text_len};
use crate::kms::error::KmsError;

/// Asks for [`GetParametersForImport`](super::Action::GetParametersForImport).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParametersForImportRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// How the material will be wrapped.
    pub wrapping_algorithm: WrappingAlgorithm,
    /// The key to wrap it under.
    pub wrapping_key_spec: WrappingKeySpec,
}

impl Validate for GetParametersForImportRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)
    }
}

/// Answers [`GetParametersForImportRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetParametersForImportReply {
    /// ARN of the key.
    pub key_id: String,
    /// Belongs to the public key.
    pub import_token: Blob,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Blob,
    /// When both end.
    pub parameters_valid_to: Timestamp,
}

/// Asks for [`ImportKeyMaterial`](super::Action::ImportKeyMaterial).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImportKeyMaterialRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// Of GetParametersForImport.
    pub import_token: Blob,
    /// The material, wrapped.
    pub encrypted_key_material: Blob,
    /// When the material ends.
    pub valid_to: Option<Timestamp>,
    /// KEY_MATERIAL_EXPIRES when absent.
    pub expiration_model: Option<ExpirationModel>,
    /// NEW on the first import, EXISTING afterwards, when absent.
    pub import_type: Option<ImportType>,
    /// Up to 256 characters.
    pub key_material_description: Option<String>,
    /// The material that is expected: 64 hex digits.
    pub key_material_id: Option<String>,
}

impl Validate for ImportKeyMaterialRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        bytes_len("importToken", self.import_token.0.len(), 1, 6144)?;
        bytes_len("encryptedKeyMaterial", self.encrypted_key_material.0.len(), 1, 6144)?;
        if let Some(text) = &self.key_material_description {
            text_len("keyMaterialDescription", text, 0, 256)?;
        }
        match &self.key_material_id {
            Some(id) => text_len("keyMaterialId", id, 64, 64),
            None => Ok(()),
        }
    }
}

/// Answers ImportKeyMaterial and DeleteImportedKeyMaterial.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MaterialReply {
    /// ARN of the key.
    pub key_id: String,
    /// Names the material: 64 hex digits.
    pub key_material_id: Option<String>,
}

/// Asks for [`DeleteImportedKeyMaterial`](super::Action::DeleteImportedKeyMaterial).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteImportedKeyMaterialRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// The current one when absent.
    pub key_material_id: Option<String>,
}

impl Validate for DeleteImportedKeyMaterialRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        match &self.key_material_id {
            Some(id) => text_len("keyMaterialId", id, 64, 64),
            None => Ok(()),
        }
    }
}
