//! Second stage: the one spelling of a request.
//!
//! Two requests that mean different things to the server must never have the same canonical
//! form; what the server acts on (host, target, every `x-amz-*` header) must be in it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::parse::query_arguments;
use super::{Presented, SigError, SignedView};

/// All but the unreserved characters of RFC 3986.
const ENCODE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes the canonical request: method, path, query, headers, names of headers, body hash.
pub fn canonical_request(
    view: &SignedView<'_>,
    presented: &Presented,
    body_hash: &str,
) -> Result<Vec<u8>, SigError> {
    must_be_signed(view, presented)?;
    let mut out = Vec::with_capacity(512);
    for part in [view.method, &path(view.path), &query(view.query, presented.expires.is_some())] {
        out.extend_from_slice(part.as_bytes());
        out.push(b'\n');
    }
    for name in &presented.signed_headers {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let mut values = view.headers.iter().filter(|(n, _)| n == name).peekable();
        if values.peek().is_none() {
            return Err(SigError::Unsigned(name.clone()));
        }
        for (at, (_, value)) in values.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            squeeze(value, &mut out);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(presented.signed_headers.join(";").as_bytes());
    out.push(b'\n');
    out.extend_from_slice(body_hash.as_bytes());
    Ok(out)
}

/// The host and every `x-amz-*` header must be under the signature, or a stranger on the way
/// could point a signed request at another operation.
fn must_be_signed(view: &SignedView<'_>, presented: &Presented) -> Result<(), SigError> {
    let signed = |name: &str| presented.signed_headers.iter().any(|n| n == name);
    if !signed("host") {
        return Err(SigError::Unsigned("host".to_owned()));
    }
    let stray = view.headers.iter().find(|(n, _)| n.starts_with("x-amz-") && !signed(n));
    match stray {
        Some((name, _)) => Err(SigError::Unsigned((*name).to_owned())),
        None => Ok(()),
    }
}

/// Dot segments and doubled slashes are resolved; what is left is encoded once more, as every
/// service but S3 has it.
fn path(raw: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::from("/");
    for (at, segment) in segments.iter().enumerate() {
        if at > 0 {
            out.push('/');
        }
        out.extend(utf8_percent_encode(segment, ENCODE));
    }
    if raw.ends_with('/') && !segments.is_empty() {
        out.push('/');
    }
    out
}

/// Sorted by encoded name, then by encoded value; a presigned query leaves its own sum out.
fn query(raw: &str, presigned: bool) -> String {
    if raw.is_empty() {
        return String::new();
    }
    let encode = |text: &str| utf8_percent_encode(text, ENCODE).to_string();
    let mut arguments: Vec<(String, String)> = if is_plain_utf8(raw) {
        query_arguments(raw).iter().map(|(n, v)| (encode(n), encode(v))).collect()
    } else {
        // Bytes that are no text stay as they were sent: lossy decoding would give two
        // queries one spelling.
        vec![(raw.to_owned(), String::new())]
    };
    arguments.retain(|(name, _)| !(presigned && name == "X-Amz-Signature"));
    arguments.sort();
    arguments.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn is_plain_utf8(raw: &str) -> bool {
    percent_decode_str(raw).decode_utf8().is_ok()
}

/// Trims the value and folds runs of spaces into one.
fn squeeze(value: &[u8], out: &mut Vec<u8>) {
    let mut gap = false;
    for &byte in value.trim_ascii() {
        if byte == b' ' {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            out.push(b' ');
        }
        out.push(byte);
    }
}
