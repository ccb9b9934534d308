//! Requests and replies of the actions on keys as a whole.

use serde::{Deserialize, Serialize};

use super::types::{
    EncapsulationAlgorithm, EncryptionAlgorithm, ExpirationModel, KeyAgreementAlgorithm,
    KeyManager, KeySpec, KeyState, KeyUsage, MacAlgorithm, Origin, SigningAlgorithm, Timestamp,
};
use super::validate::{Validate, key_id, limit, marker, policy_text, range, tag_lengths, text_len};
use crate::kms::error::{KmsError, Pattern, Violation};

/// Asks for an action whose only member is the key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyIdRequest {
    /// Key id or key ARN.
    pub key_id: String,
}

impl Validate for KeyIdRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)
    }
}

/// A label on a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// 1 to 128 characters.
    pub tag_key: String,
    /// 0 to 256 characters.
    pub tag_value: String,
}

/// Asks for [`CreateKey`](super::Action::CreateKey).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateKeyRequest {
    /// Key policy; the default one when absent.
    pub policy: Option<String>,
    /// Up to 8192 characters.
    pub description: Option<String>,
    /// ENCRYPT_DECRYPT when absent (symmetric keys only).
    pub key_usage: Option<KeyUsage>,
    /// The old name of `key_spec`.
    pub customer_master_key_spec: Option<KeySpec>,
    /// SYMMETRIC_DEFAULT when absent.
    pub key_spec: Option<KeySpec>,
    /// AWS_KMS when absent.
    pub origin: Option<Origin>,
    /// The key store for keys that live in one.
    pub custom_key_store_id: Option<String>,
    /// The key's name in the external key manager, for keys that live in one.
    pub xks_key_id: Option<String>,
    /// Accept a policy that locks the caller out.
    #[serde(default)]
    pub bypass_policy_lockout_safety_check: bool,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Make a primary of a multi-Region key.
    #[serde(default)]
    pub multi_region: bool,
}

impl CreateKeyRequest {
    /// The spec asked for, by either name.
    pub fn spec(&self) -> Result<KeySpec, KmsError> {
        match (self.key_spec, self.customer_master_key_spec) {
            (Some(_), Some(_)) => Err(Violation::TwoKeySpecs.into()),
            (Some(spec), None) | (None, Some(spec)) => Ok(spec),
            (None, None) => Ok(KeySpec::SymmetricDefault),
        }
    }

    /// The usage asked for; only a symmetric key has a default.
    pub fn usage(&self) -> Result<KeyUsage, KmsError> {
        match (self.key_usage, self.spec()?) {
            (Some(usage), _) => Ok(usage),
            (None, KeySpec::SymmetricDefault) => Ok(KeyUsage::EncryptDecrypt),
            (None, spec) => Err(Violation::UsageRequired { spec }.into()),
        }
    }
}

impl Validate for CreateKeyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        if let Some(policy) = &self.policy {
            policy_text("policy", policy)?;
        }
        if let Some(description) = &self.description {
            text_len("description", description, 0, 8192)?;
        }
        if let Some(id) = &self.custom_key_store_id {
            text_len("customKeyStoreId", id, 1, 64)?;
        }
        if let Some(id) = &self.xks_key_id {
            text_len("xksKeyId", id, 1, 128)?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !id.chars().all(allowed) {
                let (member, value) = ("xksKeyId".into(), id.clone());
                return Err(Violation::Pattern { member, value, pattern: Pattern::XksKey }.into());
            }
        }
        tag_lengths(&self.tags)?;
        self.usage().map(drop)
    }
}

