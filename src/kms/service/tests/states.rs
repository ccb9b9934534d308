//! What AWS's table of key states says beside the rule: cells that hang on where a key's material
//! comes from, and what happens to the state.

use serde_json::json;

use super::bodies::{Ready, ready};
use super::error_name;
use crate::kms::api::types::KeyState;

const UNSUPPORTED: &str = "UnsupportedOperationException";
const INVALID: &str = "KMSInvalidStateException";
const STATES: [KeyState; 5] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingDeletion,
    KeyState::PendingImport,
    KeyState::Unavailable,
];

fn outcome(r: &Ready, action: &str, key: &str, more: serde_json::Value) -> &'static str {
    let mut body = json!({"KeyId": key});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    r.world.ask("admin", action, &body).map_or_else(|error| error.name(), |_| "ok")
}

#[test]
fn a_key_with_imported_material_does_not_rotate_by_itself_in_any_state() {
    for state in STATES {
        let r = ready().in_state(state);
        for action in ["EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus"] {
            assert_eq!(
                outcome(&r, action, &r.imported, json!({})),
                UNSUPPORTED,
                "{action} {state}"
            );
        }
    }
}

#[test]
fn material_goes_into_keys_that_were_made_for_it_alone_in_any_state() {
    let parameters =
        json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    let import = json!({"ImportToken": "aGk=", "EncryptedKeyMaterial": "aGk=",
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"});
    for (state, external) in STATES.into_iter().zip(["ok", "ok", INVALID, "ok", INVALID]) {
        let r = ready().in_state(state);
        for key in [&r.key, &r.signing, &r.mac] {
            for (action, more) in [
                ("GetParametersForImport", parameters.clone()),
                ("ImportKeyMaterial", import.clone()),
                ("DeleteImportedKeyMaterial", json!({})),
            ] {
                assert_eq!(outcome(&r, action, key, more), UNSUPPORTED, "{action} {state}");
            }
        }
        let got = outcome(&r, "GetParametersForImport", &r.imported, parameters.clone());
        assert_eq!(got, external, "{state}");
    }
}

#[test]
fn removing_material_has_its_effect_or_none_in_each_state() {
    for (before, after) in [
        (KeyState::Enabled, KeyState::PendingImport),
        (KeyState::Disabled, KeyState::PendingImport),
        (KeyState::PendingDeletion, KeyState::PendingDeletion),
        (KeyState::PendingImport, KeyState::PendingImport),
    ] {
        let r = ready();
        let body = super::import::wrapped(&r.world, &r.imported, &[7; 32]);
        r.world.admin("ImportKeyMaterial", &body);
        let r = r.in_state(before);
        assert_eq!(outcome(&r, "DeleteImportedKeyMaterial", &r.imported, json!({})), "ok");
        let told = r.world.admin("DescribeKey", &json!({"KeyId": r.imported}));
        assert_eq!(told["KeyMetadata"]["KeyState"], after.as_str(), "from {before}");
    }
}

#[test]
fn an_alias_leaves_a_key_that_goes_and_does_not_come_to_one() {
    let r = ready();
    let other = r.world.key();
    let point = |to: &str| {
        r.world.ask("admin", "UpdateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": to}))
    };
    r.world.admin("ScheduleKeyDeletion", &json!({"KeyId": r.key}));
    point(&other).unwrap();
    assert_eq!(error_name(point(&r.key)), INVALID);
    r.world.admin("DeleteAlias", &json!({"AliasName": "alias/a"}));
}

#[test]
fn enabling_twice_and_disabling_twice_change_nothing() {
    let r = ready();
    for (action, state) in [("DisableKey", "Disabled"), ("EnableKey", "Enabled")] {
        for _ in 0..2 {
            assert_eq!(outcome(&r, action, &r.key, json!({})), "ok");
            let told = r.world.admin("DescribeKey", &json!({"KeyId": r.key}));
            assert_eq!(told["KeyMetadata"]["KeyState"], state);
        }
    }
}

#[test]
fn a_key_that_is_made_or_moved_takes_no_changes() {
    for state in [KeyState::Creating, KeyState::Updating] {
        let r = ready().in_state(state);
        for action in ["EnableKey", "DisableKey", "ScheduleKeyDeletion"] {
            assert_eq!(outcome(&r, action, &r.key, json!({})), INVALID, "{action} {state}");
        }
        let used = outcome(&r, "Encrypt", &r.key, json!({"Plaintext": "eA=="}));
        assert_eq!(used, if state == KeyState::Updating { "ok" } else { INVALID });
    }
}
