//! For every action a body that succeeds, and one that breaks a rule.

use serde_json::{Value, json};

use super::World;
use super::memory::Memory;
use crate::kms::api::{Action, types::KeyState};
use crate::kms::keystore::Imagined;
use crate::kms::limits::Limits;

/// A world with one key of each kind, `alias/a` on the symmetric one, a grant on it, and two
/// custom key stores, one of them connected.
pub struct Ready {
    pub world: World,
    pub key: String,
    pub blob: String,
    pub signing: String,
    pub agreeing: String,
    pub mac: String,
    pub kem: String,
    pub imported: String,
    pub everywhere: String,
    pub grant: String,
    pub key_store: String,
    pub connected: String,
}

pub fn ready() -> Ready {
    let world = World::behind(Memory::default(), Limits::default(), Box::new(Imagined));
    let key = world.key();
    world.admin("CreateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": key}));
    let sealed = world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    let blob = sealed["CiphertextBlob"].as_str().unwrap().to_owned();
    let make = |body| {
        let made = world.admin("CreateKey", &body);
        made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    };
    let signing = make(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}));
    let agreeing = make(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}));
    let mac = make(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}));
    let kem = make(json!({"KeySpec": "ML_KEM_512", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}));
    let imported = make(json!({"Origin": "EXTERNAL"}));
    let everywhere = make(json!({"MultiRegion": true}));
    let grantee = "arn:aws:iam::111122223333:user/user2";
    let body = json!({"KeyId": key, "GranteePrincipal": grantee, "Operations": ["Decrypt"]});
    let grant = world.admin("CreateGrant", &body)["GrantId"].as_str().unwrap().to_owned();
    let store = |name: &str, cluster: &str| {
        let body = json!({"CustomKeyStoreName": name, "CloudHsmClusterId": cluster,
            "TrustAnchorCertificate": "PEM", "KeyStorePassword": "password"});
        let made = world.admin("CreateCustomKeyStore", &body);
        made["CustomKeyStoreId"].as_str().unwrap().to_owned()
    };
    let key_store = store("away", "cluster-aaaaaaaaaaa");
    let connected = store("there", "cluster-bbbbbbbbbbb");
    world.admin("ConnectCustomKeyStore", &json!({"CustomKeyStoreId": connected}));
    Ready {
        world,
        key,
        blob,
        signing,
        agreeing,
        mac,
        kem,
        imported,
        everywhere,
        grant,
        key_store,
        connected,
    }
}

impl Ready {
    /// With every key in that state.
    pub fn in_state(self, state: KeyState) -> Ready {
        for key in self.world.store.lock().keys.values_mut() {
            key.state = state;
        }
        self.world.service.cache.clear();
        self
    }

    /// A token and wrapped material for the imported key, asked for while that can be had.
    fn import(&self) -> Value {
        let id = self.imported.parse().unwrap();
        let state = |new| {
            let mut tables = self.world.store.lock();
            let old = std::mem::replace(&mut tables.keys.get_mut(&id).unwrap().state, new);
            drop(tables);
            self.world.service.cache.clear();
            old
        };
        let now = state(KeyState::PendingImport);
        let body = super::import::wrapped(&self.world, &self.imported, &[7; 32]);
        state(now);
        body
    }
}

/// What the administrator gets for [`good`]: `ok`, or the exception of what is not offered.
pub fn outcome(action: Action) -> &'static str {
    match action {
        Action::ReplicateKey | Action::UpdatePrimaryRegion => "UnsupportedOperationException",
        _ => "ok",
    }
}

