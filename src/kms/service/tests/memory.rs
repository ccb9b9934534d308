//! A store, a custody and an audit log in memory.

use std::collections::BTreeMap;

use crate::clock::Millis;
use crate::crypto;
use crate::kms::api::types::{KeySpec, Origin};
use crate::kms::audit::{AuditError, AuditLog};
use crate::kms::custody::{Custody, CustodyError, NewMaterial, Task};
use crate::kms::grant::GrantRecord;
use crate::kms::id::{AccountId, KeyId, KeyVersion};
use crate::kms::kdf::{self, Label};
use crate::kms::keystore::KeyStoreRecord;
use crate::kms::material;
use crate::kms::store::{
    AccessKeyRecord, AliasRecord, Change, KeyRecord, Store, StoreError, UserRecord, VersionRecord,
};
use crate::secret::Secret;
use crate::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Tables {
    pub keys: BTreeMap<KeyId, KeyRecord>,
    versions: BTreeMap<(KeyId, KeyVersion), VersionRecord>,
    aliases: BTreeMap<(AccountId, String), AliasRecord>,
    users: BTreeMap<(AccountId, String), UserRecord>,
    access_keys: BTreeMap<String, AccessKeyRecord>,
    grants: BTreeMap<String, GrantRecord>,
    key_stores: BTreeMap<(AccountId, String), KeyStoreRecord>,
    meta: BTreeMap<String, Vec<u8>>,
    generation: u64,
    pub fail_commit: bool,
}

pub type Memory = Arc<Mutex<Tables>>;

impl Store for Memory {
    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.lock().keys.get(&id).cloned())
    }

    fn keys(
        &self,
        account: &AccountId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyId>, StoreError> {
        let tables = self.lock();
        let mine = tables.keys.values().filter(|k| k.account == *account).map(|k| k.id);
        Ok(mine.filter(|id| after.is_none_or(|a| *id > a)).take(limit).collect())
    }

    fn key_count(&self, account: &AccountId) -> Result<u64, StoreError> {
        let tables = self.lock();
        Ok(tables.keys.values().filter(|k| k.account == *account).count() as u64)
    }

    fn keys_due(&self, now: Millis) -> Result<Vec<KeyId>, StoreError> {
        let tables = self.lock();
        let due = tables.keys.values().filter(|k| k.due().is_some_and(|at| at <= now.0));
        Ok(due.map(|k| k.id).collect())
    }

    fn versions(&self, key: KeyId) -> Result<Vec<VersionRecord>, StoreError> {
        Ok(self.lock().versions.values().filter(|v| v.key == key).cloned().collect())
    }

    fn alias(&self, account: &AccountId, name: &str) -> Result<Option<AliasRecord>, StoreError> {
        Ok(self.lock().aliases.get(&(account.clone(), name.to_owned())).cloned())
    }

    fn aliases(
        &self,
        account: &AccountId,
        key: Option<KeyId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AliasRecord>, StoreError> {
        let tables = self.lock();
        let found = tables.aliases.values().filter(|a| {
            a.account == *account
                && key.is_none_or(|k| a.key == k)
                && after.is_none_or(|after| a.name.as_str() > after)
        });
        Ok(found.take(limit).cloned().collect())
    }

    fn grant(&self, id: &str) -> Result<Option<GrantRecord>, StoreError> {
        Ok(self.lock().grants.get(id).cloned())
    }

    fn grants(&self, key: KeyId) -> Result<Vec<GrantRecord>, StoreError> {
        Ok(self.lock().grants.values().filter(|g| g.key == key).cloned().collect())
    }

    fn grants_retired_by(
        &self,
        principal: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let tables = self.lock();
        let found = tables.grants.values().filter(|g| {
            g.retiring.as_deref() == Some(principal)
                && after.is_none_or(|after| g.id.as_str() > after)
        });
        Ok(found.take(limit).cloned().collect())
    }

    fn user(&self, account: &AccountId, name: &str) -> Result<Option<UserRecord>, StoreError> {
        Ok(self.lock().users.get(&(account.clone(), name.to_owned())).cloned())
    }

    fn users(&self, account: &AccountId) -> Result<Vec<UserRecord>, StoreError> {
        Ok(self.lock().users.values().filter(|u| u.account == *account).cloned().collect())
    }

    fn access_key(&self, id: &str) -> Result<Option<AccessKeyRecord>, StoreError> {
        Ok(self.lock().access_keys.get(id).cloned())
    }

    fn access_keys(&self, _: &AccountId, user: &str) -> Result<Vec<AccessKeyRecord>, StoreError> {
        Ok(self.lock().access_keys.values().filter(|k| k.user == user).cloned().collect())
    }

    fn key_stores(&self, account: &AccountId) -> Result<Vec<KeyStoreRecord>, StoreError> {
        let tables = self.lock();
        Ok(tables.key_stores.values().filter(|s| s.account == *account).cloned().collect())
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().meta.get(name).cloned())
    }

    fn commit(&self, changes: &[Change]) -> Result<u64, StoreError> {
        let mut t = self.lock();
        if t.fail_commit {
            return Err(StoreError::Io);
        }
        for change in changes.iter().cloned() {
            match change {
                Change::PutKey(r) => drop(t.keys.insert(r.id, r)),
                Change::DeleteKey(id) => {
                    t.keys.remove(&id);
                    t.versions.retain(|_, v| v.key != id);
                    t.aliases.retain(|_, a| a.key != id);
                    t.grants.retain(|_, g| g.key != id);
                }
                Change::PutVersion(r) => drop(t.versions.insert((r.key, r.version), r)),
                Change::PutAlias(r) => {
                    drop(t.aliases.insert((r.account.clone(), r.name.clone()), r));
                }
                Change::DeleteAlias(account, name) => drop(t.aliases.remove(&(account, name))),
                Change::PutGrant(r) => drop(t.grants.insert(r.id.clone(), r)),
                Change::DeleteGrant(id) => drop(t.grants.remove(&id)),
                Change::PutUser(r) => drop(t.users.insert((r.account.clone(), r.name.clone()), r)),
                Change::DeleteUser(account, name) => {
                    t.access_keys.retain(|_, k| k.user != name);
                    t.users.remove(&(account, name));
                }
                Change::PutAccessKey(r) => drop(t.access_keys.insert(r.id.clone(), r)),
                Change::DeleteAccessKey(id) => drop(t.access_keys.remove(&id)),
                Change::PutKeyStore(r) => {
                    drop(t.key_stores.insert((r.account.clone(), r.id.clone()), r));
                }
                Change::DeleteKeyStore(account, id) => drop(t.key_stores.remove(&(account, id))),
                Change::PutMeta(name, value) => drop(t.meta.insert(name.to_owned(), value)),
            }
        }
        t.generation += 1;
        Ok(t.generation)
    }
}

