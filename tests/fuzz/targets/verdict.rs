//! The engine and a naive evaluator that shares no code with it, on cases made of the fuzzer's choices.
#![no_main]

#[path = "../../policy/reference.rs"]
mod reference;

use kmsfs::kms::policy::case::Case;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

const CALLERS: &[&str] = &[
    "arn:aws:iam::111122223333:user/a",
    "arn:aws:iam::444455556666:user/a",
    "arn:aws:iam::111122223333:root",
];
const WHO: &[&str] = &[
    "*",
    "111122223333",
    "444455556666",
    "arn:aws:iam::444455556666:root",
    "arn:aws:iam::111122223333:user/a",
    "arn:aws:iam::111122223333:user/b",
];
const ACTIONS: &[&str] =
    &["kms:*", "kms:Decrypt", "KMS:de*", "kms:Encrypt", "*", "kms:?ecrypt", "kms:DescribeKey"];
const RESOURCES: &[&str] = &[
    "*",
    "arn:aws:kms:r:111122223333:key/k",
    "arn:*:key/?",
    "arn:aws:kms:r:*:x",
    "arn:aws:kms:*:key/*",
];
const KEYS: &[&str] =
    &["kms:ViaService", "aws:TagKeys", "KMS:VIASERVICE", "aws:PrincipalTag/a", "kms:CallerAccount"];
const VALUES: &[&str] = &["a", "ab", "A", "b*", "*", "?b", "true", "false", "1", "20", "", "a*b?c"];
const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "StringEqualsIfExists",
    "StringNotLikeIfExists",
    "ForAnyValue:StringLike",
    "ForAnyValue:StringNotLike",
    "ForAllValues:StringEquals",
    "ForAnyValue:StringNotEquals",
    "ForAllValues:StringNotLike",
    "ForAllValues:StringLikeIfExists",
    "Null",
];

fn some(u: &mut Unstructured<'_>, from: &[&str], least: usize, most: usize) -> Result<Vec<String>> {
    let count = u.int_in_range(least..=most)?;
    (0..count).map(|_| Ok((*u.choose(from)?).to_owned())).collect()
}

fn statement(u: &mut Unstructured<'_>, of_key: bool) -> Result<Value> {
    let mut s = Map::new();
    s.insert("Effect".into(), (*u.choose(&["Allow", "Deny"])?).into());
    s.insert((*u.choose(&["Action", "NotAction"])?).into(), some(u, ACTIONS, 1, 3)?.into());
    s.insert((*u.choose(&["Resource", "NotResource"])?).into(), some(u, RESOURCES, 1, 2)?.into());
    if of_key {
        s.insert("Principal".into(), json!({ "AWS": some(u, WHO, 1, 3)? }));
    }
    let mut operators = Map::new();
    for _ in 0..u.int_in_range(0..=2)? {
        let operator = *u.choose(OPERATORS)?;
        let mut keys = Map::new();
        for _ in 0..u.int_in_range(1..=2)? {
            let values = if operator == "Null" {
                some(u, &["true", "false"], 1, 1)?
            } else {
                some(u, VALUES, 1, 3)?
            };
            keys.insert((*u.choose(KEYS)?).into(), values.into());
        }
        operators.insert(operator.into(), keys.into());
    }
    if !operators.is_empty() {
        s.insert("Condition".into(), operators.into());
    }
    Ok(s.into())
}

fn case(u: &mut Unstructured<'_>) -> Result<Value> {
    let document =
        |statements: Vec<Value>| json!({"Version": "2012-10-17", "Statement": statements});
    let mut in_key = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        in_key.push(statement(u, true)?);
    }
    let mut identity = Vec::new();
    for _ in 0..u.int_in_range(0..=2)? {
        identity.push(document(vec![statement(u, false)?]));
    }
    let mut context = Map::new();
    if u.arbitrary()? {
        context.insert("kms:ViaService".into(), (*u.choose(VALUES)?).into());
    }
    if u.arbitrary()? {
        context.insert("aws:TagKeys".into(), some(u, VALUES, 0, 3)?.into());
    }
    Ok(json!({
        "id": "f",
        "request": {
            "principal": u.choose(CALLERS)?,
            "action": "kms:Decrypt",
            "resource": "arn:aws:kms:r:111122223333:key/k",
            "context": context,
        },
        "key_policy": document(in_key),
        "identity_policies": identity,
        "expected": "Allow",
    }))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(case) = case(&mut Unstructured::new(bytes)) else { return };
    // Some of these the compiler refuses, for their set operator on a key with one value.
    let Ok(engine) = Case::read(&case.to_string()).expect("a case").decide() else { return };
    assert_eq!(engine.verdict, reference::verdict(&case), "{case}");
});
