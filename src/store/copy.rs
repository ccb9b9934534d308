//! One copy of the store: a SQLite file in a directory.
//!
//! WAL with synchronous=FULL: a commit is on disk before it is acknowledged. Deleted content is
//! overwritten (secure_delete). The file is held exclusively, so nothing else may write to it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};
use sha2::{Digest as _, Sha256};

use super::rows;
use crate::kms::id::{AccountId, KeyId};
use crate::kms::store::{Change, StoreError};
use crate::secret::Secret;

/// "kmsf"
const APPLICATION: i32 = 0x6b6d_7366;
/// Of the tables below.
const SCHEMA: i32 = 3;
const FILE: &str = "kms.db";
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
    CREATE TABLE slots (number INTEGER PRIMARY KEY, slot BLOB NOT NULL);
    CREATE TABLE keys (id TEXT PRIMARY KEY, account TEXT NOT NULL, due INTEGER,
        row BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX keys_of_account ON keys (account, id);
    CREATE INDEX keys_due ON keys (due) WHERE due IS NOT NULL;
    CREATE TABLE versions (key TEXT, version INTEGER, row BLOB NOT NULL,
        PRIMARY KEY (key, version)) WITHOUT ROWID;
    CREATE TABLE aliases (account TEXT, name TEXT, key TEXT NOT NULL, row BLOB NOT NULL,
        PRIMARY KEY (account, name)) WITHOUT ROWID;
    CREATE INDEX aliases_of_key ON aliases (key);
    CREATE TABLE users (account TEXT, name TEXT, row BLOB NOT NULL,
        PRIMARY KEY (account, name)) WITHOUT ROWID;
    CREATE TABLE access_keys (id TEXT PRIMARY KEY, account TEXT NOT NULL, user TEXT NOT NULL,
        row BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX access_keys_of_user ON access_keys (account, user);
    INSERT INTO generation VALUES (1, 1);
";
/// What schema 2 has more than schema 1.
const TABLES_2: &str = "
    CREATE TABLE grants (id TEXT PRIMARY KEY, key TEXT NOT NULL, retiring TEXT,
        row BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX grants_of_key ON grants (key);
    CREATE INDEX grants_retired_by ON grants (retiring, id) WHERE retiring IS NOT NULL;
";

/// What schema 3 has more than schema 2.
const TABLES_3: &str = "
    CREATE TABLE key_stores (account TEXT, id TEXT, row BLOB NOT NULL,
        PRIMARY KEY (account, id)) WITHOUT ROWID;
";

/// Every table of rows, with the columns of its primary key.
const TABLE_KEYS: &[(&str, &str, Option<&str>)] = &[
    ("meta", "name", None),
    ("keys", "id", None),
    ("versions", "key", Some("version")),
    ("aliases", "account", Some("name")),
    ("grants", "id", None),
    ("users", "account", Some("name")),
    ("access_keys", "id", None),
    ("key_stores", "account", Some("id")),
];

/// Rows that are read at once while all are checked.
const VERIFY_SLICE: u32 = 1000;

/// Where a walk over all rows is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    table: usize,
    after: (String, String),
}

impl Place {
    /// The table that it is in.
    pub fn table(&self) -> &'static str {
        TABLE_KEYS.get(self.table).map_or("", |(table, _, _)| table)
    }

    /// Moves behind the rows that were found here; `false` at the end of the last table.
    pub fn go_on(&mut self, found: &[Row]) -> bool {
        match found.last() {
            Some(last) => self.after = (last.first.clone(), last.second.clone()),
            None => *self = Place { table: self.table.saturating_add(1), ..Place::default() },
        }
        self.table < TABLE_KEYS.len()
    }
}

/// A row as it is stored, with its primary key as text.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    first: String,
    second: String,
    row: Vec<u8>,
}

