//! fusermount3, which mounts for those who may not.
//!
//! It is set-user-id root, does the mount, and sends the descriptor back over a socket whose
//! number it finds in its environment.

use std::ffi::{CStr, OsStr};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::TransportError;

const PROGRAM: &str = "fusermount3";

/// Mounts at `target`. Gives the kernel's end.
pub fn mount(target: &CStr, options: &str) -> Result<OwnedFd, TransportError> {
    let (ours, theirs) = UnixStream::pair()?;
    fcntl_setfd(&theirs, FdFlags::empty()).map_err(io::Error::from)?;
    let child = Command::new(PROGRAM)
        .args(["-o", options, "--"])
        .arg(OsStr::from_bytes(target.to_bytes()))
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    drop(theirs);
    let child = child.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => TransportError::NoHelper,
        _ => TransportError::Io(e),
    })?;
    // It ends after it has sent; an end without sending closes the socket.
    let received = receive(&ours);
    let said = child.wait_with_output()?;
    match received? {
        Some(device) => Ok(device),
        None => Err(refused(&String::from_utf8_lossy(&said.stderr))),
    }
}

/// Unmounts what [`mount`] has mounted.
pub fn unmount(target: &CStr) -> io::Result<()> {
    let target = OsStr::from_bytes(target.to_bytes());
    let ended = Command::new(PROGRAM).args(["-u", "-q", "-z", "--"]).arg(target).status()?;
    if ended.success() { Ok(()) } else { Err(io::Error::other("fusermount3 cannot unmount it")) }
}

fn receive(from: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut room = [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| {
        recvmsg(from, &mut room, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    Ok(ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    }))
}

/// What it means when it sends nothing.
fn refused(said: &str) -> TransportError {
    let said = said.trim();
    if said.contains("user_allow_other") {
        return TransportError::NotForOthers;
    }
    if said.contains("/dev/fuse") && said.contains("not found") {
        return TransportError::NoDevice;
    }
    tracing::error!("{PROGRAM}: {said}");
    TransportError::NoPermission
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_understood() {
        let others = "fusermount3: option allow_other only allowed if 'user_allow_other' is set";
        assert!(matches!(refused(others), TransportError::NotForOthers));
        assert!(matches!(refused("mount failed: no"), TransportError::NoPermission));
    }
}
