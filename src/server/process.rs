//! What a running process is: its groups, its executable, its unit.
//!
//! Everything is read below one descriptor of `/proc/PID`. That descriptor is of the process and
//! not of its number: when the process ends and the number is used again, reads through it fail.
//! So all facts are of one process. Whatever cannot be read is absent, never guessed.
//!
//! Reading the executable of another user's process takes CAP_SYS_PTRACE; a kmsd without it
//! knows no executables.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use dashmap::DashMap;
use rustix::fs::{Access, AtFlags, Mode, OFlags, openat, readlinkat};
use sha2::{Digest, Sha256};

use super::users::groups_in;
use crate::kms::caller::Program;

/// Most bytes of a text file below `/proc` that are read.
const MAX_TEXT: u64 = 1 << 20;

/// Bytes that such a file has at most, usually.
const USUAL_TEXT: usize = 4096;

/// Most executables whose hash is remembered; reaching it forgets all of them.
const MAX_HASHES: usize = 1000;

/// What a name ends with once the file has another one, or none.
const DELETED: &[u8] = b" (deleted)";

/// One state of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Looks processes up.
#[derive(Debug, Default)]
pub struct Processes {
    hashes: DashMap<FileState, String>,
}

/// One process, pinned.
pub struct Process {
    proc: OwnedFd,
    groups: Vec<u32>,
}

impl Process {
    /// The process or thread `pid`, if it exists and runs as `uid`.
    pub fn of(pid: u32, uid: u32) -> Option<Process> {
        if pid == 0 {
            return None;
        }
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(format!("/proc/{pid}"), how, Mode::empty()).ok()?;
        let groups = groups_in(&text(&proc, "status")?, uid)?;
        Some(Process { proc, groups })
    }

    /// Whether it has not ended: its number is still its own.
    pub fn lives(&self) -> bool {
        rustix::fs::accessat(&self.proc, "status", Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Its supplementary groups.
    pub fn groups(&self) -> &[u32] {
        &self.groups
    }
}

impl Processes {
    /// What it runs.
    pub fn program(&self, process: &Process) -> Program {
        let executable = readlinkat(&process.proc, "exe", Vec::new()).ok();
        let executable = executable
            .filter(|path| path.as_bytes().starts_with(b"/") && !path.as_bytes().ends_with(DELETED))
            .and_then(|path| path.into_string().ok());
        let unit = text(&process.proc, "cgroup").and_then(|cgroup| unit_in(&cgroup));
        Program { executable, sha256: self.hash(process).ok(), unit }
    }

    fn hash(&self, process: &Process) -> io::Result<String> {
        let how = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut file = File::from(openat(&process.proc, "exe", how, Mode::empty())?);
        let state = state_of(&file)?;
        if let Some(known) = self.hashes.get(&state) {
            return Ok(known.clone());
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                got => hash.update(buffer.get(..got).unwrap_or_default()),
            }
        }
        let hash = super::sigv4::hex(&hash.finalize());
        // Not remembered if somebody wrote to it meanwhile.
        if state_of(&file)? == state {
            if self.hashes.len() >= MAX_HASHES {
                self.hashes.clear();
            }
            self.hashes.insert(state, hash.clone());
        }
        Ok(hash)
    }
}

fn state_of(file: &File) -> io::Result<FileState> {
    let meta = file.metadata()?;
    Ok(FileState {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

fn text(proc: &OwnedFd, name: &str) -> Option<String> {
    let how = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = File::from(openat(proc, name, how, Mode::empty()).ok()?);
    // Room for all of it: the kernel writes the whole text anew for each piece that is read.
    let mut text = String::with_capacity(USUAL_TEXT);
    file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The system's unit in `/proc/PID/cgroup`: the first part of the path that is no slice. What a
/// user's own service manager makes lies below `user@UID.service`, so nobody can take the name
/// of a system service.
fn unit_in(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        matches!(controllers, "" | "name=systemd").then_some(path)
    })?;
    // From inside a namespace of control groups, places above look like this.
    let mut parts = path.strip_prefix('/')?.split('/');
    let unit = parts.find(|part| !part.ends_with(".slice"))?;
    let known = [".service", ".scope", ".socket", ".mount", ".swap"];
    known.iter().any(|end| unit.len() > end.len() && unit.ends_with(end)).then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn knows_the_program_that_runs() {
        let processes = Processes::default();
        let this = Process::of(std::process::id(), me()).unwrap();
        let program = processes.program(&this);
        let exe = std::env::current_exe().unwrap();
        assert_eq!(program.executable.as_deref(), exe.to_str());
        let hash = super::super::sigv4::hex(&Sha256::digest(std::fs::read(exe).unwrap()));
        assert_eq!(program.sha256, Some(hash));
        assert_eq!(processes.program(&this), program, "from memory");
    }

    #[test]
    fn a_replaced_executable_has_no_path_but_a_hash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sleeper");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let mut child = std::process::Command::new(&path).arg("60").spawn().unwrap();
        let processes = Processes::default();
        let program =
            || Process::of(child.id(), me()).map(|process| processes.program(&process)).unwrap();
        assert_eq!(program().executable.as_deref(), path.to_str());
        std::fs::remove_file(&path).unwrap();
        std::fs::copy("/bin/cat", &path).unwrap();
        let after = program();
        let sleep = super::super::sigv4::hex(&Sha256::digest(std::fs::read("/bin/sleep").unwrap()));
        assert_eq!((after.executable, after.sha256), (None, Some(sleep)));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn only_of_a_process_that_is_there_and_of_that_user() {
        assert!(Process::of(std::process::id(), me() + 1).is_none());
        assert!(Process::of(0, me()).is_none());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pinned = Process::of(child.id(), me());
        child.wait().unwrap();
        assert!(Process::of(child.id(), me()).is_none());
        assert!(pinned.as_ref().is_none_or(|process| !process.lives()));
        // Pinned while it ran or was not yet waited for: now there is nothing to learn.
        if let Some(process) = pinned {
            assert_eq!(Processes::default().program(&process), Program::default());
        }
    }

    #[test]
    fn units_are_the_systems_own() {
        for (cgroup, unit) in [
            ("0::/system.slice/postgresql.service\n", Some("postgresql.service")),
            ("0::/system.slice/system-pg.slice/pg@15.service/sub", Some("pg@15.service")),
            ("0::/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/postgresql.service",
                Some("user@1000.service"),
            ),
            ("5:cpu:/x.service\n1:name=systemd:/system.slice/a.service\n", Some("a.service")),
            ("0::/", None),
            ("0::/../system.slice/a.service", None),
            ("0::/container/system.slice/a.service", None),
            ("0::/system.slice/.service", None),
            ("nonsense", None),
        ] {
            assert_eq!(unit_in(cgroup).as_deref(), unit, "{cgroup}");
        }
    }
}
