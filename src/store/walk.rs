//! Walking through all rows of a copy: to check them, and to compare copies.

use rusqlite::params;
use sha2::{Digest as _, Sha256};

use super::copy::Copy;
use super::rows::{self, pair};
use super::schema::TABLE_KEYS;
use crate::kms::store::StoreError;
use crate::secret::Secret;

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

impl Copy {
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
}
