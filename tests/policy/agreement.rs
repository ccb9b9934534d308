//! Random documents and requests get the same verdict from the engine and from the reference.

use kmsfs::kms::policy::case::Case;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::reference::verdict;

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
