//! What a commit makes stale in the cache: what its changes touch, and nothing else, so that one
//! who makes keys does not slow down all who use theirs.
//!
//! Worked out before the commit, while what is replaced can still be looked up, and under the
//! writer's lock. What is not sure to stay true is forgotten.

use super::Service;
use super::lookup::Cache;
use crate::kms::id::{AccountId, KeyId};
use crate::kms::store::{Change, Store as _, StoreError};

/// More changes than this are not looked at one by one.
const MANY: usize = 64;

/// What to forget.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Keys, with their aliases, grants and versions, in every Region.
    keys: Vec<KeyId>,
    /// Names.
    aliases: Vec<(AccountId, String)>,
    /// Users with their policies and access keys.
    users: bool,
    /// Keys that were not there before, by their accounts.
    made: Vec<AccountId>,
    /// Keys that go.
    deleted: Vec<KeyId>,
    /// Everything.
    all: bool,
    /// Whether a decision that somebody remembers may have become another.
    pub decides: bool,
}

impl Service {
    /// What these changes in this Region make stale.
    pub(super) fn stale(&self, changes: &[Change]) -> Stale {
        let mut stale = Stale { all: changes.len() > MANY, ..Stale::default() };
        // A key that is only being made is in nobody's decisions.
        let fresh = |id: &KeyId| {
            let new = |change: &Change| matches!(change, Change::PutKey(key) if key.id == *id);
            changes.iter().any(new) && matches!(self.store.key(*id), Ok(None))
        };
        for change in changes {
            let looked = self.touch(&mut stale, change);
            stale.all |= looked.is_err();
            stale.decides |= match change {
                Change::PutKey(key) => !fresh(&key.id),
                Change::PutVersion(version) => !fresh(&version.key),
                Change::PutMeta(..) => false,
                _ => true,
            };
        }
        // An empty commit is made so that everybody looks again.
        let only_meta = |change: &Change| matches!(change, Change::PutMeta(..));
        if changes.iter().all(only_meta) {
            stale.all = true;
            stale.decides = true;
        }
        stale
    }

    fn touch(&self, stale: &mut Stale, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::PutKey(record) => {
                stale.keys.push(record.id);
                if self.store.key(record.id)?.is_none() {
                    stale.made.push(record.account.clone());
                }
            }
            Change::DeleteKey(id) => {
                stale.keys.push(*id);
                stale.deleted.push(*id);
            }
            Change::PutVersion(version) => stale.keys.push(version.key),
            Change::PutAlias(new) => {
                stale.keys.push(new.key);
                self.touch_alias(stale, &new.account, &new.name)?;
            }
            Change::DeleteAlias(account, name) => self.touch_alias(stale, account, name)?,
            Change::PutGrant(grant) => stale.keys.push(grant.key),
            Change::DeleteGrant(id) => {
                if let Some(grant) = self.store.grant(id)? {
                    stale.keys.push(grant.key);
                }
            }
            Change::PutUser(_)
            | Change::DeleteUser(..)
            | Change::PutAccessKey(_)
            | Change::DeleteAccessKey(_) => stale.users = true,
            // Keys within become usable, or are so no more.
            Change::PutKeyStore(_) | Change::DeleteKeyStore(..) => stale.all = true,
            Change::PutMeta(..) => {}
        }
        Ok(())
    }

    fn touch_alias(
        &self,
        stale: &mut Stale,
        account: &AccountId,
        name: &str,
    ) -> Result<(), StoreError> {
        if let Some(old) = self.store.alias(account, name)? {
            stale.keys.push(old.key);
        }
        stale.aliases.push((account.clone(), name.to_owned()));
        Ok(())
    }
}

impl Cache {
    /// Forgets what a commit in this Region made stale.
    pub fn forget(&self, stale: &Stale) {
        self.forget_elsewhere(stale);
        for place in &stale.aliases {
            self.aliases.remove(place);
        }
        if !stale.deleted.is_empty() {
            self.aliases.retain(|_, key| !stale.deleted.contains(key));
            self.counts.clear();
        }
        for account in &stale.made {
            if let Some(mut count) = self.counts.get_mut(account) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Forgets what a commit in another Region made stale here: keys are of several Regions, and
    /// users of all.
    pub fn forget_elsewhere(&self, stale: &Stale) {
        if stale.all {
            self.clear();
        }
        for id in &stale.keys {
            self.keys.remove(id);
        }
        if stale.users {
            self.identity.clear();
            self.access_keys.clear();
        }
    }
}
