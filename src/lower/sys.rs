//! Inodes by handle, and what XFS and quotas tell, for which there is no safe wrapper among our
//! dependencies.

#![expect(unsafe_code, reason = "these calls take pointers")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::Result;

/// The longest handle of any filesystem (MAX_HANDLE_SZ).
const ROOM: usize = 128;
const ROOM_BYTES: u32 = 128;

/// `struct file_handle`, with room behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Handle {
    bytes: u32,
    /// What the filesystem calls this form.
    pub kind: i32,
    data: [u8; ROOM],
}

impl Handle {
    /// A handle of form `kind`; `None` if `data` is longer than any.
    pub fn new(kind: i32, data: &[u8]) -> Option<Handle> {
        let mut handle = Handle { bytes: u32::try_from(data.len()).ok()?, kind, data: [0; ROOM] };
        handle.data.get_mut(..data.len())?.copy_from_slice(data);
        Some(handle)
    }

    /// The handle of an inode that is open.
    pub fn of(fd: BorrowedFd<'_>) -> Result<Handle> {
        let mut handle = Handle { bytes: ROOM_BYTES, kind: 0, data: [0; ROOM] };
        let mut mount = 0i32;
        // SAFETY: `handle` is laid out as the call expects and says how much room it has; it, the
        // empty C string and `mount` live through the call.
        let done = unsafe {
            libc::name_to_handle_at(
                fd.as_raw_fd(),
                c"".as_ptr(),
                (&raw mut handle).cast(),
                &raw mut mount,
                libc::AT_EMPTY_PATH,
            )
        };
        if done == 0 { Ok(handle) } else { Err(last_error()) }
    }

    /// What is in it.
    pub fn data(&self) -> &[u8] {
        let len = usize::try_from(self.bytes).unwrap_or(ROOM);
        self.data.get(..len).unwrap_or_default()
    }

    /// Opens the inode, on the filesystem that `mount` is on, as a mere reference. ESTALE if there
    /// is none, EPERM without CAP_DAC_READ_SEARCH.
    pub fn open(mut self, mount: BorrowedFd<'_>) -> Result<OwnedFd> {
        let flags = libc::O_PATH | libc::O_CLOEXEC;
        // SAFETY: `self` is laid out as the call expects, says its own payload's size and lives
        // through the call; `mount` is an open descriptor.
        let fd =
            unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut self).cast(), flags) };
        if fd < 0 {
            return Err(last_error());
        }
        // SAFETY: a result of 0 or more is a descriptor that was made for this call.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// `struct xfs_bulkstat_req` of xfs_fs.h with room for one `struct xfs_bulkstat`.
#[repr(C)]
struct BulkStat {
    /// First number that is asked for.
    ino: u64,
    flags: u32,
    room: u32,
    got: u32,
    _group: u32,
    _reserved: [u64; 5],
    /// The number of the inode that was found: the first in use from `ino` on.
    found: u64,
    _sizes_and_times: [u64; 7],
    generation: u32,
    _rest: [u32; 31],
}

const _: () = assert!(size_of::<BulkStat>() == 64 + 192);

/// XFS_IOC_BULKSTAT.
const XFS_BULKSTAT: libc::Ioctl = libc::_IOR::<[u8; 64]>(0x58, 127);

/// The generation of an inode of XFS, which its handle takes. ESTALE if it is not in use; EPERM
/// without CAP_SYS_ADMIN.
pub fn xfs_generation(on: BorrowedFd<'_>, number: u64) -> Result<u32> {
    let mut request = BulkStat {
        ino: number,
        flags: 0,
        room: 1,
        got: 0,
        _group: 0,
        _reserved: [0; 5],
        found: 0,
        _sizes_and_times: [0; 7],
        generation: 0,
        _rest: [0; 31],
    };
    // SAFETY: the request says that there is room for one answer, which is behind its header, and
    // it lives through the call; on other filesystems the call fails without touching it.
    if unsafe { libc::ioctl(on.as_raw_fd(), XFS_BULKSTAT, &raw mut request) } != 0 {
        return Err(last_error());
    }
    let there = request.got == 1 && request.found == number;
    if there { Ok(request.generation) } else { Err(Errno::STALE) }
}

/// Whether quotas of users or groups are in force where `on` is; `None` if the filesystem has none
/// of the usual kind, or the kernel (before 5.14) cannot be asked so.
pub fn quotas(on: BorrowedFd<'_>) -> Option<bool> {
    const GET_FORMAT: i32 = 0x80_0004;
    const XFS_GET_STATE: i32 = 0x5805;
    const USER: i32 = 0;
    const GROUP: i32 = 1;
    let ask = |command: i32, kind: i32| {
        // More than any answer to these commands takes.
        let mut answer = [0u8; 256];
        let command = (command << 8) | kind;
        // SAFETY: `answer` is larger than what the two commands write, and lives through the call.
        let done = unsafe {
            libc::syscall(libc::SYS_quotactl_fd, on.as_raw_fd(), command, 0, answer.as_mut_ptr())
        };
        if done == 0 { Ok(answer) } else { Err(last_error()) }
    };
    if [USER, GROUP].iter().any(|&kind| ask(GET_FORMAT, kind).is_ok()) {
        return Some(true);
    }
    // Of XFS: a byte of version, one of padding, and two with the flags.
    match ask(XFS_GET_STATE, USER) {
        Ok(state) => Some(state.get(2..4).is_some_and(|flags| flags != [0, 0])),
        Err(_) => match ask(GET_FORMAT, USER) {
            Err(Errno::SRCH) => Some(false),
            _ => None,
        },
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
