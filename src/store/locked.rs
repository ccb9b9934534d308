//! A store before it is in use: found, but not believed until it is unlocked.
//!
//! Invariant: at the start the newest copy whose every row authenticates leads, and the others
//! are made equal to it.

use std::path::PathBuf;

use super::copies::Copies;
use super::copy::{Copy, CopyError};
use super::embedded::{Embedded, EmbeddedError};
use super::slots::decode_slot;
use crate::custody::unlock::{Slot, UnlockError};
use crate::secret::Secret;

/// A store that is found and checked, but whose rows cannot be believed yet.
pub struct Locked {
    /// Newest first.
    pub(super) copies: Vec<Copy>,
    /// Directories without a usable copy.
    pub(super) broken: Vec<(PathBuf, CopyError)>,
}

/// What was found and done at the start, for the log and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Directory of the copy that was taken.
    pub lead: PathBuf,
    /// Directories whose copy was behind, damaged or missing, with what was wrong, and that now
    /// hold an equal copy again.
    pub repaired: Vec<(PathBuf, String)>,
    /// Directories that could not be repaired, with the reason.
    pub left_out: Vec<(PathBuf, String)>,
}

impl Locked {
    /// Finds the copies in `dirs`, the first of which is where the store belongs.
    pub fn find(dirs: &[PathBuf]) -> Result<Locked, EmbeddedError> {
        let mut copies = Vec::new();
        let mut broken = Vec::new();
        for dir in dirs {
            match Copy::open(dir) {
                Ok(copy) => copies.push(copy),
                Err(error @ (CopyError::TooNew { .. } | CopyError::Foreign)) => {
                    // Not ours to overwrite.
                    return Err(EmbeddedError::Unusable { dir: dir.clone(), cause: error });
                }
                Err(error) => broken.push((dir.clone(), error)),
            }
        }
        // Stable: of equally new copies the one named first leads.
        copies.sort_by_key(|copy| std::cmp::Reverse(copy.generation));
        if copies.is_empty() {
            let dir = dirs.first().cloned().unwrap_or_default();
            let cause =
                broken.into_iter().map(|(_, e)| e).find(|e| !matches!(e, CopyError::Missing));
            return Err(match cause {
                None => EmbeddedError::Missing { dir },
                Some(cause) => EmbeddedError::Unusable { dir, cause },
            });
        }
        Ok(Locked { copies, broken })
    }

    /// The unlock slots, by number, of the newest copy that has readable ones.
    pub fn slots(&self) -> Result<Vec<(u32, Slot)>, UnlockError> {
        let read = |copy: &Copy| -> Option<Vec<(u32, Slot)>> {
            let slots = copy
                .slots()
                .ok()?
                .into_iter()
                .map(|(number, bytes)| Some((number, decode_slot(&bytes)?)));
            slots.collect::<Option<Vec<_>>>().filter(|slots| !slots.is_empty())
        };
        self.copies.iter().find_map(read).ok_or(UnlockError::BadSlot)
    }

    /// Checks every row of the newest copy (or the next, if it is damaged), and makes the other
    /// copies equal to it.
    pub fn unlock(self, key: Secret<[u8; 32]>) -> Result<(Embedded, OpenReport), EmbeddedError> {
        let mut report = OpenReport::default();
        let mut lead: Option<(Copy, [u8; 32])> = None;
        let mut mirrors = Vec::new();
        let mut repair: Vec<(PathBuf, String)> =
            self.broken.into_iter().map(|(dir, error)| (dir, error.to_string())).collect();
        for copy in self.copies {
            let dir = copy.dir.clone();
            match &lead {
                Some((lead, _)) if copy.generation < lead.generation => {
                    let behind = lead.generation.saturating_sub(copy.generation);
                    repair.push((dir, format!("{behind} commits behind")));
                }
                lead_so_far => match (copy.verify(&key), lead_so_far) {
                    (Err(_), _) => repair.push((dir, "records do not authenticate".into())),
                    (Ok(content), None) => lead = Some((copy, content)),
                    (Ok(content), Some((_, wanted))) if content == *wanted => mirrors.push(copy),
                    (Ok(_), Some(_)) => repair.push((dir, "records are missing".into())),
                },
            }
        }
        let lead = lead.map(|(copy, _)| copy);
        let lead = lead.ok_or(EmbeddedError::Damaged)?;
        report.lead.clone_from(&lead.dir);
        for (dir, what) in repair {
            match lead.replicate(&dir) {
                Ok(copy) => {
                    tracing::warn!(dir = %dir.display(), what, from = %lead.dir.display(),
                        "a copy of the key store was repaired");
                    mirrors.push(copy);
                    report.repaired.push((dir, what));
                }
                Err(error) => {
                    tracing::error!(dir = %dir.display(), what, %error,
                        "a copy of the key store cannot be repaired");
                    report.left_out.push((dir, format!("{what}; {error}")));
                }
            }
        }
        let left_out = report.left_out.iter().map(|(dir, _)| dir.clone()).collect();
        Ok((Embedded::of(key, Copies::new(lead, mirrors, left_out)), report))
    }
}
