//! `kmsfs fsck LOWER`: checks a volume that is not mounted.

use std::fmt;
use std::path::Path;

use super::args::FsckArgs;
use super::config::{ServicePlan, directory};
use super::error::CliError;
use super::exit::Exit;
use super::out::Out;
use super::service::{KeyService, Use};
use super::volume::{Lower, look, refused};
use crate::fsck::{FsckError, Options, Report, check};
use crate::volume::keys::{Caller, Operation};
use crate::volume::{VolumeError, open_root};

/// Runs the command.
pub fn run(args: FsckArgs, out: Out) -> Result<(), CliError> {
    let plan = ServicePlan::from_args(args.service)?;
    let lower = directory("open lower directory", &args.lower)?;
    if look(&lower)? != Lower::Volume {
        return Err(CliError::NotVolume { path: lower });
    }
    let typed = plan.ask()?;
    let service = KeyService::open(&plan, typed, Use::Command)?;
    let keys = service.data_keys()?;
    let caller = Caller::User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pid: std::process::id(),
        operation: Operation::Read,
    };
    let root = open_root(&lower).map_err(|e| refused(&lower, e.into()))?;
    let report = check(root, &*keys, &Options { data: args.data, caller })
        .map_err(|e| refused(&lower, as_volume_error(e)))?;
    out.result(&report);
    verdict(&lower, &report)
}

fn as_volume_error(e: FsckError) -> VolumeError {
    match e {
        FsckError::NotAVolume => VolumeError::NotAVolume,
        FsckError::Busy => VolumeError::Busy,
        FsckError::Lower(e) => VolumeError::Lower(e),
        FsckError::Descriptor(e) => VolumeError::Descriptor(e),
        FsckError::Key(e) => VolumeError::Key(e),
    }
}

/// Damage counts before keys that could not be used.
fn verdict(lower: &Path, report: &Report) -> Result<(), CliError> {
    let trouble = |what, exit| Err(CliError::Volume { path: lower.to_owned(), what, exit });
    match (report.findings.len(), report.unread) {
        (0, 0) => Ok(()),
        (0, unread) => trouble(format!("{unread} keys could not be used"), Exit::KeyUnusable),
        (1, _) => trouble("one thing is damaged".into(), Exit::Damaged),
        (n, _) => trouble(format!("{n} things are damaged"), Exit::Damaged),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}: {}", finding.object, finding.what)?;
        }
        let Report { directories, files, symlinks, specials, names, .. } = self;
        writeln!(
            f,
            "{directories} directories, {files} files, {symlinks} links, {specials} others; \
             {names} names, {} entry pages and {} blocks checked",
            self.entry_pages, self.blocks
        )?;
        if self.unfinished > 0 {
            writeln!(f, "{} left unfinished by a stopped session: mount it once", self.unfinished)?;
        }
        if self.unread > 0 {
            writeln!(f, "{} not checked: their keys could not be used", self.unread)?;
        }
        match self.findings.len() {
            0 => write!(f, "nothing is damaged"),
            n => write!(f, "damaged: {n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsck::{Check, Finding};

    fn report(findings: usize, unread: u64) -> Report {
        let finding =
            Finding { object: "a/b".into(), check: Check::Header, what: "is damaged".into() };
        Report {
            volume: String::new(),
            directories: 1,
            files: 2,
            symlinks: 0,
            specials: 0,
            names: 2,
            entry_pages: 2,
            blocks: 0,
            unfinished: 0,
            unread,
            findings: vec![finding; findings],
        }
    }

    #[test]
    fn the_exit_code_says_the_worst() {
        let exit = |r: &Report| verdict(Path::new("/l"), r).err().map(|e| e.exit());
        assert_eq!(exit(&report(0, 0)), None);
        assert_eq!(exit(&report(0, 3)), Some(Exit::KeyUnusable));
        assert_eq!(exit(&report(2, 3)), Some(Exit::Damaged));
    }

    #[test]
    fn a_finding_is_a_line_with_its_place() {
        assert!(report(1, 0).to_string().starts_with("a/b: is damaged\n"));
        assert!(report(0, 0).to_string().ends_with("nothing is damaged"));
    }
}
