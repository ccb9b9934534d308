//! The filesystem, without kernel and without key service.
//!
//! [`Volume`] has one method per operation; a transport decodes a request, calls one, and sends
//! what comes back. Keys come through [`DataKeys`]. Below it works on `lower` alone.
//!
//! | file | is |
//! |---|---|
//! | `lookup`, `create`, `remove`, `rename`, `symlink`, `tmpfile`, `readdir` | names |
//! | `sidecar`, `owner` | what goes with a new name, and with a new object |
//! | `directory`, `inode`, `handle` | what is remembered of directories, inodes and open files |
//! | `ahead` | keys for whoever opens one file after the other |
//! | `revive` | inodes that the kernel asks for by number |
//! | `link_tag`, `place` | which name an object answers to, and where it is |
//! | `open`, `data` | from a lower file to a verified one, and its use |
//! | `file` | entries, blocks, tree and header of one open file |
//! | `reseal`, `walked` | headers under another version of their CMK, while everything goes on |
//! | `attr`, `shown`, `xattr` | attributes |
//! | `descriptor`, `session` | the volume as a whole, and the sudden stops it has seen |
//! | `errno` | which error becomes which number |
//!
//! # Locks
//! In this order: an inode's place (child before parent), its open file, a directory's state (child
//! before parent), pins and aliases, a file's meta, its pages. None is held across a call for another inode's key.

mod ahead;
mod attr;
mod create;
mod data;
mod descriptor;
mod directory;
mod errno;
mod file;
mod handle;
mod inode;
pub mod keys;
mod link_tag;
mod lookup;
mod open;
mod options;
mod owner;
mod place;
mod readdir;
mod redo;
mod rekey;
mod remove;
mod rename;
pub mod reseal;
mod revive;
mod revoke;
mod session;
mod shown;
mod sidecar;
mod symlink;
mod tmpfile;
mod types;
mod walked;
mod xattr;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;

use crate::crypto::Suite;
use crate::format::{DIR_HEADER, Descriptor, VOLUME_DIR, VolumeId, VolumeKeys};
use crate::lower::faulty::Fault;
use crate::lower::{Dir, LowerError, VolumeLock, identify, is_volatile};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, Weak};

use directory::DirState;
use file::FileEnv;
use handle::Handles;
use inode::Inodes;
use keys::{Caller, DataKeys, KeyError, Operation};
pub use options::{CrashSafety, CreateOptions, MountOptions, VolumeError};
use session::Sessions;
pub use types::*;

/// Whoever works on a volume in the background, and can be spoken to through it: the attribute
/// `kmsfs.rewrap` of any file or directory.
pub trait Control: Send + Sync {
    /// What reading the attribute gives.
    fn status(&self) -> String;

    /// What writing it does; for root, and the user who runs the mount.
    fn command(&self, text: &str) -> Result<(), Errno>;
}

/// A mounted volume.
pub struct Volume {
    id: VolumeId,
    suite: Suite,
    root: Dir,
    kmsfs: Dir,
    keys: Arc<dyn DataKeys>,
    volume_keys: VolumeKeys,
    descriptor: Mutex<Descriptor>,
    sessions: Sessions,
    /// There was no room to say that this session has begun: see [`Volume::writable`].
    unrecorded: AtomicBool,
    inodes: Inodes,
    handles: Handles,
    /// Files that hold overwrites back.
    holding: Mutex<Vec<Weak<file::FileState>>>,
    open_dirs: Mutex<VecDeque<Weak<DirState>>>,
    max_open_dirs: usize,
    /// Who is about to write a wrapped key that he was given before.
    grace: walked::Grace,
    /// What moves while the tree is walked.
    walked: walked::Walked,
    /// Who goes from one directory to the next, opening files.
    walk: Arc<Mutex<ahead::Walk>>,
    /// Files that are being put under another data key.
    rekeying: Mutex<HashSet<Ino>>,
    /// The CMKs that directories were seen under.
    cmks: Mutex<BTreeSet<String>>,
    control: OnceLock<Arc<dyn Control>>,
    read_only: bool,
    crash: CrashSafety,
    euid: u32,
    fault: Option<Arc<Fault>>,
    _lock: VolumeLock,
}

