//! Points on which evaluators disagree, each as AWS documents it. The page is cited by its title
//! in the IAM User Guide or the KMS Developer Guide.

use kmsfs::kms::policy::Verdict;
use kmsfs::kms::policy::case::{Case, CaseError};
use serde_json::{Value, json};

const KEY: &str = "arn:aws:kms:r:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const USER: &str = "arn:aws:iam::111122223333:user/user1";

fn ask(caller: &str, key_policy: Value, identity: &[Value], context: Value) -> Verdict {
    let case = json!({
        "id": "d",
        "request": {"principal": caller, "action": "kms:Decrypt", "resource": KEY, "context": context},
        "key_policy": key_policy,
        "identity_policies": identity,
        "expected": "Allow",
    });
    Case::read(&case.to_string()).unwrap().decide().unwrap().verdict
}

fn document(statements: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The verdict on an Allow for everybody with this condition.
fn under(condition: Value, context: Value) -> Verdict {
    let allow = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition});
    ask(USER, document(allow), &[], context)
}

const NO: Verdict = Verdict::ImplicitDeny;
const YES: Verdict = Verdict::Allow;

/// "Key policies in AWS KMS", Resource: accepted without, and without effect.
#[test]
fn a_key_policy_statement_without_resource_is_accepted_and_does_nothing() {
    let bare = |effect: &str| json!({"Effect": effect, "Principal": "*", "Action": "*"});
    assert_eq!(ask(USER, document(bare("Allow")), &[], json!({})), NO);
    let open = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"});
    assert_eq!(ask(USER, document(json!([bare("Deny"), open])), &[], json!({})), YES);
}

/// "IAM policy elements: Variables and tags": under Version 2012-10-17 only; before, `${` is text.
#[test]
fn variables_are_text_in_the_older_version() {
    let policy = |version: &str| {
        let condition = json!({"StringEquals": {"aws:PrincipalTag/t": "${aws:username}"}});
        json!({"Version": version, "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition}})
    };
    let context = |tag: &str| json!({"aws:username": "user1", "aws:PrincipalTag/t": tag});
    assert_eq!(ask(USER, policy("2012-10-17"), &[], context("user1")), YES);
    assert_eq!(ask(USER, policy("2008-10-17"), &[], context("user1")), NO);
    assert_eq!(ask(USER, policy("2008-10-17"), &[], context("${aws:username}")), YES);
}

/// "IAM JSON policy elements: Condition operators", IP address conditions.
#[test]
fn address_families_do_not_match_each_other() {
    let ip = |network: &str, given: &str| {
        under(json!({"IpAddress": {"aws:SourceIp": network}}), json!({"aws:SourceIp": given}))
    };
    assert_eq!(ip("0.0.0.0/0", "203.0.113.7"), YES);
    assert_eq!(ip("0.0.0.0/0", "2001:db8::1"), NO);
    assert_eq!(ip("::/0", "2001:db8::1"), YES);
    assert_eq!(ip("::/0", "203.0.113.7"), NO);
    let not = json!({"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}});
    assert_eq!(under(not, json!({"aws:SourceIp": "2001:db8::1"})), YES);
}

/// The same page, date conditions: ISO 8601 or seconds since 1970, on either side.
#[test]
fn dates_compare_across_their_two_spellings() {
    for wanted in ["2026-05-01T00:00:01Z", "1777593601"] {
        for given in ["2026-05-01T00:00:00Z", "1777593600"] {
            let condition = json!({"DateLessThan": {"aws:CurrentTime": wanted}});
            assert_eq!(
                under(condition, json!({"aws:CurrentTime": given})),
                YES,
                "{given} {wanted}"
            );
        }
    }
}

/// "Single-valued vs. multivalued context keys": the negation is inside the quantifier.
#[test]
fn any_value_with_a_negated_operator_asks_for_one_that_differs() {
    let keys = |values: &[&str]| {
        let condition = json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}});
        under(condition, json!({"aws:TagKeys": values}))
    };
    assert_eq!(keys(&["a", "c"]), YES);
    assert_eq!(keys(&["a", "b"]), NO);
    assert_eq!(keys(&[]), NO);
}

/// "AWS JSON policy elements: NotPrincipal", with Deny: name the user and his account.
#[test]
fn not_principal_in_a_deny_spares_whom_it_names_and_not_their_account() {
    let root = "arn:aws:iam::111122223333:root";
    let policy = |names: Value| {
        document(json!([
            {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "NotPrincipal": {"AWS": names}, "Action": "*", "Resource": "*"},
        ]))
    };
    let other = "arn:aws:iam::111122223333:user/user2";
    assert_eq!(ask(USER, policy(json!([USER, root])), &[], json!({})), YES);
    assert_eq!(ask(other, policy(json!([USER, root])), &[], json!({})), Verdict::ExplicitDeny);
    assert_eq!(ask(other, policy(json!([root])), &[], json!({})), Verdict::ExplicitDeny);
    assert_eq!(ask(root, policy(json!([root])), &[], json!({})), YES);
}

/// "Condition keys for AWS KMS": ForAllValues on a single-valued key is refused when it is put.
#[test]
fn an_over_permissive_set_operator_is_refused() {
    let condition = json!({"ForAllValues:StringEquals": {"kms:EncryptionContext:a": "x"}});
    let allow = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition});
    let case = json!({"id": "d", "request": {"principal": USER, "action": "kms:Decrypt", "resource": KEY},
        "key_policy": document(allow), "expected": "Allow"});
    let got = Case::read(&case.to_string()).unwrap().decide();
    assert!(matches!(got, Err(CaseError::KeyPolicy(_))));
}
