//! One request and one reply type per action, shared by every server and client.
//!
//! The same types travel as AWS JSON ([`json`]) and inside the private bincode frames, so they
//! use no serde feature that bincode lacks. What JSON wants on top (members left out when they
//! have no value, AWS's words for missing and unknown values) is done in [`json`] on the tree.
//!
//! Rules on one member or between members stand beside the type in its `validate`; rules that
//! need the key (usage, state, quota) belong to the service.

pub mod alias;
pub mod asymmetric;
pub mod crypto;
pub mod grants;
pub mod iam;
pub mod import;
pub mod json;
pub mod keys;
pub mod keystores;
pub mod pairs;
pub mod policy;
pub mod regions;
pub mod rotation;
pub mod tags;
pub mod types;
pub mod validate;

use serde::{Deserialize, Serialize};

use crate::kms::error::KmsError;
use validate::Validate;

pub use alias::*;
pub use asymmetric::*;
pub use crypto::*;
pub use grants::*;
pub use iam::*;
pub use import::*;
pub use keys::*;
pub use keystores::*;
pub use pairs::*;
pub use policy::*;
pub use regions::*;
pub use rotation::*;
pub use tags::*;
pub use types::*;

/// The reply of an action that has no output: an empty HTTP body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing;

/// What JSON must bring for an action before its types are tried.
#[derive(Clone, Copy, Debug)]
pub struct Members {
    /// Members that must be there and not null.
    pub required: &'static [&'static str],
    /// Members with a closed set of values.
    pub enums: &'static [ClosedSet],
}

