//! What is behind an exception: key states, quotas, labels, missing things, our own faults.

use serde::{Deserialize, Serialize};

/// How a key's state stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StateFault {
    /// It waits for its end.
    #[error("is pending deletion.")]
    PendingDeletion,
    /// It has no material yet.
    #[error("is pending import.")]
    PendingImport,
    /// There is nothing to cancel.
    #[error("is not pending deletion.")]
    NotPendingDeletion,
    /// Its key store is away.
    #[error("is unavailable.")]
    Unavailable,
    /// It has no such version, or that one is gone.
    #[error("has no such version.")]
    NoSuchVersion,
    /// The version is the current one, or was imported.
    #[error("has that version in use: it is the current one, waits to be, or was imported.")]
    VersionInUse,
    /// The version may be known to somebody.
    #[error("has that version marked as compromised: data under it must be re-encrypted.")]
    Compromised,
    /// It is being made or moved.
    #[error("is being created or updated.")]
    Changing,
}

/// A quota by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Quota {
    /// Keys of an account.
    #[error("KMS keys")]
    Keys,
    /// Aliases of a key.
    #[error("aliases per KMS key")]
    Aliases,
    /// Grants on a key.
    #[error("grants per KMS key")]
    Grants,
    /// Bytes of a key policy.
    #[error("key policy document size")]
    PolicySize,
    /// Access keys of a user.
    #[error("access keys per user")]
    AccessKeys,
    /// Custom key stores of an account.
    #[error("custom key stores")]
    KeyStores,
    /// Policies of a user.
    #[error("policies per user")]
    UserPolicies,
}

/// Why labels are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TagFault {
    /// One key twice in a request.
    #[error("Duplicate tag keys")]
    Duplicate,
    /// More than fifty.
    #[error("Too many tags")]
    TooMany,
    /// `aws:` is not the customer's.
    #[error("Tags beginning with aws: are reserved")]
    Reserved,
}

/// A thing that the service does not do, or not for this kind of key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum UnsupportedFault {
    /// Keys of that origin.
    #[error("Origin {0} is not supported")]
    Origin(String),
    /// A key of another spec than the operation takes; the real service has no words for it.
    #[error("the operation is not for keys of this spec")]
    KeyKind,
    /// A key whose material comes from elsewhere than the operation needs.
    #[error("{arn} origin is {origin} which is not valid for this operation.")]
    KeyOrigin {
        /// The key's ARN.
        arn: String,
        /// Its origin.
        origin: String,
    },
    /// A copy of a key that is of one Region.
    #[error("Unable to replicate a non-MultiRegion key {0}")]
    NotMultiRegion(String),
    /// What only the primary of a multi-Region key takes.
    #[error("{0} is not a multi-region primary key.")]
    NotPrimary(String),
    /// A copy in a Region that is not served.
    #[error("Region {0} is not served here")]
    Region(String),
    /// A key of a kind that a custom key store cannot hold, or random bytes that it has not.
    #[error("the operation is not supported in this custom key store")]
    InKeyStore,
    /// A change to a key that a service manages.
    #[error("{0} is managed by a service and cannot be changed by this operation")]
    ManagedKey(String),
}

/// What is wrong with imported material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MaterialFault {
    /// Of another length or form than the key's spec has.
    #[error("The key material is not of the form that the KMS key needs.")]
    Form,
    /// Not what the key had before.
    #[error("The key material is not the material that was imported before.")]
    Other,
}

/// Kinds of things that IAM administration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Entity {
    /// A user.
    #[error("user")]
    User,
    /// A policy of a user.
    #[error("user policy")]
    UserPolicy,
    /// An access key.
    #[error("Access Key")]
    AccessKey,
    /// A role.
    #[error("role")]
    Role,
    /// An account.
    #[error("account")]
    Account,
}

/// The service's own fault. Details go to the log, not to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InternalFault {
    /// The audit trail cannot be written, so nothing may be used.
    #[error("the audit trail cannot be written; nothing was done")]
    Audit,
    /// The store failed.
    #[error("the key store failed")]
    Store,
    /// Key material could not be made, opened or used.
    #[error("the key material cannot be used")]
    Custody,
    /// A record in the store does not authenticate or cannot be read.
    #[error("a record of the key store is damaged")]
    Record,
}
