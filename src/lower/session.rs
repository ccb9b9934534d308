//! Which lower filesystem this is, whether it survives a power cut, and the lock of a volume.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::{Dir, Result};

/// Tells two lives of a lower filesystem apart. If both numbers are as they were when a mount
/// stopped, what it had written is still in the page cache: it was killed, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerIdentity {
    /// `/proc/sys/kernel/random/boot_id`; zero when it cannot be read.
    pub boot_id: [u8; 16],
    /// The kernel's number of the mount, never used twice (`STATX_MNT_ID_UNIQUE`, Linux 6.8),
    /// else the ordinary one.
    pub mount_id: u64,
}

/// `STATX_MNT_ID_UNIQUE` of linux/stat.h.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Identifies the filesystem that a directory lies on.
pub fn identify(dir: &Dir) -> Result<LowerIdentity> {
    let flags = AtFlags::EMPTY_PATH;
    let stat = rustix::fs::statx(dir.fd(), c"", flags, MNT_ID_UNIQUE | StatxFlags::MNT_ID)?;
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot_id = uuid::Uuid::parse_str(text.trim()).map(|u| *u.as_bytes()).unwrap_or_default();
    Ok(LowerIdentity { boot_id, mount_id: stat.stx_mnt_id })
}

/// Whether the lower filesystem lives in memory, so that syncing it has no meaning.
pub fn is_volatile(dir: &Dir) -> Result<bool> {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    let kind = rustix::fs::fstatfs(dir.fd())?.f_type;
    Ok(kind == TMPFS || kind == RAMFS)
}

/// The advisory lock that a mount holds on its volume for as long as it lives.
#[derive(Debug)]
pub struct VolumeLock {
    _fd: OwnedFd,
}

impl VolumeLock {
    /// Takes the lock in `.kmsfs`, exclusively unless `shared`. `Err(WOULDBLOCK)`: another mount
    /// has it. On a read-only filesystem the lock file may be missing: then there is nothing
    /// that a second mount could harm, and the directory itself is locked.
    pub fn take(kmsfs_dir: &Dir, shared: bool) -> Result<VolumeLock> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        let fd = match rustix::fs::openat(kmsfs_dir.fd(), c"lock", flags, mode) {
            Ok(fd) => fd,
            Err(Errno::ROFS | Errno::ACCESS) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::openat(kmsfs_dir.fd(), c".", flags, Mode::empty())?
            }
            Err(e) => return Err(e),
        };
        let how = if shared {
            FlockOperation::NonBlockingLockShared
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        rustix::fs::flock(fd.as_fd(), how)?;
        Ok(VolumeLock { _fd: fd })
    }
}
