//! Requests and replies of the actions on aliases.

use serde::{Deserialize, Serialize};

use super::types::Timestamp;
use super::validate::{Validate, alias_name, key_id, limit, marker};
use crate::kms::error::{KmsError, Violation};

/// Asks for [`CreateAlias`](super::Action::CreateAlias) or
/// [`UpdateAlias`](super::Action::UpdateAlias).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAliasRequest {
    /// `alias/NAME`.
    pub alias_name: String,
    /// Key id or key ARN.
    pub target_key_id: String,
}

impl Validate for CreateAliasRequest {
    fn validate(&self) -> Result<(), KmsError> {
        alias_name(&self.alias_name)?;
        key_id("targetKeyId", &self.target_key_id)?;
        let target = &self.target_key_id;
        if target.starts_with("alias/") || target.contains(":alias/") {
            return Err(Violation::AliasOfAlias.into());
        }
        Ok(())
    }
}

/// Asks for [`DeleteAlias`](super::Action::DeleteAlias).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAliasRequest {
    /// `alias/NAME`.
    pub alias_name: String,
}

impl Validate for DeleteAliasRequest {
    fn validate(&self) -> Result<(), KmsError> {
        alias_name(&self.alias_name)
    }
}

/// Asks for [`ListAliases`](super::Action::ListAliases).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAliasesRequest {
    /// Only the aliases of this key: key id or key ARN.
    pub key_id: Option<String>,
    /// 1 to 100; 50 when absent.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
}

impl ListAliasesRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 100, 50)
    }
}

impl Validate for ListAliasesRequest {
    fn validate(&self) -> Result<(), KmsError> {
        if let Some(id) = &self.key_id {
            key_id("keyId", id)?;
        }
        self.page()?;
        marker(self.marker.as_deref())
    }
}

/// One alias of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasListEntry {
    /// `alias/NAME`.
    pub alias_name: String,
    /// The alias's ARN.
    pub alias_arn: String,
    /// The bare id of its key.
    pub target_key_id: String,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was last pointed at a key.
    pub last_updated_date: Timestamp,
}

/// Answers [`ListAliasesRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAliasesReply {
    /// This page.
    pub aliases: Vec<AliasListEntry>,
    /// For the next page; only with `truncated`.
    pub next_marker: Option<String>,
    /// There is more.
    pub truncated: bool,
}
