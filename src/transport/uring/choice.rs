//! Whether requests can come over a ring on this machine, and what to do if not.

use std::fmt;
use std::fs;

use super::sys::Ring;

/// The kernel module's switch; root's to set.
const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";

/// Why not.
#[derive(Debug)]
pub enum Obstacle {
    /// The kernel has no such thing: before 6.14, or built without.
    NotInKernel,
    /// The module's parameter is off, as it is unless somebody sets it.
    SwitchedOff,
    /// io_uring itself cannot be used here.
    NoIoUring(std::io::Error),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::NotInKernel => {
                f.write_str("this kernel has no FUSE over io_uring (Linux 6.14 or newer has)")
            }
            Obstacle::SwitchedOff => write!(
                f,
                "the fuse module's enable_uring is off (as root: echo 1 >{SWITCH}; for good: \
                 'options fuse enable_uring=1' in /etc/modprobe.d/kmsfs.conf)"
            ),
            Obstacle::NoIoUring(e) => write!(
                f,
                "io_uring cannot be used here ({e}; see kernel.io_uring_disabled and the \
                 container's seccomp profile)"
            ),
        }
    }
}

/// Looks. A yes can still be taken back by the kernel when the mount is made; the mount then
/// works over /dev/fuse.
pub fn possible() -> Result<(), Obstacle> {
    match fs::read_to_string(SWITCH) {
        Err(_) => return Err(Obstacle::NotInKernel),
        Ok(text) if !matches!(text.trim(), "Y" | "1") => return Err(Obstacle::SwitchedOff),
        Ok(_) => {}
    }
    Ring::probe().map_err(Obstacle::NoIoUring)
}
