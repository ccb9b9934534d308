//! Requests and replies of the actions on multi-Region keys.

use serde::{Deserialize, Serialize};

use super::keys::{KeyMetadata, Tag};
use super::validate::{Validate, key_id, policy_text, tag_lengths, text_len};
use crate::kms::error::KmsError;

/// Asks for [`ReplicateKey`](super::Action::ReplicateKey).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplicateKeyRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// Where to.
    pub replica_region: String,
    /// Key policy of the replica.
    pub policy: Option<String>,
    /// Accept a policy that locks the caller out.
    #[serde(default)]
    pub bypass_policy_lockout_safety_check: bool,
    /// Up to 8192 characters.
    pub description: Option<String>,
    /// Labels of the replica.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

impl Validate for ReplicateKeyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        text_len("replicaRegion", &self.replica_region, 1, 32)?;
        if let Some(policy) = &self.policy {
            policy_text("policy", policy)?;
        }
        if let Some(description) = &self.description {
            text_len("description", description, 0, 8192)?;
        }
        tag_lengths(&self.tags)
    }
}

/// Answers [`ReplicateKeyRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplicateKeyReply {
    /// The replica.
    pub replica_key_metadata: KeyMetadata,
    /// Its key policy.
    pub replica_policy: String,
    /// Its labels.
    pub replica_tags: Option<Vec<Tag>>,
}

/// Asks for [`UpdatePrimaryRegion`](super::Action::UpdatePrimaryRegion).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdatePrimaryRegionRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// The Region of the new primary.
    pub primary_region: String,
}

impl Validate for UpdatePrimaryRegionRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        text_len("primaryRegion", &self.primary_region, 1, 32)
    }
}
