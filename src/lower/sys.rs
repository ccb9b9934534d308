//! Inodes by handle, for which there is no safe wrapper among our dependencies.

#![expect(unsafe_code, reason = "name_to_handle_at and open_by_handle_at take pointers")]

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

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
