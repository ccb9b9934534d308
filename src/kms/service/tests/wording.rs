//! What AWS says, to the letter, where clients and recorded answers compare it; and quotas.

use super::*;
use crate::kms::limits::{Limits, Rates};

fn said(result: Result<Value, KmsError>) -> (&'static str, Option<String>) {
    let error = result.expect_err("it was allowed");
    (error.name(), error.message())
}

#[test]
fn a_complaint_lists_the_values_that_the_real_one_lists() {
    let world = World::new();
    let specs = "[RSA_2048, ECC_NIST_P384, ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, \
                 ECC_SECG_P256K1, RSA_4096, SYMMETRIC_DEFAULT, HMAC_256, HMAC_224, HMAC_512]";
    let macs = "[HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]";
    for (action, body, member, set) in [
        ("CreateKey", json!({"KeySpec": "x"}), "keySpec", specs),
        (
            "CreateKey",
            json!({"KeySpec": "HMAC_256", "KeyUsage": "x"}),
            "keyUsage",
            "[ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC]",
        ),
        (
            "GenerateMac",
            json!({"KeyId": "k", "Message": "bQ==", "MacAlgorithm": "x"}),
            "macAlgorithm",
            macs,
        ),
    ] {
        let (name, message) = said(world.ask("admin", action, &body));
        assert_eq!(name, "ValidationException");
        let expected = format!(
            "1 validation error detected: Value 'x' at '{member}' failed to satisfy constraint: \
             Member must satisfy enum value set: {set}"
        );
        assert_eq!(message.unwrap(), expected);
    }
    // The newer ones are not listed, and taken.
    let agreed = json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"});
    world.admin("CreateKey", &agreed);
}

#[test]
fn a_value_that_is_too_long_is_repeated_as_it_was() {
    let world = World::new();
    let long = "k".repeat(129);
    let body = json!({"Tags": [{"TagKey": long, "TagValue": ""}]});
    let (_, message) = said(world.ask("admin", "CreateKey", &body));
    assert!(message.unwrap().contains(&format!("Value '{long}' at 'tags.1.member.tagKey'")));
    let huge = json!({"Description": "d".repeat(100_000)});
    let (_, message) = said(world.ask("admin", "CreateKey", &huge));
    assert!(message.unwrap().len() < 2000, "but not without bounds");
}

#[test]
fn an_alias_without_its_prefix_is_told_where_to_read() {
    let world = World::new();
    let body = json!({"AliasName": "bare", "TargetKeyId": world.key()});
    assert_eq!(
        said(world.ask("admin", "CreateAlias", &body)),
        (
            "ValidationException",
            Some(
                "Alias must start with the prefix \"alias/\". Please see \
                 https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                    .into()
            )
        )
    );
}

#[test]
fn a_public_key_that_is_none_is_refused_without_words() {
    let world = World::new();
    let made =
        world.admin("CreateKey", &json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}));
    let body = json!({"KeyId": made["KeyMetadata"]["KeyId"], "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": "bm8ga2V5"});
    assert_eq!(
        said(world.ask("admin", "DeriveSharedSecret", &body)),
        ("ValidationException", None)
    );
}

#[test]
fn rotations_on_demand_end_at_their_number() {
    let world = World::with_limits(Limits { rotations: 2, ..Limits::default() });
    let key = world.key();
    let body = json!({"KeyId": key});
    world.admin("RotateKeyOnDemand", &body);
    world.admin("RotateKeyOnDemand", &body);
    let (name, message) = said(world.ask("admin", "RotateKeyOnDemand", &body));
    assert_eq!(name, "LimitExceededException");
    let arn = format!("arn:aws:kms:local-1:111122223333:key/{key}");
    assert_eq!(
        message.unwrap(),
        format!(
            "The on-demand rotations limit has been reached for the given keyId. \
             No more on-demand rotations can be performed for this key: {arn}"
        )
    );
}

