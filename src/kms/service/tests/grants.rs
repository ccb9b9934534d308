//! Grants through the service: who may retire them.

use serde_json::{Value, json};

use super::{World, error_name};

const ADMIN: &str = "arn:aws:iam::111122223333:user/admin";
const GRANTEE: &str = "arn:aws:iam::111122223333:user/user1";
const OTHER: &str = "arn:aws:iam::111122223333:user/user2";

fn grant(world: &World, body: &Value) -> Value {
    world.admin("CreateGrant", body)
}

#[test]
fn a_key_policy_can_deny_that_a_grant_is_retired() {
    let world = World::new();
    let key = world.key();
    let arn = world.admin("DescribeKey", &json!({"KeyId": key}))["KeyMetadata"]["Arn"].clone();
    let body = json!({"KeyId": key, "GranteePrincipal": OTHER, "RetiringPrincipal": GRANTEE,
                      "Operations": ["Decrypt"]});
    let made = grant(&world, &body);
    let statement = |effect: &str, who: &str, action: &str| json!({"Effect": effect, "Principal": {"AWS": who}, "Action": action, "Resource": "*"});
    let put = |statements: Value| {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        world.admin(
            "PutKeyPolicy",
            &json!({"KeyId": key, "PolicyName": "default", "Policy": policy}),
        );
    };
    let all = statement("Allow", ADMIN, "kms:*");
    put(json!([all, statement("Deny", GRANTEE, "kms:RetireGrant")]));
    for body in [
        json!({"GrantToken": made["GrantToken"]}),
        json!({"KeyId": arn, "GrantId": made["GrantId"]}),
    ] {
        let refused = world.ask("user1", "RetireGrant", &body);
        assert_eq!(error_name(refused), "AccessDeniedException");
    }
    put(json!([all]));
    world.ask("user1", "RetireGrant", &json!({"GrantToken": made["GrantToken"]})).unwrap();
    let left = world.admin("ListGrants", &json!({"KeyId": key}));
    assert_eq!(left["Grants"], json!([]));
}
