//! Stage by stage against values that botocore's signer produced for the same requests
//! (`tests/awscli/checks.py` makes them again and compares).

use super::*;

const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TARGET: (&str, &[u8]) = ("x-amz-target", b"TrentService.Decrypt");
const HOST: (&str, &[u8]) = ("host", b"127.0.0.1:8080");
const DATE: (&str, &[u8]) = ("x-amz-date", b"20260301T123045Z");
const JSON: (&str, &[u8]) = ("content-type", b"application/x-amz-json-1.1");
/// 2026-03-01T12:30:45Z
const NOW: i64 = 1_772_368_245;

fn authorization(signed: &str, sum: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/us-east-1/kms/aws4_request, \
         SignedHeaders={signed}, Signature={sum}"
    )
}

fn expected() -> Expected<'static> {
    Expected { region: "us-east-1", service: "kms", now: NOW }
}

fn verify(view: &SignedView<'_>) -> Result<(), SigError> {
    let presented = Presented::parse(view)?;
    presented.check_scope(&expected())?;
    presented.check_signature(view, SECRET)
}

/// The usual request, with a chance to change anything before it is verified.
struct Sample {
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    query: &'static str,
    path: &'static str,
    method: &'static str,
}

impl Sample {
    fn plain() -> Self {
        Self::signed(
            "content-type;host;x-amz-date;x-amz-target",
            "f75a6e9ba097dc60204b25459cb72ac186b23d5ff0e0d7e2710434003160cb90",
            &[JSON, HOST, DATE, TARGET],
            br#"{"KeyId":"alias/a"}"#,
        )
    }

    fn signed(names: &str, sum: &str, headers: &[(&'static str, &[u8])], body: &[u8]) -> Self {
        let mut headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.to_vec())).collect();
        headers.push(("authorization", authorization(names, sum).into_bytes()));
        Self { headers, body: body.to_vec(), query: "", path: "/", method: "POST" }
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        let header = self.headers.iter_mut().find(|(n, _)| *n == name).unwrap();
        header.1 = value.to_vec();
    }

    fn drop_header(&mut self, name: &str) {
        self.headers.retain(|(n, _)| *n != name);
    }

    fn with<R>(&self, f: impl FnOnce(&SignedView<'_>) -> R) -> R {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        f(&SignedView {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &headers,
            body: &self.body,
        })
    }

    fn verify(&self) -> Result<(), SigError> {
        self.with(verify)
    }
}

#[test]
fn every_stage_of_the_plain_request() {
    Sample::plain().with(|view| {
        let presented = Presented::parse(view).unwrap();
        assert_eq!(presented.access_key, "AKIDEXAMPLE");
        assert_eq!(presented.time.seconds(), NOW);
        let hash = hex(&Sha256::digest(view.body));
        let canonical = canonical_request(view, &presented, &hash).unwrap();
        assert_eq!(
            std::str::from_utf8(&canonical).unwrap(),
            "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:8080\n\
             x-amz-date:20260301T123045Z\nx-amz-target:TrentService.Decrypt\n\n\
             content-type;host;x-amz-date;x-amz-target\n\
             26bf5a4998dc23d67ca5ad5613737745adfc0305e183057016a1a7cc51d0fbcb"
        );
        assert_eq!(
            string_to_sign(&presented, &canonical),
            "AWS4-HMAC-SHA256\n20260301T123045Z\n20260301/us-east-1/kms/aws4_request\n\
             701ab3dc3ab367356348478e191f941249f7399462129bd4e3d243b0a5115c53"
        );
        assert_eq!(presented.check_signature(view, SECRET), Ok(()));
    });
    assert_eq!(Sample::plain().verify(), Ok(()));
}

#[test]
fn query_is_sorted_and_values_are_squeezed() {
    let mut sample = Sample::signed(
        "content-type;host;x-amz-date;x-amz-meta;x-amz-target",
        "58d1cf738d7dcf483aa802894fafa6dcdc32a0bf11162b3e0099510f448b110a",
        &[JSON, HOST, DATE, TARGET, ("x-amz-meta", b"  a   b ")],
        b"",
    );
    sample.query = "b=2&a=1&a=0&sp=a%20b%2Fc&empty=";
    assert_eq!(sample.verify(), Ok(()));
    sample.query = "b=2&a=1&a=0&sp=a%20b%2Fd&empty=";
    assert_eq!(sample.verify(), Err(SigError::Mismatch));
}

