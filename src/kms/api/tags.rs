//! Requests and replies of the actions on labels.

use serde::{Deserialize, Serialize};

use super::keys::Tag;
use super::validate::{Validate, key_id, limit, marker, tag_lengths, text_len};
use crate::kms::error::KmsError;

/// Asks for [`TagResource`](super::Action::TagResource).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagResourceRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// Labels to set; one of the same key is replaced.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

impl Validate for TagResourceRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        tag_lengths(&self.tags)
    }
}

/// Asks for [`UntagResource`](super::Action::UntagResource).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagResourceRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// Keys of the labels to remove.
    #[serde(default)]
    pub tag_keys: Vec<String>,
}

impl Validate for UntagResourceRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        self.tag_keys.iter().try_for_each(|key| text_len("tagKeys", key, 1, 128))
    }
}

/// Asks for [`ListResourceTags`](super::Action::ListResourceTags).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListResourceTagsRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// 1 to 50; 50 when absent.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
}

impl ListResourceTagsRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 50, 50)
    }
}

impl Validate for ListResourceTagsRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        self.page()?;
        marker(self.marker.as_deref())
    }
}

/// Answers [`ListResourceTagsRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListResourceTagsReply {
    /// This page.
    pub tags: Vec<Tag>,
    /// For the next page; only with `truncated`.
    pub next_marker: Option<String>,
    /// There is more.
    pub truncated: bool,
}
