//! From what a caller names to the thing itself, once per request, through a cache.

use dashmap::DashMap;

use super::Service;
use super::users::AccessKey;
use crate::kms::api::types::KeyState;
use crate::kms::caller::Principal;
use crate::kms::error::{InternalFault, KmsError};
use crate::kms::id::{AccountId, KeyId, alias_arn, key_arn};
use crate::kms::key::Key;
use crate::kms::policy::{Policy, identity_policy, key_policy};
use crate::kms::store::Store as _;
use crate::sync::Arc;

/// Most entries of each kind; beyond it the cache starts afresh.
pub(super) const CACHE_MAX: usize = 16_384;

/// Records and compiled policies, as of the last commit.
#[derive(Default)]
pub(super) struct Cache {
    pub keys: DashMap<KeyId, Arc<Key>>,
    pub aliases: DashMap<(AccountId, String), KeyId>,
    pub identity: DashMap<String, Vec<Arc<Policy>>>,
    /// How many keys an account has; counting them takes longer the more they are.
    pub counts: DashMap<AccountId, u64>,
    pub access_keys: DashMap<String, Arc<AccessKey>>,
}

impl Cache {
    /// Makes room for further keys: any half of them goes.
    fn make_room(&self) {
        let mut keep = false;
        self.keys.retain(|_, _| {
            keep = !keep;
            keep
        });
    }

    pub fn clear(&self) {
        self.keys.clear();
        self.aliases.clear();
        self.identity.clear();
        self.counts.clear();
        self.access_keys.clear();
    }
}

/// The key as it is at `now`: imported material that ended cannot be used any more, even before
/// it is removed.
fn waiting_after(key: Arc<Key>, now: i64) -> Result<Arc<Key>, KmsError> {
    let over = key.record.more.expiry.is_some_and(|at| at <= now);
    if !over || !matches!(key.record.state, KeyState::Enabled | KeyState::Disabled) {
        return Ok(key);
    }
    let mut record = key.record.clone();
    record.state = KeyState::PendingImport;
    Ok(Arc::new(Key {
        record,
        arn: key.arn.clone(),
        policy: key_policy(&key.record.policy).map_err(|_| InternalFault::Record)?,
        versions: key.versions.clone(),
        aliases: key.aliases.clone(),
        grants: key.grants.clone(),
        relatives: key.relatives.clone(),
        reachable: key.reachable,
    }))
}

/// A key, and the alias that it was named by.
#[derive(Debug)]
pub(super) struct Named {
    pub key: Arc<Key>,
    pub alias: Option<String>,
}

/// Whether an operation takes aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Cryptographic operations and DescribeKey.
    KeyOrAlias,
    /// All others.
    KeyOnly,
}

impl Service {
    /// The key that `text` names for `caller`.
    pub(super) fn named(
        &self,
        caller: &Principal,
        text: &str,
        naming: Naming,
    ) -> Result<Named, KmsError> {
        let home = caller.account().unwrap_or(&self.account);
        let (account, resource) = match text.strip_prefix("arn:") {
            Some(_) => self.split_arn(text)?,
            None => (home.clone(), text),
        };
        if resource.starts_with("alias/") {
            if naming == Naming::KeyOnly {
                return Err(KmsError::BadKeyId { id: text.to_owned() });
            }
            let id = self.alias_target(&account, resource)?.ok_or_else(|| {
                KmsError::NoSuchAlias { arn: alias_arn(&self.region, &account, resource) }
            })?;
            let missing =
                || KmsError::NoSuchAlias { arn: alias_arn(&self.region, &account, resource) };
            let key = self.key(id)?.ok_or_else(missing)?;
            return Ok(Named { key, alias: Some(resource.to_owned()) });
        }
        let digits = match text.strip_prefix("arn:") {
            Some(_) => resource
                .strip_prefix("key/")
                .ok_or_else(|| KmsError::InvalidArn { arn: text.to_owned() })?,
            None => resource,
        };
        let id: KeyId = digits.parse().map_err(|_| KmsError::BadKeyId { id: digits.to_owned() })?;
        let key = self
            .key(id)?
            .filter(|key| key.record.account == account)
            .ok_or_else(|| KmsError::NoSuchKey { arn: key_arn(&self.region, &account, id) })?;
        Ok(Named { key, alias: None })
    }

