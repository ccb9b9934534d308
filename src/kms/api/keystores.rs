//! Requests and replies of the actions on custom key stores.

use serde::{Deserialize, Serialize};

use super::types::{ConnectionError, CustomKeyStoreType, Timestamp, XksConnectivity};
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

/// What the service shows to the proxy of an external key manager.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct XksCredential {
    /// 20 to 30 of the characters A-Z and 2-7.
    pub access_key_id: String,
    /// 43 to 64 characters of base64.
    pub raw_secret_access_key: Password,
}

/// The members of a request that say what a key store stands for.
#[derive(Debug, Clone, Copy)]
struct Members<'r> {
    cluster: Option<&'r String>,
    password: Option<&'r Password>,
    endpoint: Option<&'r String>,
    path: Option<&'r String>,
    vpc_service: Option<&'r String>,
    vpc_owner: Option<&'r String>,
    credential: Option<&'r XksCredential>,
}

impl Members<'_> {
    fn validate(&self) -> Result<(), KmsError> {
        let digit = |c: char| c.is_ascii_alphabetic() || ('2'..='7').contains(&c);
        matching("cloudHsmClusterId", self.cluster, 19..=24, Pattern::Cluster, |id| {
            let digits = id.strip_prefix("cluster-").unwrap_or_default();
            digits.len() >= 11 && digits.chars().all(digit)
        })?;
        if let Some(password) = self.password {
            bytes_len("keyStorePassword", password.expose().len(), 7, 32)?;
        }
        matching("xksProxyUriEndpoint", self.endpoint, 10..=128, Pattern::XksEndpoint, |text| {
            let host = text.strip_prefix("https://").unwrap_or_default();
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
        })?;
        matching("xksProxyUriPath", self.path, 10..=128, Pattern::XksPath, is_xks_path)?;
        matching(
            "xksProxyVpcEndpointServiceName",
            self.vpc_service,
            20..=64,
            Pattern::XksVpcService,
            is_vpc_service,
        )?;
        matching(
            "xksProxyVpcEndpointServiceOwner",
            self.vpc_owner,
            12..=12,
            Pattern::Account,
            |id| id.chars().all(|c| c.is_ascii_digit()),
        )?;
        let Some(credential) = self.credential else { return Ok(()) };
        matching(
            "xksProxyAuthenticationCredential.accessKeyId",
            Some(&credential.access_key_id),
            20..=30,
            Pattern::XksAccessKey,
            |id| id.chars().all(|c| c.is_ascii_uppercase() || ('2'..='7').contains(&c)),
        )?;
        // Never repeated in a message.
        let secret = credential.raw_secret_access_key.expose();
        let member = "xksProxyAuthenticationCredential.rawSecretAccessKey";
        bytes_len(member, secret.len(), 43, 64)?;
        if !secret.iter().all(|c| c.is_ascii_alphanumeric() || b"/+=".contains(c)) {
            return Err(Violation::Secret { member: member.into() }.into());
        }
        Ok(())
    }
}

fn matching(
    member: &str,
    text: Option<&String>,
    length: std::ops::RangeInclusive<usize>,
    pattern: Pattern,
    matches: impl Fn(&str) -> bool,
) -> Result<(), KmsError> {
    let Some(text) = text else { return Ok(()) };
    text_len(member, text, *length.start(), *length.end())?;
    if matches(text) {
        return Ok(());
    }
    Err(Violation::Pattern { member: member.into(), value: text.clone(), pattern }.into())
}

/// `/kms/xks/v1`, with anything in front.
fn is_xks_path(path: &str) -> bool {
    let Some((front, version)) = path.rsplit_once("/kms/xks/v") else { return false };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let front = front.is_empty()
        || front
            .strip_prefix('/')
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(allowed));
    front && matches!(version.len(), 1..=2) && version.chars().all(|c| c.is_ascii_digit())
}

/// `com.amazonaws.vpce.eu-central-1.vpce-svc-...`.
fn is_vpc_service(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let ["com" | "eu", "amazonaws", "vpce", region, service] = parts.as_slice() else {
        return false;
    };
    let (words, number) = region.rsplit_once('-').unwrap_or_default();
    let words: Vec<&str> = words.split('-').collect();
    let word = |w: &&str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase());
    let id = service.strip_prefix("vpce-svc-").unwrap_or_default();
    matches!(words.len(), 2..=3)
        && words.iter().all(word)
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
        && !id.is_empty()
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
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
    /// Host of the proxy, `https://...`.
    pub xks_proxy_uri_endpoint: Option<String>,
    /// Path of its API.
    pub xks_proxy_uri_path: Option<String>,
    /// The endpoint service that leads to it.
    pub xks_proxy_vpc_endpoint_service_name: Option<String>,
    /// Account of that service.
    pub xks_proxy_vpc_endpoint_service_owner: Option<String>,
    /// What the service shows there.
    pub xks_proxy_authentication_credential: Option<XksCredential>,
    /// How the proxy is reached.
    pub xks_proxy_connectivity: Option<XksConnectivity>,
}

