//! The embedded store: a SQLite file, and equal copies of it in further directories.
//!
//! Invariants: a commit is acknowledged after it is on disk in the leading copy and in every
//! mirror that still works; at the start the newest copy whose every row authenticates leads,
//! and the others are made equal to it. A mirror that fails on the way is left out, loudly, and
//! repaired at the next start.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::copy::{self, Copy, CopyError, Place, io, pair};
use super::lock::StoreLock;
use super::rows;
use crate::clock::Millis;
use crate::custody::unlock::{Slot, UnlockError};
use crate::kms::grant::GrantRecord;
use crate::kms::id::{AccountId, KeyId};
use crate::kms::keystore::KeyStoreRecord;
use crate::kms::store::{
    AccessKeyRecord, AliasRecord, Change, KeyRecord, Store, StoreError, UserRecord, VersionRecord,
};
use crate::secret::Secret;
use crate::sync::Mutex;

/// A store that is found and checked, but whose rows cannot be believed yet.
pub struct Locked {
    /// Newest first.
    pub(super) copies: Vec<Copy>,
    /// Directories without a usable copy.
    pub(super) broken: Vec<(PathBuf, CopyError)>,
}

/// A store in use.
pub struct Embedded {
    pub(super) key: Secret<[u8; 32]>,
    pub(super) copies: Mutex<Copies>,
    lock: Option<StoreLock>,
}

pub(super) struct Copies {
    pub lead: Copy,
    pub mirrors: Vec<Copy>,
    /// Directories whose copy is not written to any more, until it is repaired.
    pub left_out: Vec<PathBuf>,
    /// How far the scrub has come.
    pub scrubbed: Place,
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
            let slots = copy.slots().ok()?.into_iter().map(|(number, bytes)| {
                let config = bincode::config::standard();
                let slot = bincode::serde::decode_from_slice(&bytes, config).ok()?.0;
                Some((number, slot))
            });
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
        let copies = Mutex::new(Copies { lead, mirrors, left_out, scrubbed: Place::default() });
        Ok((Embedded { key, copies, lock: None }, report))
    }
}

impl Embedded {
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
            let mut copy = Copy::create(dir).map_err(write)?;
            copy.put_slots(&[(1, encode_slot(slot))], 2).map_err(write)?;
            copies.push(copy);
        }
        let missing = || EmbeddedError::Missing { dir: PathBuf::new() };
        if copies.is_empty() {
            return Err(missing());
        }
        let lead = copies.remove(0);
        Ok(Embedded {
            key,
            copies: Mutex::new(Copies {
                lead,
                mirrors: copies,
                left_out: Vec::new(),
                scrubbed: Place::default(),
            }),
            lock: None,
        })
    }

    /// An empty store in memory, without slots: nothing of it is to be opened again.
    pub fn in_memory(key: Secret<[u8; 32]>) -> Result<Embedded, EmbeddedError> {
        let lead = Copy::in_memory()
            .map_err(|cause| EmbeddedError::Write { dir: PathBuf::new(), cause })?;
        Ok(Embedded {
            key,
            copies: Mutex::new(Copies {
                lead,
                mirrors: Vec::new(),
                left_out: Vec::new(),
                scrubbed: Place::default(),
            }),
            lock: None,
        })
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
        let encoded: Vec<(u32, Vec<u8>)> =
            slots.iter().map(|(number, slot)| (*number, encode_slot(slot))).collect();
        let mut copies = self.copies.lock();
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
        let copies = self.copies.lock();
        std::iter::once(&copies.lead).chain(&copies.mirrors).map(|copy| copy.dir.clone()).collect()
    }

    /// Asks the leading copy; one that cannot answer is left out, and the next one asked.
    fn ask<T>(&self, question: impl Fn(&Copy) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut copies = self.copies.lock();
        loop {
            match question(&copies.lead) {
                Err(error) if !copies.promote(error) => return Err(error),
                Err(_) => {}
                answer => return answer,
            }
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        table: &str,
        name: &[u8],
        row: impl Fn(&Copy) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.ask(|copy| {
            row(copy)?.map(|row| rows::decode(&self.key, table, name, &row)).transpose()
        })
    }

    fn read_all<T: DeserializeOwned>(
        &self,
        table: &str,
        name: impl Fn(&str) -> Vec<u8>,
        rows: impl Fn(&Copy) -> Result<Vec<(String, Vec<u8>)>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.ask(|copy| {
            let decode = |(found, row): &(String, Vec<u8>)| {
                rows::decode(&self.key, table, &name(found), row)
            };
            rows(copy)?.iter().map(decode).collect()
        })
    }
}

