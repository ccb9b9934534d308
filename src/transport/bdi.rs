//! What the kernel lets a mount cache: its backing-device entry in sysfs.
//!
//! A FUSE mount gets 128 KiB of read-ahead, and one hundredth of the memory that dirty pages may
//! take, because its server might be anybody's. Both are the administrator's to raise. With more
//! read-ahead a stream arrives in requests of up to 1 MiB; with more dirty pages a writer does not
//! stop and go. (Linux: Documentation/ABI/testing/sysfs-class-bdi.)

use std::fs;
use std::io;

/// Share of the memory for dirty pages that a mount may take at most, in percent. With much more, a
/// short stream is all taken in before any of it goes out, and whoever syncs it waits for the whole.
const DIRTY: u32 = 4;

/// Sets the read-ahead of the mount with device number `major:minor` to `kib` KiB, and its share
/// of dirty pages. An error means that something stays as it was, which is slower and nothing else.
pub fn raise((major, minor): (u32, u32), kib: u32) -> io::Result<()> {
    let set = |what: &str, value: u32| {
        fs::write(format!("/sys/class/bdi/{major}:{minor}/{what}"), value.to_string())
    };
    set("read_ahead_kb", kib).and(set("max_ratio", DIRTY))
}
