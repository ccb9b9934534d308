//! Going to the background, and telling the command that waits how it went.
//!
//! The fork happens before any thread exists and before any key is in memory. The command stays
//! until the background process reports, so that its exit code is the outcome and a script's
//! next line can use the mount. The report travels over a pipe as lines of JSON; if the pipe
//! closes without an outcome, the background process has died.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::CliError;
use super::exit::Exit;
use super::out::Out;
use super::sys::{self, Fork};

/// One line of the report.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Note(String),
    Ready,
    Failed { exit: u8, message: String, remedy: String },
}

/// Which process returned from [`detach`].
pub enum Side {
    /// The command, after the report: the outcome.
    Command(Result<(), CliError>),
    /// The background process, which has to report.
    Background(Reporter),
}

/// The background process's end of the pipe, or a stand-in for it in the foreground.
pub struct Reporter {
    to: Option<PipeWriter>,
    out: Out,
}

impl Reporter {
    /// For a mount that stays in the foreground: notes are printed here.
    pub fn foreground(out: Out) -> Reporter {
        Reporter { to: None, out }
    }

    /// Passes a note on.
    pub fn note(&mut self, text: String) {
        match self.to {
            Some(_) => self.send(&Line::Note(text)),
            None => self.out.note(text),
        }
    }

    /// The mount answers. Lets the command go.
    pub fn ready(mut self) {
        self.send(&Line::Ready);
    }

    /// It did not work: told to the command that waits, which prints it. In the foreground the
    /// caller prints it.
    pub fn failed(mut self, e: &CliError) {
        self.send(&Line::Failed {
            exit: e.exit().code(),
            message: e.to_string(),
            remedy: e.remedy(),
        });
    }

    fn send(&mut self, line: &Line) {
        let Some(to) = &mut self.to else { return };
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        // Nobody reads: the command was interrupted, and the mount goes on without it.
        let _ = to.write_all(text.as_bytes());
    }
}

/// Forks twice. The new process has no terminal, no standard input and output, `/` as working
/// directory, and `log` as standard error. Call it while there is one thread.
pub fn detach(out: Out, log: &Path) -> Result<Side, CliError> {
    // Opened here, so that a wrong path is told on the terminal.
    let log_file = open_log(log)?;
    let failed = |source| CliError::Io { action: "start", path: "kmsfs".into(), source };
    let (from, to) = io::pipe().map_err(failed)?;
    match sys::fork().map_err(failed)? {
        Fork::Parent(child) => {
            drop(to);
            sys::reap(child);
            Ok(Side::Command(read_report(out, from)))
        }
        Fork::Child => {
            drop(from);
            let _ = rustix::process::setsid(); // fails only for a group leader, which a child is not
            match sys::fork() {
                Ok(Fork::Parent(_)) => sys::exit_now(0),
                Ok(Fork::Child) => {}
                Err(_) => sys::exit_now(1),
            }
            let reporter = Reporter { to: Some(to), out };
            match leave_terminal(&log_file) {
                Ok(()) => Ok(Side::Background(reporter)),
                Err(e) => {
                    reporter.failed(&failed(e));
                    sys::exit_now(1)
                }
            }
        }
    }
}

/// Only the owner may read it: it tells who used what.
fn open_log(log: &Path) -> Result<File, CliError> {
    let failed = |action, path: PathBuf| move |source| CliError::Io { action, path, source };
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir).map_err(failed("make directory", dir.into()))?;
    }
    let mut how = OpenOptions::new();
    how.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    how.open(log).map_err(failed("open log file", log.into()))
}

fn leave_terminal(log: &File) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    sys::replace_stdio(null.as_fd(), 0)?;
    sys::replace_stdio(null.as_fd(), 1)?;
    sys::replace_stdio(log.as_fd(), 2)?;
    // A background process must not keep a filesystem busy, its lower one least of all.
    std::env::set_current_dir("/")
}

fn read_report(out: Out, from: PipeReader) -> Result<(), CliError> {
    for line in BufReader::new(from).lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Line::Note(text)) => out.note(text),
            Ok(Line::Ready) => return Ok(()),
            Ok(Line::Failed { exit, message, remedy }) => {
                let exit = Exit::from_code(exit).unwrap_or(Exit::Failed);
                return Err(CliError::Reported { message, remedy, exit });
            }
            Err(_) => break,
        }
    }
    Err(CliError::DaemonDied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tell: impl FnOnce(Reporter)) -> Result<(), CliError> {
        let (from, to) = io::pipe().unwrap();
        tell(Reporter { to: Some(to), out: Out::new(true) });
        read_report(Out::new(true), from)
    }

    #[test]
    fn outcomes_travel() {
        assert!(
            report(|mut r| {
                r.note("made".into());
                r.ready();
            })
            .is_ok()
        );
        let cause = CliError::NotVolume { path: "/x".into() };
        let told = report(|r| r.failed(&CliError::NotVolume { path: "/x".into() }));
        let told = told.unwrap_err();
        assert_eq!(told.exit(), cause.exit());
        assert_eq!(told.to_string(), cause.to_string());
        assert_eq!(told.remedy(), cause.remedy());
    }

    #[test]
    fn silence_is_death() {
        assert!(matches!(report(drop), Err(CliError::DaemonDied)));
    }

    #[test]
    fn the_log_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a/b/log");
        open_log(&log).unwrap();
        assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&log, &link).unwrap();
        assert!(open_log(&link).is_err());
    }
}