    /// The key of that id. A key whose deletion is due is not there any more.
    pub(super) fn key(&self, id: KeyId) -> Result<Option<Arc<Key>>, KmsError> {
        let cached = self.cache.keys.get(&id).map(|entry| entry.value().clone());
        let key = match cached {
            Some(key) => Some(key),
            None => self.load_key(id)?,
        };
        let now = self.now().0;
        let key = key.map(|key| waiting_after(key, now)).transpose()?;
        Ok(key.filter(|key| {
            key.record.state != KeyState::PendingDeletion
                || key.record.deletion.is_none_or(|at| at > now)
        }))
    }

    /// How many keys an account has.
    pub(super) fn key_count(&self, account: &AccountId) -> Result<u64, KmsError> {
        if let Some(count) = self.cache.counts.get(account) {
            return Ok(*count);
        }
        let _loading = self.loading.read();
        let count = self.store.key_count(account)?;
        self.cache.counts.insert(account.clone(), count);
        Ok(count)
    }

    pub(super) fn load_key(&self, id: KeyId) -> Result<Option<Arc<Key>>, KmsError> {
        let _loading = self.loading.read();
        let Some(record) = self.store.key(id)? else { return Ok(None) };
        let versions = self.store.versions(id)?;
        // One more than a key may have: a condition on aliases then fails, as AWS has it.
        let aliases = self.store.aliases(&record.account, Some(id), None, 51)?;
        let aliases = aliases.into_iter().map(|alias| alias.name).collect();
        // It was accepted when it was put: what does not parse now was damaged since.
        let policy = key_policy(&record.policy).map_err(|_| InternalFault::Record)?;
        let grants = self.store.grants(id)?;
        let relatives = self.relatives(&record)?;
        let reachable = self.material_reachable(&record)?;
        let key = Key {
            grants,
            relatives,
            reachable,
            ..Key::new(&self.region, record, policy, versions, aliases)
        };
        let key = Arc::new(key);
        self.note_key(&key);
        if self.cache.keys.len() >= CACHE_MAX {
            self.cache.make_room();
        }
        self.cache.keys.insert(id, key.clone());
        Ok(Some(key))
    }

    fn alias_target(&self, account: &AccountId, name: &str) -> Result<Option<KeyId>, KmsError> {
        let place = (account.clone(), name.to_owned());
        if let Some(id) = self.cache.aliases.get(&place) {
            return Ok(Some(*id));
        }
        let _loading = self.loading.read();
        let Some(alias) = self.store.alias(account, name)? else { return Ok(None) };
        if self.cache.aliases.len() >= CACHE_MAX {
            self.cache.aliases.clear();
        }
        self.cache.aliases.insert(place, alias.key);
        Ok(Some(alias.key))
    }

    /// The identity policies of a principal, compiled.
    pub(super) fn identity_policies(
        &self,
        principal: &Principal,
    ) -> Result<Vec<Arc<Policy>>, KmsError> {
        let Some((account, name)) = super::users::policies_of(principal) else {
            return Ok(Vec::new());
        };
        // Sessions of a role share its policies.
        let arn = match principal {
            Principal::AssumedRole { account, role, .. } => format!("{account}:{role}"),
            other => other.to_string(),
        };
        if let Some(known) = self.cache.identity.get(&arn) {
            return Ok(known.clone());
        }
        let _loading = self.loading.read();
        let mut policies = Vec::new();
        if self.administrators.contains(&arn) {
            policies.push(self.administration.clone());
        }
        if let Some(user) = self.store.user(account, &name)? {
            let policies_of = user.policies.iter().filter(|(name, _)| name != super::users::TRUST);
            for (_, document) in policies_of {
                let policy = identity_policy(document).map_err(|_| InternalFault::Record)?;
                self.note_policy(&policy);
                policies.push(Arc::new(policy));
            }
        }
        if self.cache.identity.len() >= CACHE_MAX {
            self.cache.identity.clear();
        }
        self.cache.identity.insert(arn, policies.clone());
        Ok(policies)
    }

    /// Account and resource of an ARN of this service and Region.
    fn split_arn<'t>(&self, text: &'t str) -> Result<(AccountId, &'t str), KmsError> {
        let invalid = || KmsError::InvalidArn { arn: text.to_owned() };
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", "aws", "kms", region, account, resource] = parts.as_slice() else {
            return Err(invalid());
        };
        if *region != self.region.as_str() {
            return Err(KmsError::OtherRegion { region: (*region).to_owned() });
        }
        Ok((account.parse().map_err(|_| invalid())?, resource))
    }
}
