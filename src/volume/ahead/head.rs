//! A header below, as far as its key can be asked for.

use std::io::IoSliceMut;

use rustix::fs::FileType;

use crate::format::{DIR_HEADER, DIR_HEADER_LEN, Slots, VolumeId, WrappedKey};
use crate::lower::{Dir, FileIo, leave_atime};
use crate::volume::keys::{Caller, KeyAhead, KeyContext, Purpose};
use crate::volume::types::Errno;

/// A key that could be asked for.
pub struct Askable {
    wrapped: WrappedKey,
    context: KeyContext,
}

impl Askable {
    /// For each of some callers.
    pub fn for_each(self, callers: &[Caller]) -> impl Iterator<Item = KeyAhead> + use<'_> {
        callers.iter().map(move |&caller| KeyAhead {
            caller,
            wrapped: self.wrapped.clone(),
            context: self.context,
        })
    }
}

/// The key of a file or a directory. Whatever is wrong with one of them is for its own open to
/// find.
pub fn key_of(dir: &Dir, name: &[u8], kind: FileType, volume: VolumeId) -> Option<Askable> {
    let mut head = [0u8; DIR_HEADER_LEN];
    let got = read_head(dir, name, kind, &mut head).ok()?;
    let Slots::Newest { header, .. } = Slots::of(&head) else { return None };
    if got != head.len() {
        return None;
    }
    let purpose = match kind {
        FileType::Directory => Purpose::Directory(header.id()),
        _ => Purpose::File(header.id()),
    };
    let context = KeyContext { volume, purpose };
    Some(Askable { wrapped: header.wrapped().clone(), context })
}

fn read_head(
    dir: &Dir,
    name: &[u8],
    kind: FileType,
    head: &mut [u8; DIR_HEADER_LEN],
) -> Result<usize, Errno> {
    let (file, _) = match kind {
        FileType::Directory => dir.open_dir(name)?.open_file(DIR_HEADER.as_bytes(), false)?,
        _ => dir.open_file(name, false)?,
    };
    leave_atime(file.fd());
    Ok(file.read_at(&mut [IoSliceMut::new(head)], 0)?)
}
