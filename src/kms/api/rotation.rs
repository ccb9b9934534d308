//! Requests and replies of the actions on rotation, and of GetKeyLastUsage.

use serde::{Deserialize, Serialize};

use super::types::{
    ExpirationModel, ImportState, IncludeKeyMaterial, MaterialState, RotationType, Timestamp,
};
use super::validate::{Validate, key_id, limit, marker, range};
use crate::kms::error::KmsError;

/// Asks for [`EnableKeyRotation`](super::Action::EnableKeyRotation).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnableKeyRotationRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// 90 to 2560; 365 when absent.
    pub rotation_period_in_days: Option<i32>,
}

impl Validate for EnableKeyRotationRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        range("rotationPeriodInDays", self.rotation_period_in_days.unwrap_or(365), 90, 2560)
            .map(drop)
    }
}

/// Answers [`GetKeyRotationStatus`](super::Action::GetKeyRotationStatus).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetKeyRotationStatusReply {
    /// Whether it rotates by itself.
    pub key_rotation_enabled: bool,
    /// ARN of the key.
    pub key_id: String,
    /// Days between rotations; only when it rotates.
    pub rotation_period_in_days: Option<i32>,
    /// When it rotates next; only when it rotates.
    pub next_rotation_date: Option<Timestamp>,
    /// When a rotation on demand that is under way began.
    pub on_demand_rotation_start_date: Option<Timestamp>,
}

/// Answers [`RotateKeyOnDemand`](super::Action::RotateKeyOnDemand).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotateKeyOnDemandReply {
    /// ARN of the key.
    pub key_id: String,
}

/// Asks for [`ListKeyRotations`](super::Action::ListKeyRotations).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeyRotationsRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// ROTATIONS_ONLY when absent.
    pub include_key_material: Option<IncludeKeyMaterial>,
    /// 1 to 1000; 100 when absent.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
}

impl ListKeyRotationsRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 1000, 100)
    }
}

impl Validate for ListKeyRotationsRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        self.page()?;
        marker(self.marker.as_deref())
    }
}

/// A version of a key's material.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEntry {
    /// ARN of the key.
    pub key_id: String,
    /// Names the material: 64 hex digits.
    pub key_material_id: Option<String>,
    /// What the importer said of it.
    pub key_material_description: Option<String>,
    /// Whether imported material is there.
    pub import_state: Option<ImportState>,
    /// What it is used for.
    pub key_material_state: Option<MaterialState>,
    /// Whether imported material ends.
    pub expiration_model: Option<ExpirationModel>,
    /// When it ends.
    pub valid_to: Option<Timestamp>,
    /// When it became current.
    pub rotation_date: Option<Timestamp>,
    /// Why.
    pub rotation_type: Option<RotationType>,
}

/// Answers [`ListKeyRotationsRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeyRotationsReply {
    /// This page, oldest first.
    pub rotations: Vec<RotationEntry>,
    /// For the next page; only with `truncated`.
    pub next_marker: Option<String>,
    /// There is more.
    pub truncated: bool,
}

/// The last cryptographic use of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyLastUsage {
    /// The action.
    pub operation: String,
    /// When.
    pub timestamp: Timestamp,
    /// The request.
    pub kms_request_id: String,
}

/// Answers [`GetKeyLastUsage`](super::Action::GetKeyLastUsage).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetKeyLastUsageReply {
    /// The bare id.
    pub key_id: String,
    /// Absent when it was not used since tracking began.
    pub key_last_usage: Option<KeyLastUsage>,
    /// Since when uses are tracked.
    pub tracking_start_date: Timestamp,
    /// When the key was made.
    pub key_creation_date: Timestamp,
}
