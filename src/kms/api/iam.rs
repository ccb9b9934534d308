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
    /// The users of an account.
    ListUsers {
        /// Twelve digits; the caller's own when absent.
        account: Option<String>,
    },
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
    /// Makes an account: one more tenant of the service.
    CreateAccount {
        /// Twelve digits.
        account: String,
    },
    /// Removes an account with its users and roles. It must not have keys any more.
    DeleteAccount {
        /// Twelve digits.
        account: String,
    },
    /// The accounts of the service.
    ListAccounts,
    /// Makes a role.
    CreateRole {
        /// Name or ARN.
        role: String,
        /// Who may assume it: a trust policy.
        trust: String,
    },
    /// Replaces a role's trust policy.
    UpdateAssumeRolePolicy {
        /// Name or ARN.
        role: String,
        /// The trust policy.
        trust: String,
    },
    /// Removes a role with its policies. Its sessions end.
    DeleteRole {
        /// Name or ARN.
        role: String,
    },
    /// The roles of an account.
    ListRoles {
        /// Twelve digits; the caller's own when absent.
        account: Option<String>,
    },
}

/// Asks for temporary credentials of a role. On the wire it is STS's AssumeRole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssumeRoleRequest {
    /// The role's ARN.
    pub role_arn: String,
    /// Names the session: 2 to 64 characters.
    pub session_name: String,
    /// How long it lasts: 900 to 43,200 seconds; 3,600 when absent.
    pub duration_seconds: Option<i32>,
    /// What the trust policy may ask for.
    pub external_id: Option<String>,
    /// A policy that narrows the role's.
    pub policy: Option<String>,
}

/// Temporary credentials.
#[derive(Debug)]
pub struct AssumedRole {
    /// `ASIA...`
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: Plaintext,
    /// Goes with every request that is signed with them.
    pub session_token: Plaintext,
    /// When they end.
    pub expiration: Timestamp,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// `ROLE:SESSION`.
    pub id: String,
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
    /// Answers ListAccounts.
    Accounts(Vec<AccountInfo>),
    /// Answers ListRoles.
    Roles(Vec<RoleInfo>),
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountInfo {
    /// Twelve digits.
    pub account: String,
    /// When it was made; the service's own has always been there.
    pub created: Option<Timestamp>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleInfo {
    /// Its name, without path.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Who may assume it. Nobody, when absent: it has been given policies only.
    pub trust: Option<String>,
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
