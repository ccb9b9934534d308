//! Several Regions over one store: the records of all but the first lie there under other names.
//!
//! A Region is a name space, and one commit must be able to change a key in two of them. So there
//! is one store, and each further Region sees it through [`Regional`], which turns its names into
//! the store's and back: ids of keys are masked with a hash of the Region's name, accounts carry
//! it. The first Region's names are the store's. Users, access keys and named values belong to
//! no Region.

use sha2::{Digest as _, Sha256};

use super::grant::GrantRecord;
use super::id::{AccountId, KeyId, Region};
use super::keystore::KeyStoreRecord;
use super::store::{
    AccessKeyRecord, AliasRecord, Change, KeyRecord, Store, StoreError, UserRecord, VersionRecord,
};
use crate::clock::Millis;
use crate::sync::Arc;

/// A store as one Region sees it.
pub struct Regional {
    store: Arc<dyn Store>,
    /// Nothing for the first Region.
    region: Option<(Region, [u8; 16])>,
}

impl Regional {
    /// As the first Region sees it.
    pub fn first(store: Arc<dyn Store>) -> Regional {
        Regional { store, region: None }
    }

    /// The same store as another Region sees it.
    pub fn further(&self, region: &Region) -> Regional {
        let hash: [u8; 32] = Sha256::digest(format!("kmsfs region {region}")).into();
        let mask = hash.first_chunk::<16>().copied().unwrap_or_default();
        Regional { store: self.store.clone(), region: Some((region.clone(), mask)) }
    }

    /// Commits changes that are in the store's names already.
    pub fn commit_raw(&self, changes: &[Change]) -> Result<u64, StoreError> {
        self.store.commit(changes)
    }

    /// A change of this Region in the store's names.
    pub fn raw(&self, change: Change) -> Change {
        match change {
            Change::PutKey(record) => Change::PutKey(KeyRecord {
                id: self.id(record.id),
                account: self.account(&record.account),
                ..record
            }),
            Change::DeleteKey(id) => Change::DeleteKey(self.id(id)),
            Change::PutVersion(record) => {
                Change::PutVersion(VersionRecord { key: self.id(record.key), ..record })
            }
            Change::PutAlias(record) => Change::PutAlias(AliasRecord {
                account: self.account(&record.account),
                key: self.id(record.key),
                ..record
            }),
            Change::DeleteAlias(account, name) => Change::DeleteAlias(self.account(&account), name),
            Change::PutGrant(record) => Change::PutGrant(GrantRecord {
                key: self.id(record.key),
                retiring: record.retiring.map(|arn| self.principal(&arn)),
                ..record
            }),
            Change::PutKeyStore(record) => Change::PutKeyStore(KeyStoreRecord {
                account: self.account(&record.account),
                ..record
            }),
            Change::DeleteKeyStore(account, id) => {
                Change::DeleteKeyStore(self.account(&account), id)
            }
            other => other,
        }
    }

    /// To the store's name and back: the mask undoes itself.
    fn id(&self, id: KeyId) -> KeyId {
        let Some((_, mask)) = &self.region else { return id };
        let mut bytes = id.bytes();
        bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        KeyId::from_parts(id.multi_region(), bytes)
    }

    fn account(&self, account: &AccountId) -> AccountId {
        self.region.as_ref().map_or_else(|| account.clone(), |(region, _)| account.within(region))
    }

    fn principal(&self, arn: &str) -> String {
        match &self.region {
            None => arn.to_owned(),
            Some((region, _)) => format!("{region} {arn}"),
        }
    }

    fn key_back(&self, record: KeyRecord) -> KeyRecord {
        KeyRecord { id: self.id(record.id), account: record.account.plain(), ..record }
    }

    fn grant_back(&self, record: GrantRecord) -> GrantRecord {
        let bare = |arn: String| match &self.region {
            Some(_) => arn.split_once(' ').map_or(arn.clone(), |(_, bare)| bare.to_owned()),
            None => arn,
        };
        GrantRecord { key: self.id(record.key), retiring: record.retiring.map(bare), ..record }
    }

