//! Custom key stores: their life, their keys, and what AWS says when something stands in the way.

use serde_json::{Value, json};

use super::memory::Memory;
use super::{World, error_name};
use crate::kms::api::types::ConnectionError;
use crate::kms::error::KmsError;
use crate::kms::keystore::{Backings, Behind, Imagined, KeyStoreRecord};
use crate::kms::limits::Limits;

const STATE: &str = "CustomKeyStoreInvalidStateException";
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJK";

/// Everything is there, but the password is another.
struct Locked;

impl Backings for Locked {
    fn check(&self, _: &Behind) -> Result<(), KmsError> {
        Ok(())
    }

    fn connect(&self, _: &KeyStoreRecord, secret: &[u8]) -> Result<(), ConnectionError> {
        if secret == b"the password" { Ok(()) } else { Err(ConnectionError::InvalidCredentials) }
    }
}

fn world() -> World {
    World::behind(Memory::default(), Limits::default(), Box::new(Imagined))
}

fn cluster(name: &str, id: &str) -> Value {
    json!({"CustomKeyStoreName": name, "CloudHsmClusterId": format!("cluster-{id}"),
        "TrustAnchorCertificate": "PEM", "KeyStorePassword": "password"})
}

fn proxy(name: &str, host: &str, path: &str) -> Value {
    json!({"CustomKeyStoreName": name, "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": format!("https://{host}"), "XksProxyUriPath": path,
        "XksProxyAuthenticationCredential":
            {"AccessKeyId": "ABCDEFGHIJKLMNOPQRST", "RawSecretAccessKey": SECRET}})
}

fn made(world: &World, body: &Value) -> Value {
    let id = world.admin("CreateCustomKeyStore", body)["CustomKeyStoreId"].clone();
    json!({"CustomKeyStoreId": id})
}

fn described(world: &World, store: &Value) -> Value {
    world.admin("DescribeCustomKeyStores", store)["CustomKeyStores"][0].clone()
}

fn refused(world: &World, action: &str, body: &Value) -> &'static str {
    error_name(world.ask("admin", action, body))
}

fn with(body: &Value, member: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[member] = value.into();
    body
}

