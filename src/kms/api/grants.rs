//! Requests and replies of the actions on grants.

use serde::{Deserialize, Serialize};

use super::types::{EncryptionContext, Timestamp};
use super::validate::{Validate, grant_tokens, key_id, limit, marker, text_len};
use crate::kms::error::{KmsError, Pattern, Violation};
use crate::kms::grant::GrantOperation;

/// When a grant allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Constraints {
    /// The encryption context has at least these pairs.
    pub encryption_context_subset: Option<EncryptionContext>,
    /// The encryption context is exactly this.
    pub encryption_context_equals: Option<EncryptionContext>,
    /// When it ends by itself. Not AWS's: their clients neither send it nor mind it in answers.
    #[serde(default)]
    pub expiration_date: Option<Timestamp>,
}

/// Asks for [`CreateGrant`](super::Action::CreateGrant).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateGrantRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// ARN of whom it allows.
    pub grantee_principal: Option<String>,
    /// ARN of who may retire it.
    pub retiring_principal: Option<String>,
    /// What it allows.
    pub operations: Vec<String>,
    /// When.
    pub constraints: Option<Constraints>,
    /// Tokens of grants that may not have spread yet.
    #[serde(default)]
    pub grant_tokens: Vec<String>,
    /// Makes a repeated call find the same grant.
    pub name: Option<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for CreateGrantRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        let grantee = self.grantee_principal.as_deref();
        let grantee =
            grantee.ok_or_else(|| Violation::Missing { member: "granteePrincipal".into() })?;
        text_len("granteePrincipal", grantee, 1, 256)?;
        if let Some(arn) = &self.retiring_principal {
            text_len("retiringPrincipal", arn, 1, 256)?;
        }
        operations(&self.operations)?;
        grant_tokens(&self.grant_tokens)?;
        match &self.name {
            Some(name) => grant_name(name),
            None => Ok(()),
        }
    }
}

/// Answers [`CreateGrantRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateGrantReply {
    /// Lets the grantee use the grant at once.
    pub grant_token: String,
    /// 64 hex digits.
    pub grant_id: String,
}

/// One grant of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GrantEntry {
    /// ARN of the key.
    pub key_id: String,
    /// 64 hex digits.
    pub grant_id: String,
    /// Its name.
    pub name: Option<String>,
    /// When it was made.
    pub creation_date: Timestamp,
    /// Whom it allows.
    pub grantee_principal: String,
    /// Who may retire it.
    pub retiring_principal: Option<String>,
    /// ARN of the root of the account that made it.
    pub issuing_account: String,
    /// What it allows.
    pub operations: Vec<String>,
    /// When.
    pub constraints: Option<Constraints>,
}

/// Asks for [`ListGrants`](super::Action::ListGrants).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListGrantsRequest {
    /// 1 to 100; 50 when absent.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
    /// Key id or key ARN.
    pub key_id: String,
    /// Only this one.
    pub grant_id: Option<String>,
    /// Only those for this principal.
    pub grantee_principal: Option<String>,
}

impl ListGrantsRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 100, 50)
    }
}

impl Validate for ListGrantsRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        self.page()?;
        if let Some(id) = &self.grant_id {
            text_len("grantId", id, 1, 128)?;
        }
        marker(self.marker.as_deref())
    }
}

/// Answers [`ListGrantsRequest`] and [`ListRetirableGrantsRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListGrantsReply {
    /// This page.
    pub grants: Vec<GrantEntry>,
    /// For the next page; only with `truncated`.
    pub next_marker: Option<String>,
    /// There is more.
    pub truncated: bool,
}

/// Asks for [`ListRetirableGrants`](super::Action::ListRetirableGrants).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListRetirableGrantsRequest {
    /// 1 to 100; 50 when absent.
    pub limit: Option<i32>,
    /// `NextMarker` of the page before.
    pub marker: Option<String>,
    /// Whose.
    pub retiring_principal: String,
}

impl ListRetirableGrantsRequest {
    /// Entries per page.
    pub fn page(&self) -> Result<usize, KmsError> {
        limit(self.limit, 100, 50)
    }
}

impl Validate for ListRetirableGrantsRequest {
    fn validate(&self) -> Result<(), KmsError> {
        self.page()?;
        marker(self.marker.as_deref())?;
        text_len("retiringPrincipal", &self.retiring_principal, 1, 256)
    }
}

/// Asks for [`RetireGrant`](super::Action::RetireGrant): by token, or by key and id.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetireGrantRequest {
    /// Of CreateGrant.
    pub grant_token: Option<String>,
    /// ARN of the key.
    pub key_id: Option<String>,
    /// With `key_id`.
    pub grant_id: Option<String>,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for RetireGrantRequest {
    fn validate(&self) -> Result<(), KmsError> {
        if let Some(token) = &self.grant_token {
            text_len("grantToken", token, 1, 8192)?;
        }
        if let Some(id) = &self.key_id {
            key_id("keyId", id)?;
        }
        match (&self.grant_id, &self.key_id, &self.grant_token) {
            (Some(id), Some(_), _) => text_len("grantId", id, 1, 128),
            (_, _, Some(_)) => Ok(()),
            _ => Err(Violation::TokenOrGrant.into()),
        }
    }
}

/// Asks for [`RevokeGrant`](super::Action::RevokeGrant).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RevokeGrantRequest {
    /// Key id or key ARN.
    pub key_id: String,
    /// 64 hex digits.
    pub grant_id: String,
    /// Check everything, do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Validate for RevokeGrantRequest {
    fn validate(&self) -> Result<(), KmsError> {
        key_id("keyId", &self.key_id)?;
        text_len("grantId", &self.grant_id, 1, 128)
    }
}

fn operations(names: &[String]) -> Result<(), KmsError> {
    let known: Vec<&str> = GrantOperation::ALL.iter().map(|o| o.as_str()).collect();
    if names.iter().all(|name| known.contains(&name.as_str())) {
        return Ok(());
    }
    let value = format!("[{}]", names.join(", "));
    Err(Violation::EntriesNotInSet { member: "operations".into(), value, set: known.join(", ") }
        .into())
}

fn grant_name(name: &str) -> Result<(), KmsError> {
    text_len("name", name, 1, 256)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":/_-".contains(c);
    if name.chars().all(allowed) {
        return Ok(());
    }
    let (member, value) = ("name".into(), name.into());
    Err(Violation::Pattern { member, value, pattern: Pattern::AliasName }.into())
}
