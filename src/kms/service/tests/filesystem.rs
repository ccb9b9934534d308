//! The calls of the filesystem, and the epoch.

use std::time::Duration;

use serde_json::json;

use super::{World, account};
use crate::kms::caller::{CallerContext, OnBehalf, Principal, Source};
use crate::kms::error::{FailureClass, KmsError};
use crate::kms::service::{FreshFor, Wrapped};

const VOLUME: [u8; 16] = [7; 16];

fn service() -> CallerContext {
    let region = "local-1".parse().unwrap();
    CallerContext::filesystem(Principal::filesystem(), &region, Source::Internal, None)
}

fn for_user(name: &str) -> CallerContext {
    let region = "local-1".parse().unwrap();
    let behalf = OnBehalf {
        uid: 1001,
        gid: 1001,
        groups: None,
        pid: 9,
        program: None,
        operation: None,
        path: None,
    };
    let principal = Principal::user(&account(), name);
    CallerContext::filesystem(principal, &region, Source::Internal, Some(behalf))
}

fn class<T>(result: Result<T, KmsError>) -> Option<FailureClass> {
    result.err().map(|error| error.class())
}

fn one(world: &World, who: CallerContext, wrapped: &Wrapped) -> Result<Vec<u8>, KmsError> {
    let opened = world.service.unwrap_batch(&[(who, wrapped.clone())]).remove(0)?;
    Ok(opened.expose().to_vec())
}

#[test]
fn the_managed_key_serves_every_user_through_the_filesystem_only() {
    let world = World::new();
    let key = world.service.managed_key().unwrap();
    assert_eq!(world.service.managed_key().unwrap(), key);
    let made = world
        .service
        .generate_batch(&for_user("user1"), "alias/aws/kmsfs", VOLUME, FreshFor::File, 16)
        .unwrap();
    assert_eq!(made.len(), 16);
    for fresh in &made {
        assert!(fresh.wrapped.len() <= 320);
        let wrapped = Wrapped {
            blob: fresh.wrapped.clone(),
            key_id: fresh.key_id,
            context: FreshFor::File.context(VOLUME, fresh.id),
        };
        assert_eq!(one(&world, for_user("user2"), &wrapped).unwrap(), fresh.key.expose());
        // Not directly, not even by the administrator, and not by the filesystem for itself.
        assert_eq!(class(one(&world, World::user("user1"), &wrapped)), Some(FailureClass::Denied));
        assert_eq!(class(one(&world, World::user("admin"), &wrapped)), Some(FailureClass::Denied));
        assert_eq!(class(one(&world, service(), &wrapped)), Some(FailureClass::Denied));
    }
    let refused = world.ask("admin", "DisableKey", &json!({"KeyId": key.to_string()}));
    assert_eq!(refused.unwrap_err().name(), "AccessDeniedException");
    let shown = world.admin("DescribeKey", &json!({"KeyId": "alias/aws/kmsfs"}));
    assert_eq!(shown["KeyMetadata"]["KeyManager"], "AWS");
}

#[test]
fn the_filesystem_opens_volumes_and_directories_by_itself() {
    let world = World::new();
    let key = world.key();
    for what in [FreshFor::Volume, FreshFor::Directory] {
        let made = world.service.generate_batch(&service(), &key, VOLUME, what, 1).unwrap();
        let context = what.context(VOLUME, made[0].id);
        let wrapped = Wrapped { blob: made[0].wrapped.clone(), key_id: made[0].key_id, context };
        assert_eq!(one(&world, service(), &wrapped).unwrap(), made[0].key.expose());
    }
    let file = world.service.generate_batch(&service(), &key, VOLUME, FreshFor::File, 1);
    assert_eq!(class(file), Some(FailureClass::Denied));
    // An explicit Deny in the key policy reaches it as well.
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},
        {"Effect":"Deny","Principal":{"Service":"kmsfs.amazonaws.com"},"Action":"kms:GenerateDataKey","Resource":"*"}]}"#;
    world.admin("PutKeyPolicy", &json!({"KeyId": key, "Policy": policy}));
    let denied = world.service.generate_batch(&service(), &key, VOLUME, FreshFor::Volume, 1);
    assert_eq!(class(denied), Some(FailureClass::Denied));
}

