//! One copy of the store: a SQLite file in a directory.
//!
//! WAL with synchronous=FULL: a commit is on disk before it is acknowledged. Deleted content is
//! overwritten (secure_delete). The file is held exclusively, so nothing else may write to it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::changes::apply;
use super::schema::{APPLICATION, SCHEMA, TABLES, TABLES_2, TABLES_3};
use crate::kms::store::{Change, StoreError};
use crate::secret::Secret;

const FILE: &str = "kms.db";

/// Why a copy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is not there.
    #[error("no key store there")]
    Missing,
    /// It was written by a newer release.
    #[error("written by a newer release (schema {found}; this reads up to {SCHEMA})")]
    TooNew {
        /// Its schema.
        found: i32,
    },
    /// It is something else.
    #[error("not a key store")]
    Foreign,
    /// SQLite's own check fails.
    #[error("damaged: {0}")]
    Damaged(String),
    /// SQLite fails.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The system fails.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// An open copy.
pub struct Copy {
    /// Its directory.
    pub dir: PathBuf,
    /// The connection.
    pub db: Connection,
    /// How many commits it has seen.
    pub generation: u64,
}

/// The path of the copy in `dir`.
pub fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Makes a directory that only its owner can enter, if it is not there.
pub fn make_dir(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

impl Copy {
    /// Makes an empty copy. One that is half made by a crash has no slots and is made again.
    pub fn create(dir: &Path) -> Result<Copy, CopyError> {
        make_dir(dir)?;
        remove(&dir.join("kms.db-wal"))?;
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path(dir))?;
        let db = connect(dir)?;
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} {TABLES_2} {TABLES_3} PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {SCHEMA}; COMMIT;"
        ))?;
        sync_dir(dir)?;
        Ok(Copy { dir: dir.to_path_buf(), db, generation: 1 })
    }

    /// Makes an empty copy that is in no file and ends with the process.
    pub fn in_memory() -> Result<Copy, CopyError> {
        let db = Connection::open_in_memory()?;
        db.execute_batch(&format!("{TABLES} {TABLES_2} {TABLES_3} PRAGMA temp_store = MEMORY;"))?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Copy { dir: PathBuf::new(), db, generation: 1 })
    }

    /// Opens the copy in `dir` and checks its structure.
    pub fn open(dir: &Path) -> Result<Copy, CopyError> {
        if !path(dir).try_exists()? {
            return Err(CopyError::Missing);
        }
        let db = connect(dir)?;
        let number = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |r| r.get(0));
        let (application, schema): (i32, i32) =
            (number("application_id")?, number("user_version")?);
        if application != APPLICATION {
            return Err(if schema == 0 && application == 0 {
                CopyError::Missing
            } else {
                CopyError::Foreign
            });
        }
        if schema > SCHEMA {
            return Err(CopyError::TooNew { found: schema });
        }
        let check: String = db.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
        if check != "ok" {
            return Err(CopyError::Damaged(check));
        }
        if schema < SCHEMA {
            let second = if schema < 2 { TABLES_2 } else { "" };
            db.execute_batch(&format!(
                "BEGIN IMMEDIATE; {second} {TABLES_3} PRAGMA user_version = {SCHEMA}; COMMIT;"
            ))?;
        }
        let number: i64 = db.query_row("SELECT number FROM generation", [], |r| r.get(0))?;
        let generation = u64::try_from(number).map_err(|_| CopyError::Foreign)?;
        Ok(Copy { dir: dir.to_path_buf(), db, generation })
    }

    /// Writes this copy's content to `dir`, in place of whatever is there.
    ///
    /// # Crash
    /// The new file takes its place by a rename; before it the old one is untouched.
    pub fn replicate(&self, dir: &Path) -> Result<Copy, CopyError> {
        make_dir(dir)?;
        let (new, old) = (dir.join("kms.db.new"), path(dir));
        remove(&new)?;
        let text = new.to_str().ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not UTF-8")
        })?;
        self.db.execute("VACUUM INTO ?1", [text])?;
        let file = File::open(&new)?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600))
            .map_err(std::io::Error::from)?;
        file.sync_all()?;
        // A write-ahead log of the old file must not be applied to the new one.
        remove(&dir.join("kms.db-wal"))?;
        remove(&dir.join("kms.db-shm"))?;
        std::fs::rename(&new, &old)?;
        sync_dir(dir)?;
        Copy::open(dir)
    }

    /// The slots, by number.
    pub fn slots(&self) -> Result<Vec<(u32, Vec<u8>)>, CopyError> {
        let mut statement = self.db.prepare("SELECT number, slot FROM slots ORDER BY number")?;
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Replaces all slots.
    pub fn put_slots(
        &mut self,
        slots: &[(u32, Vec<u8>)],
        generation: u64,
    ) -> Result<(), CopyError> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM slots", [])?;
        for (number, slot) in slots {
            tx.execute("INSERT INTO slots VALUES (?1, ?2)", params![number, slot])?;
        }
        set_generation(&tx, generation)?;
        tx.commit()?;
        self.generation = generation;
        // A removed slot must not stay readable in the log.
        self.checkpoint()
    }

    /// Applies changes as a whole.
    pub fn commit(
        &mut self,
        key: &Secret<[u8; 32]>,
        changes: &[Change],
        generation: u64,
    ) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| {
            tracing::error!(%error, "the key store cannot be written");
            StoreError::Io
        };
        let tx = self.db.transaction().map_err(failed)?;
        for change in changes {
            apply(&tx, key, change)?.map_err(failed)?;
        }
        set_generation(&tx, generation).map_err(failed)?;
        tx.commit().map_err(failed)?;
        self.generation = generation;
        if changes.iter().any(|c| matches!(c, Change::DeleteKey(_))) {
            // P11: gone means gone from the log as well.
            self.checkpoint().map_err(|error| {
                tracing::error!(%error, "the key store cannot be written");
                StoreError::Io
            })?;
        }
        Ok(())
    }

    /// Moves the log into the file and empties it.
    fn checkpoint(&self) -> Result<(), CopyError> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> Result<i64, StoreError> {
        self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).map_err(io)
    }

    /// One row, decoded.
    pub fn row(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.db.prepare_cached(query).map_err(io)?;
        statement.query_row(parameters, |r| r.get(0)).optional().map_err(io)
    }

    /// Many rows, each with the text it was found under.
    pub fn rows(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut statement = self.db.prepare_cached(query).map_err(io)?;
        let rows = statement.query_map(parameters, |r| Ok((r.get(0)?, r.get(1)?))).map_err(io)?;
        rows.collect::<Result<_, _>>().map_err(io)
    }
}

/// A failure of SQLite as the service sees it; the cause goes to the log.
pub fn io(error: rusqlite::Error) -> StoreError {
    tracing::error!(%error, "the key store cannot be read");
    StoreError::Io
}

fn connect(dir: &Path) -> Result<Connection, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path(dir), flags)?;
    // Exclusive before WAL: then no shared-memory file is needed and network filesystems do.
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn set_generation(tx: &Transaction<'_>, generation: u64) -> rusqlite::Result<()> {
    let number = i64::try_from(generation).unwrap_or(i64::MAX);
    tx.execute("UPDATE generation SET number = ?1", [number]).map(drop)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