impl Store for Embedded {
    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let id = id.to_string();
        let row = |copy: &Copy| copy.row("SELECT row FROM keys WHERE id = ?1", [&id]);
        self.read("keys", id.as_bytes(), row)
    }

    fn keys(
        &self,
        account: &AccountId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyId>, StoreError> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT id, row FROM keys WHERE account = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                rusqlite::params![account.as_str(), after, limit],
            )
        };
        let records: Vec<KeyRecord> = self.read_all("keys", |id| id.as_bytes().to_vec(), rows)?;
        Ok(records.into_iter().map(|record| record.id).collect())
    }

    fn key_count(&self, account: &AccountId) -> Result<u64, StoreError> {
        let query = "SELECT count(*) FROM keys WHERE account = ?1";
        let count: i64 = self
            .ask(|copy| copy.db.query_row(query, [account.as_str()], |r| r.get(0)).map_err(io))?;
        u64::try_from(count).map_err(|_| StoreError::Damaged)
    }

    fn keys_due(&self, now: Millis) -> Result<Vec<KeyId>, StoreError> {
        let rows = |copy: &Copy| {
            copy.rows("SELECT id, row FROM keys WHERE due IS NOT NULL AND due <= ?1", [now.0])
        };
        let records: Vec<KeyRecord> = self.read_all("keys", |id| id.as_bytes().to_vec(), rows)?;
        // The column only finds them; what the authenticated record says counts.
        let due = |r: &KeyRecord| r.due().is_some_and(|at| at <= now.0);
        Ok(records.into_iter().filter(due).map(|r| r.id).collect())
    }

    fn versions(&self, key: KeyId) -> Result<Vec<VersionRecord>, StoreError> {
        let id = key.to_string();
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT CAST(version AS TEXT), row FROM versions WHERE key = ?1 ORDER BY version",
                [&id],
            )
        };
        self.read_all("versions", |number| pair(&id, number), rows)
    }

    fn alias(&self, account: &AccountId, name: &str) -> Result<Option<AliasRecord>, StoreError> {
        let row = |copy: &Copy| {
            copy.row(
                "SELECT row FROM aliases WHERE account = ?1 AND name = ?2",
                [account.as_str(), name],
            )
        };
        self.read("aliases", &pair(account.as_str(), name), row)
    }

    fn aliases(
        &self,
        account: &AccountId,
        key: Option<KeyId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AliasRecord>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let key = key.map(|id| id.to_string());
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT name, row FROM aliases WHERE account = ?1 AND name > ?2
             AND (?3 IS NULL OR key = ?3) ORDER BY name LIMIT ?4",
                rusqlite::params![account.as_str(), after.unwrap_or(""), key, limit],
            )
        };
        self.read_all("aliases", |name| pair(account.as_str(), name), rows)
    }

    fn grant(&self, id: &str) -> Result<Option<GrantRecord>, StoreError> {
        let row = |copy: &Copy| copy.row("SELECT row FROM grants WHERE id = ?1", [id]);
        self.read("grants", id.as_bytes(), row)
    }

    fn grants(&self, key: KeyId) -> Result<Vec<GrantRecord>, StoreError> {
        let rows = |copy: &Copy| {
            copy.rows("SELECT id, row FROM grants WHERE key = ?1 ORDER BY id", [key.to_string()])
        };
        self.read_all("grants", |id| id.as_bytes().to_vec(), rows)
    }

    fn grants_retired_by(
        &self,
        principal: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT id, row FROM grants WHERE retiring = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                rusqlite::params![principal, after.unwrap_or(""), limit],
            )
        };
        self.read_all("grants", |id| id.as_bytes().to_vec(), rows)
    }

    fn user(&self, account: &AccountId, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let row = |copy: &Copy| {
            copy.row(
                "SELECT row FROM users WHERE account = ?1 AND name = ?2",
                [account.as_str(), name],
            )
        };
        self.read("users", &pair(account.as_str(), name), row)
    }

    fn users(&self, account: &AccountId) -> Result<Vec<UserRecord>, StoreError> {
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT name, row FROM users WHERE account = ?1 ORDER BY name",
                [account.as_str()],
            )
        };
        self.read_all("users", |name| pair(account.as_str(), name), rows)
    }

    fn access_key(&self, id: &str) -> Result<Option<AccessKeyRecord>, StoreError> {
        let row = |copy: &Copy| copy.row("SELECT row FROM access_keys WHERE id = ?1", [id]);
        self.read("access_keys", id.as_bytes(), row)
    }

    fn access_keys(
        &self,
        account: &AccountId,
        user: &str,
    ) -> Result<Vec<AccessKeyRecord>, StoreError> {
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT id, row FROM access_keys WHERE account = ?1 AND user = ?2 ORDER BY id",
                [account.as_str(), user],
            )
        };
        self.read_all("access_keys", |id| id.as_bytes().to_vec(), rows)
    }

    fn key_stores(&self, account: &AccountId) -> Result<Vec<KeyStoreRecord>, StoreError> {
        let rows = |copy: &Copy| {
            copy.rows(
                "SELECT id, row FROM key_stores WHERE account = ?1 ORDER BY id",
                [account.as_str()],
            )
        };
        self.read_all("key_stores", |id| pair(account.as_str(), id), rows)
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = |copy: &Copy| copy.row("SELECT row FROM meta WHERE name = ?1", [name]);
        self.read("meta", name.as_bytes(), row)
    }

    fn scrub(&self) -> Result<(), StoreError> {
        super::scrub::some(self)
    }

    /// One copy that takes it is enough; those that fail are left out from then on.
    fn commit(&self, changes: &[Change]) -> Result<u64, StoreError> {
        let mut copies = self.copies.lock();
        let generation = copies.lead.generation.saturating_add(1);
        loop {
            match copies.lead.commit(&self.key, changes, generation) {
                Ok(()) => break,
                // About the changes, not about the copy.
                Err(StoreError::Damaged) => return Err(StoreError::Damaged),
                Err(error) if !copies.promote(error) => return Err(error),
                Err(_) => {}
            }
        }
        let Copies { mirrors, left_out, .. } = &mut *copies;
        mirrors.retain_mut(|mirror| match mirror.commit(&self.key, changes, generation) {
            Ok(()) => true,
            Err(error) => {
                give_up(&mirror.dir, error, left_out);
                false
            }
        });
        Ok(generation)
    }
}

impl Copies {
    /// Leaves the leading copy out and has the next one lead; `false` if there is none.
    pub fn promote(&mut self, error: StoreError) -> bool {
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

pub(super) fn give_up(dir: &Path, error: StoreError, left_out: &mut Vec<PathBuf>) {
    tracing::error!(dir = %dir.display(), %error,
        "a copy of the key store cannot be used and is left out until it is repaired");
    left_out.push(dir.to_path_buf());
}

/// The directories of a store: its own first.
pub fn directories(dir: &Path, mirrors: &[PathBuf]) -> Vec<PathBuf> {
    std::iter::once(dir.to_path_buf()).chain(mirrors.iter().cloned()).collect()
}

fn encode_slot(slot: &Slot) -> Vec<u8> {
    bincode::serde::encode_to_vec(slot, bincode::config::standard()).unwrap_or_default()
}

/// Whether a directory has a copy's file, whatever its state.
pub fn has_file(dir: &Path) -> bool {
    copy::path(dir).exists()
}
