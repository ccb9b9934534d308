//! The system calls of the transport that have no safe wrapper among our dependencies.

#![expect(
    unsafe_code,
    reason = "mount(2), open_by_handle_at, getrusage and an ioctl take pointers, malloc_trim is foreign"
)]

use std::ffi::{CStr, c_long, c_ulong};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `struct file_handle` with the 12 bytes that FUSE inodes use.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    fid: [u32; 3],
}

/// "64-bit inode number and generation", the kind that the kernel's FUSE client makes.
const INO64_GEN: i32 = 0x81;

/// An `O_PATH` descriptor of the inode that the mount under `mount` knows as `nodeid`, found
/// without a path and without a lookup. ESTALE if the kernel has forgotten it; EPERM without
/// CAP_DAC_READ_SEARCH.
pub fn open_nodeid(mount: BorrowedFd<'_>, nodeid: u64, generation: u32) -> io::Result<OwnedFd> {
    let [high, low] = halves(nodeid);
    let mut handle = Handle { bytes: 12, kind: INO64_GEN, fid: [high, low, generation] };
    // SAFETY: `handle` is laid out as the call expects, says its own payload's size (12 bytes)
    // and lives through the call; `mount` is an open descriptor.
    let fd: c_long = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut handle,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    match RawFd::try_from(fd) {
        // SAFETY: a result of 0 or more is a descriptor that was made for this call.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives free pages of the heap back to the kernel, those in the middle of it too, which the
/// allocator keeps otherwise; milliseconds for each 100 MB. (malloc_trim(3); other C libraries give
/// back by themselves.)
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How often this thread has given its CPU to another task, or lost it (getrusage(2)).
pub fn switches() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call writes a `rusage` to where the pointer leads; zeros are one, too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_nvcsw.saturating_add(usage.ru_nivcsw)
}

/// mount(2).
pub fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: c_ulong,
    data: &CStr,
) -> io::Result<()> {
    // SAFETY: all four are C strings that live through the call; `data` is what a FUSE mount
    // takes, a string.
    let done = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Detaches the mount at `target`.
pub fn unmount(target: &CStr) -> io::Result<()> {
    // SAFETY: a C string that lives through the call.
    let done = unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `fresh`, just opened, another descriptor of the mount that `of` belongs to.
pub fn join_mount(fresh: BorrowedFd<'_>, of: BorrowedFd<'_>) -> io::Result<()> {
    /// FUSE_DEV_IOC_CLONE: _IOR(229, 0, u32).
    const CLONE: c_ulong = 0x8004_e500;
    let number: u32 = of.as_raw_fd().cast_unsigned();
    // SAFETY: the call reads a u32 behind the pointer, which lives through it.
    let done = unsafe { libc::ioctl(fresh.as_raw_fd(), CLONE, &raw const number) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `fd` lead to /dev/null from now on, whoever uses it: what it led to is closed, once no
/// call is under way on it.
pub fn silence(fd: BorrowedFd<'_>) -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // SAFETY: both are open descriptors; `fd` stays one, with the same owner, and nothing depends
    // on what it leads to.
    let done = unsafe { libc::dup3(null.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) };
    if done >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn halves(n: u64) -> [u32; 2] {
    let b = n.to_be_bytes();
    let [a0, a1, a2, a3, b0, b1, b2, b3] = b;
    [u32::from_be_bytes([a0, a1, a2, a3]), u32::from_be_bytes([b0, b1, b2, b3])]
}
