//! AWS Signature Version 4, the verifying side. Pure: bytes and a time in, a verdict out.
//!
//! A request is accepted only if the whole chain holds: the signature was made with the secret
//! of the access key it names, over this method, path, query, host, every `x-amz-*` header and
//! the hash of this body, within fifteen minutes of now, for this service and region. The body
//! hash is always computed here; what the client says about it is compared, never believed.
//!
//! Stages, each on its own and tested on its own:
//!
//! 1. [`Presented::parse`]: what the client claims, from the `Authorization` header or from the
//!    query of a presigned URL;
//! 2. [`canonical_request`]: the one spelling of the request that both sides sign;
//! 3. [`string_to_sign`], [`signing_key`], [`signature`];
//! 4. [`Presented::check_scope`] and [`Presented::check_signature`].
//!
//! Streaming and unsigned payloads are refused: KMS has none.

mod canonical;
mod keys;
mod parse;
#[cfg(test)]
mod tests;
mod time;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use canonical::canonical_request;
pub use keys::SigningKeys;
pub use parse::Presented;
pub use time::AmzTime;

/// The only algorithm there is.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far the clocks of client and server may be apart, seconds.
pub const SKEW: i64 = 15 * 60;

/// Longest life of a presigned request, seconds: seven days.
pub const MAX_EXPIRES: i64 = 7 * 24 * 3600;

/// A request as the signature sees it. Header names are lower case.
#[derive(Clone, Copy, Debug)]
pub struct SignedView<'a> {
    /// `POST`
    pub method: &'a str,
    /// Path as on the request line, percent-encoding untouched.
    pub path: &'a str,
    /// What follows the question mark, as on the request line.
    pub query: &'a str,
    /// All headers in their order; a name may come more than once.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> SignedView<'a> {
    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(n, _)| *n == name)?;
        std::str::from_utf8(value).ok().map(str::trim)
    }
}

/// Why a signature is refused. [`SigError::name`] is what clients look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigError {
    /// Nothing that looks like a signature came with the request.
    #[error("Missing Authentication Token")]
    Missing,
    /// A part of the `Authorization` header or of the presigned query is absent or malformed.
    #[error("Authorization lacks a usable '{0}'.")]
    Incomplete(&'static str),
    /// A header or query argument that decides something is not under the signature.
    #[error("'{0}' must be a signed header.")]
    Unsigned(String),
    /// The date of the credential scope is not the day of the request.
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
         HTTP: '{scope}' != '{day}'."
    )]
    ScopeDate {
        /// Day in the scope.
        scope: String,
        /// Day of the request.
        day: String,
    },
    /// The scope names another region.
    #[error("Credential should be scoped to a valid region, not '{0}'.")]
    Region(String),
    /// The scope names another service.
    #[error("Credential should be scoped to correct service: '{0}'.")]
    Service(&'static str),
    /// Too old, or past its `X-Amz-Expires`.
    #[error("Signature expired: {signed} is now earlier than {limit} ({now} - 15 min.)")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest acceptable time.
        limit: String,
        /// The server's time.
        now: String,
    },
    /// Signed in the future.
    #[error("Signature not yet current: {signed} is still later than {limit} ({now} + 15 min.)")]
    NotYetCurrent {
        /// When it was signed.
        signed: String,
        /// The latest acceptable time.
        limit: String,
        /// The server's time.
        now: String,
    },
    /// The body is not what `x-amz-content-sha256` says, or is declared unsigned.
    #[error("The body does not match the x-amz-content-sha256 header, or is not signed.")]
    Payload,
    /// The sums differ.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method."
    )]
    Mismatch,
    /// No such access key, or it is inactive.
    #[error("The security token included in the request is invalid.")]
    UnknownAccessKey,
    /// Temporary credentials whose time is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl SigError {
    /// The exception name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownAccessKey => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::Unsigned(_)
            | Self::ScopeDate { .. }
            | Self::Region(_)
            | Self::Service(_)
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::Payload
            | Self::Mismatch => "InvalidSignatureException",
        }
    }
}

/// Where and when the server is.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The region that the scope must name.
    pub region: &'a str,
    /// The service that the scope must name.
    pub service: &'static str,
    /// Now, seconds since 1970.
    pub now: i64,
}

impl Presented {
    /// Checks everything that needs no secret: date, region, service, skew and life.
    pub fn check_scope(&self, expected: &Expected<'_>) -> Result<(), SigError> {
        if self.date != self.time.day() {
            return Err(SigError::ScopeDate { scope: self.date.clone(), day: self.time.day() });
        }
        if self.region != expected.region {
            return Err(SigError::Region(self.region.clone()));
        }
        if self.service != expected.service {
            return Err(SigError::Service(expected.service));
        }
        let (signed, now) = (self.time.seconds(), expected.now);
        if signed > now + SKEW {
            return Err(SigError::NotYetCurrent {
                signed: self.time.to_string(),
                limit: AmzTime::from_seconds(now + SKEW).to_string(),
                now: AmzTime::from_seconds(now).to_string(),
            });
        }
        let life = self.expires.unwrap_or(SKEW);
        if signed < now - life {
            return Err(SigError::Expired {
                signed: self.time.to_string(),
                limit: AmzTime::from_seconds(now - life).to_string(),
                now: AmzTime::from_seconds(now).to_string(),
            });
        }
        Ok(())
    }

    /// Checks the signature over `view` with the secret of the access key. Constant time in the
    /// secret and in the position of the first difference.
    pub fn check_signature(&self, view: &SignedView<'_>, secret: &[u8]) -> Result<(), SigError> {
        self.check_with(
            view,
            signing_key(secret, &self.date, &self.region, &self.service).as_slice(),
        )
    }

    /// The same with the signing key, made once for its day.
    pub fn check_with(&self, view: &SignedView<'_>, key: &[u8]) -> Result<(), SigError> {
        let body_hash = hex(&Sha256::digest(view.body));
        if let Some(declared) = view.header("x-amz-content-sha256")
            && declared != body_hash
        {
            return Err(SigError::Payload);
        }
        let canonical = canonical_request(view, self, &body_hash)?;
        let text = string_to_sign(self, &canonical);
        let right = signature(key, text.as_bytes());
        if bool::from(right.ct_eq(&self.signature)) { Ok(()) } else { Err(SigError::Mismatch) }
    }
}

/// Second stage: algorithm, time, scope and the hash of the canonical request.
pub fn string_to_sign(presented: &Presented, canonical: &[u8]) -> String {
    format!(
        "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
        presented.time,
        presented.date,
        presented.region,
        presented.service,
        hex(&Sha256::digest(canonical))
    )
}

/// Third stage: the key of one day, region and service.
pub fn signing_key(secret: &[u8], date: &str, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    seed.extend_from_slice(b"AWS4");
    seed.extend_from_slice(secret);
    let mut key = Zeroizing::new(signature(&seed, date.as_bytes()));
    for part in [region, service, "aws4_request"] {
        key = Zeroizing::new(signature(key.as_slice(), part.as_bytes()));
    }
    key
}

/// HMAC-SHA256, the step that every stage uses.
pub fn signature(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length: a longer one is hashed, a shorter one padded.
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC accepts a key of every length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    crate::kms::hex::encode(bytes)
}
