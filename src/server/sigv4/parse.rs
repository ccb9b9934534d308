//! First stage: what the client claims about its signature. Everything here is hostile input.

use percent_encoding::percent_decode_str;

use super::time::AmzTime;
use super::{ALGORITHM, MAX_EXPIRES, SigError, SignedView};

/// Most signed headers that are looked at; more is nobody's honest request.
const MAX_SIGNED_HEADERS: usize = 100;

/// A signature as presented, parsed and not yet checked.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Id of the access key.
    pub access_key: String,
    /// Day of the scope, `YYYYMMDD`.
    pub date: String,
    /// Region of the scope.
    pub region: String,
    /// Service of the scope.
    pub service: String,
    /// When it was signed.
    pub time: AmzTime,
    /// Names under the signature, lower case, strictly ascending.
    pub signed_headers: Vec<String>,
    /// The signature itself.
    pub signature: [u8; 32],
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    /// Life in seconds, of a presigned request alone.
    pub expires: Option<i64>,
}

impl Presented {
    /// Finds the signature in the header or, without that, in the query.
    pub fn parse(view: &SignedView<'_>) -> Result<Self, SigError> {
        if let Some(header) = view.header("authorization") {
            return Self::from_header(view, header);
        }
        let arguments = query_arguments(view.query);
        if find(&arguments, "X-Amz-Algorithm").is_some() {
            return Self::from_query(&arguments);
        }
        Err(SigError::Missing)
    }

    fn from_header(view: &SignedView<'_>, header: &str) -> Result<Self, SigError> {
        let rest = header
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or(SigError::Incomplete("AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed, mut sum) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) =
                part.trim().split_once('=').ok_or(SigError::Incomplete("Authorization"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut sum,
                _ => return Err(SigError::Incomplete("Authorization")),
            };
            if place.replace(value).is_some() {
                return Err(SigError::Incomplete("Authorization"));
            }
        }
        let time = match view.header("x-amz-date") {
            Some(text) => AmzTime::parse(text),
            None => view.header("date").and_then(AmzTime::parse_date_header),
        };
        Self::assemble(
            credential.ok_or(SigError::Incomplete("Credential"))?,
            signed.ok_or(SigError::Incomplete("SignedHeaders"))?,
            sum.ok_or(SigError::Incomplete("Signature"))?,
            time.ok_or(SigError::Incomplete("X-Amz-Date"))?,
            view.header("x-amz-security-token").map(str::to_owned),
            None,
        )
    }

    fn from_query(arguments: &[(String, String)]) -> Result<Self, SigError> {
        let need = |name: &'static str| find(arguments, name).ok_or(SigError::Incomplete(name));
        if need("X-Amz-Algorithm")? != ALGORITHM {
            return Err(SigError::Incomplete("X-Amz-Algorithm"));
        }
        let expires = need("X-Amz-Expires")?
            .parse::<i64>()
            .ok()
            .filter(|seconds| (1..=MAX_EXPIRES).contains(seconds))
            .ok_or(SigError::Incomplete("X-Amz-Expires"))?;
        Self::assemble(
            need("X-Amz-Credential")?,
            need("X-Amz-SignedHeaders")?,
            need("X-Amz-Signature")?,
            AmzTime::parse(need("X-Amz-Date")?).ok_or(SigError::Incomplete("X-Amz-Date"))?,
            find(arguments, "X-Amz-Security-Token").map(str::to_owned),
            Some(expires),
        )
    }

    fn assemble(
        credential: &str,
        signed: &str,
        sum: &str,
        time: AmzTime,
        session_token: Option<String>,
        expires: Option<i64>,
    ) -> Result<Self, SigError> {
        // Access key ids hold no slash here, so the scope is exactly five parts.
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(SigError::Incomplete("Credential"));
        };
        if access_key.is_empty() || date.len() != 8 {
            return Err(SigError::Incomplete("Credential"));
        }
        let signed_headers: Vec<String> =
            signed.split(';').take(MAX_SIGNED_HEADERS + 1).map(str::to_owned).collect();
        let canonical = signed_headers.len() <= MAX_SIGNED_HEADERS
            && signed_headers.iter().all(|name| {
                !name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase() || b <= b' ')
            })
            && signed_headers.is_sorted_by(|a, b| a < b);
        if !canonical {
            return Err(SigError::Incomplete("SignedHeaders"));
        }
        Ok(Self {
            access_key: (*access_key).to_owned(),
            date: (*date).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            time,
            signed_headers,
            signature: unhex(sum).ok_or(SigError::Incomplete("Signature"))?,
            session_token,
            expires,
        })
    }
}

/// The arguments of a query in their order, decoded.
pub(super) fn query_arguments(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|argument| !argument.is_empty())
        .map(|argument| {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn find<'a>(arguments: &'a [(String, String)], name: &str) -> Option<&'a str> {
    arguments.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, at) in out.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(out)
}
