//! What the service asks of an embedded store: records by their names, and lists of them.
//!
//! Invariant: columns only find rows; every record that is given was authenticated in its row.

use serde::de::DeserializeOwned;

use super::copy::{Copy, io};
use super::embedded::Embedded;
use super::rows::{self, pair};
use crate::clock::Millis;
use crate::kms::grant::GrantRecord;
use crate::kms::id::{AccountId, KeyId};
use crate::kms::keystore::KeyStoreRecord;
use crate::kms::store::{
    AccessKeyRecord, AliasRecord, Change, KeyRecord, Store, StoreError, UserRecord, VersionRecord,
};

impl Embedded {
    fn ask<T>(&self, question: impl Fn(&Copy) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.copies.lock().ask(question)
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

    fn commit(&self, changes: &[Change]) -> Result<u64, StoreError> {
        self.copies.lock().commit(&self.key, changes)
    }
}
