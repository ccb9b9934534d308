//! `kmsfs umount`: unmounts, and returns when nothing is left to be written.
//!
//! umount(2) returns when the kernel has let go; the serving process may still be closing files
//! then. Whoever goes on to copy or unmount the lower directory has to wait for that too.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::args::UmountArgs;
use super::error::CliError;
use super::mounts::{self, Mount};
use super::{process, sys};
use crate::format::VOLUME_DIR;

/// Waited at most for the serving process to finish.
const FLUSH: Duration = Duration::from_secs(120);

/// Waited at most for it to end after it has let go of the volume.
const EXIT: Duration = Duration::from_secs(2);

/// Waited for a use that passes, such as a lookup by the mount's own process.
const PASSING: Duration = Duration::from_millis(500);

/// Runs the command.
pub fn run(args: &UmountArgs) -> Result<(), CliError> {
    let (path, mount) = find(&args.mountpoint)?;
    let lock = mount.source.join(VOLUME_DIR).join("lock");
    let server = mounts::lock_holder(&lock);
    let deadline = Instant::now() + PASSING;
    loop {
        match detach(&path, args.lazy) {
            Ok(()) => break,
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                if Instant::now() > deadline {
                    return Err(CliError::MountBusy { path });
                }
                sleep(Duration::from_millis(50));
            }
            Err(source) => return Err(CliError::Io { action: "unmount", path, source }),
        }
    }
    if args.lazy || mount.read_only {
        return Ok(());
    }
    wait(&path, &lock, server)
}

/// The mount at a path. The path may lead to a dead mount, of which nothing but its name can be
/// looked at.
fn find(given: &Path) -> Result<(PathBuf, Mount), CliError> {
    let failed = |source| CliError::Io { action: "look at", path: given.to_owned(), source };
    let whole = std::path::absolute(given).map_err(failed)?;
    let resolved = match (whole.parent(), whole.file_name()) {
        (Some(dir), Some(name)) => dir.canonicalize().map_err(failed)?.join(name),
        _ => whole.clone(),
    };
    let candidates = [Some(resolved), given.canonicalize().ok()];
    for path in candidates.into_iter().flatten() {
        if let Some(mount) = mounts::at(&path).map_err(failed)?.filter(Mount::is_kmsfs) {
            return Ok((path, mount));
        }
    }
    Err(CliError::NotMounted { path: given.to_owned() })
}

/// Takes the mount away; `lazy` leaves it to those who use it. A user's mount is taken away by
/// the helper that made it.
pub fn detach(path: &Path, lazy: bool) -> io::Result<()> {
    match sys::unmount(path, lazy) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => by_helper(path, lazy),
        other => other,
    }
}

fn by_helper(path: &Path, lazy: bool) -> io::Result<()> {
    let flags: &[&str] = if lazy { &["-u", "-z", "--"] } else { &["-u", "--"] };
    let done = Command::new("fusermount3")
        .args(flags)
        .arg(path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.success() {
        true => Ok(()),
        false if said.contains("busy") => Err(io::ErrorKind::ResourceBusy.into()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Until the volume's lock is free, and then shortly for the process to end.
fn wait(path: &Path, lock: &Path, server: Option<u32>) -> Result<(), CliError> {
    let Ok(file) = File::open(lock) else {
        return Ok(()); // the lower directory is not ours to read: nothing to wait by
    };
    let start = Instant::now();
    while rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        if start.elapsed() > FLUSH {
            return Err(CliError::StillFlushing { path: path.to_owned() });
        }
        sleep(Duration::from_millis(5));
    }
    drop(file);
    let released = Instant::now();
    while server.is_some_and(process::lives) && released.elapsed() < EXIT {
        sleep(Duration::from_millis(5));
    }
    Ok(())
}