impl Validate for CreateCustomKeyStoreRequest {
    fn validate(&self) -> Result<(), KmsError> {
        text_len("customKeyStoreName", &self.custom_key_store_name, 1, 256)?;
        if let Some(pem) = &self.trust_anchor_certificate {
            text_len("trustAnchorCertificate", pem, 1, 5000)?;
        }
        Members {
            cluster: self.cloud_hsm_cluster_id.as_ref(),
            password: self.key_store_password.as_ref(),
            endpoint: self.xks_proxy_uri_endpoint.as_ref(),
            path: self.xks_proxy_uri_path.as_ref(),
            vpc_service: self.xks_proxy_vpc_endpoint_service_name.as_ref(),
            vpc_owner: self.xks_proxy_vpc_endpoint_service_owner.as_ref(),
            credential: self.xks_proxy_authentication_credential.as_ref(),
        }
        .validate()
    }
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
    /// Host of the proxy, `https://...`.
    pub xks_proxy_uri_endpoint: Option<String>,
    /// Path of its API.
    pub xks_proxy_uri_path: Option<String>,
    /// The endpoint service that leads to it.
    pub xks_proxy_vpc_endpoint_service_name: Option<String>,
    /// Account of that service.
    pub xks_proxy_vpc_endpoint_service_owner: Option<String>,
    /// What the service shows there.
    pub xks_proxy_authentication_credential: Option<XksCredential>,
    /// How the proxy is reached.
    pub xks_proxy_connectivity: Option<XksConnectivity>,
}

impl UpdateCustomKeyStoreRequest {
    /// Whether anything of an HSM cluster is to be another.
    pub fn names_cluster(&self) -> bool {
        self.cloud_hsm_cluster_id.is_some() || self.key_store_password.is_some()
    }

    /// Whether anything of an external key manager is to be another.
    pub fn names_proxy(&self) -> bool {
        self.xks_proxy_uri_endpoint.is_some()
            || self.xks_proxy_uri_path.is_some()
            || self.xks_proxy_vpc_endpoint_service_name.is_some()
            || self.xks_proxy_vpc_endpoint_service_owner.is_some()
            || self.xks_proxy_authentication_credential.is_some()
            || self.xks_proxy_connectivity.is_some()
    }
}

impl Validate for UpdateCustomKeyStoreRequest {
    fn validate(&self) -> Result<(), KmsError> {
        text_len("customKeyStoreId", &self.custom_key_store_id, 1, 64)?;
        if let Some(name) = &self.new_custom_key_store_name {
            text_len("newCustomKeyStoreName", name, 1, 256)?;
        }
        Members {
            cluster: self.cloud_hsm_cluster_id.as_ref(),
            password: self.key_store_password.as_ref(),
            endpoint: self.xks_proxy_uri_endpoint.as_ref(),
            path: self.xks_proxy_uri_path.as_ref(),
            vpc_service: self.xks_proxy_vpc_endpoint_service_name.as_ref(),
            vpc_owner: self.xks_proxy_vpc_endpoint_service_owner.as_ref(),
            credential: self.xks_proxy_authentication_credential.as_ref(),
        }
        .validate()
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

impl DescribeCustomKeyStoresRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 1000, 100)
    }
}

impl Validate for DescribeCustomKeyStoresRequest {
    fn validate(&self) -> Result<(), KmsError> {
        if let Some(id) = &self.custom_key_store_id {
            text_len("customKeyStoreId", id, 1, 64)?;
        }
        if let Some(name) = &self.custom_key_store_name {
            text_len("customKeyStoreName", name, 1, 256)?;
        }
        if self.custom_key_store_id.is_some() && self.custom_key_store_name.is_some() {
            return Err(Violation::KeyStoreTwice.into());
        }
        self.page()?;
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
    /// The cluster, if it stands for one.
    pub cloud_hsm_cluster_id: Option<String>,
    /// The cluster's certificate.
    pub trust_anchor_certificate: Option<String>,
    /// Whether its keys can be used.
    pub connection_state: String,
    /// Why not, in state FAILED only.
    pub connection_error_code: Option<ConnectionError>,
    /// When it was made.
    pub creation_date: Timestamp,
    /// What it stands for.
    pub custom_key_store_type: CustomKeyStoreType,
    /// The proxy, if it stands for an external key manager.
    pub xks_proxy_configuration: Option<XksProxyConfiguration>,
}

/// How an external key manager is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct XksProxyConfiguration {
    /// Over what.
    pub connectivity: XksConnectivity,
    /// Names the credential.
    pub access_key_id: String,
    /// Host of the proxy.
    pub uri_endpoint: String,
    /// Path of its API.
    pub uri_path: String,
    /// The endpoint service that leads to it.
    pub vpc_endpoint_service_name: Option<String>,
    /// Account of that service.
    pub vpc_endpoint_service_owner: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_services_are_told_as_aws_tells_them() {
        for (path, good) in [
            ("/kms/xks/v1", true),
            ("/a/b_c-d/kms/xks/v12", true),
            ("/kms/xks/v123", false),
            ("/kms/xks/v", false),
            ("kms/xks/v1", false),
            ("//kms/xks/v1", false),
            ("/a b/kms/xks/v1", false),
        ] {
            assert_eq!(is_xks_path(path), good, "{path}");
        }
        for (name, good) in [
            ("com.amazonaws.vpce.us-east-1.vpce-svc-0abc", true),
            ("com.amazonaws.vpce.us-gov-east-1.vpce-svc-0abc", true),
            ("com.amazonaws.vpce.useast1.vpce-svc-0abc", false),
            ("com.amazonaws.vpce.us-east-1.vpce-svc-", false),
            ("com.amazonaws.vpce.us-east-1.svc-0abc", false),
            ("org.amazonaws.vpce.us-east-1.vpce-svc-0abc", false),
        ] {
            assert_eq!(is_vpc_service(name), good, "{name}");
        }
    }
}
