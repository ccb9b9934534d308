//! Broken rules on request members, in the words of AWS.

use serde::{Deserialize, Serialize};

use crate::kms::api::types::KeySpec;

/// A member that breaks a rule. The words are AWS's, since clients show them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Violation {
    /// A required member is not there.
    #[error(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    )]
    Missing {
        /// Its name.
        member: String,
    },
    /// A value outside a closed set.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: [{set}]"
    )]
    NotInSet {
        /// Its name.
        member: String,
        /// What was given.
        value: String,
        /// What could have been given.
        set: String,
    },
    /// Too few characters, bytes or entries.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have length greater than or equal to {min}"
    )]
    TooShort {
        /// Its name.
        member: String,
        /// What was given, shortened.
        value: String,
        /// The least length.
        min: usize,
    },
    /// Too many characters or bytes.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have length less than or equal to {max}"
    )]
    TooLong {
        /// Its name.
        member: String,
        /// What was given, shortened.
        value: String,
        /// The greatest length.
        max: usize,
    },
    /// Too many entries.
    #[error(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length less than or equal to {max}"
    )]
    TooMany {
        /// Its name.
        member: String,
        /// The most.
        max: usize,
    },
    /// A number too small.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value greater than or equal to {min}"
    )]
    TooSmall {
        /// Its name.
        member: String,
        /// What was given.
        value: i32,
        /// The least.
        min: i32,
    },
    /// A number too large.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value less than or equal to {max}"
    )]
    TooLarge {
        /// Its name.
        member: String,
        /// What was given.
        value: i32,
        /// The greatest.
        max: i32,
    },
    /// Characters that are not allowed.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
    )]
    Pattern {
        /// Its name.
        member: String,
        /// What was given.
        value: String,
        /// What it must look like.
        pattern: Pattern,
    },
    /// GenerateRandom without its one member.
    #[error("NumberOfBytes is required.")]
    NumberOfBytesRequired,
    /// Both or neither of two exclusive members.
    #[error("Please specify either number of bytes or key spec.")]
    EitherSpecOrLength,
    /// Both names of one member.
    #[error("You cannot specify KeySpec and CustomerMasterKeySpec in the same request.")]
    TwoKeySpecs,
    /// A usage that has no default.
    #[error(
        "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
    )]
    UsageRequired {
        /// The spec asked for.
        spec: KeySpec,
    },
    /// A usage that the spec does not have.
    #[error("KeyUsage {usage} is not compatible with KeySpec {spec}")]
    UsageForSpec {
        /// The usage asked for.
        usage: String,
        /// The spec asked for.
        spec: KeySpec,
    },
    /// More context than is taken.
    #[error("The {member} is larger than {max} bytes.")]
    ContextTooBig {
        /// Its name.
        member: String,
        /// The most bytes.
        max: usize,
    },
    /// The alias of another account's or Region's key, or such.
    #[error("Alias and key must be of the same account and Region, and of the same type.")]
    AliasTarget,
}

/// Patterns that members must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Pattern {
    /// Of alias names.
    #[error("^[a-zA-Z0-9:/_-]+$")]
    AliasName,
    /// Of user and policy names.
    #[error("^[\\w+=,.@-]+$")]
    EntityName,
}
