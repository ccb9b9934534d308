//! The backing tree, by descriptors.
//!
//! Nothing here takes a path of more than one component and nothing follows a symlink: a name
//! is always one component below a directory descriptor, opened with `openat2(RESOLVE_BENEATH |
//! RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)`. Whoever can write below may therefore rename,
//! replace and delete, but never lead us out of the tree. Raw descriptor numbers do not leave
//! this module; owners are `OwnedFd`.
//!
//! Data of files goes through [`FileIo`], so that tests can put [`faulty`] in between.

mod by_number;
mod dir;
pub mod faulty;
mod file;
mod probe;
mod proc_fd;
mod session;
mod sys;

pub use by_number::open_number;
pub use dir::{Dir, DirEntry, LowerStat, leave_atime};
pub use file::{FileIo, LowerFile};
pub use probe::{Features, probe};
pub use proc_fd::Pinned;
pub use session::{LowerIdentity, VolumeLock, identify, is_volatile};

/// What the kernel said.
pub type LowerError = rustix::io::Errno;
/// The result of a call below.
pub type Result<T> = std::result::Result<T, LowerError>;
