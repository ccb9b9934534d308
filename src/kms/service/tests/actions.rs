//! Each action over the wire's own types.

use serde_json::json;

use super::bodies::{bad, good, outcome, ready};
use super::{World, error_name};
use crate::kms::api::{Action, types::KeyState};

#[test]
fn the_administrator_may_do_everything() {
    for action in Action::ALL {
        let mut r = ready();
        if *action == Action::CancelKeyDeletion {
            r = r.in_state(KeyState::PendingDeletion);
        }
        let body = good(*action, &r);
        let got = r.world.ask("admin", action.name(), &body);
        let got = got.map_or_else(|error| error.name(), |_| "ok");
        assert_eq!(got, outcome(*action), "{}", action.name());
        assert_eq!(r.world.last_record()["eventName"], action.name());
        assert_eq!(r.world.last_record().get("errorCode").is_none(), got == "ok");
    }
}

#[test]
fn a_user_without_policy_may_do_nothing() {
    for action in Action::ALL {
        let r = ready();
        let body = good(*action, &r);
        let got = r.world.ask("user1", action.name(), &body);
        assert_eq!(error_name(got), "AccessDeniedException", "{}", action.name());
        assert_eq!(r.world.last_record()["errorCode"], "AccessDenied", "{}", action.name());
    }
}

#[test]
fn bad_input_has_its_exception() {
    for action in Action::ALL {
        let r = ready();
        let (body, name) = bad(*action, &r.key);
        let got = r.world.ask("admin", action.name(), &body);
        assert_eq!(error_name(got), name, "{}", action.name());
    }
}

#[test]
fn each_required_member_is_missed_by_its_name() {
    for action in Action::ALL {
        let r = ready();
        for member in action.members().required {
            let mut body = good(*action, &r);
            body.as_object_mut().unwrap().remove(*member).expect("it is in the good body");
            let error = r.world.ask("admin", action.name(), &body).unwrap_err();
            assert_eq!(error.name(), "ValidationException", "{} {member}", action.name());
            let text = error.message().unwrap().to_lowercase();
            assert!(text.contains(&member.to_lowercase()), "{} {member}: {text}", action.name());
        }
    }
}

#[test]
fn each_closed_set_refuses_what_is_not_in_it() {
    for action in Action::ALL {
        let r = ready();
        for set in action.members().enums {
            let mut body = good(*action, &r);
            body[set.member] = "SOMETHING_ELSE".into();
            let error = r.world.ask("admin", action.name(), &body).unwrap_err();
            assert_eq!(error.name(), "ValidationException", "{} {}", action.name(), set.member);
            let text = error.message().unwrap();
            assert!(text.contains("Member must satisfy enum value set"), "{text}");
        }
    }
}

#[test]
fn members_of_another_type_or_length_are_nobodys_fault_but_the_callers() {
    let long = "x".repeat(200_000);
    for action in Action::ALL {
        let r = ready();
        for member in good(*action, &r).as_object().unwrap().keys() {
            for wrong in [json!([[]]), json!({"x": {"y": 1}}), json!(long)] {
                let mut body = good(*action, &r);
                body[member.as_str()] = wrong;
                let error = r.world.ask("admin", action.name(), &body).unwrap_err();
                assert_eq!(error.status(), 400, "{} {member}: {error}", action.name());
            }
        }
    }
}

