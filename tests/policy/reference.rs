//! A naive evaluator, as literal as the rules: works on JSON, compares texts, compiles nothing.
//! It takes well-formed documents of what [`compare`] knows, for `agreement` and the fuzzer.

use kmsfs::kms::policy::Verdict;
use serde_json::{Map, Value};

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

/// What a case as of [`kmsfs::kms::policy::case`] comes to.
pub fn verdict(case: &Value) -> Verdict {
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
    // The root user has no policies of his own: what his account may, he may.
    let identity = caller.ends_with(":root") || in_identity.iter().any(|s| is(s, "Allow"));
    if by(2) && (own || identity) || by(1) && identity {
        Verdict::Allow
    } else {
        Verdict::ImplicitDeny
    }
}
