//! `kmsfs audit verify`: checks the audit trail of an embedded store.
//!
//! While a mount has the store open, its secret is not to be had; the chain of the trail is
//! checked then, the tags that only the store's key can make are not, and the result says so.

use std::fmt;

use serde::Serialize;

use super::args::AuditCommand;
use super::config::ServicePlan;
use super::error::CliError;
use super::out::Out;
use super::slot;
use crate::store::audit_files::{self, FilesError};
use crate::store::open::OpenError;

#[derive(Serialize)]
struct Verified {
    /// Sequence number of the last record.
    records: u64,
    /// Whether the tags and the trail's end were checked too.
    complete: bool,
}

/// Runs the command.
pub fn run(command: AuditCommand, out: Out) -> Result<(), CliError> {
    let AuditCommand::Verify { service } = command;
    let plan = ServicePlan::from_args(service)?;
    let verified = match slot::open(&plan) {
        Ok((store, dir)) => {
            let end = store.verify_audit(&dir.join("audit")).map_err(broken)?;
            Verified { records: end.sequence, complete: true }
        }
        Err(CliError::StoreBusy { dir }) => {
            let end = audit_files::verify(&dir.join("audit"), None, None)
                .map_err(|e| broken(OpenError::Audit(e)))?;
            Verified { records: end.sequence, complete: false }
        }
        Err(e) => return Err(e),
    };
    out.result(&verified);
    Ok(())
}

fn broken(e: OpenError) -> CliError {
    match e {
        OpenError::Audit(FilesError::Io { dir, source }) => {
            CliError::Io { action: "read audit trail", path: dir, source }
        }
        OpenError::Audit(fault) => CliError::Audit { what: fault.to_string() },
        other => CliError::Store(other),
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records, nothing changed, cut, added or missing", self.records)?;
        if !self.complete {
            write!(f, "\nthe store is in use: only the chain was checked, not the tags")?;
        }
        Ok(())
    }
}