/// AWS's table of key states, every cell: ok, or the exception.
#[test]
fn every_action_in_every_key_state() {
    const D: &str = "DisabledException";
    const I: &str = "KMSInvalidStateException";
    let states = [
        KeyState::Enabled,
        KeyState::Disabled,
        KeyState::PendingDeletion,
        KeyState::PendingImport,
        KeyState::Unavailable,
    ];
    for action in Action::ALL {
        let row = match action {
            Action::Encrypt
            | Action::Decrypt
            | Action::ReEncrypt
            | Action::GenerateDataKey
            | Action::GenerateDataKeyWithoutPlaintext
            | Action::GenerateDataKeyPair
            | Action::GenerateDataKeyPairWithoutPlaintext
            | Action::Sign
            | Action::Verify
            | Action::GenerateMac
            | Action::VerifyMac
            | Action::GetPublicKey
            | Action::DeriveSharedSecret
            | Action::Encapsulate
            | Action::Decapsulate
            | Action::EnableKeyRotation
            | Action::DisableKeyRotation
            | Action::RotateKeyOnDemand => ["ok", D, I, I, I],
            Action::CreateGrant => ["ok", D, I, I, "ok"],
            Action::GetParametersForImport | Action::ImportKeyMaterial => ["ok", "ok", I, "ok", I],
            Action::ReplicateKey | Action::UpdatePrimaryRegion => {
                ["UnsupportedOperationException", D, I, I, I]
            }
            Action::CreateAlias
            | Action::UpdateAlias
            | Action::UpdateKeyDescription
            | Action::TagResource
            | Action::UntagResource
            | Action::ScheduleKeyDeletion => ["ok", "ok", I, "ok", "ok"],
            Action::EnableKey | Action::DisableKey => ["ok", "ok", I, I, "ok"],
            Action::CancelKeyDeletion => [I, I, "ok", I, I],
            // Of no key, or whatever its state.
            Action::ConnectCustomKeyStore
            | Action::CreateCustomKeyStore
            | Action::CreateKey
            | Action::DeleteAlias
            | Action::DeleteCustomKeyStore
            | Action::DeleteImportedKeyMaterial
            | Action::DescribeCustomKeyStores
            | Action::DescribeKey
            | Action::DisconnectCustomKeyStore
            | Action::GenerateRandom
            | Action::GetKeyLastUsage
            | Action::GetKeyPolicy
            | Action::GetKeyRotationStatus
            | Action::ListAliases
            | Action::ListGrants
            | Action::ListKeyPolicies
            | Action::ListKeyRotations
            | Action::ListKeys
            | Action::ListResourceTags
            | Action::ListRetirableGrants
            | Action::PutKeyPolicy
            | Action::RetireGrant
            | Action::RevokeGrant
            | Action::UpdateCustomKeyStore => ["ok"; 5],
        };
        for (state, cell) in states.into_iter().zip(row) {
            let r = ready().in_state(state);
            let body = good(*action, &r);
            let got = r.world.ask("admin", action.name(), &body);
            let got = got.map_or_else(|error| error.name(), |_| "ok");
            assert_eq!(got, cell, "{} in {state}", action.name());
        }
    }
}

#[test]
fn what_is_encrypted_decrypts_with_its_context_alone() {
    let r = ready();
    let context = json!({"a": "1", "b": "2"});
    let sealed = r.world.admin(
        "Encrypt",
        &json!({"KeyId": "alias/a", "Plaintext": "aGVsbG8=", "EncryptionContext": context}),
    );
    assert_eq!(sealed["KeyId"], format!("arn:aws:kms:local-1:111122223333:key/{}", r.key));
    let blob = &sealed["CiphertextBlob"];
    let opened = r.world.admin(
        "Decrypt",
        &json!({"CiphertextBlob": blob, "EncryptionContext": {"b": "2", "a": "1"}}),
    );
    assert_eq!(opened["Plaintext"], "aGVsbG8=");
    assert_eq!(opened["KeyMaterialId"].as_str().unwrap().len(), 64);
    for other in [json!({}), json!({"a": "1"}), json!({"a": "1", "b": "3"})] {
        let body = json!({"CiphertextBlob": blob, "EncryptionContext": other});
        let error = r.world.ask("admin", "Decrypt", &body).unwrap_err();
        assert_eq!((error.name(), error.message()), ("InvalidCiphertextException", None));
    }
}

