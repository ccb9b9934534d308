//! What a volume is made and mounted with, and why that may fail.

use crate::crypto::Suite;
use crate::format::DescriptorError;
use crate::lower::LowerError;

use super::keys::KeyError;

/// What `init` decides for the life of a volume.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The CMK of the volume and, until a subtree chooses another, of every file: its key id.
    pub cmk: String,
    /// How file data is sealed.
    pub suite: Suite,
}

/// Which kinds of sudden stop may not harm data that was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CrashSafety {
    /// Power loss too (P6): an overwrite waits until the entry with its old and new seal is on
    /// the disk. On a filesystem in memory this is the same as `Process`.
    #[default]
    Power,
    /// The filesystem process being killed (P5), the kernel living on: order alone is enough.
    Process,
}

/// How a volume is mounted.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountOptions {
    /// Nothing below is changed, not even the session record.
    pub read_only: bool,
    /// What a sudden stop may be.
    pub crash: CrashSafety,
}

/// Why a volume cannot be made, opened or closed. The text names the cause; the command line
/// adds what to do.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is no `.kmsfs/volume`.
    #[error("not a kmsfs volume: it has no .kmsfs/volume")]
    NotAVolume,
    /// There is one already.
    #[error("already a kmsfs volume")]
    Exists,
    /// Something is in the directory that would not be encrypted.
    #[error("the directory is not empty")]
    NotEmpty,
    /// Another mount has the lock.
    #[error("already mounted, by this or another process")]
    Busy,
    /// The descriptor cannot be used.
    #[error("the volume descriptor .kmsfs/volume: {0}")]
    Descriptor(DescriptorError),
    /// The root directory's header cannot be used.
    #[error("the root directory's header kmsfs.dir does not belong to this volume, or is damaged")]
    Root,
    /// The key service says no.
    #[error("the volume's key: {0}")]
    Key(#[from] KeyError),
    /// The lower filesystem says no.
    #[error("the lower directory: {0}")]
    Lower(#[from] LowerError),
    /// Some files could not be written out; they keep what was synced.
    #[error("{0} files could not be closed cleanly")]
    Unclean(usize),
}
