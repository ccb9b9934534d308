//! A request as hostile as HTTP lets it be, through every stage of signature verification.
#![no_main]

use kmsfs::server::sigv4::{Expected, Presented, SignedView};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Lines: path, query, then headers as `name: value`; the last line is the body.
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (path, query) = (text(), text());
    let rest: Vec<&[u8]> = lines.collect();
    let Some((body, heads)) = rest.split_last() else { return };
    let names: Vec<(String, &[u8])> = heads
        .iter()
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((std::str::from_utf8(name).ok()?.to_ascii_lowercase(), value.get(1..)?))
        })
        .collect();
    let headers: Vec<(&str, &[u8])> =
        names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let view = SignedView { method: "POST", path, query, headers: &headers, body };
    let Ok(presented) = Presented::parse(&view) else { return };
    let now = presented.time.seconds();
    let region = presented.region.clone();
    let _ = presented.check_scope(&Expected { region: &region, service: "kms", now });
    // Nobody signs with this secret, so nothing may ever verify.
    assert!(presented.check_signature(&view, b"a secret that the fuzzer cannot use").is_err());
});
