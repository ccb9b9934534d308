//! A mount that has the embedded store open lets the same user's other processes in.
//!
//! It listens on `socket` in the store's directory, which nobody else may enter. A guest that
//! lasts, another mount, holds a shared lock on `guests` there; the host ends when it can lock
//! that file alone. Locks vanish with their process, so a guest that was killed holds up nobody,
//! and a host that was killed leaves a dead socket which the next host replaces.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::error::CliError;
use crate::kms::service::Service;
use crate::server::dispatch::Dispatcher;
use crate::server::unix::{UnixLimits, UnixServer};

/// Between two looks whether the last guest has gone.
const LOOK: Duration = Duration::from_millis(100);

/// The socket of a store's host.
pub fn socket(dir: &Path) -> PathBuf {
    dir.join("socket")
}

/// A listening host.
pub struct Host {
    server: UnixServer,
    socket: PathBuf,
    guests: File,
}

/// Starts listening. A mount works without it, so a failure is a line in the log.
pub fn listen(dir: &Path, service: &Arc<Service>) -> Option<Host> {
    let started = start(dir, service);
    if let Err(error) = &started {
        tracing::warn!(%error, "other mounts and commands cannot use the key store meanwhile");
    }
    started.ok()
}

fn start(dir: &Path, service: &Arc<Service>) -> io::Result<Host> {
    let guests = guests_file(dir)?;
    let socket = socket(dir);
    match fs::remove_file(&socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {} // nobody listens on it: the store's lock is ours
    }
    let listener = UnixListener::bind(&socket)?;
    let ours = HashSet::from([rustix::process::geteuid().as_raw()]);
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(service), ours));
    let limits = UnixLimits { workers: 4, ..UnixLimits::default() };
    let server = UnixServer::start(listener, dispatcher, limits)?;
    Ok(Host { server, socket, guests })
}

impl Host {
    /// Waits until no guest is left, and stops.
    pub fn close(self) {
        let alone = || {
            let how = FlockOperation::NonBlockingLockExclusive;
            rustix::fs::flock(self.guests.as_fd(), how).is_ok()
        };
        if !alone() {
            tracing::info!("other mounts use the key store; serving it until they have gone");
            while !alone() {
                sleep(LOOK);
            }
        }
        let _ = fs::remove_file(&self.socket); // a dead socket is replaced by the next host
        self.server.stop();
    }
}

/// Tells the host that somebody depends on it, for as long as the result lives. `None`: the host
/// is about to end.
pub fn announce(dir: &Path) -> Result<Option<File>, CliError> {
    let failed = |source| CliError::Io { action: "use key store", path: dir.to_owned(), source };
    let file = guests_file(dir).map_err(failed)?;
    match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(failed(e.into())),
    }
}

fn guests_file(dir: &Path) -> io::Result<File> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    how.open(dir.join("guests"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_share_and_keep_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let guests = guests_file(dir.path()).unwrap();
        let alone =
            || rustix::fs::flock(guests.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok();
        let (a, b) = (announce(dir.path()).unwrap(), announce(dir.path()).unwrap());
        assert!(!alone());
        drop(a);
        assert!(!alone());
        drop(b);
        assert!(alone());
        assert!(announce(dir.path()).unwrap().is_none(), "a host that ends took a guest in");
    }
}
