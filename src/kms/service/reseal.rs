//! Re-wrapping: data keys sealed again, many at a time, and never shown.
//!
//! A header is authenticated under a key that is derived from the data key, so whoever writes the
//! next header needs that one. It is derived here and handed out in place of the data key: with
//! it headers can be signed, and nothing can be opened.

use super::Service;
use super::bulk::{MAX_BATCH, Rewrapped, Wrapped};
use super::call::Call;
use crate::crypto::{self, Label};
use crate::kms::caller::CallerContext;
use crate::kms::error::{InternalFault, KmsError, Violation};
use crate::kms::id::KeyId;
use crate::secret::Secret;

/// What a data key's header is, as far as the derivation of its tag key goes: the format's F-5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderOf {
    /// The descriptor of the volume of that id.
    Volume([u8; 16]),
    /// The header of a directory.
    Directory([u8; 16]),
    /// The header of a file: its id, and the number of its suite.
    File([u8; 16], u8),
}

impl HeaderOf {
    /// Derives the key of the header's tag.
    fn tag_key(self, data_key: &Secret<[u8; 32]>) -> Secret<[u8; 32]> {
        let (kind, suite, id) = match self {
            HeaderOf::Volume(id) => return crypto::derive(data_key, Label::Volume, &id),
            HeaderOf::Directory(id) => (2, 0, id),
            HeaderOf::File(id, suite) => (1, suite, id),
        };
        let mut context = [0; 18];
        let (head, tail) = context.split_at_mut(2);
        head.copy_from_slice(&[kind, suite]);
        tail.copy_from_slice(&id);
        crypto::derive(data_key, Label::Header, &context)
    }
}

/// A data key, sealed again, and what signs the header that it goes into.
#[derive(Debug)]
pub struct Resealed {
    /// It.
    pub rewrapped: Rewrapped,
    /// Key of the header's tag.
    pub tag_key: Secret<[u8; 32]>,
}

impl Service {
    /// Seals up to 256 data keys again under the current version of `to` (each under its own CMK
    /// when `None`). Each is decided on by itself; all of them share one record, which has their
    /// number and how many failed.
    pub fn reseal_batch(
        &self,
        caller: &CallerContext,
        items: &[(Wrapped, HeaderOf)],
        to: Option<&str>,
    ) -> Result<Vec<Result<Resealed, KmsError>>, KmsError> {
        if items.is_empty() || items.len() > MAX_BATCH {
            return Err(Violation::TooMany { member: "items".into(), max: MAX_BATCH }.into());
        }
        let mut call = Call::new(self, caller, "ReEncrypt", true);
        if let Some(to) = to {
            call.parameter("destinationKeyId", to);
        }
        let outcomes: Vec<_> = items
            .iter()
            .map(|(wrapped, header)| {
                let (rewrapped, data_key) = self.rewrap_one(&mut call, wrapped, to)?;
                let data_key: &[u8; 32] =
                    data_key.expose().try_into().map_err(|_| KmsError::InvalidCiphertext)?;
                let data_key = Secret::new_with(|place| place.copy_from_slice(data_key));
                let tag_key = header.tag_key(&data_key);
                Ok(Resealed { rewrapped, tag_key })
            })
            .collect();
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        call.additional("count", outcomes.len());
        call.additional("failed", failed);
        // The record of a batch that came to nothing says why.
        let failure = outcomes.first().and_then(|first| first.as_ref().err());
        let record = call.into_record(failure.filter(|_| failed == outcomes.len()));
        self.recorded(vec![record])?;
        Ok(outcomes)
    }

    /// The number of the version that seals now. No secret: every header has it in the clear.
    pub fn current_version(&self, key: KeyId) -> Result<u32, KmsError> {
        let key = self.key(key)?.ok_or(InternalFault::Record)?;
        Ok(key.record.current.0)
    }
}
