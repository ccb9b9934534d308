//! The words of the seam as those of the wire.

use crate::format::{FileId, WrappedKey};
use crate::server::messages::{
    Answer, Fresh, MAX_PATH, Object, OnBehalf, Operation, Place, Refusal, Told, Wrapped,
};
use crate::volume::keys as volume;
use crate::volume::keys::{Caller, FreshKey, KeyContext, KeyError, Purpose};

pub(super) fn refusal(answer: &Answer) -> KeyError {
    match answer {
        Answer::No(Refusal::Denied) => KeyError::Denied,
        Answer::No(Refusal::PathWanted) => KeyError::PathWanted,
        Answer::No(Refusal::Corrupt) => KeyError::Corrupt,
        Answer::No(Refusal::Unusable | Refusal::Unavailable) => KeyError::Unusable,
        Answer::No(Refusal::BadRequest) => {
            tracing::error!("the key service does not understand the question");
            KeyError::Unusable
        }
        _ => {
            tracing::error!("the key service gave an answer that does not fit the question");
            KeyError::Unusable
        }
    }
}

pub(super) fn on_behalf(caller: Caller) -> OnBehalf {
    match caller {
        Caller::Service => OnBehalf::Service,
        Caller::User { uid, gid, pid, operation } => {
            let operation = match operation {
                // Whoever asks for both has asked for the other by itself before.
                volume::Operation::Read | volume::Operation::ReadWrite => Operation::Read,
                volume::Operation::Write => Operation::Write,
                volume::Operation::Create => Operation::Create,
                volume::Operation::List => Operation::List,
            };
            OnBehalf::User { uid, gid, pid, operation }
        }
    }
}

/// What the service is told of a path. One that is too long to be told is not passed over: who
/// makes such a path must not get past a policy.
pub(super) fn told(path: Option<&str>) -> Result<Told, KeyError> {
    match path {
        None => Ok(Told::Unknown),
        Some(path) if path.len() > MAX_PATH => Err(KeyError::Denied),
        Some(path) => Ok(Told::Path(path.to_owned())),
    }
}

pub(super) fn place(context: &KeyContext) -> Place {
    let object = match context.purpose {
        Purpose::Volume => Object::Volume,
        Purpose::Directory(id) => Object::Directory(id.0),
        Purpose::File(id) => Object::File(id.0),
    };
    Place { volume: context.volume.0, object }
}

pub(super) fn message(wrapped: &WrappedKey) -> Wrapped {
    Wrapped { key_id: wrapped.key_id.clone(), version: wrapped.version, blob: wrapped.blob.clone() }
}

pub(super) fn fresh_key(fresh: Fresh) -> FreshKey {
    let Wrapped { key_id, version, blob } = fresh.wrapped;
    FreshKey {
        id: FileId(fresh.id),
        key: fresh.key.0,
        wrapped: WrappedKey { key_id, version, blob },
    }
}

/// Short enough for a frame; the service bounds it further.
pub(super) fn bounded(text: &str) -> String {
    text.chars().take(1024).collect()
}
