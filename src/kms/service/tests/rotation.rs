//! Rotation by use, and versions that are lost.

use serde_json::json;

use super::{World, error_name};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::service::{FreshFor, HeaderOf, Wrapped};

fn current(world: &World, key: &str) -> u32 {
    world.service.current_version(key.parse().unwrap()).unwrap()
}

fn sealed(world: &World, key: &str) -> String {
    let body = json!({"KeyId": key, "Plaintext": "c2VjcmV0"});
    world.admin("Encrypt", &body)["CiphertextBlob"].as_str().unwrap().to_owned()
}

fn seal(world: &World, key: &str, times: usize) {
    for _ in 0..times {
        sealed(world, key);
    }
    world.service.run_moments().unwrap();
}

#[test]
fn a_version_that_has_sealed_enough_is_followed_by_another() {
    let world = World::new();
    let (key, other) = (world.key(), world.key());
    let first = sealed(&world, &key);
    seal(&world, &key, 999);
    assert_eq!(current(&world, &key), 1, "1,000 are allowed");
    seal(&world, &key, 1);
    assert_eq!((current(&world, &key), current(&world, &other)), (2, 1));
    let record = world.last_record();
    assert_eq!(record["eventName"], "RotateKey");
    let rotations = world.admin("ListKeyRotations", &json!({"KeyId": key}));
    assert_eq!(rotations["Rotations"][0]["RotationType"], "AUTOMATIC");
    assert_eq!(world.admin("Decrypt", &json!({"CiphertextBlob": first}))["Plaintext"], "c2VjcmV0");
    seal(&world, &key, 600);
    // Written down at the end, and taken up by the next service over the same store.
    world.service.close().unwrap();
    let again = World::over(world.store.clone());
    seal(&again, &key, 400);
    assert_eq!(current(&again, &key), 2);
    seal(&again, &key, 1);
    assert_eq!(current(&again, &key), 3);
}

#[test]
fn a_disabled_key_does_not_rotate_by_use() {
    let world = World::new();
    let key = world.key();
    for _ in 0..1001 {
        sealed(&world, &key);
    }
    world.admin("DisableKey", &json!({"KeyId": key}));
    world.service.run_moments().unwrap();
    assert_eq!(current(&world, &key), 1);
}

#[test]
fn a_lost_version_opens_nothing_and_lets_everything_be_sealed_again() {
    let world = World::new();
    let key = world.key();
    let blob = sealed(&world, &key);
    let volume = [7; 16];
    let admin = World::user("admin");
    let made = world.service.generate_batch(&admin, &key, volume, FreshFor::File, 1).unwrap();
    let made = made.into_iter().next().unwrap();
    let context = FreshFor::File.context(volume, made.id);
    let wrapped = Wrapped { blob: made.wrapped, key_id: made.key_id, context };

    let lose = |who: &CallerContext, version| world.service.compromise_version(who, &key, version);
    assert_eq!(lose(&World::user("nobody"), 1).unwrap_err().name(), "AccessDeniedException");
    assert_eq!(lose(&admin, 2).unwrap_err().name(), "KMSInvalidStateException");
    world.admin("Decrypt", &json!({"CiphertextBlob": blob}));
    let epoch = world.service.epoch();
    assert_eq!(lose(&admin, 1).unwrap(), 2, "it was the one that seals");
    assert!(world.service.epoch() > epoch, "mounts are told");
    assert_eq!(world.last_record()["eventName"], "KeyVersionCompromised");
    assert_eq!(lose(&admin, 1).unwrap(), 2, "once more changes nothing");

    let opened = world.ask("admin", "Decrypt", &json!({"CiphertextBlob": blob}));
    assert_eq!(error_name(opened), "KMSInvalidStateException");
    let item = (admin.clone(), wrapped.clone());
    let unwrapped = world.service.unwrap_batch(std::slice::from_ref(&item)).remove(0);
    assert_eq!(unwrapped.unwrap_err().name(), "KMSInvalidStateException");
    let decided = world.service.authorize_batch(&[item]).remove(0);
    assert_eq!(decided.unwrap_err().name(), "KMSInvalidStateException");

    let again = world.admin("ReEncrypt", &json!({"CiphertextBlob": blob, "DestinationKeyId": key}));
    let opened = world.admin("Decrypt", &json!({"CiphertextBlob": again["CiphertextBlob"]}));
    assert_eq!(opened["Plaintext"], "c2VjcmV0");
    let region = "local-1".parse().unwrap();
    let service =
        CallerContext::filesystem(Principal::filesystem(), &region, Source::Internal, None);
    let items = [(wrapped, HeaderOf::File(made.id, 1))];
    let resealed = world.service.reseal_batch(&service, &items, None).unwrap().remove(0).unwrap();
    assert_eq!(resealed.rewrapped.version, 2);
}

#[test]
fn another_data_key_for_the_same_object() {
    let world = World::new();
    let key = world.key();
    let admin = World::user("admin");
    let (volume, id) = ([7; 16], [9; 16]);
    let again =
        |who: &CallerContext| world.service.generate_again(who, &key, volume, FreshFor::File, id);
    let (one, two) = (again(&admin).unwrap(), again(&admin).unwrap());
    assert_eq!((one.id, two.id), (id, id));
    assert_ne!(one.key.expose(), two.key.expose());
    let record = world.last_record();
    assert_eq!(record["eventName"], "GenerateDataKey");
    assert_eq!(record["additionalEventData"]["again"], true);
    let context = FreshFor::File.context(volume, id);
    let wrapped = Wrapped { blob: two.wrapped, key_id: two.key_id, context };
    let opened = world.service.unwrap_batch(&[(admin, wrapped)]).remove(0).unwrap();
    assert_eq!(opened.expose(), two.key.expose());
    assert_eq!(again(&World::user("nobody")).unwrap_err().name(), "AccessDeniedException");
}
