//! Sidecars: the whole of a name that is too long for the lower filesystem.

use std::io::IoSlice;

use crate::format::{CipherName, LowerName, classify, sidecar_of};
use crate::lower::{Dir, FileIo, LowerError};

use super::Volume;
use super::types::Errno;

impl Volume {
    /// Puts the sidecar of a long name in place, durably, before the name is used.
    ///
    /// # Crash
    /// A sidecar without its name is ignored, and removed with the directory.
    pub(super) fn write_sidecar(&self, fd: &Dir, lower: &CipherName) -> Result<(), Errno> {
        let CipherName::Long { sidecar, content, .. } = lower else { return Ok(()) };
        match fd.create_file(sidecar.as_bytes(), 0o644) {
            Ok(file) => {
                file.write_at(&[IoSlice::new(content)], 0)?;
                file.sync(true)?;
                Ok(())
            }
            Err(LowerError::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the sidecar of a long name that is no longer used.
    pub(super) fn remove_sidecar(&self, fd: &Dir, lname: &[u8]) {
        if classify(lname) == LowerName::Long && fd.stat(lname).is_err() {
            let _ = fd.unlink(sidecar_of(&String::from_utf8_lossy(lname)).as_bytes());
        }
    }
}