/// A member with a closed set of values.
#[derive(Clone, Copy, Debug)]
pub struct ClosedSet {
    /// Its name.
    pub member: &'static str,
    /// What it may be.
    pub values: &'static [&'static str],
    /// The values that the complaint about another one lists.
    pub listed: &'static [&'static str],
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($request:ty) -> $reply:ty, read_only $read:literal,
       required [$($required:literal),*], enums [$(($member:literal, $enum:ty)),*];)*) => {
        /// The operations of the service, by their AWS names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// Every action, in the order of this table.
            pub const ALL: &'static [Action] = &[$(Action::$name),*];

            /// The AWS operation name, as in `X-Amz-Target: TrentService.NAME`.
            pub fn name(self) -> &'static str {
                match self { $(Action::$name => stringify!($name),)* }
            }

            /// The action of that operation name; `None` for one that the service lacks.
            pub fn from_name(name: &str) -> Option<Action> {
                match name { $(stringify!($name) => Some(Action::$name),)* _ => None }
            }

            /// CloudTrail's `readOnly`: true for reads and for cryptographic operations.
            pub fn read_only(self) -> bool {
                match self { $(Action::$name => $read,)* }
            }

            /// Whether it uses a key's material.
            pub fn cryptographic(self) -> bool {
                matches!(
                    self,
                    Action::Decapsulate
                        | Action::Decrypt
                        | Action::DeriveSharedSecret
                        | Action::Encapsulate
                        | Action::Encrypt
                        | Action::GenerateDataKey
                        | Action::GenerateDataKeyPair
                        | Action::GenerateDataKeyPairWithoutPlaintext
                        | Action::GenerateDataKeyWithoutPlaintext
                        | Action::GenerateMac
                        | Action::GenerateRandom
                        | Action::ReEncrypt
                        | Action::Sign
                        | Action::Verify
                        | Action::VerifyMac
                )
            }

            /// What JSON must bring.
            pub fn members(self) -> Members {
                match self { $(Action::$name => Members {
                    required: &[$($required),*],
                    enums: &[$(ClosedSet {
                        member: $member,
                        values: <$enum>::NAMES,
                        listed: <$enum>::LISTED,
                    }),*],
                },)* }
            }
        }

        /// A request for one of the actions.
        #[derive(Debug, Serialize, Deserialize)]
        pub enum Request { $($(#[$doc])* $name($request),)* }

        impl Request {
            /// Which action it asks for.
            pub fn action(&self) -> Action {
                match self { $(Request::$name(_) => Action::$name,)* }
            }

            /// Checks lengths, patterns and exclusive members.
            pub fn validate(&self) -> Result<(), KmsError> {
                match self { $(Request::$name(r) => r.validate(),)* }
            }

            pub(super) fn from_tree(
                action: Action,
                tree: serde_json::Value,
            ) -> Result<Request, serde_json::Error> {
                Ok(match action {
                    $(Action::$name => Request::$name(serde_json::from_value(tree)?),)*
                })
            }
        }

        /// The answer to a [`Request`], of the same variant.
        #[derive(Debug, Serialize, Deserialize)]
        pub enum Reply { $($(#[$doc])* $name($reply),)* }

        impl Reply {
            /// Which action it answers.
            pub fn action(&self) -> Action {
                match self { $(Reply::$name(_) => Action::$name,)* }
            }

            pub(super) fn to_tree(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Reply::$name(r) => serde_json::to_value(r),)* }
            }
        }
    };
}

actions! {
    /// Ends the waiting time of a key that was to be deleted; it comes back disabled.
    CancelKeyDeletion(KeyIdRequest) -> CancelKeyDeletionReply, read_only false,
        required ["KeyId"], enums [];
    /// Gives a key a name.
    CreateAlias(CreateAliasRequest) -> Nothing, read_only false,
        required ["AliasName", "TargetKeyId"], enums [];
    /// Makes a CMK.
    CreateKey(CreateKeyRequest) -> CreateKeyReply, read_only false,
        required [], enums [("KeyUsage", KeyUsage), ("KeySpec", KeySpec),
            ("CustomerMasterKeySpec", KeySpec), ("Origin", Origin)];
    /// Opens a ciphertext blob.
    Decrypt(DecryptRequest) -> DecryptReply, read_only true,
        required ["CiphertextBlob"], enums [("EncryptionAlgorithm", EncryptionAlgorithm)];
    /// Takes a name away.
    DeleteAlias(DeleteAliasRequest) -> Nothing, read_only false, required ["AliasName"], enums [];
    /// Tells what a key is.
    DescribeKey(DescribeKeyRequest) -> DescribeKeyReply, read_only true,
        required ["KeyId"], enums [];
    /// Stops all cryptographic use of a key.
    DisableKey(KeyIdRequest) -> Nothing, read_only false, required ["KeyId"], enums [];
    /// Allows cryptographic use again.
    EnableKey(KeyIdRequest) -> Nothing, read_only false, required ["KeyId"], enums [];
    /// Seals up to 4096 bytes under a CMK.
    Encrypt(EncryptRequest) -> EncryptReply, read_only true, required ["KeyId", "Plaintext"],
        enums [("EncryptionAlgorithm", EncryptionAlgorithm)];
    /// Makes a data key: in the clear and sealed.
    GenerateDataKey(GenerateDataKeyRequest) -> GenerateDataKeyReply, read_only true,
        required ["KeyId"], enums [("KeySpec", DataKeySpec)];
    /// Makes a data key, sealed only.
    GenerateDataKeyWithoutPlaintext(GenerateDataKeyRequest)
        -> GenerateDataKeyWithoutPlaintextReply, read_only true,
        required ["KeyId"], enums [("KeySpec", DataKeySpec)];
    /// Random bytes.
    GenerateRandom(GenerateRandomRequest) -> GenerateRandomReply, read_only true,
        required [], enums [];
    /// The key policy of a key.
    GetKeyPolicy(GetKeyPolicyRequest) -> GetKeyPolicyReply, read_only true,
        required ["KeyId"], enums [];
    /// The names of keys.
    ListAliases(ListAliasesRequest) -> ListAliasesReply, read_only true, required [], enums [];
    /// The names of the policies of a key: `default`.
    ListKeyPolicies(ListKeyPoliciesRequest) -> ListKeyPoliciesReply, read_only true,
        required ["KeyId"], enums [];
    /// The keys of the caller's account.
    ListKeys(ListKeysRequest) -> ListKeysReply, read_only true, required [], enums [];
    /// Replaces the key policy of a key.
    PutKeyPolicy(PutKeyPolicyRequest) -> Nothing, read_only false,
        required ["KeyId", "Policy"], enums [];
    /// Opens a blob and seals its content again, without handing it out.
    ReEncrypt(ReEncryptRequest) -> ReEncryptReply, read_only true,
        required ["CiphertextBlob", "DestinationKeyId"],
        enums [("SourceEncryptionAlgorithm", EncryptionAlgorithm),
            ("DestinationEncryptionAlgorithm", EncryptionAlgorithm)];
    /// Has a key deleted after a waiting time of 7 to 30 days.
    ScheduleKeyDeletion(ScheduleKeyDeletionRequest) -> ScheduleKeyDeletionReply, read_only false,
        required ["KeyId"], enums [];
    /// Points an alias at another key.
    UpdateAlias(CreateAliasRequest) -> Nothing, read_only false,
        required ["AliasName", "TargetKeyId"], enums [];
    /// Changes the description of a key.
    UpdateKeyDescription(UpdateKeyDescriptionRequest) -> Nothing, read_only false,
        required ["KeyId", "Description"], enums [];
    /// Connects a custom key store.
    ConnectCustomKeyStore(CustomKeyStoreRequest) -> Nothing, read_only false,
        required ["CustomKeyStoreId"], enums [];
    /// Makes a custom key store.
    CreateCustomKeyStore(CreateCustomKeyStoreRequest) -> CreateCustomKeyStoreReply,
        read_only false, required ["CustomKeyStoreName"],
        enums [("CustomKeyStoreType", CustomKeyStoreType),
            ("XksProxyConnectivity", XksConnectivity)];
    /// Lets a principal use a key.
    CreateGrant(CreateGrantRequest) -> CreateGrantReply, read_only false,
        required ["KeyId", "Operations"], enums [];
    /// Removes a custom key store.
    DeleteCustomKeyStore(CustomKeyStoreRequest) -> Nothing, read_only false,
        required ["CustomKeyStoreId"], enums [];
    /// Removes imported material.
    DeleteImportedKeyMaterial(DeleteImportedKeyMaterialRequest) -> MaterialReply,
        read_only false, required ["KeyId"], enums [];
    /// Agrees on a secret with the holder of another key.
    DeriveSharedSecret(DeriveSharedSecretRequest) -> DeriveSharedSecretReply, read_only true,
        required ["KeyId", "KeyAgreementAlgorithm", "PublicKey"],
        enums [("KeyAgreementAlgorithm", KeyAgreementAlgorithm)];
    /// Makes a secret that the holder of a private key can have too.
    Encapsulate(EncapsulateRequest) -> EncapsulateReply, read_only true,
        required ["KeyId", "EncapsulationAlgorithm"],
        enums [("EncapsulationAlgorithm", EncapsulationAlgorithm)];
    /// Opens what was encapsulated.
    Decapsulate(DecapsulateRequest) -> DecapsulateReply, read_only true,
        required ["KeyId", "SharedSecretCiphertextBlob", "EncapsulationAlgorithm"],
        enums [("EncapsulationAlgorithm", EncapsulationAlgorithm)];
    /// The custom key stores of the caller's account.
    DescribeCustomKeyStores(DescribeCustomKeyStoresRequest) -> DescribeCustomKeyStoresReply,
        read_only true, required [], enums [];
    /// Stops rotating a key by itself.
    DisableKeyRotation(KeyIdRequest) -> Nothing, read_only false, required ["KeyId"], enums [];
    /// Disconnects a custom key store.
    DisconnectCustomKeyStore(CustomKeyStoreRequest) -> Nothing, read_only false,
        required ["CustomKeyStoreId"], enums [];
    /// Rotates a key by itself from now on.
    EnableKeyRotation(EnableKeyRotationRequest) -> Nothing, read_only false,
        required ["KeyId"], enums [];
    /// Makes a pair of keys; the private one in the clear and sealed.
    GenerateDataKeyPair(GenerateDataKeyPairRequest) -> GenerateDataKeyPairReply, read_only true,
        required ["KeyId", "KeyPairSpec"], enums [("KeyPairSpec", DataKeyPairSpec)];
    /// Makes a pair of keys; the private one sealed only.
    GenerateDataKeyPairWithoutPlaintext(GenerateDataKeyPairRequest)
        -> GenerateDataKeyPairWithoutPlaintextReply, read_only true,
        required ["KeyId", "KeyPairSpec"], enums [("KeyPairSpec", DataKeyPairSpec)];
    /// Makes a message authentication code.
    GenerateMac(GenerateMacRequest) -> GenerateMacReply, read_only true,
        required ["Message", "KeyId", "MacAlgorithm"], enums [("MacAlgorithm", MacAlgorithm)];
    /// When a key was used last.
    GetKeyLastUsage(KeyIdRequest) -> GetKeyLastUsageReply, read_only true,
        required ["KeyId"], enums [];
    /// Whether a key rotates by itself, and when.
    GetKeyRotationStatus(KeyIdRequest) -> GetKeyRotationStatusReply, read_only true,
        required ["KeyId"], enums [];
    /// What is needed to wrap material for an import.
    GetParametersForImport(GetParametersForImportRequest) -> GetParametersForImportReply,
        read_only true, required ["KeyId", "WrappingAlgorithm", "WrappingKeySpec"],
        enums [("WrappingAlgorithm", WrappingAlgorithm), ("WrappingKeySpec", WrappingKeySpec)];
    /// The public key of an asymmetric key.
    GetPublicKey(GetPublicKeyRequest) -> GetPublicKeyReply, read_only true,
        required ["KeyId"], enums [];
    /// Gives a key its material.
    ImportKeyMaterial(ImportKeyMaterialRequest) -> MaterialReply, read_only false,
        required ["KeyId", "ImportToken", "EncryptedKeyMaterial"],
        enums [("ExpirationModel", ExpirationModel), ("ImportType", ImportType)];
    /// The grants on a key.
    ListGrants(ListGrantsRequest) -> ListGrantsReply, read_only true,
        required ["KeyId"], enums [];
    /// The versions of a key's material.
    ListKeyRotations(ListKeyRotationsRequest) -> ListKeyRotationsReply, read_only true,
        required ["KeyId"], enums [("IncludeKeyMaterial", IncludeKeyMaterial)];
    /// The labels of a key.
    ListResourceTags(ListResourceTagsRequest) -> ListResourceTagsReply, read_only true,
        required ["KeyId"], enums [];
    /// The grants that a principal may retire.
    ListRetirableGrants(ListRetirableGrantsRequest) -> ListGrantsReply, read_only true,
        required ["RetiringPrincipal"], enums [];
    /// Copies a multi-Region key to another Region.
    ReplicateKey(ReplicateKeyRequest) -> ReplicateKeyReply, read_only false,
        required ["KeyId", "ReplicaRegion"], enums [];
    /// Ends a grant, by one for whom it was made.
    RetireGrant(RetireGrantRequest) -> Nothing, read_only false, required [], enums [];
    /// Ends a grant, by one who manages the key.
    RevokeGrant(RevokeGrantRequest) -> Nothing, read_only false,
        required ["KeyId", "GrantId"], enums [];
    /// Gives a key new material now.
    RotateKeyOnDemand(KeyIdRequest) -> RotateKeyOnDemandReply, read_only false,
        required ["KeyId"], enums [];
    /// Signs a message or its digest.
    Sign(SignRequest) -> SignReply, read_only true,
        required ["KeyId", "Message", "SigningAlgorithm"],
        enums [("MessageType", MessageType), ("SigningAlgorithm", SigningAlgorithm)];
    /// Labels a key.
    TagResource(TagResourceRequest) -> Nothing, read_only false,
        required ["KeyId", "Tags"], enums [];
    /// Takes labels away.
    UntagResource(UntagResourceRequest) -> Nothing, read_only false,
        required ["KeyId", "TagKeys"], enums [];
    /// Changes a custom key store.
    UpdateCustomKeyStore(UpdateCustomKeyStoreRequest) -> Nothing, read_only false,
        required ["CustomKeyStoreId"], enums [("XksProxyConnectivity", XksConnectivity)];
    /// Makes a replica of a multi-Region key its primary.
    UpdatePrimaryRegion(UpdatePrimaryRegionRequest) -> Nothing, read_only false,
        required ["KeyId", "PrimaryRegion"], enums [];
    /// Checks a signature.
    Verify(VerifyRequest) -> VerifyReply, read_only true,
        required ["KeyId", "Message", "Signature", "SigningAlgorithm"],
        enums [("MessageType", MessageType), ("SigningAlgorithm", SigningAlgorithm)];
    /// Checks a message authentication code.
    VerifyMac(VerifyMacRequest) -> VerifyMacReply, read_only true,
        required ["Message", "KeyId", "MacAlgorithm", "Mac"],
        enums [("MacAlgorithm", MacAlgorithm)];
}
