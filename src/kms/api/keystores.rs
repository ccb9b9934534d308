//! Requests and replies of the actions on custom key stores.

use serde::{Deserialize, Serialize};

use super::types::{CustomKeyStoreType, Timestamp};
use super::validate::{Validate, bytes_len, limit, marker, text_len};
use crate::kms::error::{KmsError, Pattern, Violation};
use crate::secret::Secret;

/// A password on its way in.
#[derive(Debug)]
pub struct Password(Secret<Vec<u8>>);

impl Password {
    /// Its bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Serialize for Password {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Requests are written only between processes of one machine.
        let text = std::str::from_utf8(self.expose()).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Password(Secret::new(text.into_bytes())))
    }
}

/// Asks for [`CreateCustomKeyStore`](super::Action::CreateCustomKeyStore).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateCustomKeyStoreRequest {
    /// 1 to 256 characters.
    pub custom_key_store_name: String,
    /// The cluster.
    pub cloud_hsm_cluster_id: Option<String>,
    /// Its certificate, PEM.
    pub trust_anchor_certificate: Option<String>,
    /// Password of the service's user there.
    pub key_store_password: Option<Password>,
    /// AWS_CLOUDHSM when absent.
    pub custom_key_store_type: Option<CustomKeyStoreType>,
}

impl Validate for CreateCustomKeyStoreRequest {
    fn validate(&self) -> Result<(), KmsError> {
        text_len("customKeyStoreName", &self.custom_key_store_name, 1, 256)?;
        if let Some(pem) = &self.trust_anchor_certificate {
            text_len("trustAnchorCertificate", pem, 1, 5000)?;
        }
        cluster(self.cloud_hsm_cluster_id.as_deref())?;
        password(self.key_store_password.as_ref())
    }
}

fn cluster(id: Option<&str>) -> Result<(), KmsError> {
    let Some(id) = id else { return Ok(()) };
    text_len("cloudHsmClusterId", id, 19, 24)?;
    let digits = id.strip_prefix("cluster-").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphabetic() || ('2'..='7').contains(&c);
    if digits.len() < 11 || !digits.chars().all(allowed) {
        return Err(Violation::Pattern {
            member: "cloudHsmClusterId".into(),
            value: id.into(),
            pattern: Pattern::Cluster,
        }
        .into());
    }
    Ok(())
}

fn password(password: Option<&Password>) -> Result<(), KmsError> {
    password
        .map_or(Ok(()), |password| bytes_len("keyStorePassword", password.expose().len(), 7, 32))
}

/// Asks for [`UpdateCustomKeyStore`](super::Action::UpdateCustomKeyStore).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateCustomKeyStoreRequest {
    /// `cks-...`
    pub custom_key_store_id: String,
    /// Its new name.
    pub new_custom_key_store_name: Option<String>,
    /// The password that the service's user has there now.
    pub key_store_password: Option<Password>,
    /// Another cluster of the same keys.
    pub cloud_hsm_cluster_id: Option<String>,
}

impl Validate for UpdateCustomKeyStoreRequest {
    fn validate(&self) -> Result<(), KmsError> {
        text_len("customKeyStoreId", &self.custom_key_store_id, 1, 64)?;
        if let Some(name) = &self.new_custom_key_store_name {
            text_len("newCustomKeyStoreName", name, 1, 256)?;
        }
        cluster(self.cloud_hsm_cluster_id.as_deref())?;
        password(self.key_store_password.as_ref())
    }
}

/// Answers [`CreateCustomKeyStoreRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateCustomKeyStoreReply {
    /// `cks-...`
    pub custom_key_store_id: String,
}

/// Asks for an action whose only member that counts here is the key store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomKeyStoreRequest {
    /// `cks-...`
    pub custom_key_store_id: String,
}

impl Validate for CustomKeyStoreRequest {
    fn validate(&self) -> Result<(), KmsError> {
        text_len("customKeyStoreId", &self.custom_key_store_id, 1, 64)
    }
}

/// Asks for [`DescribeCustomKeyStores`](super::Action::DescribeCustomKeyStores).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCustomKeyStoresRequest {
    /// Only this one.
    pub custom_key_store_id: Option<String>,
    /// Only the one of this name.
    pub custom_key_store_name: Option<String>,
    /// 1 to 1000.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
}

impl Validate for DescribeCustomKeyStoresRequest {
    fn validate(&self) -> Result<(), KmsError> {
        if let Some(id) = &self.custom_key_store_id {
            text_len("customKeyStoreId", id, 1, 64)?;
        }
        if let Some(name) = &self.custom_key_store_name {
            text_len("customKeyStoreName", name, 1, 256)?;
        }
        limit(self.limit, 1000, 100)?;
        marker(self.marker.as_deref())
    }
}

/// A key store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomKeyStoreEntry {
    /// `cks-...`
    pub custom_key_store_id: String,
    /// Its name.
    pub custom_key_store_name: String,
    /// When it was made.
    pub creation_date: Timestamp,
}

/// Answers [`DescribeCustomKeyStoresRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCustomKeyStoresReply {
    /// This page.
    pub custom_key_stores: Vec<CustomKeyStoreEntry>,
    /// For the next page; only with `truncated`.
    pub next_marker: Option<String>,
    /// There is more.
    pub truncated: bool,
}
