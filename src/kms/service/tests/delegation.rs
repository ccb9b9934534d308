//! Grants made by virtue of a grant.

use serde_json::{Value, json};

use super::{World, error_name};

fn grant(key: &str, to: &str, operations: &[&str], subset: Option<Value>) -> Value {
    let mut body = json!({
        "KeyId": key,
        "GranteePrincipal": format!("arn:aws:iam::111122223333:user/{to}"),
        "Operations": operations,
    });
    if let Some(subset) = subset {
        body["Constraints"] = json!({"EncryptionContextSubset": subset});
    }
    body
}

#[test]
fn a_grantee_hands_on_what_he_has_and_no_more() {
    let world = World::new();
    let key = world.key();
    let narrow = Some(json!({"a": "1"}));
    let given = grant(&key, "user2", &["Decrypt", "CreateGrant"], narrow.clone());
    world.admin("CreateGrant", &given);
    let try_to = |operations: &[&str], subset: Option<Value>| {
        world.ask("user2", "CreateGrant", &grant(&key, "user3", operations, subset))
    };
    // Without constraints, with looser ones, with more than he may.
    assert_eq!(error_name(try_to(&["Decrypt"], None)), "AccessDeniedException");
    assert_eq!(error_name(try_to(&["Decrypt"], Some(json!({"b": "2"})))), "AccessDeniedException");
    assert_eq!(error_name(try_to(&["Encrypt"], narrow.clone())), "AccessDeniedException");
    try_to(&["Decrypt"], narrow).unwrap();
    try_to(&["Decrypt"], Some(json!({"a": "1", "b": "2"}))).unwrap();
    // Whom the grant is not for it does not help.
    let other = grant(&key, "user3", &["Decrypt"], Some(json!({"a": "1"})));
    assert_eq!(error_name(world.ask("user4", "CreateGrant", &other)), "AccessDeniedException");
    // And what was handed on holds under its constraints alone.
    let sealed = |context: Value| {
        let body = json!({"KeyId": key, "Plaintext": "cGxhaW4=", "EncryptionContext": context});
        let made = world.admin("Encrypt", &body);
        json!({"CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": context})
    };
    world.ask("user3", "Decrypt", &sealed(json!({"a": "1"}))).unwrap();
    let outside = sealed(json!({"a": "2"}));
    assert_eq!(error_name(world.ask("user3", "Decrypt", &outside)), "AccessDeniedException");
}
