//! Checking a volume that is not mounted: every header, every entry page, every name.
//!
//! Nothing below is changed. What a stopped session may have left half done is no damage; it is
//! counted apart, and the next mount puts it right.
//!
//! | file | checks |
//! |---|---|
//! | `descriptor` | the volume descriptor, and which sessions were stopped |
//! | `header` | slots, key and tag of a file's or directory's header, and its link tags |
//! | `entries` | length, nodes and entry pages of a file, and with `data` its blocks |
//! | `names` | names in a directory and their sidecars |
//! | `links` | targets of symlinks |
//! | `attributes` | sealed extended attributes |
//! | `walk` | calls them for every object |

mod attributes;
mod descriptor;
mod entries;
mod header;
mod links;
mod names;
mod report;
mod walk;

pub use report::{Check, Finding, FsckError, Report};

use std::os::fd::OwnedFd;

use crate::format::VOLUME_DIR;
use crate::lower::{Dir, LowerError, VolumeLock};
use crate::volume::keys::{Caller, DataKeys};

/// What to check, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Read and authenticate every block too.
    pub data: bool,
    /// Who asks for the files' keys. Those that a policy keeps from this caller are counted.
    pub caller: Caller,
}

/// Checks the volume in the lower directory `lower`, an `O_PATH` descriptor.
///
/// # Errors
/// [`FsckError`] where there is nothing to check: no volume, a mounted one, or one whose
/// descriptor or root directory cannot be opened. Whatever is found below that is in the report.
pub fn check(lower: OwnedFd, keys: &dyn DataKeys, options: &Options) -> Result<Report, FsckError> {
    let root = Dir::new(lower);
    let kmsfs = match root.open_dir(VOLUME_DIR.as_bytes()) {
        Err(LowerError::NOENT | LowerError::NOTDIR) => return Err(FsckError::NotAVolume),
        other => other?,
    };
    // Shared: two checks may run at a time, but no mount that writes.
    let _lock = VolumeLock::take(&kmsfs, true).map_err(|e| match e {
        LowerError::WOULDBLOCK => FsckError::Busy,
        e => FsckError::Lower(e),
    })?;
    let volume = descriptor::open(&kmsfs, keys)?;
    walk::Walk::new(volume, kmsfs, keys, options)?.run(root)
}
