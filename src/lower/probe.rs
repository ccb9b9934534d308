//! What a lower filesystem can do, found out by doing it.

use std::io::{IoSlice, IoSliceMut};

use rustix::fs::{FallocateFlags, FileType, FlockOperation, OFlags, RenameFlags, XattrFlags};

use super::sys::quotas;
use super::{Dir, FileIo, Pinned, Result, open_number};

/// What was found; what could not be tried on a read-only filesystem is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Features {
    /// Type, such as `ext4`, or its number where the name is not known.
    pub filesystem: String,
    /// Changes are possible.
    pub writable: bool,
    /// Lives in memory: nothing survives a power cut.
    pub volatile: bool,
    /// Room left, bytes.
    pub free: u64,
    /// Longest name, bytes.
    pub name_max: u64,
    /// `a` and `A` are two names.
    pub case_sensitive: Option<bool>,
    /// `user.` attributes.
    pub user_attributes: Option<bool>,
    /// `trusted.` attributes, for root.
    pub trusted_attributes: Option<bool>,
    /// POSIX ACLs.
    pub acls: Option<bool>,
    /// Files without a name (O_TMPFILE).
    pub nameless_files: Option<bool>,
    /// Holes can be punched.
    pub punch: Option<bool>,
    /// Room can be reserved.
    pub reserve: Option<bool>,
    /// Holes are told from data (SEEK_HOLE).
    pub holes: Option<bool>,
    /// Rename without replacing.
    pub rename_noreplace: Option<bool>,
    /// Rename that exchanges.
    pub rename_exchange: Option<bool>,
    /// Rename that leaves a whiteout.
    pub rename_whiteout: Option<bool>,
    /// Files with several names.
    pub hard_links: Option<bool>,
    /// Symbolic links.
    pub symlinks: Option<bool>,
    /// Device nodes.
    pub devices: Option<bool>,
    /// Locks that keep two mounts apart (flock).
    pub locks: Option<bool>,
    /// Inodes are found by their number (open_by_handle_at).
    pub handles: Option<bool>,
    /// Quotas of users or groups are in force; `None` where there are none of the usual kind.
    pub quotas: Option<bool>,
    /// Times of birth.
    pub birth_times: Option<bool>,
    /// Single writes can be made durable (RWF_DSYNC).
    pub durable_writes: Option<bool>,
    /// Unbuffered I/O (O_DIRECT).
    pub direct: Option<bool>,
}

/// The directory in which things are tried; gone afterwards.
const PLACE: &str = ".kmsfs.probe";

/// Tries everything in `dir`.
///
/// # Crash
/// An empty directory or one with a few small files in it, `.kmsfs.probe`, stays behind.
pub fn probe(dir: &Dir) -> Result<Features> {
    let st = rustix::fs::fstatfs(dir.fd())?;
    let room = dir.statvfs()?;
    let mut features = Features {
        filesystem: name_of(st.f_type),
        volatile: super::is_volatile(dir)?,
        free: room.f_bavail.saturating_mul(room.f_frsize),
        name_max: room.f_namemax,
        quotas: dir.open_for_reading().ok().and_then(|open| quotas(open.fd())),
        ..Features::default()
    };
    clear(dir);
    if dir.mkdir(PLACE.as_bytes(), 0o700).is_ok() {
        features.writable = true;
        let tried = dir.open_dir(PLACE.as_bytes()).and_then(|place| try_all(&place, &mut features));
        clear(dir);
        tried?;
    }
    Ok(features)
}

fn clear(dir: &Dir) {
    if let Ok(place) = dir.open_dir(PLACE.as_bytes()) {
        for name in [b"a", b"b", b"c"] {
            let _ = place.unlink(name); // it may not be there
        }
        let _ = dir.rmdir(PLACE.as_bytes()); // and neither may this
    }
}