impl Volume {
    /// Makes an empty volume in the empty directory `lower`.
    ///
    /// # Crash
    /// There is a volume once its descriptor is there, which comes last; before that the same
    /// call works again.
    pub fn init(
        lower: &Path,
        keys: &dyn DataKeys,
        options: &CreateOptions,
    ) -> Result<VolumeId, VolumeError> {
        let root = Dir::new(open_root(lower)?);
        let mut busy = false;
        root.open_for_reading()?.read(0, |entry| {
            let ours = [VOLUME_DIR, DIR_HEADER].iter().any(|n| n.as_bytes() == entry.name);
            busy |= !matches!(entry.name, b"." | b"..") && !ours;
            Ok::<_, LowerError>(true)
        })?;
        if Self::exists(lower) {
            return Err(VolumeError::Exists);
        }
        if busy {
            return Err(VolumeError::NotEmpty);
        }
        descriptor::create(&root, keys, options)
    }

    /// Whether `lower` has a volume descriptor, good or bad.
    pub fn exists(lower: &Path) -> bool {
        lower.join(VOLUME_DIR).join(crate::format::VOLUME_FILE).symlink_metadata().is_ok()
    }

    /// Opens the volume in the lower directory `lower`, locks it, and begins a session.
    pub fn mount(
        lower: OwnedFd,
        keys: Arc<dyn DataKeys>,
        options: MountOptions,
    ) -> Result<Volume, VolumeError> {
        Self::mount_with_fault(lower, keys, options, None)
    }

    /// [`Volume::mount`] with a fault in front of every file's data, for tests.
    pub fn mount_with_fault(
        lower: OwnedFd,
        keys: Arc<dyn DataKeys>,
        options: MountOptions,
        fault: Option<Arc<Fault>>,
    ) -> Result<Volume, VolumeError> {
        let root = Dir::new(lower);
        let kmsfs = match root.open_dir(VOLUME_DIR.as_bytes()) {
            Err(LowerError::NOENT | LowerError::NOTDIR) => return Err(VolumeError::NotAVolume),
            other => other?,
        };
        let lock = VolumeLock::take(&kmsfs, options.read_only).map_err(|e| match e {
            LowerError::WOULDBLOCK => VolumeError::Busy,
            e => VolumeError::Lower(e),
        })?;
        let opened = descriptor::open(&kmsfs, keys.as_ref())?;
        let mut descriptor = opened.descriptor;
        let identity = identify(&root)?;
        let mut sessions = Sessions::judge(&descriptor, &identity);
        let mut unrecorded = false;
        if !options.read_only {
            redo::finish_interrupted(&root, &kmsfs)?;
            sessions.begin(&mut descriptor, &identity);
            descriptor.generation += 1;
            match descriptor::replace(&kmsfs, &descriptor, &opened.keys) {
                Err(VolumeError::Lower(error @ (LowerError::NOSPC | LowerError::DQUOT))) => {
                    tracing::warn!(%error, "nothing can be written until something is removed");
                    unrecorded = true;
                }
                other => other?,
            }
        }
        let crash = if is_volatile(&root)? { CrashSafety::Process } else { options.crash };
        let st = root.stat_self()?;
        let volume = Volume {
            id: descriptor.id,
            suite: descriptor.suite,
            root,
            kmsfs,
            keys,
            volume_keys: opened.keys,
            descriptor: Mutex::new(descriptor),
            sessions,
            unrecorded: AtomicBool::new(unrecorded),
            inodes: Inodes::new(&st),
            handles: Handles::new(),
            holding: Mutex::default(),
            open_dirs: Mutex::default(),
            max_open_dirs: max_open_dirs(),
            grace: walked::Grace::default(),
            walked: walked::Walked::default(),
            walk: Arc::default(),
            rekeying: Mutex::default(),
            cmks: Mutex::default(),
            control: OnceLock::new(),
            read_only: options.read_only,
            crash,
            euid: rustix::process::geteuid().as_raw(),
            fault,
            _lock: lock,
        };
        let top = volume.inodes.get(Ino::ROOT).ok_or(VolumeError::Root)?;
        volume.dir(&top).map_err(|e| match e {
            Errno::EACCES => VolumeError::Key(KeyError::Denied),
            Errno::ENOKEY => VolumeError::Key(KeyError::Unusable),
            Errno::EIO => VolumeError::Root,
            Errno(other) => VolumeError::Lower(LowerError::from_raw_os_error(other)),
        })?;
        Ok(volume)
    }

