//! Policy documents as hostile as JSON lets them be, compiled, and asked about hostile requests.
#![no_main]

use kmsfs::kms::policy::case::Case;
use kmsfs::kms::policy::{identity_policy, key_policy};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A whole test case, or the parts of one on lines of their own.
    if let Ok(case) = Case::read(text) {
        let _ = case.decide();
    }
    let mut lines = text.lines();
    let document = lines.next().unwrap_or_default();
    let (as_key, as_identity) = (key_policy(document), identity_policy(document));
    if as_key.is_err() && as_identity.is_err() {
        return;
    }
    let document: Value = serde_json::from_str(document).expect("what compiles is JSON");
    let context: serde_json::Map<String, Value> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.split('|').collect::<Vec<_>>().into()))
        .collect();
    let case = json!({
        "id": "f",
        "request": {
            "principal": "arn:aws:iam::111122223333:user/a",
            "action": "kms:Decrypt",
            "resource": "arn:aws:kms:r:111122223333:key/k",
            "context": context,
        },
        "key_policy": if as_key.is_ok() { document.clone() } else { Value::Null },
        "identity_policies": if as_identity.is_ok() { vec![document] } else { Vec::new() },
        "expected": "Allow",
    });
    let case = Case::read(&case.to_string()).expect("a case");
    case.decide().expect("what compiled alone compiles in a case");
});
