//! Import of key material, and rotation.

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{World, error_name};

/// A request that imports `material` without end.
pub fn wrapped(world: &World, key: &str, material: &[u8]) -> Value {
    let parameters = world.admin(
        "GetParametersForImport",
        &json!({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
                "WrappingKeySpec": "RSA_2048"}),
    );
    let public = STANDARD.decode(parameters["PublicKey"].as_str().unwrap()).unwrap();
    let public = PublicEncryptingKey::from_der(&public).unwrap();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let mut out = vec![0; public.ciphertext_size()];
    let sealed = public.encrypt(&OAEP_SHA256_MGF1SHA256, material, &mut out, None).unwrap();
    json!({"KeyId": key, "ImportToken": parameters["ImportToken"],
           "EncryptedKeyMaterial": STANDARD.encode(sealed),
           "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
}

fn external(world: &World) -> String {
    let made = world.admin("CreateKey", &json!({"Origin": "EXTERNAL"}));
    assert_eq!(made["KeyMetadata"]["KeyState"], "PendingImport");
    made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn state(world: &World, key: &str) -> Value {
    world.admin("DescribeKey", &json!({"KeyId": key}))["KeyMetadata"]["KeyState"].clone()
}

#[test]
fn imported_material_comes_back_as_itself_alone() {
    let world = World::new();
    let key = external(&world);
    world.admin("ImportKeyMaterial", &wrapped(&world, &key, &[7; 32]));
    assert_eq!(state(&world, &key), "Enabled");
    let sealed = world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    let open = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    world.admin("DeleteImportedKeyMaterial", &json!({"KeyId": key}));
    assert_eq!(state(&world, &key), "PendingImport");
    assert_eq!(error_name(world.ask("admin", "Decrypt", &open)), "KMSInvalidStateException");
    let other = wrapped(&world, &key, &[8; 32]);
    let got = world.ask("admin", "ImportKeyMaterial", &other);
    assert_eq!(error_name(got), "IncorrectKeyMaterialException");
    world.admin("ImportKeyMaterial", &wrapped(&world, &key, &[7; 32]));
    assert_eq!(world.admin("Decrypt", &open)["Plaintext"], "aGVsbG8=");
}

#[test]
fn imported_material_ends_at_its_time_before_anybody_comes_round() {
    let world = World::new();
    let key = external(&world);
    let mut body = wrapped(&world, &key, &[7; 32]);
    body.as_object_mut().unwrap().remove("ExpirationModel");
    assert_eq!(error_name(world.ask("admin", "ImportKeyMaterial", &body)), "ValidationException");
    body["ValidTo"] = (1_800_000_000 + 3600).into();
    world.admin("ImportKeyMaterial", &body);
    world.clock.advance(3599);
    assert_eq!(state(&world, &key), "Enabled");
    world.clock.advance(1);
    assert_eq!(state(&world, &key), "PendingImport");
    world.service.run_due().unwrap();
    assert_eq!(world.last_record()["eventName"], "DeleteExpiredKeyMaterial");
    assert_eq!(state(&world, &key), "PendingImport");
}

#[test]
fn import_tokens_are_for_one_key_and_one_day() {
    let world = World::new();
    let (key, other) = (external(&world), external(&world));
    let mut body = wrapped(&world, &key, &[7; 32]);
    body["KeyId"] = other.into();
    body["ImportToken"] = "bm90IGEgdG9rZW4=".into();
    let got = world.ask("admin", "ImportKeyMaterial", &body);
    assert_eq!(error_name(got), "InvalidImportTokenException");
    let late = wrapped(&world, &key, &[7; 32]);
    world.clock.advance(86_400);
    let got = world.ask("admin", "ImportKeyMaterial", &late);
    assert_eq!(error_name(got), "ExpiredImportTokenException");
    let got = world.ask("admin", "ImportKeyMaterial", &wrapped(&world, &key, &[7; 31]));
    assert_eq!(error_name(got), "IncorrectKeyMaterialException");
}

#[test]
fn new_imported_material_waits_for_a_rotation() {
    let world = World::new();
    let key = external(&world);
    world.admin("ImportKeyMaterial", &wrapped(&world, &key, &[7; 32]));
    let old = world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    let mut body = wrapped(&world, &key, &[8; 32]);
    body["ImportType"] = "NEW_KEY_MATERIAL".into();
    let waiting = world.admin("ImportKeyMaterial", &body)["KeyMaterialId"].clone();
    let described = || world.admin("DescribeKey", &json!({"KeyId": key}))["KeyMetadata"].clone();
    assert_ne!(described()["CurrentKeyMaterialId"], waiting);
    world.admin("RotateKeyOnDemand", &json!({"KeyId": key}));
    assert_eq!(described()["CurrentKeyMaterialId"], waiting);
    let open = json!({"CiphertextBlob": old["CiphertextBlob"]});
    assert_ne!(world.admin("Decrypt", &open)["KeyMaterialId"], waiting);
    let again = world.ask("admin", "RotateKeyOnDemand", &json!({"KeyId": key}));
    assert_eq!(error_name(again), "KMSInvalidStateException");
}

#[test]
fn a_key_rotates_by_itself_and_opens_what_it_sealed_before() {
    let world = World::new();
    let key = world.key();
    let sealed = world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    world.admin("EnableKeyRotation", &json!({"KeyId": key, "RotationPeriodInDays": 90}));
    let status = world.admin("GetKeyRotationStatus", &json!({"KeyId": key}));
    assert_eq!(status["NextRotationDate"], 1_800_000_000 + 90 * 86_400);
    world.admin("RotateKeyOnDemand", &json!({"KeyId": key}));
    let after = world.admin("GetKeyRotationStatus", &json!({"KeyId": key}));
    assert_eq!(after["NextRotationDate"], status["NextRotationDate"]);
    world.clock.advance(90 * 86_400);
    world.service.run_due().unwrap();
    let listed = world.admin("ListKeyRotations", &json!({"KeyId": key}));
    let kinds: Vec<_> = listed["Rotations"].as_array().unwrap().iter().collect();
    assert_eq!(kinds.len(), 2);
    assert_eq!(kinds[0]["RotationType"], "ON_DEMAND");
    assert_eq!(kinds[1]["RotationType"], "AUTOMATIC");
    let open = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(world.admin("Decrypt", &open)["Plaintext"], "aGVsbG8=");
    world.service.run_due().unwrap();
    let listed = world.admin("ListKeyRotations", &json!({"KeyId": key}));
    assert_eq!(listed["Rotations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_deletion_called_off_leaves_a_key_without_material_waiting_for_it() {
    let world = World::new();
    let key = external(&world);
    world.admin("ScheduleKeyDeletion", &json!({"KeyId": key}));
    world.admin("CancelKeyDeletion", &json!({"KeyId": key}));
    assert_eq!(state(&world, &key), "PendingImport");
    assert_eq!(
        error_name(world.ask("admin", "EnableKey", &json!({"KeyId": key}))),
        "KMSInvalidStateException"
    );
    world.admin("ImportKeyMaterial", &wrapped(&world, &key, &[7; 32]));
    world.admin("ScheduleKeyDeletion", &json!({"KeyId": key}));
    world.admin("CancelKeyDeletion", &json!({"KeyId": key}));
    assert_eq!(state(&world, &key), "Disabled");
}