    /// Writes everything out and ends the session.
    ///
    /// # Errors
    /// `Unclean` if a file could not be closed; then the session counts as stopped, and what
    /// was synced is there at the next mount.
    pub fn close(&self) -> Result<(), VolumeError> {
        if !self.may_write() {
            return Ok(());
        }
        let mut unclean = 0;
        for inode in self.inodes.all() {
            let open = inode.file.lock().state.clone();
            if let Some(file) = open
                && let Err(e) = file.settle(&self.env(), file::Settle::Clean)
            {
                tracing::error!(inode = inode.ino.0, error = %e, "a file could not be closed");
                unclean += 1;
            }
        }
        if unclean > 0 {
            return Err(VolumeError::Unclean(unclean));
        }
        // Clean headers count for nothing before all of them are down.
        rustix::fs::syncfs(self.root.open_for_reading()?.fd())?;
        let mut descriptor = self.descriptor.lock();
        self.sessions.end(&mut descriptor);
        descriptor.generation += 1;
        descriptor::replace(&self.kmsfs, &descriptor, &self.volume_keys)
    }

    /// The id of the volume.
    pub fn id(&self) -> VolumeId {
        self.id
    }

    /// Lets `control` be spoken to; the first one stays.
    pub fn set_control(&self, control: Arc<dyn Control>) {
        let _ = self.control.set(control); // there is one already: it stays
    }

    /// The CMKs that directories were seen under so far.
    pub fn cmks(&self) -> BTreeSet<String> {
        self.cmks.lock().clone()
    }

    /// The keys that it was opened with.
    pub fn keys(&self) -> &Arc<dyn DataKeys> {
        &self.keys
    }

    fn env(&self) -> FileEnv {
        FileEnv { session: self.sessions.current, crash: self.crash }
    }

    fn caller(&self, cx: &ReqCtx) -> Caller {
        Caller::User { uid: cx.uid, gid: cx.gid, pid: cx.pid, operation: Operation::Read }
    }

    /// To be asked before anything is written. A full disk, or quota, does not keep a volume from
    /// being mounted, or nobody could make room by removing something; but what is written counts
    /// only in a session that is on record.
    ///
    /// # Errors
    /// EROFS: it is mounted read-only. ENOSPC, EDQUOT: there is no room for the record yet.
    fn writable(&self) -> Result<(), Errno> {
        self.removable()?;
        if !self.unrecorded.load(Ordering::Acquire) {
            return Ok(());
        }
        let descriptor = self.descriptor.lock();
        if self.unrecorded.load(Ordering::Acquire) {
            descriptor::replace(&self.kmsfs, &descriptor, &self.volume_keys).map_err(
                |e| match e {
                    VolumeError::Lower(e) => Errno::from(e),
                    _ => Errno::EIO,
                },
            )?;
            self.unrecorded.store(false, Ordering::Release);
            tracing::info!("there is room again: writing goes on");
        }
        Ok(())
    }

    /// Enough for removing the only name of what is no directory: nothing is written then.
    fn removable(&self) -> Result<(), Errno> {
        if self.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// Whether this session may put things right that an earlier one left.
    fn may_write(&self) -> bool {
        !self.read_only && !self.unrecorded.load(Ordering::Acquire)
    }
}

/// Opens a lower root the way [`Volume::mount`] wants it.
pub fn open_root(lower: &Path) -> Result<OwnedFd, LowerError> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(lower, flags, Mode::empty())
}

/// Directory descriptors kept open: a share of what the process may have. The larger one is for what
/// programs have open, which has a descriptor each.
fn max_open_dirs() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = usize::try_from(limit.unwrap_or(1 << 20)).unwrap_or(1024);
    (limit / 8).clamp(64, 16384)
}
