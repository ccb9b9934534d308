//! `kmsfs keystore ...`: the store as a whole, while nobody serves it.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use serde::Serialize;

use super::args::ServiceArgs;
use super::config::ServicePlan;
use super::error::CliError;
use super::exit::Exit;
use super::out::{Out, table};
use super::store;
use crate::custody::unlock::Unlock as Way;
use crate::store::open::default_key_file;
use crate::store::whole::{self, CopyState};

/// Which copies.
#[derive(Args, Debug)]
pub struct Copies {
    /// A further copy of the store. Repeat it for each.
    #[arg(long = "mirror", value_name = "DIR", value_hint = ValueHint::DirPath)]
    mirrors: Vec<PathBuf>,
    /// Which store, and how to unlock it.
    #[command(flatten)]
    service: ServiceArgs,
}

/// `kmsfs keystore ...`
#[derive(Debug, Subcommand)]
pub enum KeystoreCommand {
    /// Check every record of every copy. Changes nothing.
    Verify {
        /// Which copies.
        #[command(flatten)]
        copies: Copies,
    },
    /// Write a checked copy of the store to another directory. The key file is not part of it:
    /// keep that elsewhere.
    Backup {
        /// Where to; no store may be there.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        to: PathBuf,
        /// Which copies.
        #[command(flatten)]
        copies: Copies,
    },
    /// Make the store of a backup, mirrors included. It is checked first.
    Restore {
        /// The directory of the backup.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        from: PathBuf,
        /// Replace the store that is there. What was done since the backup is lost with it.
        #[arg(long)]
        replace: bool,
        /// Which copies.
        #[command(flatten)]
        copies: Copies,
    },
}

/// Runs the command.
pub fn run(command: KeystoreCommand, out: Out) -> Result<(), CliError> {
    match command {
        KeystoreCommand::Verify { copies } => {
            let (dir, way) = find(copies.service, None)?;
            let states = whole::verify(&dir, &copies.mirrors, &way).map_err(CliError::Store)?;
            let checked = Checked { copies: states.iter().map(Row::from).collect() };
            out.result(&checked);
            if checked.copies.iter().any(|row| row.fault.is_some()) {
                return Err(CliError::KeyService {
                    what: "not every copy of the key store is good".into(),
                    remedy: "the next start of the key service repairs copies from a good one",
                    exit: Exit::Damaged,
                });
            }
        }
        KeystoreCommand::Backup { to, copies } => {
            let (dir, way) = find(copies.service, None)?;
            let made = whole::backup(&dir, &copies.mirrors, &way, &to);
            out.result(&Written { dir: to, commits: made.map_err(CliError::Store)? });
        }
        KeystoreCommand::Restore { from, replace, copies } => {
            let (dir, way) = find(copies.service, Some(&from))?;
            let made = whole::restore(&from, &dir, &copies.mirrors, &way, replace);
            out.result(&Written { dir, commits: made.map_err(CliError::Store)? });
        }
    }
    Ok(())
}

/// The store's directory and what unlocks it; `other` is where the slots are, if not there.
fn find(service: ServiceArgs, other: Option<&PathBuf>) -> Result<(PathBuf, Way), CliError> {
    let plan = ServicePlan::from_args(service)?;
    let ServicePlan::Embedded { dir, unlock, timeout } = plan else {
        return Err(CliError::Usage {
            what: "the store of a separate key service is not here",
            instead: "name the store's directory with --keystore, on the machine that has it",
        });
    };
    let at = other.unwrap_or(&dir).clone();
    let plan = ServicePlan::Embedded { dir: at, unlock: unlock.clone(), timeout };
    let typed = plan.ask()?;
    let way = store::way(&unlock, typed.as_ref());
    let way = way.unwrap_or_else(|| Way::KeyFile(default_key_file(&dir)));
    Ok((dir, way))
}

#[derive(Serialize)]
struct Row {
    dir: PathBuf,
    commits: Option<u64>,
    fault: Option<String>,
}

impl From<&CopyState> for Row {
    fn from(state: &CopyState) -> Row {
        let CopyState { dir, generation, fault } = state.clone();
        Row { dir, commits: generation, fault }
    }
}

#[derive(Serialize)]
struct Checked {
    copies: Vec<Row>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["COPY", "COMMITS", "STATE"].map(String::from).to_vec()];
        rows.extend(self.copies.iter().map(|row| {
            let commits = row.commits.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let state = row.fault.clone().unwrap_or_else(|| "good".to_owned());
            vec![row.dir.display().to_string(), commits, state]
        }));
        f.write_str(&table(&rows))
    }
}

#[derive(Serialize)]
struct Written {
    dir: PathBuf,
    commits: u64,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} commits", self.dir.display(), self.commits)
    }
}
