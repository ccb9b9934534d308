//! Targets of symlinks.

use std::io::IoSliceMut;

use crate::format::{Binding, LINKS_DIR, TARGET_MAX, TargetText, VolumeKeys, parse_target};
use crate::lower::{Dir, FileIo};

/// Checks the target of the link `binding` speaks of; `text` is what it points to below.
pub(super) fn check(
    kmsfs: &Dir,
    keys: &VolumeKeys,
    binding: Binding<'_>,
    text: &[u8],
) -> Result<(), &'static str> {
    let spilled = match parse_target(text) {
        Err(_) => return Err("not a target of this volume"),
        Ok(TargetText::Inline(_)) => None,
        Ok(TargetText::Spilled(name)) => {
            Some(read(kmsfs, &name).ok_or("the file with its target is missing")?)
        }
    };
    keys.open_target(binding, text, spilled.as_deref())
        .map(drop)
        .map_err(|_| "the target does not authenticate under this name")
}

fn read(kmsfs: &Dir, name: &str) -> Option<Vec<u8>> {
    let (file, _) =
        kmsfs.open_dir(LINKS_DIR.as_bytes()).ok()?.open_file(name.as_bytes(), false).ok()?;
    let mut content = vec![0u8; TARGET_MAX * 2];
    let got = file.read_at(&mut [IoSliceMut::new(&mut content)], 0).ok()?;
    content.truncate(got);
    Some(content)
}