/// For every action a body that succeeds for the administrator.
pub fn good(action: Action, r: &Ready) -> Value {
    let key = &r.key;
    match action {
        Action::CancelKeyDeletion
        | Action::DescribeKey
        | Action::DisableKey
        | Action::EnableKey
        | Action::GetKeyPolicy
        | Action::ListKeyPolicies
        | Action::DisableKeyRotation
        | Action::EnableKeyRotation
        | Action::GetKeyLastUsage
        | Action::GetKeyRotationStatus
        | Action::ListGrants
        | Action::ListKeyRotations
        | Action::ListResourceTags
        | Action::RotateKeyOnDemand
        | Action::ScheduleKeyDeletion => json!({"KeyId": key}),
        Action::CreateAlias => json!({"AliasName": "alias/new", "TargetKeyId": key}),
        Action::UpdateAlias => json!({"AliasName": "alias/a", "TargetKeyId": key}),
        Action::DeleteAlias => json!({"AliasName": "alias/a"}),
        Action::CreateKey
        | Action::ListAliases
        | Action::ListKeys
        | Action::DescribeCustomKeyStores => json!({}),
        Action::Encrypt => json!({"KeyId": key, "Plaintext": "aGVsbG8="}),
        Action::Decrypt => json!({"CiphertextBlob": r.blob}),
        Action::ReEncrypt => json!({"CiphertextBlob": r.blob, "DestinationKeyId": key}),
        Action::GenerateDataKey | Action::GenerateDataKeyWithoutPlaintext => {
            json!({"KeyId": key, "KeySpec": "AES_256"})
        }
        Action::GenerateDataKeyPair | Action::GenerateDataKeyPairWithoutPlaintext => {
            json!({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"})
        }
        Action::GenerateRandom => json!({"NumberOfBytes": 8}),
        Action::PutKeyPolicy => {
            let policy = super::super::default_key_policy(&super::account());
            json!({"KeyId": key, "Policy": policy})
        }
        Action::UpdateKeyDescription => json!({"KeyId": key, "Description": "new"}),
        Action::CreateCustomKeyStore => json!({"CustomKeyStoreName": "store",
            "CloudHsmClusterId": "cluster-2a23b4cdefg", "TrustAnchorCertificate": "PEM",
            "KeyStorePassword": "password"}),
        Action::ConnectCustomKeyStore | Action::DeleteCustomKeyStore => {
            json!({"CustomKeyStoreId": r.key_store})
        }
        Action::DisconnectCustomKeyStore => json!({"CustomKeyStoreId": r.connected}),
        Action::UpdateCustomKeyStore => {
            json!({"CustomKeyStoreId": r.connected, "NewCustomKeyStoreName": "renamed"})
        }
        Action::CreateGrant => json!({"KeyId": key, "Operations": ["Decrypt"],
            "GranteePrincipal": "arn:aws:iam::111122223333:user/user2"}),
        Action::RetireGrant => json!({"KeyId": key, "GrantId": r.grant}),
        Action::RevokeGrant => json!({"KeyId": key, "GrantId": r.grant}),
        Action::ListRetirableGrants => {
            json!({"RetiringPrincipal": "arn:aws:iam::111122223333:user/user2"})
        }
        Action::TagResource => {
            json!({"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]})
        }
        Action::UntagResource => json!({"KeyId": key, "TagKeys": ["a"]}),
        Action::Sign => {
            json!({"KeyId": r.signing, "Message": "aGk=", "SigningAlgorithm": "ECDSA_SHA_256"})
        }
        Action::Verify => signature(r),
        Action::GetPublicKey => json!({"KeyId": r.signing}),
        Action::GenerateMac => {
            json!({"KeyId": r.mac, "Message": "aGk=", "MacAlgorithm": "HMAC_SHA_256"})
        }
        Action::VerifyMac => mac(r),
        Action::Encapsulate => json!({"KeyId": r.kem, "EncapsulationAlgorithm": "ML_KEM"}),
        // Any ciphertext of the right length carries some secret.
        Action::Decapsulate => json!({"KeyId": r.kem, "EncapsulationAlgorithm": "ML_KEM",
            "SharedSecretCiphertextBlob": "A".repeat(1024)}),
        Action::DeriveSharedSecret => json!({"KeyId": r.agreeing,
            "KeyAgreementAlgorithm": "ECDH", "PublicKey": public(r)}),
        Action::GetParametersForImport => json!({"KeyId": r.imported,
            "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}),
        Action::ImportKeyMaterial => r.import(),
        Action::DeleteImportedKeyMaterial => json!({"KeyId": r.imported}),
        Action::ReplicateKey => json!({"KeyId": r.everywhere, "ReplicaRegion": "local-2"}),
        Action::UpdatePrimaryRegion => {
            json!({"KeyId": r.everywhere, "PrimaryRegion": "local-2"})
        }
    }
}

/// What a usable key signed, however the keys are now.
fn signature(r: &Ready) -> Value {
    let other = ready();
    let mut body = good(Action::Sign, &other);
    body["Signature"] = other.world.admin("Sign", &body)["Signature"].clone();
    body["KeyId"] = r.signing.clone().into();
    adopt(r, &other, &r.signing, &other.signing);
    body
}

fn mac(r: &Ready) -> Value {
    let other = ready();
    let mut body = good(Action::GenerateMac, &other);
    body["Mac"] = other.world.admin("GenerateMac", &body)["Mac"].clone();
    body["KeyId"] = r.mac.clone().into();
    adopt(r, &other, &r.mac, &other.mac);
    body
}

/// Gives a key the material of a key of another world.
fn adopt(r: &Ready, other: &Ready, to: &str, from: &str) {
    let from = from.parse().unwrap();
    let mut version =
        crate::kms::store::Store::versions(&other.world.store, from).unwrap().remove(0);
    version.key = to.parse().unwrap();
    let change = crate::kms::store::Change::PutVersion(version);
    crate::kms::store::Store::commit(&r.world.store, &[change]).unwrap();
    r.world.service.cache.clear();
}

fn public(r: &Ready) -> Value {
    let other = ready();
    let got = other.world.admin("GetPublicKey", &json!({"KeyId": other.agreeing}));
    assert_ne!(r.agreeing, other.agreeing);
    got["PublicKey"].clone()
}

/// For every action a body that breaks a rule, and the exception.
pub fn bad(action: Action, key: &str) -> (Value, &'static str) {
    let validation = "ValidationException";
    match action {
        Action::CreateKey => (json!({"KeySpec": "AES"}), validation),
        Action::CreateAlias | Action::UpdateAlias => {
            (json!({"AliasName": "alias/a b", "TargetKeyId": key}), validation)
        }
        Action::DeleteAlias => (json!({"AliasName": "alias/aws/kmsfs"}), "NotAuthorizedException"),
        Action::Encrypt => (json!({"KeyId": key, "Plaintext": ""}), validation),
        Action::Decrypt => (json!({"CiphertextBlob": "AAAA"}), "InvalidCiphertextException"),
        Action::ReEncrypt => (json!({"CiphertextBlob": "AAAA"}), validation),
        Action::GenerateDataKey | Action::GenerateDataKeyWithoutPlaintext => {
            (json!({"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32}), validation)
        }
        Action::GenerateDataKeyPair | Action::GenerateDataKeyPairWithoutPlaintext => {
            (json!({"KeyId": key, "KeyPairSpec": "AES_256"}), validation)
        }
        Action::GenerateRandom => (json!({}), validation),
        Action::ListAliases | Action::ListKeys | Action::DescribeCustomKeyStores => {
            (json!({"Marker": "x"}), "InvalidMarkerException")
        }
        Action::ListGrants | Action::ListKeyRotations | Action::ListResourceTags => {
            (json!({"KeyId": key, "Marker": "x"}), "InvalidMarkerException")
        }
        Action::ListRetirableGrants => (json!({"RetiringPrincipal": "nobody"}), validation),
        Action::ListKeyPolicies => (json!({"KeyId": key, "Limit": 0}), validation),
        Action::PutKeyPolicy => {
            (json!({"KeyId": key, "Policy": "{}"}), "MalformedPolicyDocumentException")
        }
        Action::ScheduleKeyDeletion => {
            (json!({"KeyId": key, "PendingWindowInDays": 6}), validation)
        }
        Action::GetKeyPolicy => (json!({"KeyId": key, "PolicyName": "mine"}), "NotFoundException"),
        Action::UpdateKeyDescription => (json!({"KeyId": key}), validation),
        Action::EnableKeyRotation => {
            (json!({"KeyId": key, "RotationPeriodInDays": 89}), validation)
        }
        Action::TagResource => {
            (json!({"KeyId": key, "Tags": [{"TagKey": "aws:a", "TagValue": ""}]}), "TagException")
        }
        Action::UntagResource => (json!({"KeyId": key}), validation),
        Action::CreateGrant => (
            json!({"KeyId": key, "Operations": ["decrypt"],
                   "GranteePrincipal": "arn:aws:iam::111122223333:user/u"}),
            validation,
        ),
        Action::RetireGrant => (json!({"GrantToken": "x"}), "InvalidGrantTokenException"),
        Action::RevokeGrant => (json!({"KeyId": key, "GrantId": "x"}), "InvalidGrantIdException"),
        Action::Sign => (
            json!({"KeyId": key, "Message": "aGk=", "SigningAlgorithm": "ECDSA_SHA_256"}),
            "InvalidKeyUsageException",
        ),
        Action::Verify => (
            json!({"KeyId": key, "Message": "aGk=", "Signature": "aGk=",
                   "SigningAlgorithm": "ECDSA_SHA_1"}),
            validation,
        ),
        Action::GenerateMac => (
            json!({"KeyId": key, "Message": "aGk=", "MacAlgorithm": "HMAC_SHA_256"}),
            "InvalidKeyUsageException",
        ),
        Action::VerifyMac => (
            json!({"KeyId": key, "Message": "", "Mac": "aGk=", "MacAlgorithm": "HMAC_SHA_256"}),
            validation,
        ),
        Action::GetPublicKey => (json!({"KeyId": key}), "UnsupportedOperationException"),
        Action::Encapsulate => {
            (json!({"KeyId": key, "EncapsulationAlgorithm": "ML_KEM"}), "InvalidKeyUsageException")
        }
        Action::Decapsulate => (
            json!({"KeyId": key, "EncapsulationAlgorithm": "RSA",
                   "SharedSecretCiphertextBlob": "aGk="}),
            validation,
        ),
        Action::DeriveSharedSecret => (
            json!({"KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": "aGk="}),
            "InvalidKeyUsageException",
        ),
        Action::GetParametersForImport => (
            json!({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
                   "WrappingKeySpec": "RSA_2048"}),
            "UnsupportedOperationException",
        ),
        Action::ImportKeyMaterial => {
            (json!({"KeyId": key, "ImportToken": "aGk=", "EncryptedKeyMaterial": ""}), validation)
        }
        Action::DeleteImportedKeyMaterial => {
            (json!({"KeyId": key}), "UnsupportedOperationException")
        }
        Action::CreateCustomKeyStore => (json!({"CustomKeyStoreName": ""}), validation),
        Action::ConnectCustomKeyStore
        | Action::DeleteCustomKeyStore
        | Action::DisconnectCustomKeyStore
        | Action::UpdateCustomKeyStore => (json!({}), validation),
        Action::ReplicateKey => (json!({"KeyId": key}), validation),
        Action::UpdatePrimaryRegion => (json!({"KeyId": key}), validation),
        Action::CancelKeyDeletion
        | Action::DescribeKey
        | Action::DisableKey
        | Action::DisableKeyRotation
        | Action::GetKeyLastUsage
        | Action::GetKeyRotationStatus
        | Action::RotateKeyOnDemand
        | Action::EnableKey => (json!({"KeyId": "not-a-key"}), "NotFoundException"),
    }
}