fn in_store(world: &World, store: &Value) -> String {
    let body = with(store, "Origin", "AWS_CLOUDHSM");
    let made = world.admin("CreateKey", &body);
    made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

#[test]
fn a_key_store_lives_from_its_making_to_its_deletion() {
    let world = world();
    let store = made(&world, &cluster("one", "aaaaaaaaaaa"));
    let told = described(&world, &store);
    assert!(told["CustomKeyStoreId"].as_str().unwrap().starts_with("cks-"));
    assert_eq!(told["CustomKeyStoreId"].as_str().unwrap().len(), 21);
    assert_eq!(told["ConnectionState"], "DISCONNECTED");
    assert_eq!(told["CustomKeyStoreType"], "AWS_CLOUDHSM");
    assert_eq!(told["CloudHsmClusterId"], "cluster-aaaaaaaaaaa");
    assert_eq!(told["TrustAnchorCertificate"], "PEM");
    assert!(told.get("XksProxyConfiguration").is_none());
    assert!(told.get("ConnectionErrorCode").is_none());

    assert_eq!(refused(&world, "DisconnectCustomKeyStore", &store), STATE);
    world.admin("ConnectCustomKeyStore", &store);
    world.admin("ConnectCustomKeyStore", &store);
    assert_eq!(described(&world, &store)["ConnectionState"], "CONNECTED");
    assert_eq!(refused(&world, "DeleteCustomKeyStore", &store), STATE);
    let cluster = with(&store, "CloudHsmClusterId", "cluster-bbbbbbbbbbb");
    assert_eq!(refused(&world, "UpdateCustomKeyStore", &cluster), STATE);
    // The name alone can change at any time.
    world.admin("UpdateCustomKeyStore", &with(&store, "NewCustomKeyStoreName", "two"));
    assert_eq!(
        described(&world, &json!({"CustomKeyStoreName": "two"}))["CustomKeyStoreId"],
        store["CustomKeyStoreId"]
    );
    world.admin("DisconnectCustomKeyStore", &store);
    world.admin("UpdateCustomKeyStore", &cluster);
    assert_eq!(described(&world, &store)["CloudHsmClusterId"], "cluster-bbbbbbbbbbb");
    world.admin("DeleteCustomKeyStore", &store);
    assert_eq!(
        refused(&world, "DescribeCustomKeyStores", &store),
        "CustomKeyStoreNotFoundException"
    );
    for action in ["Connect", "Disconnect", "Update", "Delete"] {
        let action = format!("{action}CustomKeyStore");
        assert_eq!(refused(&world, &action, &store), "CustomKeyStoreNotFoundException");
    }
}

#[test]
fn names_and_what_they_stand_for_are_used_once() {
    let world = world();
    made(&world, &cluster("one", "aaaaaaaaaaa"));
    let create = |body: &Value| refused(&world, "CreateCustomKeyStore", body);
    assert_eq!(create(&cluster("one", "bbbbbbbbbbb")), "CustomKeyStoreNameInUseException");
    assert_eq!(create(&cluster("two", "aaaaaaaaaaa")), "CloudHsmClusterInUseException");
    made(&world, &proxy("xks", "xks.example", "/kms/xks/v1"));
    assert_eq!(create(&proxy("three", "xks.example", "/kms/xks/v1")), "XksProxyUriInUseException");
    let service = "com.amazonaws.vpce.us-east-1.vpce-svc-0abc";
    let vpc = |name: &str, host: &str| {
        let body = proxy(name, host, "/a/kms/xks/v1");
        let body = with(&body, "XksProxyConnectivity", "VPC_ENDPOINT_SERVICE");
        with(&body, "XksProxyVpcEndpointServiceName", service)
    };
    assert_eq!(create(&vpc("three", "xks.example")), "XksProxyUriEndpointInUseException");
    made(&world, &vpc("three", "other.example"));
    assert_eq!(create(&vpc("four", "more.example")), "XksProxyVpcEndpointServiceInUseException");
    let other = made(&world, &cluster("two", "bbbbbbbbbbb"));
    let taken = with(&other, "NewCustomKeyStoreName", "one");
    assert_eq!(refused(&world, "UpdateCustomKeyStore", &taken), "CustomKeyStoreNameInUseException");
    for n in 4..10 {
        made(&world, &cluster(&format!("n{n}"), &format!("{}aaaaaaaaaa", (b'c' + n) as char)));
    }
    assert_eq!(create(&cluster("eleven", "zzzzzzzzzzz")), "LimitExceededException");
    let page = world.admin("DescribeCustomKeyStores", &json!({"Limit": 9}));
    assert_eq!(page["Truncated"], true);
    let rest = world.admin("DescribeCustomKeyStores", &json!({"Marker": page["NextMarker"]}));
    assert_eq!(rest["CustomKeyStores"].as_array().unwrap().len(), 1);
    assert_eq!(rest["Truncated"], false);
}

#[test]
fn keys_are_usable_while_their_store_is_connected() {
    let world = world();
    let store = made(&world, &cluster("one", "aaaaaaaaaaa"));
    let create = with(&store, "Origin", "AWS_CLOUDHSM");
    assert_eq!(refused(&world, "CreateKey", &create), STATE);
    assert_eq!(refused(&world, "GenerateRandom", &with(&store, "NumberOfBytes", 8)), STATE);
    world.admin("ConnectCustomKeyStore", &store);
    world.admin("GenerateRandom", &with(&store, "NumberOfBytes", 8));
    let key = in_store(&world, &store);
    let told = || world.admin("DescribeKey", &json!({"KeyId": key}))["KeyMetadata"].clone();
    assert_eq!(told()["Origin"], "AWS_CLOUDHSM");
    assert_eq!(told()["CustomKeyStoreId"], store["CustomKeyStoreId"]);
    assert_eq!(told()["CloudHsmClusterId"], "cluster-aaaaaaaaaaa");
    assert_eq!(told()["KeyState"], "Enabled");
    let body = json!({"KeyId": key, "Plaintext": "aGk="});
    let sealed = world.admin("Encrypt", &body)["CiphertextBlob"].clone();

    let before = world.service.epoch();
    world.admin("DisconnectCustomKeyStore", &store);
    assert_ne!(world.service.epoch(), before, "who remembers decisions must ask again");
    assert_eq!(told()["KeyState"], "Unavailable");
    assert_eq!(told()["Enabled"], false);
    assert_eq!(refused(&world, "Encrypt", &body), "KMSInvalidStateException");
    let open = json!({"CiphertextBlob": sealed});
    assert_eq!(refused(&world, "Decrypt", &open), "KMSInvalidStateException");
    // Takes effect when it can be used again.
    world.admin("DisableKey", &json!({"KeyId": key}));
    assert_eq!(told()["KeyState"], "Unavailable");
    world.admin("ConnectCustomKeyStore", &store);
    assert_eq!(told()["KeyState"], "Disabled");
    world.admin("EnableKey", &json!({"KeyId": key}));
    assert_eq!(world.admin("Decrypt", &open)["Plaintext"], "aGk=");

    // A key that waits for its deletion is in the store until it is gone.
    world.admin("ScheduleKeyDeletion", &json!({"KeyId": key, "PendingWindowInDays": 7}));
    world.admin("DisconnectCustomKeyStore", &store);
    assert_eq!(told()["KeyState"], "PendingDeletion");
    assert_eq!(refused(&world, "DeleteCustomKeyStore", &store), "CustomKeyStoreHasCMKsException");
    world.clock.advance(8 * 86_400);
    world.service.run_due().unwrap();
    world.admin("DeleteCustomKeyStore", &store);
}

#[test]
fn a_key_store_holds_one_kind_of_key() {
    let world = world();
    let store = made(&world, &cluster("one", "aaaaaaaaaaa"));
    let xks = made(&world, &proxy("xks", "xks.example", "/kms/xks/v1"));
    world.admin("ConnectCustomKeyStore", &store);
    world.admin("ConnectCustomKeyStore", &xks);
    let key = with(&store, "Origin", "AWS_CLOUDHSM");
    for (body, name) in [
        (with(&key, "KeySpec", "HMAC_256"), "ValidationException"),
        (
            with(&with(&key, "KeySpec", "RSA_2048"), "KeyUsage", "SIGN_VERIFY"),
            "UnsupportedOperationException",
        ),
        (with(&key, "MultiRegion", true), "UnsupportedOperationException"),
        (with(&key, "XksKeyId", "k"), "ValidationException"),
        (with(&xks, "Origin", "AWS_CLOUDHSM"), "ValidationException"),
        (with(&xks, "Origin", "EXTERNAL_KEY_STORE"), "ValidationException"),
        (store.clone(), "ValidationException"),
        (json!({"Origin": "AWS_CLOUDHSM"}), "ValidationException"),
        (
            json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1"}),
            "CustomKeyStoreNotFoundException",
        ),
    ] {
        assert_eq!(refused(&world, "CreateKey", &body), name, "{body}");
    }
    let external = with(&with(&xks, "Origin", "EXTERNAL_KEY_STORE"), "XksKeyId", "my-key.1");
    let made = world.admin("CreateKey", &external)["KeyMetadata"].clone();
    assert_eq!(made["XksKeyConfiguration"]["Id"], "my-key.1");
    assert!(made.get("CloudHsmClusterId").is_none());
    assert_eq!(refused(&world, "CreateKey", &external), "XksKeyAlreadyInUseException");
    let random = with(&xks, "NumberOfBytes", 8);
    assert_eq!(refused(&world, "GenerateRandom", &random), "UnsupportedOperationException");

    let id = in_store(&world, &store);
    for (action, more) in [
        ("EnableKeyRotation", json!({})),
        ("DisableKeyRotation", json!({})),
        ("GetKeyRotationStatus", json!({})),
        ("RotateKeyOnDemand", json!({})),
        ("GenerateDataKeyPair", json!({"KeyPairSpec": "ECC_NIST_P256"})),
        ("GenerateDataKeyPairWithoutPlaintext", json!({"KeyPairSpec": "ECC_NIST_P256"})),
        (
            "GetParametersForImport",
            json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}),
        ),
        ("DeleteImportedKeyMaterial", json!({})),
    ] {
        let body = with(&more, "KeyId", id.as_str());
        assert_eq!(refused(&world, action, &body), "UnsupportedOperationException", "{action}");
    }
}