impl Row {
    /// Whether it is authentic where it was found.
    pub fn check(&self, table: &str, key: &Secret<[u8; 32]>) -> Result<(), StoreError> {
        let name = match TABLE_KEYS.iter().find(|(name, _, _)| *name == table) {
            Some((_, _, Some(_))) => pair(&self.first, &self.second),
            _ => self.first.clone().into_bytes(),
        };
        rows::check(key, table, &name, &self.row).map(drop)
    }
}

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

    /// Checks the tag of every row. What it returns is equal for equal content only.
    pub fn verify(&self, key: &Secret<[u8; 32]>) -> Result<[u8; 32], StoreError> {
        let mut content = Sha256::new();
        let mut place = Place::default();
        loop {
            let slice = self.slice(&place, VERIFY_SLICE)?;
            for row in &slice {
                row.check(place.table(), key)?;
                for part in [row.first.as_bytes(), b"/", row.second.as_bytes(), &row.row] {
                    content.update(part);
                }
            }
            if !place.go_on(&slice) {
                return Ok(content.finalize().into());
            }
        }
    }

    /// The rows from `place` on, in the order of their names, of one table; none at its end.
    pub fn slice(&self, place: &Place, most: u32) -> Result<Vec<Row>, StoreError> {
        let Some((table, first, second)) = TABLE_KEYS.get(place.table) else {
            return Ok(Vec::new());
        };
        let query = match second {
            Some(second) => format!(
                "SELECT {first}, CAST({second} AS TEXT), row FROM {table} WHERE {first} > ?1
                 OR ({first} = ?1 AND {second} > {}) ORDER BY {first}, {second} LIMIT ?3",
                if *second == "version" { "CAST(?2 AS INTEGER)" } else { "?2" }
            ),
            None => format!(
                "SELECT {first}, '', row FROM {table} WHERE {first} > ?1 AND ?2 = ?2
                 ORDER BY {first} LIMIT ?3"
            ),
        };
        let failed = |error: rusqlite::Error| {
            tracing::error!(table, dir = %self.dir.display(), %error,
                "a table of the key store cannot be read");
            StoreError::Damaged
        };
        let mut statement = self.db.prepare_cached(&query).map_err(failed)?;
        let row =
            |r: &rusqlite::Row<'_>| Ok(Row { first: r.get(0)?, second: r.get(1)?, row: r.get(2)? });
        let (first, second) = (&place.after.0, &place.after.1);
        let rows = statement.query_map(params![first, second, most], row).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
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

/// The name that a row's tag binds, for tables with two key columns.
pub fn pair(first: &str, second: impl std::fmt::Display) -> Vec<u8> {
    format!("{first}/{second}").into_bytes()
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

/// The outer result is about the record, the inner one about SQLite.
fn apply(
    tx: &Transaction<'_>,
    key: &Secret<[u8; 32]>,
    change: &Change,
) -> Result<rusqlite::Result<usize>, StoreError> {
    let delete_key = |id: &KeyId| {
        let id = id.to_string();
        tx.execute("DELETE FROM versions WHERE key = ?1", [&id])?;
        tx.execute("DELETE FROM aliases WHERE key = ?1", [&id])?;
        tx.execute("DELETE FROM grants WHERE key = ?1", [&id])?;
        tx.execute("DELETE FROM keys WHERE id = ?1", [&id])
    };
    let delete_user = |account: &AccountId, name: &str| {
        let place = [account.as_str(), name];
        tx.execute("DELETE FROM access_keys WHERE account = ?1 AND user = ?2", place)?;
        tx.execute("DELETE FROM users WHERE account = ?1 AND name = ?2", place)
    };
    Ok(match change {
        Change::PutKey(r) => {
            let id = r.id.to_string();
            let row = rows::encode(key, "keys", id.as_bytes(), r)?;
            let values = params![id, r.account.as_str(), r.due(), row];
            tx.execute("INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3, ?4)", values)
        }
        Change::DeleteKey(id) => delete_key(id),
        Change::PutVersion(r) => {
            let (id, number) = (r.key.to_string(), r.version.0);
            let row = rows::encode(key, "versions", &pair(&id, number), r)?;
            let values = params![id, number, row];
            tx.execute("INSERT OR REPLACE INTO versions VALUES (?1, ?2, ?3)", values)
        }
        Change::PutAlias(r) => {
            let row = rows::encode(key, "aliases", &pair(r.account.as_str(), &r.name), r)?;
            let values = params![r.account.as_str(), r.name, r.key.to_string(), row];
            tx.execute("INSERT OR REPLACE INTO aliases VALUES (?1, ?2, ?3, ?4)", values)
        }
        Change::DeleteAlias(account, name) => {
            let place = [account.as_str(), name.as_str()];
            tx.execute("DELETE FROM aliases WHERE account = ?1 AND name = ?2", place)
        }
        Change::PutGrant(r) => {
            let row = rows::encode(key, "grants", r.id.as_bytes(), r)?;
            let values = params![r.id, r.key.to_string(), r.retiring, row];
            tx.execute("INSERT OR REPLACE INTO grants VALUES (?1, ?2, ?3, ?4)", values)
        }
        Change::DeleteGrant(id) => tx.execute("DELETE FROM grants WHERE id = ?1", [id]),
        Change::PutUser(r) => {
            let row = rows::encode(key, "users", &pair(r.account.as_str(), &r.name), r)?;
            let values = params![r.account.as_str(), r.name, row];
            tx.execute("INSERT OR REPLACE INTO users VALUES (?1, ?2, ?3)", values)
        }
        Change::DeleteUser(account, name) => delete_user(account, name),
        Change::PutAccessKey(r) => {
            let row = rows::encode(key, "access_keys", r.id.as_bytes(), r)?;
            let values = params![r.id, r.account.as_str(), r.user, row];
            tx.execute("INSERT OR REPLACE INTO access_keys VALUES (?1, ?2, ?3, ?4)", values)
        }
        Change::DeleteAccessKey(id) => tx.execute("DELETE FROM access_keys WHERE id = ?1", [id]),
        Change::PutKeyStore(r) => {
            let row = rows::encode(key, "key_stores", &pair(r.account.as_str(), &r.id), r)?;
            let values = params![r.account.as_str(), r.id, row];
            tx.execute("INSERT OR REPLACE INTO key_stores VALUES (?1, ?2, ?3)", values)
        }
        Change::DeleteKeyStore(account, id) => {
            let place = [account.as_str(), id.as_str()];
            tx.execute("DELETE FROM key_stores WHERE account = ?1 AND id = ?2", place)
        }
        Change::PutMeta(name, value) => {
            let row = rows::encode(key, "meta", name.as_bytes(), value)?;
            tx.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![name, row])
        }
    })
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
