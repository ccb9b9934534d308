//! `kmsfs slot ...`: the ways to unlock the embedded key store. Any one of them opens it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::args::{SlotCommand, SlotKind};
use super::config::ServicePlan;
use super::error::CliError;
use super::out::{Out, table};
use super::{passphrase, store};
use crate::custody::unlock::{PassphraseCost, Unlock as Way, create_key_file};
use crate::secret::Secret;
use crate::store::open::Offline;

/// Runs the command.
pub fn run(command: SlotCommand, out: Out) -> Result<(), CliError> {
    match command {
        SlotCommand::List { service } => {
            let (store, _) = open(&ServicePlan::from_args(service)?)?;
            out.result(&listed(&store));
        }
        SlotCommand::Add { what, service } => {
            let plan = ServicePlan::from_args(service)?;
            let (mut store, _) = open(&plan)?;
            // The store is unlocked before anything new is asked for or made.
            let (way, made) = new_way(what)?;
            let added = store.add_slot(&way, PassphraseCost::calibrated());
            if let (Err(_), Some(file)) = (&added, made) {
                let _ = std::fs::remove_file(file); // it opens nothing
            }
            let number = added.map_err(CliError::Store)?;
            out.result(&Added { slot: number });
        }
        SlotCommand::Remove { slot, service } => {
            let (mut store, _) = open(&ServicePlan::from_args(service)?)?;
            store.remove_slot(slot).map_err(CliError::Store)?;
        }
    }
    Ok(())
}

/// Unlocks the store that a plan names; only an embedded one has slots here.
pub fn open(plan: &ServicePlan) -> Result<(Offline, PathBuf), CliError> {
    let ServicePlan::Embedded { dir, unlock, .. } = plan else {
        return Err(CliError::Usage {
            what: "the store of a separate key service is not here",
            instead: "name the store's directory with --keystore, on the machine that has it",
        });
    };
    let typed = plan.ask()?;
    Ok((store::offline(dir, unlock, typed.as_ref())?, dir.clone()))
}

/// The new way in, and the file that was made for it.
fn new_way(kind: SlotKind) -> Result<(Way, Option<PathBuf>), CliError> {
    match kind {
        SlotKind::Passphrase { new_passphrase_fd } => {
            let typed = match new_passphrase_fd {
                Some(fd) => passphrase::from_fd(fd.into())?,
                None => passphrase::ask_new("New passphrase")?,
            };
            Ok((Way::Passphrase(Secret::new(typed.to_vec())), None))
        }
        SlotKind::KeyFile { file } => {
            if file.exists() {
                return Ok((Way::KeyFile(file), None));
            }
            create_key_file(&file).map_err(|e| CliError::Store(e.into()))?;
            Ok((Way::KeyFile(file.clone()), Some(file)))
        }
    }
}

#[derive(Serialize)]
struct Row {
    slot: u32,
    kind: &'static str,
    created: String,
}

#[derive(Serialize)]
struct Listed {
    slots: Vec<Row>,
}

fn listed(store: &Offline) -> Listed {
    let row = |(number, slot): &(u32, crate::custody::unlock::Slot)| Row {
        slot: *number,
        kind: slot.kind.name(),
        created: jiff::Timestamp::from_millisecond(slot.created)
            .map_or_else(|_| "-".into(), |t| t.to_string()),
    };
    Listed { slots: store.slots().iter().map(row).collect() }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["SLOT", "KIND", "CREATED"].map(String::from).to_vec()];
        let row = |r: &Row| vec![r.slot.to_string(), r.kind.to_owned(), r.created.clone()];
        rows.extend(self.slots.iter().map(row));
        f.write_str(&table(&rows))
    }
}

#[derive(Serialize)]
struct Added {
    slot: u32,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.slot)
    }
}
