//! Requests and replies of the actions on key policies.

use serde::{Deserialize, Serialize};

use super::validate::{Validate, key_id, limit, marker, policy_text, text_len};
use crate::kms::error::KmsError;

/// The only name a key policy can have.
pub const POLICY_NAME: &str = "default";

/// Asks for [`GetKeyPolicy`](super::Action::GetKeyPolicy).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetKeyPolicyRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// `default` or absent.
    pub policy_name: Option<String>,
}

impl Validate for GetKeyPolicyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        policy_name(self.policy_name.as_deref())
    }
}

/// Answers [`GetKeyPolicyRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetKeyPolicyReply {
    /// The document as it was put.
    pub policy: String,
    /// `default`.
    pub policy_name: String,
}

/// Asks for [`PutKeyPolicy`](super::Action::PutKeyPolicy).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutKeyPolicyRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// `default` or absent.
    pub policy_name: Option<String>,
    /// The document.
    pub policy: String,
    /// Accept a policy that locks the caller out.
    #[serde(default)]
    pub bypass_policy_lockout_safety_check: bool,
}

impl Validate for PutKeyPolicyRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        policy_name(self.policy_name.as_deref())?;
        policy_text("policy", &self.policy)
    }
}

/// Asks for [`ListKeyPolicies`](super::Action::ListKeyPolicies).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeyPoliciesRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// 1 to 1000.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
}

impl Validate for ListKeyPoliciesRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        limit(self.limit, 1000, 100)?;
        marker(self.marker.as_deref())
    }
}

/// Answers [`ListKeyPoliciesRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListKeyPoliciesReply {
    /// `default`, always.
    pub policy_names: Vec<String>,
    /// Always absent: there is but one page.
    pub next_marker: Option<String>,
    /// Always false.
    pub truncated: bool,
}

fn policy_name(name: Option<&str>) -> Result<(), KmsError> {
    match name {
        None | Some(POLICY_NAME) => Ok(()),
        Some(other) => {
            text_len("policyName", other, 1, 128)?;
            Err(KmsError::NoSuchPolicy { name: other.to_owned() })
        }
    }
}