#[test]
fn paths_are_normalised_and_encoded_again() {
    let mut sample = Sample::signed(
        "host;x-amz-date",
        "db71096c393704e34df76d74c0594d3d996ac4a1a0fa192f25146bedf22f9ebf",
        &[HOST, DATE],
        b"",
    );
    sample.method = "GET";
    sample.path = "/a/../b//c%20d/./e/";
    assert_eq!(sample.verify(), Ok(()));
    sample.path = "/b/c%20d/e";
    assert_eq!(sample.verify(), Err(SigError::Mismatch));
}

#[test]
fn session_tokens_are_signed() {
    let token: (&str, &[u8]) = ("x-amz-security-token", b"tok/en+==");
    let mut sample = Sample::signed(
        "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
        "9f6241933d1d1aabed1eafe6411665719acdd362ced796ad4f060101d3df4aa9",
        &[JSON, HOST, DATE, TARGET, token],
        b"{}",
    );
    assert_eq!(sample.verify(), Ok(()));
    sample.set("x-amz-security-token", b"tok/en+=");
    assert_eq!(sample.verify(), Err(SigError::Mismatch));
}

#[test]
fn presigned_query() {
    let query = "x=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260301%2F\
                 us-east-1%2Fkms%2Faws4_request&X-Amz-Date=20260301T123045Z&X-Amz-Expires=3600&\
                 X-Amz-SignedHeaders=host%3Bx-amz-target&X-Amz-Signature=\
                 3cb0418ce191e351d2044a8294109b85bd1d23dab4e13d60f1d6132fa9d23a94";
    let headers = [HOST, TARGET];
    let view = SignedView { method: "POST", path: "/", query, headers: &headers, body: b"" };
    // That signer hashes an empty body here, whatever is sent: so only the empty one verifies.
    assert_eq!(verify(&view), Ok(()));
    assert_eq!(verify(&SignedView { body: b"{}", ..view }), Err(SigError::Mismatch));
    let presented = Presented::parse(&view).unwrap();
    let late = Expected { now: NOW + 3601, ..expected() };
    assert_eq!(presented.check_scope(&late).unwrap_err().name(), "InvalidSignatureException");
    assert_eq!(presented.check_scope(&Expected { now: NOW + 3600, ..expected() }), Ok(()));
    let long = query.replace("Expires=3600", "Expires=604801");
    let view = SignedView { query: &long, ..view };
    assert_eq!(verify(&view), Err(SigError::Incomplete("X-Amz-Expires")));
}

#[test]
fn any_change_breaks_it() {
    let changes: [fn(&mut Sample); 7] = [
        |s| s.body.push(b' '),
        |s| s.method = "PUT",
        |s| s.path = "/x",
        |s| s.query = "a=1",
        |s| s.set("x-amz-target", b"TrentService.Encrypt"),
        |s| s.set("host", b"127.0.0.1:8081"),
        |s| s.headers.push(("host", b"127.0.0.1:8080".to_vec())),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut sample = Sample::plain();
        change(&mut sample);
        assert_eq!(sample.verify(), Err(SigError::Mismatch), "change {at}");
    }
    let wrong_secret = Sample::plain()
        .with(|view| Presented::parse(view).unwrap().check_signature(view, b"another"));
    assert_eq!(wrong_secret, Err(SigError::Mismatch));
}

#[test]
fn what_decides_must_be_signed() {
    let mut sample = Sample::plain();
    sample.headers.push(("x-amz-extra", b"1".to_vec()));
    assert_eq!(sample.verify(), Err(SigError::Unsigned("x-amz-extra".into())));
    let mut sample = Sample::plain();
    let text = authorization("content-type;x-amz-date;x-amz-target", &"0".repeat(64));
    sample.set("authorization", text.as_bytes());
    assert_eq!(sample.verify(), Err(SigError::Unsigned("host".into())));
    let mut sample = Sample::plain();
    sample.drop_header("content-type");
    assert_eq!(sample.verify(), Err(SigError::Unsigned("content-type".into())));
}