#[test]
fn another_key_than_the_blobs_is_incorrect_and_an_unknown_one_tells_nothing() {
    let r = ready();
    let other = r.world.key();
    let body = json!({"CiphertextBlob": r.blob, "KeyId": other});
    assert_eq!(error_name(r.world.ask("admin", "Decrypt", &body)), "IncorrectKeyException");
    let unknown = {
        let id = r.key.parse().unwrap();
        r.world.store.lock().keys.remove(&id);
        r.world.service.cache.clear();
        r.world.ask("admin", "Decrypt", &json!({"CiphertextBlob": r.blob})).unwrap_err()
    };
    let forbidden = ready();
    let body = json!({"CiphertextBlob": forbidden.blob});
    let forbidden = forbidden.world.ask("user1", "Decrypt", &body).unwrap_err();
    assert_eq!(unknown.name(), forbidden.name());
}

#[test]
fn re_encrypt_moves_to_another_key_and_context() {
    let r = ready();
    let to = r.world.key();
    let moved = r.world.admin(
        "ReEncrypt",
        &json!({"CiphertextBlob": r.blob, "DestinationKeyId": to,
                "DestinationEncryptionContext": {"x": "y"}}),
    );
    let body = json!({"CiphertextBlob": moved["CiphertextBlob"], "KeyId": to,
                      "EncryptionContext": {"x": "y"}});
    assert_eq!(r.world.admin("Decrypt", &body)["Plaintext"], "aGVsbG8=");
}

#[test]
fn data_keys_have_the_length_asked_for_and_open() {
    let r = ready();
    for (asked, length) in [
        (json!({"KeyId": r.key, "KeySpec": "AES_128"}), 24),
        (json!({"KeyId": r.key, "NumberOfBytes": 1024}), 1368),
    ] {
        let made = r.world.admin("GenerateDataKey", &asked);
        assert_eq!(made["Plaintext"].as_str().unwrap().len(), length);
        let opened = r.world.admin("Decrypt", &json!({"CiphertextBlob": made["CiphertextBlob"]}));
        assert_eq!(opened["Plaintext"], made["Plaintext"]);
    }
}

#[test]
fn dry_runs_check_everything_and_do_nothing() {
    let r = ready();
    let body = json!({"KeyId": r.key, "Plaintext": "aGVsbG8=", "DryRun": true});
    assert_eq!(error_name(r.world.ask("admin", "Encrypt", &body)), "DryRunOperationException");
    assert_eq!(error_name(r.world.ask("user1", "Encrypt", &body)), "AccessDeniedException");
}

#[test]
fn lists_come_in_pages_and_markers_cannot_be_made_up() {
    let world = World::new();
    let mut made: Vec<String> = (0..5).map(|_| world.key()).collect();
    made.sort();
    let mut seen = Vec::new();
    let mut body = json!({"Limit": 2});
    loop {
        let page = world.admin("ListKeys", &body);
        for key in page["Keys"].as_array().unwrap() {
            seen.push(key["KeyId"].as_str().unwrap().to_owned());
        }
        if page["Truncated"] == false {
            assert!(page.get("NextMarker").is_none());
            break;
        }
        body["Marker"] = page["NextMarker"].clone();
    }
    assert_eq!(seen, made);
    // A marker of one list is none of another.
    let marker = world.admin("ListKeys", &json!({"Limit": 2}))["NextMarker"].clone();
    let got = world.ask("admin", "ListAliases", &json!({"Marker": marker}));
    assert_eq!(error_name(got), "InvalidMarkerException");
}

