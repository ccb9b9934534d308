//! Administration of the users of an account. Not part of AWS KMS: these requests travel in the
//! private frames and inside the process only.

use serde::{Deserialize, Serialize};

use super::types::{Plaintext, Timestamp};

/// What can be asked about users. Each is decided as `iam:NAME` on the user's ARN by the
/// caller's identity policies.
#[derive(Debug, Serialize, Deserialize)]
pub enum IamRequest {
    /// Makes a user.
    CreateUser {
        /// Login name.
        user: String,
    },
    /// Removes a user with its keys and policies.
    DeleteUser {
        /// Login name.
        user: String,
    },
    /// The users of the account.
    ListUsers,
    /// Attaches a policy document under a name, replacing one of the same name.
    PutUserPolicy {
        /// Login name; the user is made if it is not known yet.
        user: String,
        /// Name of the policy.
        name: String,
        /// The document.
        document: String,
    },
    /// Detaches a policy.
    DeleteUserPolicy {
        /// Login name.
        user: String,
        /// Name of the policy.
        name: String,
    },
    /// The policies of a user.
    ListUserPolicies {
        /// Login name.
        user: String,
    },
    /// Makes an access key; its secret is shown this once.
    CreateAccessKey {
        /// Login name; the user is made if it is not known yet.
        user: String,
    },
    /// Removes an access key.
    DeleteAccessKey {
        /// Login name.
        user: String,
        /// `AKIA...`
        access_key_id: String,
    },
    /// The access keys of a user, without their secrets.
    ListAccessKeys {
        /// Login name.
        user: String,
    },
}

/// The answer to an [`IamRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub enum IamReply {
    /// Done; nothing to tell.
    Done,
    /// Answers ListUsers.
    Users(Vec<UserInfo>),
    /// Answers ListUserPolicies.
    Policies(Vec<UserPolicy>),
    /// Answers CreateAccessKey.
    AccessKeyCreated {
        /// `AKIA...`
        access_key_id: String,
        /// 40 characters. Shown this once.
        secret_access_key: Plaintext,
    },
    /// Answers ListAccessKeys.
    AccessKeys(Vec<AccessKeyInfo>),
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// Login name.
    pub name: String,
    /// The user's ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A policy attached to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPolicy {
    /// Name of the policy.
    pub name: String,
    /// The document as it was put.
    pub document: String,
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyInfo {
    /// `AKIA...`
    pub access_key_id: String,
    /// When it was made.
    pub created: Timestamp,
}