#[test]
fn a_connection_that_fails_says_why_and_is_mended() {
    let world = World::behind(Memory::default(), Limits::default(), Box::new(Locked));
    let store = made(&world, &cluster("one", "aaaaaaaaaaa"));
    world.admin("ConnectCustomKeyStore", &store);
    let told = described(&world, &store);
    assert_eq!(told["ConnectionState"], "FAILED");
    assert_eq!(told["ConnectionErrorCode"], "INVALID_CREDENTIALS");
    assert_eq!(refused(&world, "ConnectCustomKeyStore", &store), STATE);
    let password = with(&store, "KeyStorePassword", "the password");
    assert_eq!(refused(&world, "UpdateCustomKeyStore", &password), STATE);
    world.admin("DisconnectCustomKeyStore", &store);
    world.admin("UpdateCustomKeyStore", &password);
    world.admin("ConnectCustomKeyStore", &store);
    assert_eq!(described(&world, &store)["ConnectionState"], "CONNECTED");
    for line in world.records() {
        assert!(!line.to_string().contains("the password"));
    }
}

#[test]
fn members_are_checked_as_aws_checks_them() {
    let world = world();
    let create = |body: &Value| refused(&world, "CreateCustomKeyStore", body);
    let good = proxy("xks", "xks.example", "/kms/xks/v1");
    for (member, bad) in [
        ("XksProxyConnectivity", json!("MAIL")),
        ("XksProxyUriEndpoint", json!("http://xks.example")),
        ("XksProxyUriPath", json!("/kms/xks/one")),
        ("XksProxyVpcEndpointServiceName", json!("com.amazonaws.vpce.us-east-1.vpce-svc-0abc")),
        ("XksProxyVpcEndpointServiceOwner", json!("12345678901x")),
        (
            "XksProxyAuthenticationCredential",
            json!({"AccessKeyId": "a", "RawSecretAccessKey": SECRET}),
        ),
        (
            "XksProxyAuthenticationCredential",
            json!({"AccessKeyId": "ABCDEFGHIJKLMNOPQRST", "RawSecretAccessKey": "short"}),
        ),
        ("XksProxyUriPath", Value::Null),
        ("CloudHsmClusterId", json!("cluster-aaaaaaaaaaa")),
        ("CustomKeyStoreName", json!("")),
    ] {
        assert_eq!(create(&with(&good, member, bad)), "ValidationException", "{member}");
    }
    let good = cluster("one", "aaaaaaaaaaa");
    for (member, bad) in [
        ("CloudHsmClusterId", Value::Null),
        ("TrustAnchorCertificate", Value::Null),
        ("KeyStorePassword", Value::Null),
        ("KeyStorePassword", json!("short")),
        ("XksProxyUriPath", json!("/kms/xks/v1")),
    ] {
        assert_eq!(create(&with(&good, member, bad)), "ValidationException", "{member}");
    }
    let both = json!({"CustomKeyStoreId": "cks-1", "CustomKeyStoreName": "one"});
    assert_eq!(refused(&world, "DescribeCustomKeyStores", &both), "ValidationException");
}

#[test]
fn without_anything_behind_aws_says_what_is_missing() {
    let world = World::new();
    let create = |body: &Value| refused(&world, "CreateCustomKeyStore", body);
    assert_eq!(create(&cluster("one", "aaaaaaaaaaa")), "CloudHsmClusterNotFoundException");
    let body = proxy("one", "xks.example", "/kms/xks/v1");
    assert_eq!(create(&body), "XksProxyUriUnreachableException");
    let body = with(&body, "XksProxyConnectivity", "VPC_ENDPOINT_SERVICE");
    let service = "com.amazonaws.vpce.us-east-1.vpce-svc-0abc";
    let body = with(&body, "XksProxyVpcEndpointServiceName", service);
    assert_eq!(create(&body), "XksProxyVpcEndpointServiceNotFoundException");
}