#[test]
fn keys_are_named_by_id_arn_alias_and_alias_arn() {
    let r = ready();
    let arn = |rest: &str| format!("arn:aws:kms:local-1:111122223333:{rest}");
    for name in [r.key.clone(), arn(&format!("key/{}", r.key)), "alias/a".into(), arn("alias/a")] {
        let got = r.world.admin("DescribeKey", &json!({"KeyId": name}));
        assert_eq!(got["KeyMetadata"]["KeyId"], r.key);
    }
    for (name, exception) in [
        ("alias/none".to_owned(), "NotFoundException"),
        ("00000000-0000-4000-8000-000000000000".to_owned(), "NotFoundException"),
        ("arn:aws:kms:elsewhere:111122223333:alias/a".to_owned(), "NotFoundException"),
        ("arn:aws:s3:::bucket".to_owned(), "InvalidArnException"),
        (format!("arn:aws:kms:local-1:444455556666:key/{}", r.key), "NotFoundException"),
    ] {
        let got = r.world.ask("admin", "DescribeKey", &json!({"KeyId": name}));
        assert_eq!(error_name(got), exception, "{name}");
    }
    // Managing a key by an alias is refused.
    let got = r.world.ask("admin", "DisableKey", &json!({"KeyId": "alias/a"}));
    assert_eq!(error_name(got), "NotFoundException");
}

#[test]
fn a_policy_that_locks_its_author_out_is_refused_unless_bypassed() {
    let r = ready();
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/user1"},"Action":"kms:*","Resource":"*"}}"#;
    let mut body = json!({"KeyId": r.key, "Policy": policy});
    let error = r.world.ask("admin", "PutKeyPolicy", &body).unwrap_err();
    assert_eq!(error.name(), "MalformedPolicyDocumentException");
    assert!(error.to_string().contains("update the key policy in the future"));
    body["BypassPolicyLockoutSafetyCheck"] = true.into();
    r.world.admin("PutKeyPolicy", &body);
    assert_eq!(
        error_name(r.world.ask("admin", "DescribeKey", &json!({"KeyId": r.key}))),
        "AccessDeniedException"
    );
    r.world.ask("user1", "DisableKey", &json!({"KeyId": r.key})).unwrap();
    let shown = r.world.ask("user1", "GetKeyPolicy", &json!({"KeyId": r.key})).unwrap();
    assert_eq!(shown["Policy"], policy);
}

#[test]
fn a_deleted_key_is_gone_when_its_time_has_come_and_not_before() {
    let r = ready();
    let scheduled =
        r.world.admin("ScheduleKeyDeletion", &json!({"KeyId": r.key, "PendingWindowInDays": 7}));
    assert_eq!(scheduled["DeletionDate"], 1_800_000_000 + 7 * 86_400);
    r.world.clock.advance(7 * 86_400 - 1);
    assert_eq!(r.world.service.run_due().unwrap(), 0);
    r.world.admin("DescribeKey", &json!({"KeyId": r.key}));
    r.world.clock.advance(1);
    // Out of reach at once, and for good after the next round.
    let describe = || r.world.ask("admin", "DescribeKey", &json!({"KeyId": r.key}));
    assert_eq!(error_name(describe()), "NotFoundException");
    let cancel = r.world.ask("admin", "CancelKeyDeletion", &json!({"KeyId": r.key}));
    assert_eq!(error_name(cancel), "NotFoundException");
    assert_eq!(r.world.service.run_due().unwrap(), 1);
    assert_eq!(r.world.last_record()["eventName"], "DeleteKey");
    assert!(!r.world.store.lock().keys.contains_key(&r.key.parse().unwrap()));
    let aliases = r.world.admin("ListAliases", &json!({}));
    assert_eq!(aliases["Aliases"], json!([]));
}

#[test]
fn a_cancelled_deletion_leaves_the_key_disabled() {
    let r = ready();
    r.world.admin("ScheduleKeyDeletion", &json!({"KeyId": r.key}));
    r.world.admin("CancelKeyDeletion", &json!({"KeyId": r.key}));
    let got = r.world.admin("DescribeKey", &json!({"KeyId": r.key}));
    assert_eq!(got["KeyMetadata"]["KeyState"], "Disabled");
    assert!(got["KeyMetadata"].get("DeletionDate").is_none());
}
