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
    /// Too few bytes.
    #[error(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length greater than or equal to {min}"
    )]
    TooFew {
        /// Its name.
        member: String,
        /// The least.
        min: usize,
    },
    /// Too many entries or bytes.
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
    /// A character that alias names had once.
    #[error("{name} contains invalid characters for an alias")]
    AliasCharacters {
        /// What was given.
        name: String,
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
    /// Entries outside a closed set.
    #[error(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [{set}]]"
    )]
    EntriesNotInSet {
        /// Its name.
        member: String,
        /// What was given.
        value: String,
        /// What could have been given.
        set: String,
    },
    /// RetireGrant with neither of its forms.
    #[error("You must specify a GrantToken, or a KeyId and a GrantId.")]
    TokenOrGrant,
    /// A digest that the algorithm does not take.
    #[error("Digest is invalid length for algorithm {algorithm}.")]
    DigestLength {
        /// The algorithm asked for.
        algorithm: String,
    },
    /// A message type that the algorithm does not take.
    #[error("MessageType {kind} is not valid for algorithm {algorithm}.")]
    MessageType {
        /// What was given.
        kind: String,
        /// The algorithm asked for.
        algorithm: String,
    },
    /// More plaintext than an RSA key takes.
    #[error(
        "Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {max} bytes."
    )]
    PlaintextForSpec {
        /// The algorithm asked for.
        algorithm: String,
        /// The key's spec.
        spec: KeySpec,
        /// The most bytes.
        max: usize,
    },
    /// An encryption context for a key that takes none.
    #[error("EncryptionContext is not supported with asymmetric keys.")]
    ContextForSpec,
    /// A public key that is none, or of another curve.
    #[error("The public key is not valid for key spec {spec}.")]
    PublicKey {
        /// The key's spec.
        spec: KeySpec,
    },
    /// Material that ends, without its end.
    #[error("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")]
    ValidToRequired,
    /// A grant that would be over before it begins. Not AWS's.
    #[error("Constraints.ExpirationDate must be a time in the future.")]
    GrantInThePast,
    /// An end for material that does not end.
    #[error("ValidTo cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")]
    ValidToForbidden,
    /// An end that is past or too far away.
    #[error("ValidTo must be in the future, and at most 365 days away")]
    ValidToRange,
    /// A wrapping that the key's material cannot take.
    #[error("WrappingAlgorithm {algorithm} is not supported for key spec {spec}")]
    WrappingForSpec {
        /// The algorithm asked for.
        algorithm: String,
        /// The key's spec.
        spec: KeySpec,
    },
    /// A grant operation that the key cannot do.
    #[error("Operation {operation} is not supported for key spec {spec}")]
    OperationForSpec {
        /// The operation.
        operation: String,
        /// The key's spec.
        spec: KeySpec,
    },
    /// Encryption-context constraints for a key that takes no context.
    #[error("Grant constraints on the encryption context need a symmetric key.")]
    ConstraintsForSpec,
    /// Both constraints, or one with too many pairs.
    #[error("Grant constraints take at most 8 pairs.")]
    ConstraintPairs,
    /// A principal of a grant that is no ARN of one.
    #[error("{member} is not the ARN of a principal")]
    GrantPrincipal {
        /// Its name.
        member: String,
    },
    /// A member of a request that is not taken here, where leaving it out would change what is
    /// granted.
    #[error("{member} is not offered here")]
    NotOffered {
        /// Its name.
        member: String,
    },
    /// A role that is assumed from a session of a role, for too long.
    #[error(
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    )]
    ChainedSession,
    /// An account that still has keys.
    #[error("The account has KMS keys: schedule their deletion first")]
    AccountInUse,
    /// The account that the service is for.
    #[error("The service's own account cannot be deleted")]
    OwnAccount,
    /// A key store by id and by name.
    #[error("CustomKeyStoreId and CustomKeyStoreName cannot be given together.")]
    KeyStoreTwice,
    /// A member that is of the other kind of key store.
    #[error("{member} is not valid for a custom key store of this type.")]
    KeyStoreMember {
        /// Its name.
        member: String,
    },
    /// A key's origin without the members that say where it is, or with those of another.
    #[error(
        "CustomKeyStoreId and XksKeyId do not fit Origin {origin}: a key store has keys of its own origin alone."
    )]
    OriginMembers {
        /// The origin asked for.
        origin: String,
    },
    /// A secret of characters that it cannot have; never repeated.
    #[error(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\\/+=]+$"
    )]
    Secret {
        /// Its name.
        member: String,
    },
    /// An alias that is to point at an alias.
    #[error("Aliases must refer to keys. Not aliases")]
    AliasOfAlias,
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
    /// Of the ids of HSM clusters.
    #[error("cluster-[2-7a-zA-Z]{{11,16}}")]
    Cluster,
    /// Of the hosts of external key store proxies.
    #[error("^https://[a-zA-Z0-9.-]+$")]
    XksEndpoint,
    /// Of their paths.
    #[error("^(/[a-zA-Z0-9\\/_-]+/kms/xks/v\\d{{1,2}})$|^(/kms/xks/v\\d{{1,2}})$")]
    XksPath,
    /// Of the endpoint services that lead to them.
    #[error("^(com|eu)\\.amazonaws\\.vpce\\.([a-z]+-){{2,3}}\\d+\\.vpce-svc-[0-9a-z]+$")]
    XksVpcService,
    /// Of the names of credentials for them.
    #[error("^[A-Z2-7]+$")]
    XksAccessKey,
    /// Of keys in external key managers.
    #[error("^[a-zA-Z0-9-_.]+$")]
    XksKey,
    /// Of accounts.
    #[error("[0-9]{{12}}")]
    Account,
    /// Of role ARNs.
    #[error("arn:aws:iam::[0-9]{{12}}:role/[^/]+")]
    RoleArn,
    /// Of session names and external ids.
    #[error("[\\w+=,.@-]*")]
    SessionName,
    /// Of user and policy names.
    #[error("^[\\w+=,.@-]+$")]
    EntityName,
}