#[test]
fn quotas_are_those_that_are_set() {
    let limits = Limits { keys: 2, aliases: 1, grants: 1, ..Limits::default() };
    let world = World::with_limits(limits);
    let (one, _two) = (world.key(), world.key());
    let exceeded = "LimitExceededException";
    assert_eq!(error_name(world.ask("admin", "CreateKey", &json!({}))), exceeded);
    world.admin("CreateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": one}));
    let more = json!({"AliasName": "alias/b", "TargetKeyId": one});
    assert_eq!(error_name(world.ask("admin", "CreateAlias", &more)), exceeded);
    let grant = json!({"KeyId": one, "Operations": ["Decrypt"],
        "GranteePrincipal": "arn:aws:iam::111122223333:user/u"});
    world.admin("CreateGrant", &grant);
    assert_eq!(error_name(world.ask("admin", "CreateGrant", &grant)), exceeded);
}

#[test]
fn an_account_that_asks_too_often_is_held_up_alone() {
    let rates = Rates { cryptographic: Some(3), management: Some(2) };
    let world = World::with_limits(Limits { rates, ..Limits::default() });
    let key = world.key();
    let seal = json!({"KeyId": key, "Plaintext": "eA=="});
    for _ in 0..3 {
        world.admin("Encrypt", &seal);
    }
    let (name, message) = said(world.ask("admin", "Encrypt", &seal));
    assert_eq!((name, message.as_deref()), ("ThrottlingException", Some("Rate exceeded")));
    assert_eq!(world.last_record()["errorCode"], "ThrottlingException");
    // Its other requests go on, and so do those of others.
    world.admin("DescribeKey", &json!({"KeyId": key}));
    let other = CallerContext::direct(
        Principal::Root { account: "444455556666".parse().unwrap() },
        Source::Internal,
    );
    world.ask_as(&other, "GenerateRandom", &json!({"NumberOfBytes": 1})).unwrap();
    assert_eq!(error_name(world.ask("admin", "ListKeys", &json!({}))), "ThrottlingException");
    world.clock.advance(1);
    world.admin("Encrypt", &seal);
    world.admin("ListKeys", &json!({}));
}

#[test]
fn what_names_a_cluster_looks_like_one() {
    let world = World::new();
    let body = |cluster: &str, password: &str| {
        json!({"CustomKeyStoreName": "s", "CloudHsmClusterId": cluster,
            "TrustAnchorCertificate": "PEM", "KeyStorePassword": password})
    };
    let good = "cluster-2a23b4cdefg";
    let asked = world.ask("admin", "CreateCustomKeyStore", &body(good, "password"));
    assert_eq!(error_name(asked), "CloudHsmClusterNotFoundException");
    for bad in
        ["cluster-", "kluster-2a23b4cdefg", "cluster-8a23b4cdefg", "cluster-2a23b4cdef\u{e9}"]
    {
        let asked = world.ask("admin", "CreateCustomKeyStore", &body(bad, "password"));
        assert_eq!(error_name(asked), "ValidationException", "{bad}");
    }
    for bad in ["short", &"long".repeat(9)] {
        let (name, message) = said(world.ask("admin", "CreateCustomKeyStore", &body(good, bad)));
        assert_eq!(name, "ValidationException");
        assert!(!message.unwrap().contains(bad), "the password is not repeated");
    }
    let update = json!({"CustomKeyStoreId": "cks-1234567890abcdef0", "NewCustomKeyStoreName": ""});
    assert_eq!(
        error_name(world.ask("admin", "UpdateCustomKeyStore", &update)),
        "ValidationException"
    );
}

#[test]
fn an_alias_stays_with_keys_of_its_kind_and_points_at_no_alias() {
    let world = World::new();
    let make = |body| world.admin("CreateKey", &body)["KeyMetadata"]["KeyId"].clone();
    let rsa = |spec: &str| make(json!({"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"}));
    let first = rsa("RSA_2048");
    world.admin("CreateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": first}));
    let point = |key| {
        world.ask("admin", "UpdateAlias", &json!({"AliasName": "alias/a", "TargetKeyId": key}))
    };
    point(rsa("RSA_4096")).unwrap();
    point(make(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}))).unwrap();
    for other in [
        json!({}),
        json!({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}),
        json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
    ] {
        assert_eq!(error_name(point(make(other))), "ValidationException");
    }
    for target in ["alias/a", "arn:aws:kms:local-1:111122223333:alias/a"] {
        let body = json!({"AliasName": "alias/b", "TargetKeyId": target});
        let (name, message) = said(world.ask("admin", "CreateAlias", &body));
        assert_eq!(name, "ValidationException");
        assert_eq!(message.unwrap(), "Aliases must refer to keys. Not aliases");
    }
}
