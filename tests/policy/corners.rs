//! Corner points of operators, values and variables, one line each: the condition of an Allow for
//! everybody, the request's context, and whether it allows.

use kmsfs::kms::policy::Verdict;
use kmsfs::kms::policy::case::Case;
use serde_json::{Value, json};

fn ask(effect: &str, version: &str, condition: &Value, context: &Value) -> Verdict {
    let case = json!({
        "id": "c",
        "request": {
            "principal": "arn:aws:iam::111122223333:user/user1",
            "action": "kms:Decrypt",
            "resource": "arn:aws:kms:r:111122223333:key/k",
            "context": context,
        },
        "key_policy": {"Version": version, "Statement": [
            {"Effect": effect, "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition},
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/other"},
             "Action": "*", "Resource": "*"},
        ]},
        "expected": "Allow",
    });
    Case::read(&case.to_string()).unwrap().decide().unwrap().verdict
}

#[test]
fn operators_take_values_as_documented() {
    let one = |operator: &str, wanted: Value, given: Value, allows: bool| {
        let condition = json!({ operator: { "x:y": wanted } });
        let context = if given.is_null() { json!({}) } else { json!({ "x:y": given }) };
        let expected = if allows { Verdict::Allow } else { Verdict::ImplicitDeny };
        let verdict = ask("Allow", "2012-10-17", &condition, &context);
        assert_eq!(verdict, expected, "{condition} on {context}");
    };
    for (operator, wanted, given, allows) in [
        ("ForAnyValue:StringEqualsIfExists", json!("a"), json!(null), true),
        ("ForAllValues:StringEqualsIfExists", json!("a"), json!(null), true),
        ("ForAnyValue:StringNotEquals", json!("a"), json!([]), false),
        ("ForAllValues:StringEquals", json!("a"), json!([]), true),
        ("foranyvalue:stringLIKE", json!("A*"), json!(["Abc"]), true),
        ("stringequals", json!("User1"), json!("user1"), false),
        ("StringEqualsIgnoreCase", json!("\u{c4}B"), json!("\u{e4}b"), true),
        ("StringEquals", json!("*"), json!("anything"), false),
        ("StringLike", json!(""), json!(""), true),
        ("StringNotEquals", json!(["a", "b"]), json!("b"), false),
        ("StringNotEquals", json!(["a", "b"]), json!("c"), true),
        ("Null", json!("true"), json!([]), true),
        ("Null", json!(false), json!(["x"]), true),
        ("Null", json!("True"), json!(null), true),
        ("Null", json!(["true", "false"]), json!("x"), true),
        ("NumericEquals", json!("30.0"), json!("30"), true),
        ("NumericEquals", json!("3e1"), json!("30"), true),
        ("NumericEquals", json!("+30"), json!("30"), true),
        ("NumericEquals", json!(30), json!("30"), true),
        ("NumericLessThan", json!("0"), json!("-1.5"), true),
        ("NumericNotEquals", json!(["1", "30"]), json!("30"), false),
        ("Bool", json!(true), json!("true"), true),
        ("Bool", json!("TRUE"), json!("true"), true),
        ("BinaryEquals", json!("QQ=="), json!("QQ=="), true),
        ("ArnLike", json!("arn:aws:iam::*:user/*"), json!("arn:aws:iam::1:user/a/b"), true),
        ("ArnLike", json!("arn:*:user/a"), json!("arn:aws:iam::1:user/a"), false),
        ("ArnEquals", json!("arn:aws:iam::?:user/?"), json!("arn:aws:iam::1:user/a"), true),
        ("ArnEquals", json!("arn:aws:iam::1:USER/a"), json!("arn:aws:iam::1:user/a"), false),
        ("ArnNotLike", json!("arn:aws:iam::*:user/*"), json!(null), true),
        ("ArnLike", json!("*"), json!("arn:aws:iam::1:user/a"), false),
        ("DateLessThan", json!("2030-01-01"), json!("2026-01-01T00:00:00Z"), true),
        ("DateGreaterThan", json!("2026-01-01T00:00:00.500Z"), json!("2026-01-01T00:00:01Z"), true),
        ("DateLessThan", json!("2030-01-01T00:00Z"), json!("2026-01-01T00:00:00Z"), true),
        ("DateEquals", json!("2026-01-01T01:00:00+01:00"), json!("2026-01-01T00:00:00Z"), true),
        ("DateEquals", json!(1_767_225_600), json!("2026-01-01T00:00:00Z"), true),
        ("IpAddress", json!("203.0.113.9/24"), json!("203.0.113.77"), true),
        ("IpAddress", json!("203.0.113.0/24"), json!("::ffff:203.0.113.9"), false),
        ("IpAddress", json!("2001:DB8::/32"), json!("2001:db8:0:0::1"), true),
        ("StringEquals", json!("${aws:username}"), json!("${aws:username}"), false),
        ("StringEquals", json!("${aws:username, 'anon'}"), json!("anon"), true),
        ("StringEquals", json!("a${aws:username, ''}"), json!("a"), true),
        ("StringEquals", json!("${X:Y}"), json!("self"), true),
        ("StringLike", json!("a${*}b"), json!("a*b"), true),
        ("StringLike", json!("a${*}b"), json!("aXb"), false),
        ("StringLike", json!("a${?}b"), json!("a?b"), true),
        ("StringEquals", json!("${$}{aws:username}"), json!("${aws:username}"), true),
    ] {
        one(operator, wanted, given, allows);
    }
}

#[test]
fn a_deny_applies_where_its_condition_holds_or_cannot_be_told() {
    for (condition, context, denies) in [
        (json!({"StringNotEquals": {"x:y": "a"}}), json!({}), true),
        (json!({"StringEqualsIfExists": {"x:y": "a"}}), json!({}), true),
        (json!({"StringEquals": {"x:y": "a"}}), json!({}), false),
        (json!({"NumericLessThan": {"x:y": "30"}}), json!({"x:y": "many"}), true),
        (json!({"IpAddress": {"x:y": "10.0.0.0/8"}}), json!({"x:y": "here"}), true),
        (
            json!({"StringEquals": {"x:y": "a"}, "Bool": {"x:z": "true"}}),
            json!({"x:y": "b", "x:z": "?"}),
            false,
        ),
        (
            json!({"StringEquals": {"x:y": "a"}, "StringNotEquals": {"x:z": "b"}}),
            json!({"x:y": "a", "x:z": "b"}),
            false,
        ),
    ] {
        let expected = if denies { Verdict::ExplicitDeny } else { Verdict::ImplicitDeny };
        assert_eq!(ask("Deny", "2012-10-17", &condition, &context), expected, "{condition}");
    }
}

#[test]
fn the_older_version_has_no_variables_and_no_escapes() {
    let condition = json!({"StringLike": {"x:y": "${*}"}});
    let asked = |given: &str| ask("Allow", "2008-10-17", &condition, &json!({ "x:y": given }));
    assert_eq!(asked("${anything}"), Verdict::Allow);
    assert_eq!(asked("*"), Verdict::ImplicitDeny);
}