/// What a key is. Aliases, tags, policies and grants are asked for apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    /// Twelve digits.
    #[serde(rename = "AWSAccountId")]
    pub aws_account_id: String,
    /// The bare id.
    pub key_id: String,
    /// The key's ARN.
    pub arn: String,
    /// When it was made.
    pub creation_date: Timestamp,
    /// True in state Enabled only.
    pub enabled: bool,
    /// The owner's words.
    pub description: String,
    /// What it is for.
    pub key_usage: KeyUsage,
    /// Whether it can be used.
    pub key_state: KeyState,
    /// When it will be gone; in state PendingDeletion only.
    pub deletion_date: Option<Timestamp>,
    /// When imported material ends.
    pub valid_to: Option<Timestamp>,
    /// Where its material comes from.
    pub origin: Origin,
    /// The custom key store that it is in, if it is.
    pub custom_key_store_id: Option<String>,
    /// The HSM cluster of that key store.
    pub cloud_hsm_cluster_id: Option<String>,
    /// Its name in an external key manager.
    pub xks_key_configuration: Option<XksKeyConfiguration>,
    /// Whether imported material ends; for imported material only.
    pub expiration_model: Option<ExpirationModel>,
    /// Who manages it.
    pub key_manager: KeyManager,
    /// The old name of `key_spec`.
    pub customer_master_key_spec: KeySpec,
    /// What its material is.
    pub key_spec: KeySpec,
    /// What it can encrypt with; for encryption keys only.
    pub encryption_algorithms: Option<Vec<EncryptionAlgorithm>>,
    /// What it can sign with; for signing keys only.
    pub signing_algorithms: Option<Vec<SigningAlgorithm>>,
    /// What it can agree with; for key agreement keys only.
    pub key_agreement_algorithms: Option<Vec<KeyAgreementAlgorithm>>,
    /// What it can encapsulate with; for encapsulation keys only.
    pub encapsulation_algorithms: Option<Vec<EncapsulationAlgorithm>>,
    /// What it can make MACs with; for HMAC keys only.
    pub mac_algorithms: Option<Vec<MacAlgorithm>>,
    /// Whether it has, or may get, replicas in other Regions.
    pub multi_region: bool,
    /// Where the others of a multi-Region key are.
    pub multi_region_configuration: Option<MultiRegionConfiguration>,
    /// How long a primary waits for its deletion once its replicas are gone.
    pub pending_deletion_window_in_days: Option<i32>,
    /// Names the material that new ciphertexts use: 64 hex digits.
    pub current_key_material_id: Option<String>,
}

/// A key in an external key manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct XksKeyConfiguration {
    /// Its name there.
    pub id: String,
}

/// What a multi-Region key consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MultiRegionConfiguration {
    /// PRIMARY or REPLICA.
    pub multi_region_key_type: String,
    /// The primary.
    pub primary_key: MultiRegionKey,
    /// The replicas.
    pub replica_keys: Vec<MultiRegionKey>,
}

/// One key of a multi-Region key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MultiRegionKey {
    /// Its ARN.
    pub arn: String,
    /// Its Region.
    pub region: String,
}

/// Answers [`CreateKeyRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateKeyReply {
    /// The new key.
    pub key_metadata: KeyMetadata,
}

/// Asks for [`DescribeKey`](super::Action::DescribeKey).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeKeyRequest {
    /// Key id, key ARN, alias name or alias ARN.
    pub key_id: String,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
}

impl Validate for DescribeKeyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        super::validate::grant_tokens(&self.grant_tokens)
    }
}

/// Answers [`DescribeKeyRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeKeyReply {
    /// The key.
    pub key_metadata: KeyMetadata,
}

/// Asks for [`ListKeys`](super::Action::ListKeys).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeysRequest {
    /// 1 to 1000; 100 when absent.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
}

impl ListKeysRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 1000, 100)
    }
}

impl Validate for ListKeysRequest {
    fn validate(&self) -> Result<(), KmsError> {
        self.page()?;
        marker(self.marker.as_deref())
    }
}

/// One key of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyListEntry {
    /// The bare id.
    pub key_id: String,
    /// The key's ARN.
    pub key_arn: String,
}

/// Answers [`ListKeysRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeysReply {
    /// This page.
    pub keys: Vec<KeyListEntry>,
    /// For the next page; only with `truncated`.
    pub next_marker: Option<String>,
    /// There is more.
    pub truncated: bool,
}

/// Asks for [`UpdateKeyDescription`](super::Action::UpdateKeyDescription).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateKeyDescriptionRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// Up to 8192 characters.
    pub description: String,
}

impl Validate for UpdateKeyDescriptionRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        text_len("description", &self.description, 0, 8192)
    }
}

/// Asks for [`ScheduleKeyDeletion`](super::Action::ScheduleKeyDeletion).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScheduleKeyDeletionRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// 7 to 30; 30 when absent.
    pub pending_window_in_days: Option<i32>,
}

impl ScheduleKeyDeletionRequest {
    /// The waiting time in days.
    pub fn days(&self) -> Result<usize, KmsError> {
        range("pendingWindowInDays", self.pending_window_in_days.unwrap_or(30), 7, 30)
    }
}

impl Validate for ScheduleKeyDeletionRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        self.days().map(drop)
    }
}

/// Answers [`ScheduleKeyDeletionRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScheduleKeyDeletionReply {
    /// ARN of the key.
    pub key_id: String,
    /// When it will be gone.
    pub deletion_date: Option<Timestamp>,
    /// PendingDeletion.
    pub key_state: KeyState,
    /// The waiting time in days.
    pub pending_window_in_days: i32,
}

/// Answers [`CancelKeyDeletion`](super::Action::CancelKeyDeletion).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelKeyDeletionReply {
    /// ARN of the key, which is disabled now.
    pub key_id: String,
}
