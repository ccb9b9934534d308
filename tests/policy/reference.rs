//! A naive evaluator, as literal as the rules: works on JSON, compares texts, compiles nothing.
//! Random documents and requests must get the same verdict from it and from the engine.

use kmsfs::kms::policy::Verdict;
use kmsfs::kms::policy::case::Case;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
}

/// `*` and `?`, by trying everything.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            like(&pattern[1..], text) || (!text.is_empty() && like(pattern, &text[1..]))
        }
        (Some(b'?'), Some(_)) => like(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) if p == t => like(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn part(statement: &Value, name: &str, test: impl Fn(&str) -> bool) -> bool {
    match (statement.get(name), statement.get(format!("Not{name}"))) {
        (Some(some), _) => texts(some).iter().any(|t| test(t)),
        (_, Some(none)) => !texts(none).iter().any(|t| test(t)),
        _ => false,
    }
}

fn compare(operator: &str, given: &str, wanted: &str) -> bool {
    let number = |t: &str| t.parse::<f64>().unwrap();
    match operator {
        "StringEquals" | "StringNotEquals" => given == wanted,
        "StringEqualsIgnoreCase" => given.eq_ignore_ascii_case(wanted),
        "StringLike" | "StringNotLike" => like(wanted.as_bytes(), given.as_bytes()),
        "NumericLessThan" => number(given) < number(wanted),
        "Bool" => given.eq_ignore_ascii_case(wanted),
        other => panic!("{other}"),
    }
}

fn condition(operator: &str, key: &str, wanted: &Value, context: &Map<String, Value>) -> bool {
    let found = context.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| texts(v));
    let found = found.filter(|values| !values.is_empty());
    let (set, operator) = operator.split_once(':').unwrap_or(("", operator));
    if operator == "Null" {
        return texts(wanted).iter().any(|w| (w == "true") == found.is_none());
    }
    let exists = operator.strip_suffix("IfExists");
    let operator = exists.unwrap_or(operator);
    let negated = operator.contains("Not");
    let Some(found) = found else {
        return match set {
            "ForAllValues" => true,
            "ForAnyValue" => exists.is_some(),
            _ => negated || exists.is_some(),
        };
    };
    let one = |given: &String| texts(wanted).iter().any(|w| compare(operator, given, w)) != negated;
    match set {
        "ForAllValues" => found.iter().all(one),
        "ForAnyValue" => found.iter().any(one),
        _ if negated => found.iter().all(one),
        _ => found.iter().any(one),
    }
}

fn applies(statement: &Value, request: &Value) -> bool {
    let text = |name: &str| request[name].as_str().unwrap();
    let action = text("action").to_lowercase();
    part(statement, "Action", |p| like(p.to_lowercase().as_bytes(), action.as_bytes()))
        && part(statement, "Resource", |p| like(p.as_bytes(), text("resource").as_bytes()))
        && statement["Condition"].as_object().is_none_or(|operators| {
            operators.iter().all(|(operator, keys)| {
                let context = request["context"].as_object().unwrap();
                let keys = keys.as_object().unwrap();
                keys.iter().all(|(key, wanted)| condition(operator, key, wanted, context))
            })
        })
}

/// 0: not named; 1: by account; 2: himself.
fn named(principal: &Value, caller: &str) -> u8 {
    let account = caller.split(':').nth(4).unwrap();
    let rank = |entry: &str| match entry {
        "*" => 2,
        e if e == caller => 2,
        e if e == account || e == format!("arn:aws:iam::{account}:root") => 1,
        _ => 0,
    };
    let all = if principal.is_string() { texts(principal) } else { texts(&principal["AWS"]) };
    all.iter().map(|entry| rank(entry)).max().unwrap_or(0)
}

