//! Every AWS exception that the service can give: its name, its words, its HTTP status.
//!
//! This is the one place where a cause becomes an exception name. [`KmsError::class`] is the
//! short form for callers that only want to know which errno it makes.

use serde::{Deserialize, Serialize};

use super::api::types::KeySpec;

mod fault;
mod policy;
mod violation;

pub use fault::{
    Entity, InternalFault, MaterialFault, Quota, StateFault, TagFault, UnsupportedFault,
};
pub use policy::{PolicyFault, PolicyMistake};
pub use violation::{Pattern, Violation};

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum KmsError {
    /// Policy says no.
    #[error("User: {principal} is not authorized to perform: {action} on resource: {resource} {}", denial(*explicit))]
    AccessDenied {
        /// ARN of the caller.
        principal: String,
        /// `kms:Decrypt` and the like.
        action: String,
        /// ARN of the key, or `*`.
        resource: String,
        /// A Deny statement applied, rather than no Allow.
        explicit: bool,
    },
    /// A blob names a key that is not there, or that the caller may not use: the same words for
    /// both, so that blobs cannot be used to look for keys.
    #[error(
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
    )]
    CiphertextNotYours,
    /// A key identifier of no known form.
    #[error("Invalid keyId '{id}'")]
    BadKeyId {
        /// What was given.
        id: String,
    },
    /// No such key.
    #[error("Key '{arn}' does not exist")]
    NoSuchKey {
        /// The key's ARN as asked for.
        arn: String,
    },
    /// No such alias.
    #[error("Alias {arn} is not found.")]
    NoSuchAlias {
        /// The alias's ARN as asked for.
        arn: String,
    },
    /// An ARN of a Region that this service does not serve.
    #[error("Invalid arn {region}")]
    OtherRegion {
        /// The Region in the ARN.
        region: String,
    },
    /// A key policy by another name than `default`.
    #[error("No such policy exists")]
    NoSuchPolicy {
        /// What was asked for.
        name: String,
    },
    /// Something that looks like an ARN but is none of ours.
    #[error("Invalid arn: {arn}")]
    InvalidArn {
        /// What was given.
        arn: String,
    },
    /// The key is switched off.
    #[error("{arn} is disabled.")]
    Disabled {
        /// The key's ARN.
        arn: String,
    },
    /// The key's state forbids the operation.
    #[error("{arn} {state}")]
    InvalidState {
        /// The key's ARN.
        arn: String,
        /// How it stands in the way.
        state: StateFault,
    },
    /// A blob that does not open: damaged, cut, or with another context. Says nothing, so that
    /// contexts cannot be guessed.
    #[error("")]
    InvalidCiphertext,
    /// The blob was sealed under another key than the caller named.
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    /// The key is not for that.
    #[error("{arn} key usage is {usage} which is not valid for {operation}.")]
    InvalidKeyUsage {
        /// The key's ARN.
        arn: String,
        /// What it is for.
        usage: String,
        /// What was asked.
        operation: String,
    },
    /// The key cannot use that algorithm.
    #[error("Algorithm {algorithm} is incompatible with key spec {spec}.")]
    IncompatibleAlgorithm {
        /// What was asked for.
        algorithm: String,
        /// The key's spec.
        spec: KeySpec,
    },
    /// The alias is taken.
    #[error("An alias with the name {arn} already exists")]
    AliasExists {
        /// The alias's ARN.
        arn: String,
    },
    /// The key has a replica there already.
    #[error("A key with the id {id} already exists in Region {region}")]
    ReplicaExists {
        /// The key's id.
        id: String,
        /// The Region.
        region: String,
    },
    /// An alias name without its prefix, or with nothing after it.
    #[error(
        "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
    )]
    AliasPrefix,
    /// `alias/aws/` is for keys that services manage.
    #[error("Alias names that begin with alias/aws/ are reserved.")]
    AliasReserved,
    /// A key has had all its rotations on demand.
    #[error(
        "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: {arn}"
    )]
    NoMoreRotations {
        /// The key's ARN.
        arn: String,
    },
    /// There is no material to rotate to.
    #[error("No available key material pending rotation for the key: {arn}.")]
    NothingToRotate {
        /// The key's ARN.
        arn: String,
    },
    /// The key's next material is there already.
    #[error(
        "New key material (id: {new}) cannot be imported into KMS key {arn}, because another key material (id: {waiting}) is pending rotation."
    )]
    RotationPending {
        /// The key's ARN.
        arn: String,
        /// Id of the material that was to be imported.
        new: String,
        /// Id of the material that waits.
        waiting: String,
    },
    /// A quota is used up.
    #[error("The {what} limit of {max} has been reached.")]
    LimitExceeded {
        /// Which quota.
        what: Quota,
        /// Its value.
        max: u32,
    },
    /// A policy document that is not accepted.
    #[error("{0}")]
    MalformedPolicy(#[from] PolicyFault),
    /// A page marker that this service did not make.
    #[error("Invalid marker.")]
    InvalidMarker,
    /// Labels that are not accepted.
    #[error("{0}")]
    Tag(TagFault),
    /// A thing that the service does not do, or not for this kind of key.
    #[error("{what}")]
    Unsupported {
        /// What it is.
        what: UnsupportedFault,
    },
    /// A grant token that this service did not make.
    #[error("Invalid grant token.")]
    InvalidGrantToken,
    /// A signature that is not the message's.
    #[error("the signature is not valid")]
    InvalidSignature,
    /// A MAC that is not the message's.
    #[error("the MAC is not valid")]
    InvalidMac,
    /// A grant that is not there, or not on this key.
    #[error("Grant ID {id} does not exist")]
    InvalidGrantId {
        /// What was given.
        id: String,
    },
    /// An import token of another key, or forged.
    #[error("The import token is not valid for this KMS key.")]
    InvalidImportToken,
    /// An import token whose time is over.
    #[error("The import token has expired.")]
    ExpiredImportToken,
    /// Other material than the key had, or of the wrong form.
    #[error("{0}")]
    IncorrectKeyMaterial(MaterialFault),
    /// A custom key store that is not there.
    #[error("Custom key store {id} is not found.")]
    NoSuchKeyStore {
        /// What was given.
        id: String,
    },
    /// The HSM cluster of a key store cannot be reached.
    #[error("CloudHSM cluster {id} is not found or cannot be reached.")]
    NoSuchCluster {
        /// The cluster.
        id: String,
    },
    /// The HSM cluster stands behind another key store already.
    #[error("CloudHSM cluster {id} is already associated with a custom key store.")]
    ClusterInUse {
        /// The cluster.
        id: String,
    },
    /// The name of a key store is taken.
    #[error("The custom key store name {name} is already in use.")]
    KeyStoreNameInUse {
        /// The name.
        name: String,
    },
    /// A key store that is to go still has keys.
    #[error("Custom key store {id} contains KMS keys.")]
    KeyStoreHasKeys {
        /// The key store.
        id: String,
    },
    /// The operation is not for a key store in that state.
    #[error("Custom key store {id} is {state}, which is not valid for this operation.")]
    KeyStoreState {
        /// The key store.
        id: String,
        /// AWS's name of its state.
        state: String,
    },
    /// The proxy of an external key manager does not answer.
    #[error("The external key store proxy at {uri} cannot be reached.")]
    ProxyUnreachable {
        /// Where.
        uri: String,
    },
    /// Two key stores of one proxy.
    #[error("The external key store proxy at {uri} is already associated with a custom key store.")]
    ProxyUriInUse {
        /// Where.
        uri: String,
    },
    /// Two ways to one host.
    #[error("{endpoint} is already associated with a custom key store of another connectivity.")]
    ProxyEndpointInUse {
        /// The host.
        endpoint: String,
    },
    /// The way to a proxy is not there.
    #[error("VPC endpoint service {name} is not found.")]
    NoSuchVpcService {
        /// Its name.
        name: String,
    },
    /// Two key stores over one endpoint service.
    #[error("VPC endpoint service {name} is already associated with a custom key store.")]
    VpcServiceInUse {
        /// Its name.
        name: String,
    },
    /// Two keys of one external key.
    #[error("The external key {id} is already associated with a KMS key in this key store.")]
    ExternalKeyInUse {
        /// Its name there.
        id: String,
    },
    /// It would have succeeded.
    #[error("The request would have succeeded, but the DryRun option is set.")]
    DryRun,
    /// The material cannot be reached for the moment.
    #[error("{arn} is unavailable.")]
    KeyUnavailable {
        /// The key's ARN.
        arn: String,
    },
    /// A member that breaks a rule.
    #[error("{0}")]
    Validation(#[from] Violation),
    /// A body that is not JSON, or not of the right types.
    #[error("The request body could not be read.")]
    Serialization,
    /// An operation that does not exist.
    #[error("The operation {name} is not known.")]
    UnknownOperation {
        /// What was asked for.
        name: String,
    },
    /// Too many requests.
    #[error("Rate exceeded")]
    Throttling,
    /// A user, policy or access key that is not there.
    #[error("The {what} with name {name} cannot be found.")]
    NoSuchEntity {
        /// Its kind.
        what: Entity,
        /// Its name.
        name: String,
    },
    /// A user that is there already.
    #[error("The {what} with name {name} already exists.")]
    EntityExists {
        /// Its kind.
        what: Entity,
        /// Its name.
        name: String,
    },
    /// The service's own fault; the log tells more.
    #[error("{0}")]
    Internal(#[from] InternalFault),
}

/// What a failure means to one who only asked for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Policy says no: EACCES.
    Denied,
    /// The key cannot be used now: ENOKEY.
    Unusable,
    /// The blob does not authenticate: EIO.
    Corrupt,
    /// The request itself was wrong: EINVAL.
    Invalid,
}

impl KmsError {
    /// AWS's exception name, as in `__type`.
    pub fn name(&self) -> &'static str {
        match self {
            KmsError::AccessDenied { .. } | KmsError::CiphertextNotYours => "AccessDeniedException",
            KmsError::BadKeyId { .. }
            | KmsError::NoSuchKey { .. }
            | KmsError::NoSuchAlias { .. }
            | KmsError::OtherRegion { .. }
            | KmsError::NoSuchPolicy { .. } => "NotFoundException",
            KmsError::InvalidArn { .. } => "InvalidArnException",
            KmsError::Disabled { .. } => "DisabledException",
            KmsError::InvalidState { .. }
            | KmsError::NothingToRotate { .. }
            | KmsError::RotationPending { .. } => "KMSInvalidStateException",
            KmsError::InvalidCiphertext => "InvalidCiphertextException",
            KmsError::IncorrectKey => "IncorrectKeyException",
            KmsError::InvalidKeyUsage { .. } | KmsError::IncompatibleAlgorithm { .. } => {
                "InvalidKeyUsageException"
            }
            KmsError::AliasExists { .. } | KmsError::ReplicaExists { .. } => {
                "AlreadyExistsException"
            }
            KmsError::AliasPrefix => "ValidationException",
            KmsError::AliasReserved => "NotAuthorizedException",
            KmsError::LimitExceeded { .. } | KmsError::NoMoreRotations { .. } => {
                "LimitExceededException"
            }
            KmsError::MalformedPolicy(_) => "MalformedPolicyDocumentException",
            KmsError::InvalidMarker => "InvalidMarkerException",
            KmsError::Tag(_) => "TagException",
            KmsError::Unsupported { .. } => "UnsupportedOperationException",
            KmsError::InvalidGrantToken => "InvalidGrantTokenException",
            KmsError::InvalidSignature => "KMSInvalidSignatureException",
            KmsError::InvalidMac => "KMSInvalidMacException",
            KmsError::InvalidGrantId { .. } => "InvalidGrantIdException",
            KmsError::InvalidImportToken => "InvalidImportTokenException",
            KmsError::ExpiredImportToken => "ExpiredImportTokenException",
            KmsError::IncorrectKeyMaterial(_) => "IncorrectKeyMaterialException",
            KmsError::NoSuchKeyStore { .. } => "CustomKeyStoreNotFoundException",
            KmsError::NoSuchCluster { .. } => "CloudHsmClusterNotFoundException",
            KmsError::ClusterInUse { .. } => "CloudHsmClusterInUseException",
            KmsError::KeyStoreNameInUse { .. } => "CustomKeyStoreNameInUseException",
            KmsError::KeyStoreHasKeys { .. } => "CustomKeyStoreHasCMKsException",
            KmsError::KeyStoreState { .. } => "CustomKeyStoreInvalidStateException",
            KmsError::ProxyUnreachable { .. } => "XksProxyUriUnreachableException",
            KmsError::ProxyUriInUse { .. } => "XksProxyUriInUseException",
            KmsError::ProxyEndpointInUse { .. } => "XksProxyUriEndpointInUseException",
            KmsError::NoSuchVpcService { .. } => "XksProxyVpcEndpointServiceNotFoundException",
            KmsError::VpcServiceInUse { .. } => "XksProxyVpcEndpointServiceInUseException",
            KmsError::ExternalKeyInUse { .. } => "XksKeyAlreadyInUseException",
            KmsError::DryRun => "DryRunOperationException",
            KmsError::KeyUnavailable { .. } => "KeyUnavailableException",
            KmsError::Validation(_) => "ValidationException",
            KmsError::Serialization => "SerializationException",
            KmsError::UnknownOperation { .. } => "UnknownOperationException",
            KmsError::Throttling => "ThrottlingException",
            KmsError::NoSuchEntity { .. } => "NoSuchEntityException",
            KmsError::EntityExists { .. } => "EntityAlreadyExistsException",
            KmsError::Internal(_) => "KMSInternalException",
        }
    }

    /// AWS's words; `None` where the real service sends none.
    pub fn message(&self) -> Option<String> {
        match self {
            KmsError::InvalidCiphertext
            | KmsError::AliasReserved
            | KmsError::InvalidSignature
            | KmsError::InvalidMac
            | KmsError::Validation(Violation::PublicKey { .. })
            | KmsError::Unsupported { what: UnsupportedFault::KeyKind } => None,
            other => Some(other.to_string()),
        }
    }

    /// HTTP status on the wire.
    pub fn status(&self) -> u16 {
        match self {
            KmsError::Internal(_) | KmsError::KeyUnavailable { .. } => 500,
            _ => 400,
        }
    }

    /// Which errno it makes for the filesystem.
    pub fn class(&self) -> FailureClass {
        match self {
            KmsError::AccessDenied { .. } | KmsError::CiphertextNotYours => FailureClass::Denied,
            KmsError::InvalidCiphertext | KmsError::IncorrectKey => FailureClass::Corrupt,
            KmsError::NoSuchKey { .. }
            | KmsError::NoSuchAlias { .. }
            | KmsError::BadKeyId { .. }
            | KmsError::OtherRegion { .. }
            | KmsError::Disabled { .. }
            | KmsError::InvalidState { .. }
            | KmsError::KeyUnavailable { .. }
            | KmsError::Throttling
            | KmsError::Internal(_) => FailureClass::Unusable,
            _ => FailureClass::Invalid,
        }
    }
}

fn denial(explicit: bool) -> &'static str {
    if explicit {
        "with an explicit deny in a policy"
    } else {
        "because no policy allows the action"
    }
}
