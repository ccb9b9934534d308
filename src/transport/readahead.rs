//! The mount's read-ahead window.
//!
//! The kernel gives a FUSE mount 128 KiB and lets the server only lower that. The mount's
//! backing-device entry in sysfs is the administrator's, and raises it: a stream then arrives
//! in requests of up to 1 MiB.

use std::fs;
use std::io;

/// Sets the read-ahead of the mount with device number `major:minor` to `kib` KiB. An error
/// means that the window stays as it was, which is slower and nothing else.
pub fn raise(major: u32, minor: u32, kib: u32) -> io::Result<()> {
    fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), kib.to_string())
}
