//! Making the mount: with mount(2) where this process may, through fusermount3 where not.
//!
//! `fuser` could do both, but its own mount(2) says nothing of the type, and `kmsfs umount`,
//! fstab and systemd know a mount by its type, `fuse.kmsfs`. The helper gets it right.

use std::ffi::{CString, c_ulong};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ::fuser::MountOption;

use super::{Audience, MountFlags, Options, TransportError, sys};

/// A mount that nobody serves yet. Dropped before it is kept, it goes away.
pub struct Fresh {
    target: CString,
    kept: bool,
}

impl Fresh {
    /// From here on the mount is ended by whoever unmounts it.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = sys::unmount(&self.target)
        {
            tracing::warn!(%error, "a mount that could not be served stays behind");
        }
    }
}

/// Mounts with mount(2). `None`: this process may not, and the helper has to be asked.
pub fn directly(
    mountpoint: &Path,
    options: &Options,
) -> Result<Option<(OwnedFd, Fresh)>, TransportError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(refused)?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|e| TransportError::Io(e.into()));
    let others = if options.audience == Audience::Everybody { ",allow_other" } else { "" };
    // The descriptor's number is all that the kernel learns of it; it is used within this call.
    let data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions{others}",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let target = text(mountpoint.as_os_str().as_bytes())?;
    let source = text(options.source.as_os_str().as_bytes())?;
    let flags = flags(&options.flags);
    match sys::mount(&source, &target, c"fuse.kmsfs", flags, &text(data.as_bytes())?) {
        Ok(()) => Ok(Some((device.into(), Fresh { target, kept: false }))),
        // Root of a container, say.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Err(TransportError::NoDevice),
        Err(e) => Err(TransportError::Io(e)),
    }
}

fn flags(f: &MountFlags) -> c_ulong {
    let pick = |on, flag| if on { flag } else { 0 };
    pick(f.read_only, libc::MS_RDONLY)
        | pick(!f.suid, libc::MS_NOSUID)
        | pick(!f.dev, libc::MS_NODEV)
        | pick(!f.exec, libc::MS_NOEXEC)
        | pick(f.noatime, libc::MS_NOATIME)
        | pick(f.sync, libc::MS_SYNCHRONOUS)
        | pick(f.dirsync, libc::MS_DIRSYNC)
}

/// The options as fusermount3 gets them, from `fuser`.
pub fn for_helper(options: &Options) -> Result<Vec<MountOption>, TransportError> {
    // It splits its options at commas and takes a backslash as an escape.
    let source = options.source.to_str().ok_or(TransportError::Source)?;
    let source = source.replace('\\', "\\\\").replace(',', "\\,");
    let f = &options.flags;
    let pick = |on, yes, no| if on { yes } else { no };
    let mut list = vec![
        MountOption::FSName(source),
        MountOption::Subtype("kmsfs".into()),
        MountOption::DefaultPermissions,
        pick(f.read_only, MountOption::RO, MountOption::RW),
        pick(f.suid, MountOption::Suid, MountOption::NoSuid),
        pick(f.dev, MountOption::Dev, MountOption::NoDev),
        pick(f.exec, MountOption::Exec, MountOption::NoExec),
        pick(f.noatime, MountOption::NoAtime, MountOption::Atime),
        pick(f.sync, MountOption::Sync, MountOption::Async),
    ];
    if f.dirsync {
        list.push(MountOption::DirSync);
    }
    Ok(list)
}

/// What a failure to mount means.
pub fn refused(e: io::Error) -> TransportError {
    match e.kind() {
        io::ErrorKind::NotFound => TransportError::NoDevice,
        io::ErrorKind::PermissionDenied if e.to_string().contains("user_allow_other") => {
            TransportError::NotForOthers
        }
        io::ErrorKind::PermissionDenied => TransportError::NoPermission,
        _ => TransportError::Io(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(source: &str) -> Options {
        Options {
            flags: MountFlags::default(),
            audience: Audience::Owner,
            source: source.into(),
            threads: None,
        }
    }

    #[test]
    fn a_path_cannot_smuggle_an_option_in() {
        let list = for_helper(&options("/a,suid\\,dev")).unwrap();
        assert_eq!(list.first(), Some(&MountOption::FSName("/a\\,suid\\\\\\,dev".into())));
    }

    #[test]
    fn set_user_id_and_devices_are_off_unless_asked_for() {
        let f = flags(&MountFlags::default());
        assert_eq!(f, libc::MS_NOSUID | libc::MS_NODEV);
        let f = flags(&MountFlags { suid: true, dev: true, exec: false, ..Default::default() });
        assert_eq!(f, libc::MS_NOEXEC);
    }
}
