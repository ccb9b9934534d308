//! Finding an inode by its number alone, where the filesystem can do that.
//!
//! Handles of ext4, btrfs and XFS are made of the inode's number and its generation. The first two
//! take 0 for "any"; XFS tells the generation of a number. tmpfs wants one that only it knows, and of
//! others no handle is known that could be made from a number.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::sys::{Handle, xfs_generation};
use super::{Dir, Result};

/// FILEID_INO32_GEN: number and generation, 32 bits each.
const NUMBER_GENERATION: i32 = 1;
/// FILEID_BTRFS_WITHOUT_PARENT: number and subvolume, 64 bits each, and a generation.
const BTRFS: i32 = 0x4d;
/// Where the subvolume is in such a handle.
const BTRFS_ROOT: std::ops::Range<usize> = 8..16;
/// f_type of ext2, ext3 and ext4.
const EXT: i64 = 0xef53;
/// XFS_FILEID_TYPE_64FLAG | FILEID_INO32_GEN: a number of 64 bits and a generation of 32.
const XFS_NUMBER_GENERATION: i32 = 0x81;
/// f_type of XFS.
const XFS: i64 = 0x5846_5342;

/// Opens the inode `number` of the filesystem, and on btrfs the subvolume, that `root` is in, as a
/// mere reference.
///
/// # Errors
/// ESTALE: there is none. EOPNOTSUPP: this filesystem cannot do it. EPERM: this process may not.
#[expect(clippy::host_endian_bytes, reason = "the kernel keeps handles in its own order")]
pub fn open_number(root: &Dir, number: u64) -> Result<OwnedFd> {
    let like = Handle::of(root.fd())?;
    let filesystem = rustix::fs::fstatfs(root.fd())?.f_type;
    let open = root.open_for_reading()?;
    let (kind, data) = match like.kind {
        // Others use this form too, and want the right generation.
        NUMBER_GENERATION if filesystem == EXT => {
            let number = u32::try_from(number).map_err(|_| Errno::STALE)?;
            (like.kind, [number.to_ne_bytes(), [0; 4]].concat())
        }
        BTRFS => {
            let subvolume = like.data().get(BTRFS_ROOT).ok_or(Errno::OPNOTSUPP)?;
            (like.kind, [&number.to_ne_bytes()[..], subvolume, &[0; 4]].concat())
        }
        _ if filesystem == XFS => {
            let generation = xfs_generation(open.fd(), number)?;
            let data = [&number.to_ne_bytes()[..], &generation.to_ne_bytes()].concat();
            (XFS_NUMBER_GENERATION, data)
        }
        _ => return Err(Errno::OPNOTSUPP),
    };
    let handle = Handle::new(kind, &data).ok_or(Errno::OPNOTSUPP)?;
    // A descriptor that is a mere reference itself will not do here.
    handle.open(open.fd())
}
