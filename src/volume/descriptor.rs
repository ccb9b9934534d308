//! The volume descriptor below: making, reading and replacing `.kmsfs/volume`.

use std::io::{IoSlice, IoSliceMut};

use crate::format::{
    DESCRIPTOR_LEN, Descriptor, FileId, HeaderKey, Kind, UnverifiedDescriptor, VOLUME_DIR,
    VOLUME_FILE, VolumeId, VolumeKeys, parse_descriptor,
};
use crate::lower::{Dir, FileIo, LowerError};

use super::directory::write_new_header;
use super::keys::{Caller, DataKeys, FreshFor, KeyContext, Purpose};
use super::options::{CreateOptions, VolumeError};

/// Directory of spilled symlink targets, in `.kmsfs`.
pub(super) use crate::format::LINKS_DIR;

/// The temporary name of a descriptor that is being written.
const NEXT: &str = "volume.next";

/// Reads the descriptor without its key.
pub(super) fn read(kmsfs: &Dir) -> Result<UnverifiedDescriptor, VolumeError> {
    let (file, _) = match kmsfs.open_file(VOLUME_FILE.as_bytes(), false) {
        Err(LowerError::NOENT) => return Err(VolumeError::NotAVolume),
        other => other?,
    };
    // One byte more than there may be, so that a longer file is seen.
    let mut bytes = vec![0u8; DESCRIPTOR_LEN + 1];
    let got = file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
    bytes.truncate(got);
    parse_descriptor(&bytes).map_err(VolumeError::Descriptor)
}

/// Replaces the descriptor.
///
/// # Crash
/// The old one or the new one is there, whole: the new one is durable before it takes the name,
/// and the name is durable on return.
pub(super) fn replace(
    kmsfs: &Dir,
    descriptor: &Descriptor,
    keys: &VolumeKeys,
) -> Result<(), VolumeError> {
    let page = descriptor.encode(keys).map_err(VolumeError::Descriptor)?;
    Ok(put(kmsfs, &page)?)
}

/// Replaces the descriptor's file, as [`replace`] does.
pub(super) fn put(kmsfs: &Dir, page: &[u8; DESCRIPTOR_LEN]) -> Result<(), LowerError> {
    match kmsfs.unlink(NEXT.as_bytes()) {
        Ok(()) | Err(LowerError::NOENT) => {}
        Err(e) => return Err(e),
    }
    let file = kmsfs.create_file(NEXT.as_bytes(), 0o600)?;
    file.write_at(&[IoSlice::new(page)], 0)?;
    file.sync(true)?;
    kmsfs.rename(
        NEXT.as_bytes(),
        kmsfs,
        VOLUME_FILE.as_bytes(),
        rustix::fs::RenameFlags::empty(),
    )?;
    kmsfs.open_for_reading()?.sync()
}

/// Makes an empty volume in an empty directory.
///
/// # Crash
/// The descriptor comes last: before it there is no volume, and making one again works.
pub(super) fn create(
    root: &Dir,
    keys: &dyn DataKeys,
    options: &CreateOptions,
) -> Result<VolumeId, VolumeError> {
    match root.mkdir(VOLUME_DIR.as_bytes(), 0o700) {
        Ok(()) => {}
        Err(LowerError::EXIST) => {
            let kmsfs = root.open_dir(VOLUME_DIR.as_bytes())?;
            if kmsfs.stat(VOLUME_FILE.as_bytes()).is_ok() {
                return Err(VolumeError::Exists);
            }
        }
        Err(e) => return Err(e.into()),
    }
    let kmsfs = root.open_dir(VOLUME_DIR.as_bytes())?;
    let id = VolumeId::random();
    let volume = keys.generate(Caller::Service, &options.cmk, id, FreshFor::Volume)?;
    let top = keys.generate(Caller::Service, &options.cmk, id, FreshFor::Directory)?;
    match kmsfs.mkdir(LINKS_DIR.as_bytes(), 0o700) {
        Ok(()) | Err(LowerError::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    match root.unlink(crate::format::DIR_HEADER.as_bytes()) {
        Ok(()) | Err(LowerError::NOENT) => {}
        Err(e) => return Err(e.into()),
    }
    let header_key = HeaderKey::new(Kind::Directory, &top.key, options.suite, &top.id);
    write_new_header(root, &top.id, options.suite, &top.wrapped, &header_key, 0, [0; 32])?
        .sync(true)?;
    root.open_for_reading()?.sync()?;
    let descriptor = Descriptor {
        id,
        suite: options.suite,
        root: top.id,
        generation: 1,
        session: 0,
        wrapped: volume.wrapped,
        unclean: Vec::new(),
    };
    replace(&kmsfs, &descriptor, &VolumeKeys::new(&volume.key, &id))?;
    Ok(id)
}

/// A descriptor that was authenticated.
pub(super) struct Opened {
    pub descriptor: Descriptor,
    pub keys: VolumeKeys,
}

/// Asks for the volume key and verifies the descriptor with it.
pub(super) fn open(kmsfs: &Dir, keys: &dyn DataKeys) -> Result<Opened, VolumeError> {
    let unverified = read(kmsfs)?;
    let volume = unverified.id();
    let context = KeyContext { volume, purpose: Purpose::Volume };
    let key = keys.unwrap(Caller::Service, unverified.wrapped(), &context)?;
    let volume_keys = VolumeKeys::new(&key, &volume);
    let descriptor = unverified.verify(&volume_keys).map_err(|e| {
        keys.report_tamper(Caller::Service, &context, ".kmsfs/volume", "descriptor tag");
        VolumeError::Descriptor(e)
    })?;
    Ok(Opened { descriptor, keys: volume_keys })
}

/// The id of the root directory is what the descriptor says.
pub(super) fn is_root(descriptor: &Descriptor, found: &FileId) -> bool {
    descriptor.root == *found
}