fn try_all(place: &Dir, f: &mut Features) -> Result<()> {
    let file = place.create_file(b"a", 0o600)?;
    place.create_file(b"b", 0o600)?;
    f.case_sensitive = Some(place.stat(b"A").is_err());
    let pin = Pinned::new(file.fd());
    f.user_attributes = Some(pin.set_xattr(b"user.kmsfs.probe", b"x", XattrFlags::empty()).is_ok());
    f.trusted_attributes =
        Some(pin.set_xattr(b"trusted.kmsfs.probe", b"x", XattrFlags::empty()).is_ok());
    f.acls = Some(pin.set_xattr(b"system.posix_acl_access", &ACL, XattrFlags::empty()).is_ok());
    f.nameless_files = Some(place.create_nameless(0o600).is_ok());
    file.write_at(&[IoSlice::new(&[1; 8192])], 1 << 20)?;
    f.holes = Some(file.next_data(0)?.is_some_and(|at| at > 0));
    f.punch = Some(file.punch(1 << 20, 4096)?);
    f.reserve = Some(rustix::fs::fallocate(file.fd(), FallocateFlags::KEEP_SIZE, 0, 4096).is_ok());
    f.durable_writes = Some(file.write_durable_at(&[IoSlice::new(&[1; 4096])], 0).is_ok());
    f.birth_times = Some(pin.born()?.is_some());
    f.direct = Some(direct(place));
    let rename = |flags| place.rename(b"a", place, b"b", flags);
    f.rename_noreplace = Some(rename(RenameFlags::NOREPLACE) == Err(super::LowerError::EXIST));
    f.rename_exchange = Some(rename(RenameFlags::EXCHANGE).is_ok());
    f.locks = Some(rustix::fs::flock(file.fd(), FlockOperation::NonBlockingLockExclusive).is_ok());
    f.handles = Some(open_number(place, pin.stat()?.ino).is_ok());
    let makes = |made: Result<()>| {
        let done = made.is_ok();
        let _ = place.unlink(b"c"); // it may not be there
        Some(done)
    };
    f.hard_links = makes(place.link(b"a", place, b"c"));
    f.symlinks = makes(place.symlink(b"c", b"a"));
    f.devices = makes(place.mknod(b"c", FileType::CharacterDevice, 0o600, NULL_DEVICE));
    // Last: it puts a device in the place of the first file.
    f.rename_whiteout = Some(rename(RenameFlags::WHITEOUT).is_ok());
    Ok(())
}

fn direct(place: &Dir) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    rustix::fs::openat(place.fd(), c"a", flags, rustix::fs::Mode::empty()).is_ok_and(|fd| {
        // Where direct I/O wants aligned memory this fails with EINVAL, which is an answer too.
        let mut byte = [0u8; 1];
        super::LowerFile::new(fd)
            .read_at(&mut [IoSliceMut::new(&mut byte)], 0)
            .map_or_else(|e| e == super::LowerError::INVAL, |_| true)
    })
}

/// The device of /dev/null, 1:3.
const NULL_DEVICE: u64 = 0x103;

/// `u::rw-,u:1:r--,g::---,m::r--,o::---`
const ACL: [u8; 44] = [
    2, 0, 0, 0, // version
    1, 0, 6, 0, 255, 255, 255, 255, // owner
    2, 0, 4, 0, 1, 0, 0, 0, // user 1
    4, 0, 0, 0, 255, 255, 255, 255, // group
    16, 0, 4, 0, 255, 255, 255, 255, // mask
    32, 0, 0, 0, 255, 255, 255, 255, // others
];

fn name_of(kind: i64) -> String {
    let known = match kind {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x794c_7630 => "overlayfs",
        0x6573_5546 => "fuse",
        0x6969 => "nfs",
        0x00c3_6400 => "ceph",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        0xca45_1a4e => "bcachefs",
        0xff53_4d42 | 0xfe53_4d42 => "smb",
        0x2011_bab0 => "exfat",
        0x4d44 => "vfat",
        other => return format!("{other:#x}"),
    };
    known.to_owned()
}
