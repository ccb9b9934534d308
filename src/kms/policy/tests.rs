//! Points of the policy language that are easily got wrong.

use super::{Context, Policy, Query, Verdict, evaluate, identity_policy, key_policy};
use crate::kms::caller::Principal;
use crate::kms::error::{PolicyFault, PolicyMistake};
use crate::kms::id::AccountId;

const KEY: &str = "arn:aws:kms:local-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn ours() -> AccountId {
    "111122223333".parse().unwrap()
}

fn decide(principal: &Principal, context: &Context, key: &str, identity: &[&str]) -> Verdict {
    let key = key_policy(key).unwrap();
    let identity: Vec<Policy> =
        identity.iter().map(|text| identity_policy(text).unwrap()).collect();
    let identity: Vec<&Policy> = identity.iter().collect();
    let owner = ours();
    let query = Query { principal, action: "kms:Decrypt", resource: KEY, owner: &owner, context };
    evaluate(&query, Some(&key), &identity).verdict
}

fn user() -> Principal {
    Principal::user(&ours(), "user1")
}

fn statement(body: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{{{body}}}}}"#)
}

const ALLOW: &str = r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;

#[test]
fn identity_policies_count_only_where_the_account_is_trusted() {
    let none = Context::new();
    let trust = statement(
        r#""Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*""#,
    );
    let other = statement(
        r#""Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"kms:*","Resource":"*""#,
    );
    assert_eq!(decide(&user(), &none, &trust, &[ALLOW]), Verdict::Allow);
    assert_eq!(decide(&user(), &none, &trust, &[]), Verdict::ImplicitDeny);
    assert_eq!(decide(&user(), &none, &other, &[ALLOW]), Verdict::ImplicitDeny);
    let root = Principal::Root { account: ours() };
    assert_eq!(decide(&root, &none, &trust, &[]), Verdict::Allow);
    assert_eq!(decide(&root, &none, &other, &[]), Verdict::ImplicitDeny);
    let stranger = Principal::user(&"444455556666".parse().unwrap(), "x");
    assert_eq!(decide(&stranger, &none, &other, &[]), Verdict::ImplicitDeny);
    assert_eq!(decide(&stranger, &none, &other, &[ALLOW]), Verdict::Allow);
}

#[test]
fn a_key_policy_statement_without_resource_has_no_effect() {
    let none = Context::new();
    let allow = statement(r#""Effect":"Allow","Principal":"*","Action":"kms:*""#);
    assert_eq!(decide(&user(), &none, &allow, &[]), Verdict::ImplicitDeny);
}

#[test]
fn a_deny_that_cannot_be_evaluated_denies_and_such_an_allow_does_not_allow() {
    let mut context = Context::new();
    context.one("aws:EpochTime", "not a number");
    let on_time =
        r#""Action":"*","Resource":"*","Condition":{"NumericLessThan":{"aws:EpochTime":"5"}}"#;
    let allow = statement(&format!(r#""Effect":"Allow","Principal":"*",{on_time}"#));
    assert_eq!(decide(&user(), &context, &allow, &[]), Verdict::ImplicitDeny);
    let deny = format!(r#"{{"Statement":{{"Effect":"Deny",{on_time}}}}}"#);
    let open = statement(r#""Effect":"Allow","Principal":"*","Action":"*","Resource":"*""#);
    assert_eq!(decide(&user(), &context, &open, &[&deny]), Verdict::ExplicitDeny);
}

#[test]
fn everybody_in_an_allow_is_no_service_but_in_a_deny_it_is() {
    let none = Context::new();
    let service = Principal::filesystem();
    let allow = statement(r#""Effect":"Allow","Principal":"*","Action":"*","Resource":"*""#);
    assert_eq!(decide(&service, &none, &allow, &[]), Verdict::ImplicitDeny);
    let deny = statement(r#""Effect":"Deny","Principal":"*","Action":"*","Resource":"*""#);
    assert_eq!(decide(&service, &none, &deny, &[]), Verdict::ExplicitDeny);
}

#[test]
fn variables_need_the_newer_version() {
    let mut context = Context::new();
    context.one("aws:username", "user1");
    context.one("kms:EncryptionContext:owner", "user1");
    let body = r#""Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:Owner":"${aws:username}"}}}"#;
    let newer = format!(r#"{{"Version":"2012-10-17",{body}}}"#);
    assert_eq!(decide(&user(), &context, &newer, &[]), Verdict::Allow);
    let older = format!(r#"{{"Version":"2008-10-17",{body}}}"#);
    assert_eq!(decide(&user(), &context, &older, &[]), Verdict::ImplicitDeny);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let good = r#""Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*""#;
    assert!(key_policy(&statement(good)).is_ok());
    for (text, place, what) in [
        ("".to_owned(), "document", PolicyMistake::Json),
        ("{\"a\": \u{2603}}".to_owned(), "document", PolicyMistake::Character),
        (format!("{}1{}", "[".repeat(100), "]".repeat(100)), "document", PolicyMistake::Json),
        ("{}".to_owned(), "Statement", PolicyMistake::Missing),
        (r#"{"Statement":[]}"#.to_owned(), "Statement", PolicyMistake::Empty),
        (r#"{"Version":"2013","Statement":{}}"#.to_owned(), "Version", PolicyMistake::Version),
        (statement(&good.replace("Allow", "allow")), "Statement[0].Effect", PolicyMistake::Effect),
        (
            statement(&format!(r#"{good},"Effect":"Deny""#)),
            "Statement[0].Effect",
            PolicyMistake::Duplicate,
        ),
        (
            statement(&format!(r#"{good},"Extra":1"#)),
            "Statement[0].Extra",
            PolicyMistake::UnknownMember,
        ),
        (
            statement(&format!(r#"{good},"NotAction":"*""#)),
            "Statement[0].NotAction",
            PolicyMistake::Exclusive,
        ),
        (
            statement(&good.replace("kms:*", "decrypt")),
            "Statement[0].Action",
            PolicyMistake::Action,
        ),
        (
            statement(&good.replace(r#""Resource":"*""#, r#""Resource":"key""#)),
            "Statement[0].Resource",
            PolicyMistake::Resource,
        ),
        (
            statement(r#""Effect":"Allow","Action":"*","Resource":"*""#),
            "Statement[0].Principal",
            PolicyMistake::Missing,
        ),
        (
            statement(&good.replace(r#""Principal":"*""#, r#""Principal":{"AWS":"user1"}"#)),
            "Statement[0].Principal.AWS",
            PolicyMistake::Principal,
        ),
        (
            statement(&format!(r#"{good},"Condition":{{"StringIs":{{"a":"b"}}}}"#)),
            "Statement[0].Condition.StringIs.a",
            PolicyMistake::Operator,
        ),
        (
            statement(&format!(r#"{good},"Condition":{{"Bool":{{"a:b":"yes"}}}}"#)),
            "Statement[0].Condition.Bool.a:b",
            PolicyMistake::ConditionValue,
        ),
    ] {
        let fault = PolicyFault::At { place: place.to_owned(), what };
        assert_eq!(key_policy(&text).err(), Some(fault), "{text}");
    }
    let fault = identity_policy(&statement(good)).unwrap_err();
    assert!(matches!(fault, PolicyFault::At { what: PolicyMistake::NotInIdentityPolicy, .. }));
}