#[test]
fn states_and_damage_have_their_classes() {
    let world = World::new();
    let key = world.key();
    let made = world
        .service
        .generate_batch(&for_user("admin"), &key, VOLUME, FreshFor::File, 1)
        .unwrap()
        .remove(0);
    let context = FreshFor::File.context(VOLUME, made.id);
    let wrapped = Wrapped { blob: made.wrapped, key_id: made.key_id, context };
    let admin = || for_user("admin");
    let decide = |w: &Wrapped| world.service.authorize_batch(&[(admin(), w.clone())]).remove(0);
    assert!(decide(&wrapped).is_ok());

    let mut damaged = wrapped.clone();
    *damaged.blob.last_mut().unwrap() ^= 1;
    assert_eq!(class(one(&world, admin(), &damaged)), Some(FailureClass::Corrupt));
    let mut elsewhere = wrapped.clone();
    elsewhere.context = FreshFor::File.context(VOLUME, [0; 16]);
    assert_eq!(class(one(&world, admin(), &elsewhere)), Some(FailureClass::Corrupt));
    let mut other = wrapped.clone();
    other.key_id = world.key().parse().unwrap();
    assert_eq!(class(one(&world, admin(), &other)), Some(FailureClass::Corrupt));

    world.admin("DisableKey", &json!({"KeyId": key}));
    assert_eq!(class(one(&world, admin(), &wrapped)), Some(FailureClass::Unusable));
    assert_eq!(class(decide(&wrapped)), Some(FailureClass::Unusable));
    let context = &wrapped.context;
    let create = world.service.authorize_generate(&admin(), &key, context);
    assert_eq!(class(create), Some(FailureClass::Unusable));
    world.admin("EnableKey", &json!({"KeyId": key}));
    assert!(one(&world, admin(), &wrapped).is_ok());

    let mut gone = wrapped.clone();
    gone.key_id = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    assert_eq!(class(one(&world, admin(), &gone)), Some(FailureClass::Unusable));
}

#[test]
fn a_data_key_rewrapped_is_the_same_key_under_another_blob() {
    let world = World::new();
    let (key, to) = (world.key(), world.key());
    let made = world
        .service
        .generate_batch(&service(), &key, VOLUME, FreshFor::Directory, 1)
        .unwrap()
        .remove(0);
    let context = FreshFor::Directory.context(VOLUME, made.id);
    let wrapped = Wrapped { blob: made.wrapped, key_id: made.key_id, context };
    let moved = world.service.rewrap(&service(), &wrapped, Some(&to)).unwrap();
    assert_eq!(moved.key_id.to_string(), to);
    let again =
        Wrapped { blob: moved.blob, key_id: moved.key_id, context: wrapped.context.clone() };
    assert_eq!(one(&world, service(), &again).unwrap(), made.key.expose());
    let denied = world.service.rewrap(&for_user("user1"), &wrapped, None);
    assert_eq!(class(denied), Some(FailureClass::Denied));
}

#[test]
fn a_batch_shares_one_flush_and_mixes_outcomes() {
    let world = World::new();
    let key = world.key();
    let made =
        world.service.generate_batch(&service(), &key, VOLUME, FreshFor::Directory, 3).unwrap();
    let item = |who, i: usize| {
        let context = FreshFor::Directory.context(VOLUME, made[i].id);
        (who, Wrapped { blob: made[i].wrapped.clone(), key_id: made[i].key_id, context })
    };
    let flushes = world.log.lock().flushes;
    let records = world.records().len();
    let got = world.service.unwrap_batch(&[
        item(service(), 0),
        item(for_user("user1"), 1),
        item(service(), 2),
    ]);
    assert!(got[0].is_ok() && got[1].is_err() && got[2].is_ok());
    assert_eq!(world.log.lock().flushes, flushes + 1);
    assert_eq!(world.records().len(), records + 3);
}

#[test]
fn the_epoch_moves_with_changes_and_wakes_those_who_wait() {
    let world = World::new();
    let key = world.key();
    let seen = world.service.epoch();
    world.admin("DescribeKey", &json!({"KeyId": key}));
    assert_eq!(world.service.epoch(), seen);
    assert_eq!(world.service.wait_epoch(seen, Duration::from_millis(1)), seen);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| world.service.wait_epoch(seen, Duration::from_secs(20)));
        world.admin("DisableKey", &json!({"KeyId": key}));
        assert_ne!(waiter.join().unwrap(), seen);
    });
    // Who is roused comes back with what holds.
    let (seen, start) = (world.service.epoch(), std::time::Instant::now());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| world.service.wait_epoch(seen, Duration::from_secs(600)));
        while !waiter.is_finished() {
            world.service.rouse();
            std::thread::yield_now();
        }
        assert_eq!(waiter.join().unwrap(), seen);
    });
    assert!(start.elapsed() < Duration::from_secs(600));
}