fn verdict(case: &Value) -> Verdict {
    let request = &case["request"];
    let caller = request["principal"].as_str().unwrap();
    let in_key = list(&case["key_policy"]["Statement"]);
    let in_identity: Vec<Value> =
        list(&case["identity_policies"]).iter().flat_map(|p| list(&p["Statement"])).collect();
    let is = |s: &Value, effect: &str| s["Effect"] == effect && applies(s, request);
    if in_key.iter().any(|s| is(s, "Deny") && named(&s["Principal"], caller) > 0)
        || in_identity.iter().any(|s| is(s, "Deny"))
    {
        return Verdict::ExplicitDeny;
    }
    let by = |rank| in_key.iter().any(|s| is(s, "Allow") && named(&s["Principal"], caller) == rank);
    let own = caller.split(':').nth(4) == request["resource"].as_str().unwrap().split(':').nth(4);
    let identity = in_identity.iter().any(|s| is(s, "Allow"));
    if by(2) && (own || identity) || by(1) && identity {
        Verdict::Allow
    } else {
        Verdict::ImplicitDeny
    }
}

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(from).prop_map(str::to_owned)
}

const KEYS: &[&str] = &["kms:ViaService", "aws:TagKeys", "KMS:VIASERVICE", "aws:PrincipalTag/a"];
const VALUES: &[&str] = &["a", "ab", "A", "b*", "*", "?b", "true", "false", "1", "20"];

fn conditions() -> impl Strategy<Value = Value> {
    let texts = pick(&[
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
        "StringEqualsIfExists",
        "StringNotLikeIfExists",
        "ForAnyValue:StringLike",
        "ForAllValues:StringEquals",
        "ForAnyValue:StringNotEquals",
        "ForAllValues:StringNotLike",
    ]);
    let text = (texts, pick(KEYS), prop::collection::vec(pick(VALUES), 1..3))
        .prop_map(|(operator, key, values)| json!({ operator: { key: values } }));
    let null = (pick(KEYS), any::<bool>()).prop_map(|(key, is)| json!({ "Null": { key: is } }));
    prop_oneof![6 => text, 1 => null, 3 => Just(Value::Null)]
}

fn statement(with_principal: bool) -> impl Strategy<Value = Value> {
    let who = prop::collection::vec(
        pick(&[
            "*",
            "111122223333",
            "arn:aws:iam::444455556666:root",
            "arn:aws:iam::111122223333:user/a",
        ]),
        1..3,
    );
    let action = pick(&["kms:*", "kms:Decrypt", "KMS:de*", "kms:Encrypt", "*", "kms:?ecrypt"]);
    let resource =
        pick(&["*", "arn:aws:kms:r:111122223333:key/k", "arn:*:key/?", "arn:aws:kms:r:*:x"]);
    let shape = (any::<bool>(), any::<bool>(), any::<bool>());
    (who, action, resource, conditions(), shape).prop_map(
        move |(who, action, resource, condition, (deny, not_action, not_resource))| {
            let mut s = Map::new();
            s.insert("Effect".into(), if deny { "Deny" } else { "Allow" }.into());
            s.insert(if not_action { "NotAction" } else { "Action" }.into(), action.into());
            s.insert(if not_resource { "NotResource" } else { "Resource" }.into(), resource.into());
            if with_principal {
                s.insert("Principal".into(), json!({ "AWS": who }));
            }
            if !condition.is_null() {
                s.insert("Condition".into(), condition);
            }
            Value::Object(s)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..Default::default() })]

    #[test]
    fn the_engine_and_the_reference_agree(
        in_key in prop::collection::vec(statement(true), 1..4),
        in_identity in prop::collection::vec(statement(false), 0..3),
        caller in pick(&["arn:aws:iam::111122223333:user/a", "arn:aws:iam::444455556666:user/a"]),
        via in prop::option::of(pick(VALUES)),
        tags in prop::option::of(prop::collection::vec(pick(VALUES), 0..3)),
    ) {
        let mut context = Map::new();
        context.extend(via.map(|v| ("kms:ViaService".to_owned(), v.into())));
        context.extend(tags.map(|v| ("aws:TagKeys".to_owned(), v.into())));
        let document = |statements: &[Value]| json!({"Version": "2012-10-17", "Statement": statements});
        let case = json!({
            "id": "p",
            "request": {
                "principal": caller,
                "action": "kms:Decrypt",
                "resource": "arn:aws:kms:r:111122223333:key/k",
                "context": context,
            },
            "key_policy": document(&in_key),
            "identity_policies": in_identity.iter().map(|s| document(std::slice::from_ref(s))).collect::<Vec<_>>(),
            "expected": "Allow",
        });
        let engine = Case::read(&case.to_string()).unwrap().decide().unwrap().verdict;
        prop_assert_eq!(engine, verdict(&case), "{}", case);
    }
}