/// Seals nothing: what it makes is the material itself.
pub struct OpenCustody;

impl Custody for OpenCustody {
    fn origin(&self) -> Origin {
        Origin::AwsKms
    }

    fn create(&self, _: KeyId, _: KeyVersion, s: KeySpec) -> Result<NewMaterial, CustodyError> {
        opened(s, &material::generate(s)?)
    }

    fn import(
        &self,
        _: KeyId,
        _: KeyVersion,
        spec: KeySpec,
        material: &Secret<Vec<u8>>,
    ) -> Result<NewMaterial, CustodyError> {
        opened(spec, material)
    }

    fn perform(
        &self,
        _: KeyId,
        _: KeyVersion,
        spec: KeySpec,
        sealed: &[u8],
        task: Task<'_>,
    ) -> Result<Secret<Vec<u8>>, CustodyError> {
        material::perform(spec, sealed, task)
    }

    fn one_time_key(
        &self,
        _: KeyId,
        _: KeyVersion,
        sealed: &[u8],
        nonce: &[u8; 16],
    ) -> Result<Secret<[u8; 32]>, CustodyError> {
        let material = sealed.try_into().map_err(|_| CustodyError::BadMaterial)?;
        Ok(kdf::derive(material, Label::OneTime, nonce))
    }

    fn seal_secret(&self, _: &str, secret: &[u8]) -> Result<Vec<u8>, CustodyError> {
        Ok(secret.to_vec())
    }

    fn open_secret(&self, _: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, CustodyError> {
        Ok(Secret::new(sealed.to_vec()))
    }
}

fn opened(spec: KeySpec, material: &Secret<Vec<u8>>) -> Result<NewMaterial, CustodyError> {
    let public = material::public_key(spec, material.expose())?;
    let id = crypto::mac(&Secret::new([3; 32]), &[material.expose()]);
    Ok(NewMaterial { sealed: material.expose().to_vec(), id, public })
}

#[derive(Default)]
pub struct Lines {
    pub text: String,
    pub broken: bool,
    pub flushes: usize,
}

pub type Log = Arc<Mutex<Lines>>;

impl AuditLog for Log {
    fn append(&self, lines: &[u8], _: bool) -> Result<(), AuditError> {
        let mut log = self.lock();
        if log.broken {
            return Err(AuditError);
        }
        log.flushes += 1;
        log.text.push_str(std::str::from_utf8(lines).unwrap());
        Ok(())
    }
}
