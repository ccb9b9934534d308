//! The embedded store: a SQLite file, and equal copies of it in further directories.
//!
//! [`Embedded`] is one in use, made here or unlocked by `locked`. How its copies stay equal is
//! told in `copies`, what it is asked for in `records`.

use std::io;
use std::path::{Path, PathBuf};

use super::copies::Copies;
use super::copy::{Copy, CopyError};
use super::lock::StoreLock;
use super::slots::encode_slot;
use crate::custody::unlock::Slot;
use crate::secret::Secret;
use crate::sync::Mutex;

/// A store in use.
pub struct Embedded {
    pub(super) key: Secret<[u8; 32]>,
    pub(super) copies: Mutex<Copies>,
    lock: Option<StoreLock>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No directory has one.
    #[error("no key store in {}", .dir.display())]
    Missing {
        /// The first directory.
        dir: PathBuf,
    },
    /// None of the copies can be used.
    #[error("the key store in {} cannot be used: {cause}", .dir.display())]
    Unusable {
        /// The first directory.
        dir: PathBuf,
        /// What is wrong with its copy.
        cause: CopyError,
    },
    /// Rows of every copy do not authenticate.
    #[error("every copy of the key store has records that do not authenticate")]
    Damaged,
    /// It cannot be made or changed.
    #[error("the key store in {} cannot be written: {cause}", .dir.display())]
    Write {
        /// The directory.
        dir: PathBuf,
        /// Why.
        cause: CopyError,
    },
}

impl Embedded {
    pub(super) fn of(key: Secret<[u8; 32]>, copies: Copies) -> Embedded {
        Embedded { key, copies: Mutex::new(copies), lock: None }
    }

    /// Makes an empty store with its first slot in every one of `dirs`.
    ///
    /// # Crash
    /// A stop before the return can leave a file without slots, which counts as no store.
    pub fn create(
        dirs: &[PathBuf],
        key: Secret<[u8; 32]>,
        slot: &Slot,
    ) -> Result<Embedded, EmbeddedError> {
        let mut copies = Vec::new();
        for dir in dirs {
            let write = |cause| EmbeddedError::Write { dir: dir.clone(), cause };
            let encoded = encode_slot(slot).map_err(|e| write(e.into()))?;
            let mut copy = Copy::create(dir).map_err(write)?;
            copy.put_slots(&[(1, encoded)], 2).map_err(write)?;
            copies.push(copy);
        }
        let missing = || EmbeddedError::Missing { dir: PathBuf::new() };
        if copies.is_empty() {
            return Err(missing());
        }
        let lead = copies.remove(0);
        Ok(Embedded::of(key, Copies::new(lead, copies, Vec::new())))
    }

    /// An empty store in memory, without slots: nothing of it is to be opened again.
    pub fn in_memory(key: Secret<[u8; 32]>) -> Result<Embedded, EmbeddedError> {
        let lead = Copy::in_memory()
            .map_err(|cause| EmbeddedError::Write { dir: PathBuf::new(), cause })?;
        Ok(Embedded::of(key, Copies::new(lead, Vec::new(), Vec::new())))
    }

    /// Whether any of `dirs` holds something that is or was a store.
    pub fn exists(dirs: &[PathBuf]) -> bool {
        dirs.iter().any(|dir| match Copy::open(dir) {
            Err(CopyError::Missing) => false,
            Ok(copy) => copy.slots().map_or(true, |slots| !slots.is_empty()),
            Err(_) => true,
        })
    }

    /// Keeps the lock for as long as the store is in use.
    pub fn holding(mut self, lock: StoreLock) -> Embedded {
        self.lock = Some(lock);
        self
    }

    /// Replaces the slots in every copy.
    pub fn put_slots(&self, slots: &[(u32, Slot)]) -> Result<(), EmbeddedError> {
        let mut copies = self.copies.lock();
        let encoded: io::Result<Vec<(u32, Vec<u8>)>> =
            slots.iter().map(|(number, slot)| Ok((*number, encode_slot(slot)?))).collect();
        let encoded = encoded
            .map_err(|e| EmbeddedError::Write { dir: copies.lead.dir.clone(), cause: e.into() })?;
        let generation = copies.lead.generation.saturating_add(1);
        let Copies { lead, mirrors, .. } = &mut *copies;
        for copy in std::iter::once(lead).chain(mirrors) {
            let dir = copy.dir.clone();
            copy.put_slots(&encoded, generation)
                .map_err(|cause| EmbeddedError::Write { dir, cause })?;
        }
        Ok(())
    }

    /// The directories that are written to, the leading one first.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.copies.lock().directories()
    }
}

/// The directories of a store: its own first.
pub fn directories(dir: &Path, mirrors: &[PathBuf]) -> Vec<PathBuf> {
    std::iter::once(dir.to_path_buf()).chain(mirrors.iter().cloned()).collect()
}
