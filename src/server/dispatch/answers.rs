//! From what the service returns to what is answered.

use bincode::serde::Compat;

use crate::kms::api::types::{EncryptionContext, Plaintext};
use crate::kms::caller::CallerContext;
use crate::kms::error::{FailureClass, KmsError};
use crate::kms::id::KeyId;
use crate::kms::service::{self, FreshDataKey, FreshFor};
use crate::secret::Secret;
use crate::server::messages::{Answer, Fresh, KeyBytes, Object, Place, Refusal, Wrapped};
use crate::server::sigv4;

/// Longest text of a tamper report that goes into the audit trail, bytes.
const MAX_REPORT: usize = 512;

/// The encryption context of an object.
pub fn pairs(place: &Place) -> EncryptionContext {
    let mut context = EncryptionContext::new();
    context.insert("kmsfs:volume".to_owned(), sigv4::hex(&place.volume));
    match &place.object {
        Object::Volume => None,
        Object::Directory(id) => context.insert("kmsfs:directory".to_owned(), sigv4::hex(id)),
        Object::File(id) => context.insert("kmsfs:file".to_owned(), sigv4::hex(id)),
    };
    context
}

pub(super) fn refused(error: &KmsError) -> Answer {
    Answer::No(refusal(error))
}

pub(super) fn refusal(error: &KmsError) -> Refusal {
    match error.class() {
        FailureClass::Denied => Refusal::Denied,
        FailureClass::Unusable => Refusal::Unusable,
        FailureClass::Corrupt => Refusal::Corrupt,
        FailureClass::Invalid => Refusal::BadRequest,
    }
}

pub(super) fn done(result: Result<(), KmsError>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => refused(&error),
    }
}

pub(super) fn text(result: Result<KeyId, KmsError>) -> Answer {
    match result {
        Ok(key) => Answer::Text(key.to_string()),
        Err(error) => Answer::Failed(Compat(error)),
    }
}

pub(super) fn first<T>(
    results: Vec<Result<T, KmsError>>,
    answer: impl FnOnce(Result<T, KmsError>) -> Answer,
) -> Answer {
    results.into_iter().next().map_or(Answer::No(Refusal::Unavailable), answer)
}

pub(super) fn key_answer(result: Result<Plaintext, KmsError>) -> Answer {
    match result {
        // Of another length than data keys have: it was not made for this purpose.
        Ok(key) => key_bytes(&key).map_or(Answer::No(Refusal::Corrupt), Answer::Key),
        Err(error) => refused(&error),
    }
}

pub(super) fn rewrapped(result: Result<service::Rewrapped, KmsError>) -> Answer {
    match result {
        Ok(service::Rewrapped { key_id, version, blob }) => {
            Answer::Rewrapped(Wrapped { key_id: key_id.to_string(), version, blob })
        }
        Err(error) => refused(&error),
    }
}

/// What marks an answer to this caller: good for once, if it depends on the program that asks.
pub(super) fn for_once(context: &CallerContext) -> impl Fn(Answer) -> Answer + use<> {
    let once = looked_at_program(context);
    move |answer| match answer {
        // A refusal is not remembered anyway.
        Answer::No(_) => answer,
        answer if once => Answer::Once(Box::new(answer)),
        answer => answer,
    }
}

fn looked_at_program(context: &CallerContext) -> bool {
    context.on_behalf.as_ref().is_some_and(|user| user.program.is_some())
}

/// Data keys that were made, or why not.
pub(super) fn fresh(made: Result<Vec<FreshDataKey>, KmsError>) -> Answer {
    let keys = match made {
        Ok(keys) => keys,
        Err(error) => return refused(&error),
    };
    let fresh: Option<Vec<Fresh>> = keys
        .into_iter()
        .map(|made| {
            let (key_id, version) = (made.key_id.to_string(), made.version);
            let key = key_bytes(&made.key)?;
            Some(Fresh {
                id: made.id,
                key,
                wrapped: Wrapped { key_id, version, blob: made.wrapped },
            })
        })
        .collect();
    fresh.map_or(Answer::No(Refusal::Unavailable), Answer::Fresh)
}

/// What an object's data key is for, and the object's id.
pub(super) fn object(object: &Object) -> (FreshFor, [u8; 16]) {
    match object {
        Object::Volume => (FreshFor::Volume, [0; 16]),
        Object::Directory(id) => (FreshFor::Directory, *id),
        Object::File(id) => (FreshFor::File, *id),
    }
}

pub(super) fn key_bytes(key: &Plaintext) -> Option<KeyBytes> {
    let bytes: &[u8; 32] = key.expose().try_into().ok()?;
    Some(KeyBytes(Secret::new_with(|place| place.copy_from_slice(bytes))))
}

/// What a peer writes about an object goes into the audit trail: bounded, without controls.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if out.len() + c.len_utf8() > MAX_REPORT {
            break;
        }
        out.push(c);
    }
    out
}
