//! What a walk needs of the volume that it goes through.

use crate::format::{VolumeId, WrappedKey};
use crate::lower::{Dir, LowerError, LowerFile};
use crate::volume::keys::{Resealed, Sealed};
use crate::volume::reseal::{Moved, Trouble};

/// A volume whose headers are re-wrapped. Called from several threads at once.
pub trait Site: Sync {
    /// Its id.
    fn volume(&self) -> VolumeId;

    /// Its root directory below.
    fn root(&self) -> Result<Dir, LowerError>;

    /// Its directory `.kmsfs`.
    fn own_dir(&self) -> &Dir;

    /// A walk begins: from now on what moves is of interest.
    fn begin(&self);

    /// What has moved since. With `end`, and if that is nothing, the walk is over.
    fn moved(&self, end: bool) -> Moved;

    /// The key of an open file whose header is not below yet, by its lower inode number.
    fn in_memory(&self, lower_ino: u64) -> Option<Sealed>;

    /// Re-wraps a file's header, if its key is still `asked`. `Ok(false)`: it is not.
    fn file(&self, file: LowerFile, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble>;

    /// The same for a directory's.
    fn dir(&self, dir: &Dir, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble>;

    /// The volume key.
    fn descriptor(&self) -> Result<Sealed, Trouble>;

    /// The same for the descriptor.
    fn put_descriptor(&self, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble>;

    /// Whether to stop at the next opportunity.
    fn stop(&self) -> bool;

    /// Requests of users so far, to see whether somebody is at work.
    fn activity(&self) -> u64;
}
