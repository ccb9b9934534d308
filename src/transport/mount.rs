//! Making the mount: with mount(2) where this process may, through fusermount3 where not.

use std::ffi::{CString, c_ulong};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Audience, MountFlags, Options, TransportError, helper, sys};

/// A mount that nobody serves yet. Dropped before it is kept, it goes away.
pub struct Fresh {
    target: CString,
    kept: bool,
    helper: bool,
}

impl Fresh {
    /// From here on the mount is ended by whoever unmounts it.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn unmount(&self) -> io::Result<()> {
        if self.helper { helper::unmount(&self.target) } else { sys::unmount(&self.target) }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.unmount()
        {
            tracing::warn!(%error, "a mount that could not be served stays behind");
        }
    }
}

/// Mounts. The descriptor is the kernel's end of the mount; nothing has been read from it.
pub fn mount(mountpoint: &Path, options: &Options) -> Result<(OwnedFd, Fresh), TransportError> {
    if let Some(made) = directly(mountpoint, options)? {
        return Ok(made);
    }
    let target = CString::new(mountpoint.as_os_str().as_bytes()).map_err(io::Error::from)?;
    let device = helper::mount(&target, &for_helper(options)?)?;
    Ok((device, Fresh { target, kept: false, helper: true }))
}

/// Mounts with mount(2). `None`: this process may not, and the helper has to be asked.
fn directly(
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
        Ok(()) => Ok(Some((device.into(), Fresh { target, kept: false, helper: false }))),
        // Root of a container, say.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Err(TransportError::NoDevice),
        Err(e) => Err(TransportError::Io(e)),
    }
}

/// Changes the flags of the mount at `mountpoint`. The kernel keeps them; nobody is asked.
pub fn remount(mountpoint: &Path, f: &MountFlags) -> io::Result<()> {
    let target = CString::new(mountpoint.as_os_str().as_bytes())?;
    sys::mount(c"none", &target, c"fuse.kmsfs", libc::MS_REMOUNT | flags(f), c"")
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

/// The options as fusermount3 takes them.
fn for_helper(options: &Options) -> Result<String, TransportError> {
    // It splits them at commas and takes a backslash as an escape.
    let source = options.source.to_str().ok_or(TransportError::Source)?;
    let source = source.replace('\\', "\\\\").replace(',', "\\,");
    let f = &options.flags;
    let pick = |on, yes, no| if on { yes } else { no };
    let mut list = vec![
        pick(f.read_only, "ro", "rw"),
        pick(f.suid, "suid", "nosuid"),
        pick(f.dev, "dev", "nodev"),
        pick(f.exec, "exec", "noexec"),
        pick(f.noatime, "noatime", "atime"),
        pick(f.sync, "sync", "async"),
        "default_permissions",
        "subtype=kmsfs",
    ];
    if f.dirsync {
        list.push("dirsync");
    }
    if options.audience == Audience::Everybody {
        list.push("allow_other");
    }
    Ok(format!("{},fsname={source}", list.join(",")))
}

/// What a failure to open the device means.
fn refused(e: io::Error) -> TransportError {
    match e.kind() {
        io::ErrorKind::NotFound => TransportError::NoDevice,
        io::ErrorKind::PermissionDenied => TransportError::NoPermission,
        _ => TransportError::Io(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transport;

    fn options(source: &str) -> Options {
        Options {
            flags: MountFlags::default(),
            audience: Audience::Owner,
            source: source.into(),
            threads: None,
            transport: Transport::Auto,
        }
    }

    #[test]
    fn a_path_cannot_smuggle_an_option_in() {
        let list = for_helper(&options("/a,suid\\,dev")).unwrap();
        assert!(list.ends_with(",fsname=/a\\,suid\\\\\\,dev"), "{list}");
    }

    #[test]
    fn set_user_id_and_devices_are_off_unless_asked_for() {
        let f = flags(&MountFlags::default());
        assert_eq!(f, libc::MS_NOSUID | libc::MS_NODEV);
        let f = flags(&MountFlags { suid: true, dev: true, exec: false, ..Default::default() });
        assert_eq!(f, libc::MS_NOEXEC);
    }
}
