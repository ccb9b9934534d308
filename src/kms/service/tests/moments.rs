//! Decisions that end by themselves.

use serde_json::json;

use super::{World, error_name};

const START: i64 = 1_800_000_000;

fn sealed(world: &World, key: &str) -> serde_json::Value {
    let made = world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "cGxhaW4="}));
    json!({"CiphertextBlob": made["CiphertextBlob"]})
}

#[test]
fn a_grant_ends_at_its_time_and_moves_the_epoch_then() {
    let world = World::new();
    let key = world.key();
    let blob = sealed(&world, &key);
    let grant = json!({
        "KeyId": key,
        "GranteePrincipal": "arn:aws:iam::111122223333:user/user2",
        "Operations": ["Decrypt"],
        "Constraints": {"ExpirationDate": START + 60},
    });
    world.admin("CreateGrant", &grant);
    let shown = world.admin("ListGrants", &json!({"KeyId": key}));
    let shown = &shown["Grants"][0]["Constraints"]["ExpirationDate"];
    assert_eq!(shown.as_f64(), Some((START + 60) as f64));

    world.ask("user2", "Decrypt", &blob).unwrap();
    let seen = world.service.epoch();
    world.clock.advance(59);
    assert!(!world.service.run_moments().unwrap());
    world.ask("user2", "Decrypt", &blob).unwrap();
    assert_eq!(world.service.epoch(), seen);

    world.clock.advance(1);
    assert_eq!(error_name(world.ask("user2", "Decrypt", &blob)), "AccessDeniedException");
    assert!(world.service.run_moments().unwrap());
    assert_ne!(world.service.epoch(), seen);
    let listed = world.admin("ListGrants", &json!({"KeyId": key}));
    assert_eq!(listed["Grants"], json!([]));

    // It is cleared away after the key was next looked at, and once.
    world.service.run_moments().unwrap();
    assert_eq!(world.last_record()["eventName"], "ExpireGrant");
    let seen = world.service.epoch();
    world.service.run_moments().unwrap();
    assert_eq!(world.service.epoch(), seen);

    assert_eq!(error_name(world.ask("admin", "CreateGrant", &grant)), "ValidationException");
}

#[test]
fn a_date_in_a_policy_moves_the_epoch_when_it_comes() {
    let world = World::new();
    let key = world.key();
    let blob = sealed(&world, &key);
    let policy = world.admin("GetKeyPolicy", &json!({"KeyId": key}));
    let mut policy: serde_json::Value =
        serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    // 2027-01-15T08:00:00Z is START.
    policy["Statement"].as_array_mut().unwrap().push(json!({
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:user/user2"},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2027-01-15T08:01:00Z"}},
    }));
    let put = json!({"KeyId": key, "Policy": policy.to_string()});
    world.admin("PutKeyPolicy", &put);
    world.ask("user2", "Decrypt", &blob).unwrap();
    let seen = world.service.epoch();
    assert!(!world.service.run_moments().unwrap());
    world.clock.advance(60);
    assert_eq!(error_name(world.ask("user2", "Decrypt", &blob)), "AccessDeniedException");
    assert!(world.service.run_moments().unwrap());
    assert_ne!(world.service.epoch(), seen);
}

#[test]
fn a_deletion_happens_when_it_is_due_and_moves_the_epoch() {
    let world = World::new();
    let key = world.key();
    world.admin("ScheduleKeyDeletion", &json!({"KeyId": key, "PendingWindowInDays": 7}));
    world.admin("DescribeKey", &json!({"KeyId": key}));
    let seen = world.service.epoch();
    world.clock.advance(7 * 86_400);
    assert!(world.service.run_moments().unwrap());
    assert_ne!(world.service.epoch(), seen);
    assert_eq!(
        error_name(world.ask("admin", "DescribeKey", &json!({"KeyId": key}))),
        "NotFoundException"
    );
}
