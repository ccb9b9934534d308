//! What a change makes the service forget, and what it does not.

use serde_json::json;

use super::{World, error_name};
use crate::kms::id::KeyId;

fn cached(world: &World, key: &str) -> bool {
    let id: KeyId = key.parse().unwrap();
    world.service.cache.keys.contains_key(&id)
}

#[test]
fn making_keys_disturbs_nobody() {
    let world = World::new();
    let key = world.key();
    world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "eA=="}));
    let epoch = world.service.epoch();
    let other = world.key();
    world.admin("CreateKey", &json!({"Origin": "EXTERNAL"}));
    assert!(cached(&world, &key), "another key was made");
    assert_eq!(world.service.epoch(), epoch);
    // What changes a key that is there concerns everybody who remembers a decision, and that key.
    world.admin("DisableKey", &json!({"KeyId": other}));
    assert!(cached(&world, &key) && !cached(&world, &other));
    assert_ne!(world.service.epoch(), epoch);
}

#[test]
fn each_change_is_seen_by_the_next_request() {
    let world = World::new();
    let (one, two) = (world.key(), world.key());
    let tell = |name: &str| {
        let told = world.admin("DescribeKey", &json!({"KeyId": name}));
        told["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    };
    world.admin("CreateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": one}));
    assert_eq!(tell("alias/a"), one);
    tell(&two);
    world.admin("UpdateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": two}));
    assert_eq!(tell("alias/a"), two);
    assert!(!cached(&world, &one), "it has lost an alias, which conditions may ask for");
    world.admin("DeleteAlias", &json!({"AliasName": "alias/a"}));
    assert_eq!(
        error_name(world.ask("admin", "DescribeKey", &json!({"KeyId": "alias/a"}))),
        "NotFoundException"
    );

    let seal = json!({"KeyId": one, "Plaintext": "eA=="});
    assert_eq!(error_name(world.ask("u", "Encrypt", &seal)), "AccessDeniedException");
    let grant = json!({"KeyId": one, "Operations": ["Encrypt"],
        "GranteePrincipal": "arn:aws:iam::111122223333:user/u"});
    let made = world.admin("CreateGrant", &grant);
    world.ask("u", "Encrypt", &seal).unwrap();
    world.admin("RevokeGrant", &json!({"KeyId": one, "GrantId": made["GrantId"]}));
    assert_eq!(error_name(world.ask("u", "Encrypt", &seal)), "AccessDeniedException");

    world.admin("CreateAlias", &json!({"AliasName": "alias/gone", "TargetKeyId": two}));
    tell("alias/gone");
    world.admin("ScheduleKeyDeletion", &json!({"KeyId": two, "PendingWindowInDays": 7}));
    world.clock.advance(8 * 86_400);
    world.service.run_due().unwrap();
    for name in ["alias/gone", two.as_str()] {
        let got = world.ask("admin", "DescribeKey", &json!({"KeyId": name}));
        assert_eq!(error_name(got), "NotFoundException", "{name}");
    }
}

#[test]
fn keys_are_counted_once_and_the_count_stays_right() {
    let limits = crate::kms::limits::Limits { keys: 3, ..Default::default() };
    let world = World::with_limits(limits);
    let keys: Vec<String> = (0..3).map(|_| world.key()).collect();
    let full = || error_name(world.ask("admin", "CreateKey", &json!({})));
    assert_eq!(full(), "LimitExceededException");
    world.admin("UpdateKeyDescription", &json!({"KeyId": keys[0], "Description": "d"}));
    assert_eq!(full(), "LimitExceededException");
    world.admin("ScheduleKeyDeletion", &json!({"KeyId": keys[0], "PendingWindowInDays": 7}));
    world.clock.advance(8 * 86_400);
    world.service.run_due().unwrap();
    world.key();
    assert_eq!(full(), "LimitExceededException");
}