#[test]
fn unsigned_and_streaming_payloads_are_refused() {
    for value in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "00"] {
        let mut sample = Sample::plain();
        let text = authorization(
            "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
            &"0".repeat(64),
        );
        sample.set("authorization", text.as_bytes());
        sample.headers.push(("x-amz-content-sha256", value.into()));
        assert_eq!(sample.verify(), Err(SigError::Payload), "{value}");
    }
}

#[test]
fn the_clock_decides_at_fifteen_minutes() {
    let at = |now| {
        Sample::plain().with(|view| {
            Presented::parse(view).unwrap().check_scope(&Expected { now, ..expected() })
        })
    };
    assert_eq!(at(NOW + SKEW), Ok(()));
    assert_eq!(at(NOW - SKEW), Ok(()));
    let old = at(NOW + SKEW + 1).unwrap_err();
    assert_eq!(
        old.to_string(),
        "Signature expired: 20260301T123045Z is now earlier than 20260301T123046Z \
         (20260301T124546Z - 15 min.)"
    );
    assert!(matches!(at(NOW - SKEW - 1), Err(SigError::NotYetCurrent { .. })));
}

#[test]
fn the_scope_is_checked() {
    let check = |region, service| {
        Sample::plain().with(|view| {
            Presented::parse(view).unwrap().check_scope(&Expected { region, service, now: NOW })
        })
    };
    assert_eq!(check("eu-west-1", "kms"), Err(SigError::Region("us-east-1".into())));
    assert_eq!(check("us-east-1", "sts"), Err(SigError::Service("sts")));
    let mut sample = Sample::plain();
    sample.set("x-amz-date", b"20260302T000000Z");
    assert!(matches!(sample.verify(), Err(SigError::ScopeDate { .. })));
}

#[test]
fn malformed_claims_have_aws_names() {
    let good = authorization("content-type;host;x-amz-date;x-amz-target", &"a".repeat(64));
    let cases = [
        (good.replace("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA512 "), "AWS4-HMAC-SHA256"),
        (good.replace("Credential=", "Credentials="), "Authorization"),
        (good.replace("Signature=", "Credential="), "Authorization"),
        (good.replace("/aws4_request", ""), "Credential"),
        (good.replace("AKIDEXAMPLE", ""), "Credential"),
        (good.replace("host;x-amz-date", "x-amz-date;host"), "SignedHeaders"),
        (good.replace("host;", "host;host;"), "SignedHeaders"),
        (good.replace("host", "Host"), "SignedHeaders"),
        (good.replace("aaaa", "aaa"), "Signature"),
        (good.replace("Signature=a", "Signature=A"), "Signature"),
        ("AWS4-HMAC-SHA256 Credential=a/20260301/r/kms/aws4_request".into(), "SignedHeaders"),
    ];
    for (text, what) in cases {
        let mut sample = Sample::plain();
        sample.set("authorization", text.as_bytes());
        let error = sample.verify().unwrap_err();
        assert_eq!(error, SigError::Incomplete(what), "{text}");
        assert_eq!(error.name(), "IncompleteSignatureException");
    }
    let mut sample = Sample::plain();
    sample.drop_header("authorization");
    assert_eq!(sample.verify().unwrap_err().name(), "MissingAuthenticationTokenException");
    let mut sample = Sample::plain();
    sample.set("x-amz-date", b"2026-03-01T12:30:45Z");
    assert_eq!(sample.verify(), Err(SigError::Incomplete("X-Amz-Date")));
}

#[test]
fn date_header_may_stand_in() {
    for text in ["Sun, 01 Mar 2026 12:30:45 GMT", "20260301T123045Z"] {
        assert_eq!(AmzTime::parse_date_header(text).unwrap().to_string(), "20260301T123045Z");
    }
    for text in ["", "20260301T123045", "20261301T123045Z", "2026030xT123045Z", "20260301T123045Zx"]
    {
        assert_eq!(AmzTime::parse(text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_claims_never_panic(
        header in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        query in "[ -~]{0,200}",
        text in "AWS4-HMAC-SHA256 [ -~]{0,200}",
    ) {
        for value in [header.as_slice(), text.as_bytes()] {
            let headers = [("authorization", value), DATE, HOST];
            let view =
                SignedView { method: "POST", path: &query, query: &query, headers: &headers, body: b"" };
            proptest::prop_assert!(verify(&view).is_err());
        }
    }
}
