//! The equal copies of a store in use: one leads and answers, and all of them take every commit.
//!
//! Invariants: a commit is acknowledged after it is on disk in the leading copy and in every
//! mirror that still works. A copy that fails on the way is left out, loudly, and another one
//! leads if it was the first; the scrub repairs it, or the next start.

use std::path::{Path, PathBuf};

use super::copy::Copy;
use super::walk::Place;
use crate::kms::store::{Change, StoreError};
use crate::secret::Secret;

/// The copies, and how far their scrub has come.
pub struct Copies {
    /// Answers.
    pub lead: Copy,
    /// Equal to it.
    pub mirrors: Vec<Copy>,
    /// Directories whose copy is not written to any more, until it is repaired.
    pub left_out: Vec<PathBuf>,
    /// How far the scrub has come.
    pub scrubbed: Place,
}

impl Copies {
    /// Copies that are equal, and directories without one.
    pub fn new(lead: Copy, mirrors: Vec<Copy>, left_out: Vec<PathBuf>) -> Copies {
        Copies { lead, mirrors, left_out, scrubbed: Place::default() }
    }

    /// The directories that are written to, the leading one first.
    pub fn directories(&self) -> Vec<PathBuf> {
        std::iter::once(&self.lead).chain(&self.mirrors).map(|copy| copy.dir.clone()).collect()
    }

    /// Asks the leading copy; one that cannot answer is left out, and the next one asked.
    pub fn ask<T>(
        &mut self,
        question: impl Fn(&Copy) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match question(&self.lead) {
                Err(error) if !self.promote(error) => return Err(error),
                Err(_) => {}
                answer => return answer,
            }
        }
    }

    /// Commits changes, and gives their generation. One copy that takes it is enough; those that
    /// fail are left out from then on.
    pub fn commit(
        &mut self,
        key: &Secret<[u8; 32]>,
        changes: &[Change],
    ) -> Result<u64, StoreError> {
        let generation = self.lead.generation.saturating_add(1);
        loop {
            match self.lead.commit(key, changes, generation) {
                Ok(()) => break,
                // About the changes, not about the copy.
                Err(StoreError::Damaged) => return Err(StoreError::Damaged),
                Err(error) if !self.promote(error) => return Err(error),
                Err(_) => {}
            }
        }
        let Copies { mirrors, left_out, .. } = self;
        mirrors.retain_mut(|mirror| match mirror.commit(key, changes, generation) {
            Ok(()) => true,
            Err(error) => {
                give_up(&mirror.dir, error, left_out);
                false
            }
        });
        Ok(generation)
    }

    /// Leaves the leading copy out and has the next one lead; `false` if there is none.
    fn promote(&mut self, error: StoreError) -> bool {
        if self.mirrors.is_empty() {
            return false;
        }
        let next = self.mirrors.remove(0);
        let bad = std::mem::replace(&mut self.lead, next);
        give_up(&bad.dir, error, &mut self.left_out);
        tracing::error!(dir = %self.lead.dir.display(), "this copy of the key store leads from now on");
        true
    }
}

/// Leaves a copy out.
pub fn give_up(dir: &Path, error: StoreError, left_out: &mut Vec<PathBuf>) {
    tracing::error!(dir = %dir.display(), %error,
        "a copy of the key store cannot be used and is left out until it is repaired");
    left_out.push(dir.to_path_buf());
}
