//! What a check has found.

use crate::format::{DescriptorError, VolumeId};
use crate::lower::LowerError;
use crate::volume::keys::KeyError;

/// Which check found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A header of a file or directory.
    Header,
    /// A link tag: the object is not the one that this name was given to.
    LinkTag,
    /// Length, nodes or an entry page of a file.
    Entries,
    /// A block of a file.
    Data,
    /// A name in a directory.
    Name,
    /// The target of a symlink.
    Link,
    /// A sealed extended attribute.
    Attribute,
    /// The lower filesystem could not read something.
    Lower,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Where: a path in the lower tree, as encrypted names.
    pub object: String,
    /// Which check.
    pub check: Check,
    /// What.
    pub what: String,
}

/// The outcome for a whole volume.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The volume's id.
    pub volume: String,
    /// Directories checked.
    pub directories: u64,
    /// Regular files checked.
    pub files: u64,
    /// Symlinks checked.
    pub symlinks: u64,
    /// FIFOs, sockets and device nodes seen; they hold nothing to check.
    pub specials: u64,
    /// Names checked.
    pub names: u64,
    /// Entry pages checked.
    pub entry_pages: u64,
    /// Blocks of data checked.
    pub blocks: u64,
    /// Objects that a stopped session left between two steps; the next mount puts them right.
    pub unfinished: u64,
    /// Files whose key this caller may not use, or that cannot be used now: not checked.
    pub unread: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(volume: VolumeId) -> Report {
        Report {
            volume: volume.to_string(),
            directories: 0,
            files: 0,
            symlinks: 0,
            specials: 0,
            names: 0,
            entry_pages: 0,
            blocks: 0,
            unfinished: 0,
            unread: 0,
            findings: Vec::new(),
        }
    }
}

/// Why nothing could be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FsckError {
    /// There is no volume in this directory.
    #[error("not a volume")]
    NotAVolume,
    /// It is mounted for writing.
    #[error("mounted")]
    Busy,
    /// The lower filesystem said no.
    #[error("lower filesystem: {0}")]
    Lower(#[from] LowerError),
    /// The descriptor is not one.
    #[error("volume descriptor: {0}")]
    Descriptor(DescriptorError),
    /// The volume key is not to be had.
    #[error("volume key: {0}")]
    Key(#[from] KeyError),
}
