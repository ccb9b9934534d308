//! A volume that nobody has mounted.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use super::site::Site;
use crate::format::{
    DESCRIPTOR_LEN, DescriptorError, SessionKind, SessionRecord, Suite, UnverifiedDescriptor,
    VOLUME_DIR, VOLUME_FILE, VolumeId, WrappedKey, parse_descriptor,
};
use crate::lower::{Dir, FileIo, LowerError, LowerFile, VolumeLock};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::volume::keys::{Caller, DataKeys, KeyContext, KeyError, Purpose, Resealed, Sealed};
use crate::volume::reseal::{Found, Moved, Trouble, write_closed};

/// Why a volume cannot be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// There is no volume in this directory.
    #[error("not a volume")]
    NotAVolume,
    /// It is mounted.
    #[error("mounted")]
    Busy,
    /// The lower filesystem said no.
    #[error("lower filesystem: {0}")]
    Lower(#[from] LowerError),
    /// The descriptor is not one.
    #[error("volume descriptor: {0}")]
    Descriptor(DescriptorError),
    /// The key service refuses the volume key.
    #[error("volume key: {0}")]
    Key(#[from] KeyError),
}

/// An unmounted volume, locked as long as this lives.
pub struct Offline {
    root: Dir,
    own: Dir,
    id: VolumeId,
    /// Sessions that may have been torn by a power cut.
    torn: Vec<SessionRecord>,
    descriptor: Mutex<UnverifiedDescriptor>,
    stop: AtomicBool,
    _lock: VolumeLock,
}

impl Offline {
    /// Takes the volume in the lower directory `lower`, an `O_PATH` descriptor. Its descriptor is
    /// authenticated by having the volume key sealed again; that is not written.
    pub fn open(lower: OwnedFd, keys: &dyn DataKeys, caller: Caller) -> Result<Self, OfflineError> {
        let root = Dir::new(lower);
        let own = match root.open_dir(VOLUME_DIR.as_bytes()) {
            Err(LowerError::NOENT | LowerError::NOTDIR) => return Err(OfflineError::NotAVolume),
            other => other?,
        };
        let lock = VolumeLock::take(&own, false).map_err(|e| match e {
            LowerError::WOULDBLOCK => OfflineError::Busy,
            e => OfflineError::Lower(e),
        })?;
        crate::volume::reseal::finish_interrupted(&root, &own)?;
        let descriptor = read(&own)?;
        let sealed = sealed(&descriptor);
        let tried = keys.reseal(caller, &[sealed], None)?.pop().ok_or(KeyError::Unusable)??;
        let (verified, _) = descriptor
            .rewrapped(&tried.tag_key, tried.wrapped)
            .map_err(OfflineError::Descriptor)?;
        // Whether a live one was only killed is for the next mount to find out.
        let torn = verified.unclean.into_iter().filter(|r| r.kind != SessionKind::Killed).collect();
        let (id, stop) = (verified.id, AtomicBool::new(false));
        Ok(Offline { root, own, id, torn, descriptor: Mutex::new(descriptor), stop, _lock: lock })
    }

    /// Has a round stop at the next opportunity.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Makes everything that was written durable.
    pub fn sync(&self) -> Result<(), LowerError> {
        rustix::fs::syncfs(self.root.open_for_reading()?.fd())
    }

    fn excused(&self, io: &dyn FileIo) -> Result<bool, Trouble> {
        let Some(found) = Found::read(io)? else { return Ok(false) };
        Ok(self.torn.iter().any(|record| record.covers(found.session())))
    }
}

fn read(own: &Dir) -> Result<UnverifiedDescriptor, OfflineError> {
    let (file, _) = match own.open_file(VOLUME_FILE.as_bytes(), false) {
        Err(LowerError::NOENT) => return Err(OfflineError::NotAVolume),
        other => other?,
    };
    // One byte more than there may be, so that a longer file is seen.
    let mut bytes = vec![0u8; DESCRIPTOR_LEN + 1];
    let got = file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
    bytes.truncate(got);
    parse_descriptor(&bytes).map_err(OfflineError::Descriptor)
}

fn sealed(descriptor: &UnverifiedDescriptor) -> Sealed {
    let context = KeyContext { volume: descriptor.id(), purpose: Purpose::Volume };
    Sealed { wrapped: descriptor.wrapped().clone(), context, suite: Suite::default() }
}

impl Site for Offline {
    fn volume(&self) -> VolumeId {
        self.id
    }

    fn root(&self) -> Result<Dir, LowerError> {
        self.root.open_dir(b".")
    }

    fn own_dir(&self) -> &Dir {
        &self.own
    }

    fn begin(&self) {}

    fn moved(&self, _end: bool) -> Moved {
        Moved::default()
    }

    fn in_memory(&self, _lower_ino: u64) -> Option<Sealed> {
        None
    }

    fn file(&self, file: LowerFile, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        let excused = self.excused(&file)?;
        write_closed(&file, asked, new, excused)
    }

    fn dir(&self, dir: &Dir, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        let (file, writable) = dir.open_file(crate::format::DIR_HEADER.as_bytes(), true)?;
        if !writable {
            return Err(Trouble::Lower(LowerError::ROFS));
        }
        let excused = self.excused(&file)?;
        write_closed(&file, asked, new, excused)
    }

    fn descriptor(&self) -> Result<Sealed, Trouble> {
        Ok(sealed(&self.descriptor.lock()))
    }

    fn put_descriptor(&self, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        let mut descriptor = self.descriptor.lock();
        if descriptor.wrapped() != asked {
            return Ok(false);
        }
        let damaged = |_| Trouble::Damaged("the volume descriptor");
        let (_, page) = descriptor.rewrapped(&new.tag_key, new.wrapped).map_err(damaged)?;
        crate::volume::reseal::replace_descriptor(&self.own, &page)?;
        *descriptor = parse_descriptor(page.as_slice()).map_err(damaged)?;
        Ok(true)
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn activity(&self) -> u64 {
        0
    }
}
