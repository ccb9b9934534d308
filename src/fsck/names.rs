//! Names in a directory, and the sidecars of long ones.

use std::io::IoSliceMut;

use crate::format::{DirKeys, LowerName, NAME_MAX, classify, sidecar_of};
use crate::lower::{Dir, FileIo};

/// What a lower name is.
pub(super) enum Seen {
    /// The name of an object.
    Object,
    /// Ours, and not an object: a header, a sidecar.
    Internal,
    /// Wrong; why.
    Bad(&'static str),
}

/// Checks one lower name. A sidecar without its name is of no consequence, and may be left by a
/// stop.
pub(super) fn check(dir: &Dir, keys: &DirKeys, lower: &[u8]) -> Seen {
    match classify(lower) {
        LowerName::Internal(_) | LowerName::Sidecar => Seen::Internal,
        LowerName::Foreign => Seen::Bad("not a name of this volume"),
        LowerName::Short => match keys.decrypt_name(lower) {
            Ok(_) => Seen::Object,
            Err(_) => Seen::Bad("a name that does not authenticate in this directory"),
        },
        LowerName::Long => match sidecar(dir, lower) {
            None => Seen::Bad("a long name without its sidecar"),
            Some(content) => match keys.decrypt_long(lower, &content) {
                Ok(_) => Seen::Object,
                Err(_) => Seen::Bad("a long name whose sidecar does not authenticate"),
            },
        },
    }
}

fn sidecar(dir: &Dir, lower: &[u8]) -> Option<Vec<u8>> {
    let name = sidecar_of(&String::from_utf8_lossy(lower));
    let (file, _) = dir.open_file(name.as_bytes(), false).ok()?;
    let mut content = vec![0u8; NAME_MAX * 2];
    let got = file.read_at(&mut [IoSliceMut::new(&mut content)], 0).ok()?;
    content.truncate(got);
    Some(content)
}
