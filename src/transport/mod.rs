//! FUSE: requests in, [`Volume`](crate::volume::Volume) calls, replies out.
//!
//! Nothing here decides anything about files, keys or formats. A transport decodes a request,
//! makes one call on the volume and encodes the result; whatever goes wrong on the way, a panic
//! included, becomes an errno for that one request. The kinds of transport differ in speed,
//! never in what a program on the mount sees.
//!
//! [`serve`] is the only way in. It picks the transport before the kernel's first message is
//! read, because a session cannot change hands afterwards.
//!
//! | file | is |
//! |---|---|
//! | `calls` | what is asked of the volume, for every transport |
//! | `wire` | the kernel's protocol |
//! | `uring` | requests over io_uring |
//! | `device` | requests over /dev/fuse; the ring's other half |
//! | `fuser`, `adapter`, `reply`, `sink`, `lend` | the same through the `fuser` crate, whose types stay there |
//! | `session`, `native`, `mount`, `helper` | from options to threads that serve |
//! | `spare` | threads for requests that wait |
//! | `hops`, `cpus` | keeping a lone caller on its CPU |
//! | `watch`, `notify`, `behind` | what happens without being asked for |

mod adapter;
mod bdi;
mod behind;
mod calls;
mod cpus;
mod device;
mod fuser;
mod groups;
mod helper;
mod hops;
mod lend;
mod mount;
mod native;
mod notify;
mod reply;
mod session;
mod sink;
mod spare;
mod sys;
mod uring;
mod watch;
mod wire;

use std::io;
use std::path::PathBuf;

use self::session::Route;

pub use self::bdi::raise as raise_limits;
pub use self::mount::remount;
pub use self::session::{Session, serve};
pub use self::uring::choice::{Obstacle, possible as ring_possible};

/// Which way requests come from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Over io_uring where this machine can, else over /dev/fuse.
    #[default]
    Auto,
    /// Over io_uring; no mount if this machine cannot.
    Uring,
    /// Over /dev/fuse.
    Device,
    /// Over /dev/fuse, through the `fuser` crate.
    Fuser,
}

/// Who may use the mount; the kernel enforces it before a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The user that mounted.
    Owner,
    /// Everybody, within the mode bits.
    Everybody,
}

/// A switch of mount(2), given on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountFlags {
    /// `ro`.
    pub read_only: bool,
    /// Set-user-id bits are honoured. Off unless asked for: mode bits below are not
    /// authenticated, so whoever owns the lower tree could make a set-user-id file.
    pub suid: bool,
    /// Device nodes work. Off unless asked for, for the same reason.
    pub dev: bool,
    /// Programs may be run.
    pub exec: bool,
    /// Access times are not kept.
    pub noatime: bool,
    /// Every write is synchronous.
    pub sync: bool,
    /// Every directory change is synchronous.
    pub dirsync: bool,
}

impl Default for MountFlags {
    fn default() -> MountFlags {
        MountFlags {
            read_only: false,
            suid: false,
            dev: false,
            exec: true,
            noatime: false,
            sync: false,
            dirsync: false,
        }
    }
}

/// How to serve a mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// Flags of the mount.
    pub flags: MountFlags,
    /// Who may use it.
    pub audience: Audience,
    /// What the mount table shows as its source: the lower directory.
    pub source: PathBuf,
    /// Threads that read requests; `None`: one per CPU, at least 2 and at most 8.
    pub threads: Option<usize>,
    /// Which way requests come.
    pub transport: Transport,
}

impl Options {
    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(native::default_threads).max(1)
    }
}

/// Why a mount could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// There is no FUSE device.
    #[error("/dev/fuse is missing")]
    NoDevice,
    /// The device, mount(2) or fusermount3 refused this user.
    #[error("no permission to mount here")]
    NoPermission,
    /// This process may not mount, and the program that could is not there.
    #[error("fusermount3 is missing")]
    NoHelper,
    /// `allow_other` was asked for by a user to whom /etc/fuse.conf does not grant it.
    #[error("allow_other is not granted to users on this machine")]
    NotForOthers,
    /// A path that a mount option could be smuggled in with.
    #[error("the lower directory's path cannot be shown in the mount table")]
    Source,
    /// A ring was asked for and cannot be had; the text says why.
    #[error("requests cannot come over io_uring: {0}")]
    NoRing(String),
    /// The kernel agreed to a ring, and the ring does not work.
    #[error("the ring does not work: {0}")]
    RingFailed(io::Error),
    /// Anything else the system said.
    #[error("mount failed: {0}")]
    Io(#[from] io::Error),
}
