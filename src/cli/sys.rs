//! System calls of the command line that have no safe wrapper among our dependencies.

#![expect(unsafe_code, reason = "fork, dup2, umount2 and signal masks have no safe wrapper here")]

use std::ffi::{CString, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Which side of a fork this is.
pub enum Fork {
    /// The process that called; the child's process id.
    Parent(i32),
    /// The new process.
    Child,
}

/// fork(2). Only for a process with one thread, which the caller answers for: in a child of
/// several, a lock that another thread held stays locked for ever.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: fork has no memory-safety obligations of its own; with a single thread (the
    // caller's promise) the child may go on as any program.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends the process now: no destructors, no flushing of what the parent will flush.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Waits for a child, whatever its end.
pub fn reap(pid: i32) {
    let mut status: c_int = 0;
    // SAFETY: `status` is a valid place for the result and lives through the call.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Makes descriptor `number` (0, 1 or 2) another name of `fd`.
pub fn replace_stdio(fd: BorrowedFd<'_>, number: c_int) -> io::Result<()> {
    // SAFETY: both are plain numbers; 0 to 2 belong to no owning type in this program.
    match unsafe { libc::dup2(fd.as_raw_fd(), number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// umount2(2) without following a symlink at the end; `lazy` detaches.
pub fn unmount(path: &Path, lazy: bool) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::UMOUNT_NOFOLLOW | if lazy { libc::MNT_DETACH } else { 0 };
    // SAFETY: `path` is a C string that lives through the call.
    match unsafe { libc::umount2(path.as_ptr(), flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The signals that end a mount. Blocked in every thread, and taken by [`StopSignals::wait`].
pub struct StopSignals(libc::sigset_t);

impl StopSignals {
    /// Blocks them, in this thread and in those it starts from now on.
    pub fn block() -> io::Result<StopSignals> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises `set`; the other calls get the initialised set, and
        // pthread_sigmask may be given no place for the old mask.
        let (set, error) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            let mut set = set.assume_init();
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&raw mut set, signal);
            }
            let none = std::ptr::null_mut();
            (set, libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, none))
        };
        match error {
            0 => Ok(StopSignals(set)),
            e => Err(io::Error::from_raw_os_error(e)),
        }
    }

    /// Waits for one of them.
    pub fn wait(&self) {
        let mut signal: c_int = 0;
        // SAFETY: the set was initialised by `block`, `signal` is a valid place.
        unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
    }
}
