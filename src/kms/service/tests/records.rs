//! The audit records of the service, and what happens when they cannot be written. Users too.

use serde_json::json;

use super::{World, error_name};
use crate::kms::api::{IamReply, IamRequest};
use crate::kms::audit::verify::Verifier;
use crate::kms::store::Store as _;
use crate::secret::Secret;

#[test]
fn nothing_leaves_and_nothing_changes_without_a_record() {
    let world = World::new();
    let key = world.key();
    let sealed = world.admin("Encrypt", &json!({"KeyId": key, "Plaintext": "aGVsbG8="}));
    world.log.lock().broken = true;
    let internal = "KMSInternalException";
    let decrypt = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(error_name(world.ask("admin", "Decrypt", &decrypt)), internal);
    assert_eq!(error_name(world.ask("admin", "DisableKey", &json!({"KeyId": key}))), internal);
    assert_eq!(error_name(world.ask("admin", "CreateKey", &json!({}))), internal);
    assert!(world.service.managed_key().is_err());
    world.log.lock().broken = false;
    let shown = world.admin("DescribeKey", &json!({"KeyId": key}));
    assert_eq!(shown["KeyMetadata"]["KeyState"], "Enabled");
    assert_eq!(world.store.lock().keys.len(), 1);
}

#[test]
fn a_change_that_fails_after_its_record_is_recorded_as_failed() {
    let world = World::new();
    let key = world.key();
    world.store.lock().fail_commit = true;
    let got = world.ask("admin", "DisableKey", &json!({"KeyId": key}));
    assert_eq!(error_name(got), "KMSInternalException");
    assert_eq!(world.last_record()["errorCode"], "KMSInternalException");
    world.store.lock().fail_commit = false;
    let shown = world.admin("DescribeKey", &json!({"KeyId": key}));
    assert_eq!(shown["KeyMetadata"]["KeyState"], "Enabled");
}

#[test]
fn records_chain_and_hold_no_plaintext_or_ciphertext() {
    let world = World::new();
    let key = world.key();
    let body = json!({"KeyId": key, "Plaintext": "UExBTlRFRC1NQVJLRVI=",
                      "EncryptionContext": {"purpose": "test"}});
    let sealed = world.admin("Encrypt", &body);
    let opened = json!({"CiphertextBlob": sealed["CiphertextBlob"],
                        "EncryptionContext": {"purpose": "test"}});
    world.admin("Decrypt", &opened);
    let record = world.last_record();
    assert_eq!(record["requestParameters"]["encryptionContext"]["purpose"], "test");
    assert_eq!(record["resources"][0]["type"], "AWS::KMS::Key");
    let text = world.log.lock().text.clone();
    for secret in
        ["UExBTlRFRC1NQVJLRVI", "PLANTED-MARKER", sealed["CiphertextBlob"].as_str().unwrap()]
    {
        assert!(!text.contains(secret));
    }
    let tag_key = Secret::new([1; 32]);
    let mut verifier = Verifier::new(Some(&tag_key));
    text.lines().for_each(|line| verifier.line(line).unwrap());
    assert_eq!(verifier.state(), world.service.trail.position());
}

fn iam(world: &World, who: &str, request: IamRequest) -> Result<IamReply, &'static str> {
    world.service.handle_iam(&World::user(who), request).map_err(|error| error.name())
}

#[test]
fn access_keys_are_made_known_once_and_forgotten_when_deleted() {
    let world = World::new();
    let user = || "user1".to_owned();
    let made = iam(&world, "admin", IamRequest::CreateAccessKey { user: user() }).unwrap();
    let IamReply::AccessKeyCreated { access_key_id, secret_access_key } = made else { panic!() };
    assert!(access_key_id.starts_with("AKIA") && access_key_id.len() == 20);
    let known = world.service.access_key(&access_key_id).unwrap().unwrap();
    assert_eq!(known.principal.to_string(), "arn:aws:iam::111122223333:user/user1");
    assert_eq!(known.secret.expose(), secret_access_key.expose());
    assert_eq!(known.secret.expose().len(), 40);
    let secret = String::from_utf8(known.secret.expose().to_vec()).unwrap();
    assert!(!world.log.lock().text.contains(&secret));

    let second = iam(&world, "admin", IamRequest::CreateAccessKey { user: user() });
    assert!(second.is_ok());
    let third = iam(&world, "admin", IamRequest::CreateAccessKey { user: user() });
    assert_eq!(third.unwrap_err(), "LimitExceededException");
    let delete =
        || IamRequest::DeleteAccessKey { user: user(), access_key_id: access_key_id.clone() };
    iam(&world, "admin", delete()).unwrap();
    assert_eq!(iam(&world, "admin", delete()).unwrap_err(), "NoSuchEntityException");
    assert!(world.service.access_key(&access_key_id).unwrap().is_none());
    iam(&world, "admin", IamRequest::DeleteUser { user: user() }).unwrap();
    assert!(world.service.store.access_keys(&super::account(), "user1").unwrap().is_empty());
}

#[test]
fn a_user_policy_counts_at_once_and_only_where_the_key_policy_lets_it() {
    let world = World::new();
    let key = world.key();
    let describe = || world.ask("user1", "DescribeKey", &json!({"KeyId": key}));
    assert!(describe().is_err());
    let put = |document: &str| IamRequest::PutUserPolicy {
        user: "user1".into(),
        name: "p".into(),
        document: document.into(),
    };
    let allow = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"*"}}"#;
    assert_eq!(iam(&world, "user1", put(allow)).unwrap_err(), "AccessDeniedException");
    assert_eq!(iam(&world, "admin", put("{}")).unwrap_err(), "MalformedPolicyDocumentException");
    let seen = world.service.epoch();
    iam(&world, "admin", put(allow)).unwrap();
    assert_ne!(world.service.epoch(), seen);
    assert!(describe().is_ok());
    let managed = world.service.managed_key().unwrap().to_string();
    assert!(world.ask("user1", "DescribeKey", &json!({"KeyId": managed})).is_ok());
    let use_it = json!({"KeyId": managed, "KeySpec": "AES_256"});
    assert_eq!(error_name(world.ask("user1", "GenerateDataKey", &use_it)), "AccessDeniedException");
    let remove = IamRequest::DeleteUserPolicy { user: "user1".into(), name: "p".into() };
    iam(&world, "admin", remove).unwrap();
    assert!(describe().is_err());
}
