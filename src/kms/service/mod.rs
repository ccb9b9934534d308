//! The service: one front for every request, and the calls that a filesystem makes in bulk.
//!
//! Every call goes the same way: validate, find the key once, decide, execute, record, and only
//! then (the record being durable) change the store and answer. That way is `front`; `dispatch`
//! tells which action is whose, and `commit` makes the changes. The actions lie in one file per
//! group; each executing method takes the [`super::authz::Authorized`] of its action.
//!
//! # Locks
//! `writer` is held by a changing call from its first look at the store to its commit, so that
//! checks and changes are one. `loading` is held shared while a record goes from the store to
//! the cache and exclusively while a commit empties the cache, so that no old record is left
//! there (`forget` says which). `writer` comes before `loading`; neither is held while waiting for an epoch.

mod aliases;
mod asymmetric;
mod behind;
mod bulk;
mod call;
mod commit;
mod compromise;
mod crypto;
mod defaults;
mod dispatch;
mod epoch;
mod forget;
mod front;
mod grants;
mod import;
mod keys;
mod keystores;
mod lifetime;
mod lookup;
mod moments;
mod pages;
mod pairs;
mod policies;
mod regions;
mod reseal;
mod roles;
mod rotation;
mod rsa;
mod sessions;
mod tags;
#[cfg(test)]
mod tests;
mod users;
mod volumes;
mod wraps;

use std::collections::HashSet;
use std::sync::{OnceLock, Weak};

use dashmap::DashMap;

use super::audit::Trail;
use super::custody::{Custody, CustodyError};
use super::error::{InternalFault, KmsError};
use super::id::{AccountId, KeyId, Region};
use super::keystore::Backings;
use super::limits::{Limits, Throttle};
use super::policy::{Policy, identity_policy};
use super::regional::Regional;
use super::store::{Change, Store, StoreError};
use crate::clock::{Clock, Millis};
use crate::secret::Secret;
use crate::sync::{Arc, Mutex, RwLock};

use epoch::Epoch;
use lookup::Cache;
use moments::Moments;
use rotation::LastUse;
use wraps::Wraps;

pub use bulk::{FreshDataKey, FreshFor, Rewrapped, Wrapped};
pub use defaults::{MANAGED_ALIAS, default_key_policy, managed_key_policy};
pub use front::Begun;
pub use reseal::{HeaderOf, Resealed};
pub use sessions::Presented;
pub use users::AccessKey;
pub use volumes::{VolumeRecord, VolumeReport};
pub use wraps::RotationRules;

/// Name of the stored value that remembers how far the audit trail has come.
pub const META_AUDIT: &str = "audit";

/// The key service of one Region. Shared behind an `Arc`; every method may be
/// called from any thread and may block for a disk flush.
pub struct Service {
    account: AccountId,
    region: Region,
    administrators: HashSet<String>,
    administration: Arc<Policy>,
    store: Regional,
    custody: Arc<dyn Custody>,
    backings: Arc<dyn Backings>,
    trail: Arc<Trail>,
    clock: Arc<dyn Clock>,
    marker_key: Arc<Secret<[u8; 32]>>,
    limits: Limits,
    throttle: Throttle,
    cache: Cache,
    moments: Moments,
    last_uses: DashMap<KeyId, LastUse>,
    rotation: RotationRules,
    wraps: Wraps,
    started: Millis,
    loading: Arc<RwLock<()>>,
    writer: Arc<Mutex<()>>,
    epoch: Epoch,
    /// All Regions, this one too.
    family: Arc<OnceLock<Vec<Weak<Service>>>>,
    /// The further Regions; the first one keeps them.
    siblings: Vec<Arc<Service>>,
}

/// What a service is made of.
pub struct Parts {
    /// The account served.
    pub account: AccountId,
    /// The Region served.
    pub region: Region,
    /// ARNs of the users who may do everything that key policies leave to identity policies.
    pub administrators: Vec<String>,
    /// Where the records are.
    pub store: Box<dyn Store>,
    /// Where the material is.
    pub custody: Box<dyn Custody>,
    /// What stands behind custom key stores.
    pub backings: Box<dyn Backings>,
    /// Where the audit records go.
    pub trail: Trail,
    /// The time.
    pub clock: Box<dyn Clock>,
    /// Authenticates page markers.
    pub marker_key: Secret<[u8; 32]>,
    /// Quotas and rates.
    pub limits: Limits,
    /// When keys rotate.
    pub rotation: RotationRules,
}

impl Service {
    /// Puts the parts together. Moves the epoch, so that decisions of before a restart are void
    /// (the configuration may have changed meanwhile).
    pub fn new(parts: Parts) -> Result<Service, KmsError> {
        let administration = identity_policy(defaults::ADMINISTRATION)?;
        let position = parts.trail.position().to_bytes();
        let epoch = parts.store.commit(&[Change::PutMeta(META_AUDIT, position)])?;
        Ok(Service {
            account: parts.account,
            region: parts.region,
            administrators: parts.administrators.into_iter().collect(),
            administration: Arc::new(administration),
            store: Regional::first(Arc::from(parts.store)),
            custody: Arc::from(parts.custody),
            backings: Arc::from(parts.backings),
            trail: Arc::new(parts.trail),
            last_uses: DashMap::new(),
            rotation: parts.rotation,
            wraps: Wraps::default(),
            started: parts.clock.now(),
            clock: Arc::from(parts.clock),
            marker_key: Arc::new(parts.marker_key),
            limits: parts.limits,
            throttle: Throttle::default(),
            cache: Cache::default(),
            moments: Moments::default(),
            loading: Arc::default(),
            writer: Arc::default(),
            epoch: Epoch::new(epoch),
            family: Arc::default(),
            siblings: Vec::new(),
        })
    }

    /// The account served.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The Region served.
    pub fn region(&self) -> &Region {
        &self.region
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }
}

impl From<StoreError> for KmsError {
    fn from(error: StoreError) -> KmsError {
        match error {
            StoreError::Io => InternalFault::Store.into(),
            StoreError::Damaged => InternalFault::Record.into(),
        }
    }
}

impl From<CustodyError> for KmsError {
    /// [`CustodyError::BadInput`] is for the caller to name, who knows what was put in.
    fn from(_: CustodyError) -> KmsError {
        InternalFault::Custody.into()
    }
}
