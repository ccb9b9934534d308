//! The volume descriptor, and what stopped sessions excuse.

use std::io::IoSliceMut;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::format::{
    DESCRIPTOR_LEN, Descriptor, SessionKind, VOLUME_FILE, VolumeKeys, parse_descriptor,
};
use crate::lower::{Dir, FileIo, LowerError};
use crate::volume::keys::{Caller, DataKeys, KeyContext, Purpose};

use super::FsckError;

/// Seconds by which a lower filesystem's "now" may lag behind the clock.
const SLACK: i64 = 2;

/// An authenticated descriptor.
pub(super) struct Volume {
    pub descriptor: Descriptor,
    pub keys: VolumeKeys,
    now: i64,
}

/// Reads and authenticates the descriptor.
pub(super) fn open(kmsfs: &Dir, keys: &dyn DataKeys) -> Result<Volume, FsckError> {
    let (file, _) = match kmsfs.open_file(VOLUME_FILE.as_bytes(), false) {
        Err(LowerError::NOENT) => return Err(FsckError::NotAVolume),
        other => other?,
    };
    // One byte more than there may be, so that a longer file is seen.
    let mut bytes = vec![0u8; DESCRIPTOR_LEN + 1];
    let got = file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
    bytes.truncate(got);
    let unverified = parse_descriptor(&bytes).map_err(FsckError::Descriptor)?;
    let id = unverified.id();
    let context = KeyContext { volume: id, purpose: Purpose::Volume };
    let key = keys.unwrap(Caller::Service, unverified.wrapped(), &context)?;
    let keys = VolumeKeys::new(&key, &id);
    let descriptor = unverified.verify(&keys).map_err(FsckError::Descriptor)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    Ok(Volume { descriptor, keys, now })
}

impl Volume {
    /// Whether an object that last changed at `ctime` (seconds) may be between two steps.
    pub fn excuses(&self, ctime: i64) -> bool {
        self.descriptor.unclean.iter().any(|r| {
            let end = if r.kind == SessionKind::Live { self.now } else { r.end };
            (r.start - SLACK..=end + SLACK).contains(&ctime)
        })
    }

    /// Whether session `number` was stopped.
    pub fn stopped(&self, number: u64) -> bool {
        self.descriptor.record_of(number).is_some()
    }
}
