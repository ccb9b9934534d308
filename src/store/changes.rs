//! Changes of the service as SQL: records with their tags, and what goes with a key or a user.

use rusqlite::{Transaction, params};

use super::rows::{self, pair};
use crate::kms::id::{AccountId, KeyId};
use crate::kms::store::{Change, StoreError};
use crate::secret::Secret;

/// Makes one change. The outer result is about the record, the inner one about SQLite.
pub fn apply(
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