    fn alias_back(&self, record: AliasRecord) -> AliasRecord {
        AliasRecord { account: record.account.plain(), key: self.id(record.key), ..record }
    }
}

impl Store for Regional {
    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.store.key(self.id(id))?.map(|record| self.key_back(record)))
    }

    fn keys(
        &self,
        account: &AccountId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyId>, StoreError> {
        let after = after.map(|id| self.id(id));
        let ids = self.store.keys(&self.account(account), after, limit)?;
        Ok(ids.into_iter().map(|id| self.id(id)).collect())
    }

    fn key_count(&self, account: &AccountId) -> Result<u64, StoreError> {
        self.store.key_count(&self.account(account))
    }

    fn keys_due(&self, now: Millis) -> Result<Vec<KeyId>, StoreError> {
        let mut own = Vec::new();
        for id in self.store.keys_due(now)? {
            let record = self.store.key(id)?;
            let region = self.region.as_ref().map(|(region, _)| region.as_str());
            if record.is_some_and(|record| record.account.region() == region) {
                own.push(self.id(id));
            }
        }
        Ok(own)
    }

    fn versions(&self, key: KeyId) -> Result<Vec<VersionRecord>, StoreError> {
        let versions = self.store.versions(self.id(key))?;
        Ok(versions.into_iter().map(|version| VersionRecord { key, ..version }).collect())
    }

    fn alias(&self, account: &AccountId, name: &str) -> Result<Option<AliasRecord>, StoreError> {
        Ok(self.store.alias(&self.account(account), name)?.map(|alias| self.alias_back(alias)))
    }

    fn aliases(
        &self,
        account: &AccountId,
        key: Option<KeyId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AliasRecord>, StoreError> {
        let key = key.map(|id| self.id(id));
        let found = self.store.aliases(&self.account(account), key, after, limit)?;
        Ok(found.into_iter().map(|alias| self.alias_back(alias)).collect())
    }

    fn grant(&self, id: &str) -> Result<Option<GrantRecord>, StoreError> {
        Ok(self.store.grant(id)?.map(|grant| self.grant_back(grant)))
    }

    fn grants(&self, key: KeyId) -> Result<Vec<GrantRecord>, StoreError> {
        let found = self.store.grants(self.id(key))?;
        Ok(found.into_iter().map(|grant| self.grant_back(grant)).collect())
    }

    fn grants_retired_by(
        &self,
        principal: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let found = self.store.grants_retired_by(&self.principal(principal), after, limit)?;
        Ok(found.into_iter().map(|grant| self.grant_back(grant)).collect())
    }

    fn user(&self, account: &AccountId, name: &str) -> Result<Option<UserRecord>, StoreError> {
        self.store.user(account, name)
    }

    fn users(&self, account: &AccountId) -> Result<Vec<UserRecord>, StoreError> {
        self.store.users(account)
    }

    fn access_key(&self, id: &str) -> Result<Option<AccessKeyRecord>, StoreError> {
        self.store.access_key(id)
    }

    fn access_keys(
        &self,
        account: &AccountId,
        user: &str,
    ) -> Result<Vec<AccessKeyRecord>, StoreError> {
        self.store.access_keys(account, user)
    }

    fn key_stores(&self, account: &AccountId) -> Result<Vec<KeyStoreRecord>, StoreError> {
        let stores = self.store.key_stores(&self.account(account))?;
        let back =
            |record: KeyStoreRecord| KeyStoreRecord { account: record.account.plain(), ..record };
        Ok(stores.into_iter().map(back).collect())
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.meta(name)
    }

    fn commit(&self, changes: &[Change]) -> Result<u64, StoreError> {
        let raw: Vec<Change> = changes.iter().cloned().map(|change| self.raw(change)).collect();
        self.store.commit(&raw)
    }
}
