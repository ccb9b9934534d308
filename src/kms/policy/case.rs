//! Policy unit tests: one question and the expected verdict per line of JSON.
//!
//! For administrators who want to know what a change of policy would do before it is in force.
//! Documents go through the same compiler as those that are put, requests through the same
//! evaluation; nothing is derived, so a condition key that the line does not give is absent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::eval::{Context, Decision, Query, Verdict, evaluate};
use super::parse::{identity_policy, key_policy};
use crate::kms::caller::Principal;
use crate::kms::error::PolicyFault;
use crate::kms::id::AccountId;

/// One line.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Names the case in reports.
    pub id: String,
    /// What it exercises; for the reader.
    #[serde(default)]
    pub features: Vec<String>,
    /// The question.
    pub request: Request,
    /// Key policy of the key that the request names; `null` for requests on no key.
    pub key_policy: Option<Box<RawValue>>,
    /// The identity policies of the caller.
    #[serde(default)]
    pub identity_policies: Vec<Box<RawValue>>,
    /// The verdict that is right.
    pub expected: Verdict,
}

/// The question of a [`Case`].
#[derive(Debug, Deserialize)]
pub struct Request {
    /// ARN of the caller.
    pub principal: String,
    /// `kms:Decrypt` and the like.
    pub action: String,
    /// ARN of a key or alias, or `*`.
    pub resource: String,
    /// The condition keys.
    #[serde(default)]
    pub context: BTreeMap<String, OneOrMany>,
}

/// Value of a condition key: a text, or the texts of a multi-valued key.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Of a single-valued key.
    One(String),
    /// Of a multi-valued key.
    Many(Vec<String>),
}

/// Why a line cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Not JSON, or not a case.
    #[error("not a test case: {0}")]
    Line(#[from] serde_json::Error),
    /// Not a caller that can be.
    #[error("the principal is not the ARN of a user, role session or account root")]
    Principal,
    /// Not a resource that can be.
    #[error("the resource is neither an ARN nor *")]
    Resource,
    /// The key policy would not be accepted.
    #[error("key policy: {0}")]
    KeyPolicy(PolicyFault),
    /// An identity policy would not be accepted.
    #[error("identity policy {number}: {fault}")]
    IdentityPolicy {
        /// From 1.
        number: usize,
        /// What is wrong with it.
        fault: PolicyFault,
    },
}

impl Case {
    /// Reads a line.
    pub fn read(line: &str) -> Result<Case, CaseError> {
        Ok(serde_json::from_str(line)?)
    }

    /// The engine's answer.
    pub fn decide(&self) -> Result<Decision, CaseError> {
        let request = &self.request;
        let principal =
            Principal::from_arn(&request.principal).map_err(|_| CaseError::Principal)?;
        let owner = self.owner(&principal)?;
        let mut context = Context::new();
        for (key, value) in &request.context {
            match value {
                OneOrMany::One(value) => context.one(key.clone(), value),
                OneOrMany::Many(values) => context.many(key.clone(), values.clone()),
            }
        }
        let key_policy = match &self.key_policy {
            Some(text) => Some(key_policy(text.get()).map_err(CaseError::KeyPolicy)?),
            None => None,
        };
        let identity = self.identity_policies.iter().zip(1..).map(|(text, number)| {
            identity_policy(text.get()).map_err(|fault| CaseError::IdentityPolicy { number, fault })
        });
        let identity = identity.collect::<Result<Vec<_>, _>>()?;
        let (action, resource) = (request.action.as_str(), request.resource.as_str());
        let query =
            Query { principal: &principal, action, resource, owner: &owner, context: &context };
        Ok(evaluate(&query, key_policy.as_ref(), &identity.iter().collect::<Vec<_>>()))
    }

    /// The account that owns the resource; for `*` it is the caller's.
    fn owner(&self, principal: &Principal) -> Result<AccountId, CaseError> {
        match self.request.resource.as_str() {
            "*" => principal.account().cloned().ok_or(CaseError::Principal),
            arn => arn
                .split(':')
                .nth(4)
                .and_then(|account| account.parse().ok())
                .ok_or(CaseError::Resource),
        }
    }
}
