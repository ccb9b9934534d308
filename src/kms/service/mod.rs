//! The service: one front for every request, and the calls that a filesystem makes in bulk.
//!
//! Every call goes the same way: validate, find the key once, decide, execute, record, and only
//! then (the record being durable) change the store and answer. The parts lie in one file per
//! group of actions; each executing method takes the [`super::authz::Authorized`] of its action.
//!
//! # Locks
//! `writer` is held by a changing call from its first look at the store to its commit, so that
//! checks and changes are one. `loading` is held shared while a record goes from the store to
//! the cache and exclusively while a commit empties the cache, so that no old record is left
//! there (`forget` says which). `writer` comes before `loading`; neither is held while waiting for an epoch.

mod aliases;
mod asymmetric;
mod bulk;
mod call;
mod compromise;
mod crypto;
mod defaults;
mod forget;
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::Duration;

use dashmap::DashMap;

use super::api::{IamReply, IamRequest, Reply, Request};
use super::audit::{Queued, Trail};
use super::caller::CallerContext;
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
use crate::sync::{Arc, Condvar, Mutex, RwLock};

use call::Call;
use forget::Stale;
use lookup::Cache;
use moments::Moments;
use rotation::LastUse;
use wraps::Wraps;

pub use bulk::{FreshDataKey, FreshFor, Rewrapped, Wrapped};
pub use defaults::{MANAGED_ALIAS, default_key_policy, managed_key_policy};
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
    epoch: AtomicU64,
    /// How often who waits for the epoch was roused without a new one.
    epoch_lock: Mutex<u64>,
    epoch_moved: Condvar,
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

/// What a call comes to before it is recorded.
#[derive(Debug)]
struct Done<R> {
    reply: R,
    changes: Vec<Change>,
    /// Changes in other Regions.
    elsewhere: Vec<(Region, Change)>,
}

impl<R> Done<R> {
    fn read(reply: R) -> Result<Done<R>, KmsError> {
        Ok(Done { reply, changes: Vec::new(), elsewhere: Vec::new() })
    }

    fn changes_something(&self) -> bool {
        !self.changes.is_empty() || !self.elsewhere.is_empty()
    }

    fn change(reply: R, changes: Vec<Change>) -> Result<Done<R>, KmsError> {
        Ok(Done { reply, changes, elsewhere: Vec::new() })
    }
}

/// A request that is decided, and whose reply waits for its audit record.
#[must_use]
#[derive(Debug)]
pub struct Begun(Half);

#[derive(Debug)]
enum Half {
    Over(Box<Result<Reply, KmsError>>),
    Recorded(Box<Result<Reply, KmsError>>, Queued),
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
            epoch: AtomicU64::new(epoch),
            epoch_lock: Mutex::new(0),
            epoch_moved: Condvar::new(),
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

    /// Validates, resolves the key once, decides, executes, records. The reply (or refusal) is
    /// given only after its audit record is durable.
    ///
    /// # Crash
    /// A stop after the record and before the change leaves a record of something that did not
    /// happen, never the other way round.
    pub fn handle(&self, caller: &CallerContext, request: Request) -> Result<Reply, KmsError> {
        let action = request.action();
        let _writer = (!action.read_only()).then(|| self.writer.lock());
        let mut call = Call::new(self, caller, action.name(), action.read_only());
        let outcome = self.run(&mut call, request);
        self.finish(call, outcome)
    }

    /// The first half of [`Service::handle`], for one who has more requests to begin: everything
    /// but waiting for the audit record. A request that changes something is handled to its end.
    pub fn begin(&self, caller: &CallerContext, request: Request) -> Begun {
        let action = request.action();
        if !action.read_only() {
            return Begun(Half::Over(Box::new(self.handle(caller, request))));
        }
        let mut call = Call::new(self, caller, action.name(), true);
        let outcome = self.run(&mut call, request);
        if outcome.as_ref().is_ok_and(Done::changes_something) {
            return Begun(Half::Over(Box::new(self.finish(call, outcome))));
        }
        let record = call.into_record(outcome.as_ref().err());
        let queued = self.trail.queue(&[record]);
        Begun(Half::Recorded(Box::new(outcome.map(|done| done.reply)), queued))
    }

    /// The second half: gives the reply once its record is durable.
    pub fn complete(&self, begun: Begun) -> Result<Reply, KmsError> {
        match begun.0 {
            Half::Over(outcome) => *outcome,
            Half::Recorded(outcome, queued) => {
                self.trail.wait(&queued).map_err(|_| unrecorded())?;
                *outcome
            }
        }
    }

    /// Administration of users; decided by the caller's identity policies.
    pub fn handle_iam(
        &self,
        caller: &CallerContext,
        request: IamRequest,
    ) -> Result<IamReply, KmsError> {
        let (name, read_only) = users::name_of(&request);
        let _writer = (!read_only).then(|| self.writer.lock());
        let mut call = Call::new(self, caller, name, read_only);
        call.source = "iam.amazonaws.com";
        let outcome = self.administer(&mut call, request);
        self.finish(call, outcome)
    }

    /// A number that moves whenever a policy, an alias, a user or a key's state has changed, and
    /// at every start.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Waits until the epoch is another than `seen`, for `timeout`, or until it is roused. Returns
    /// the epoch.
    pub fn wait_epoch(&self, seen: u64, timeout: Duration) -> u64 {
        let mut roused = self.epoch_lock.lock();
        let before = *roused;
        let still = |roused: &mut u64| *roused == before && self.epoch() == seen;
        self.epoch_moved.wait_while_for(&mut roused, still, timeout);
        self.epoch()
    }

    /// Makes everybody return from [`Service::wait_epoch`].
    pub fn rouse(&self) {
        let mut roused = self.epoch_lock.lock();
        *roused = roused.wrapping_add(1);
        self.epoch_moved.notify_all();
    }

    fn run(&self, call: &mut Call<'_>, request: Request) -> Result<Done<Reply>, KmsError> {
        self.throttle.pass(&self.limits.rates, call.account(), request.action(), self.now())?;
        request.validate()?;
        self.known_tokens(grant_tokens(&request))?;
        self.dispatch(call, request)
    }

    fn dispatch(&self, call: &mut Call<'_>, request: Request) -> Result<Done<Reply>, KmsError> {
        match request {
            Request::CancelKeyDeletion(r) => self.cancel_key_deletion(call, &r),
            Request::CreateAlias(r) => self.create_alias(call, &r),
            Request::CreateKey(r) => self.create_key(call, &r),
            Request::Decrypt(r) => self.decrypt(call, &r),
            Request::DeleteAlias(r) => self.delete_alias(call, &r),
            Request::DescribeKey(r) => self.describe_key(call, &r),
            Request::DisableKey(r) => self.disable_key(call, &r),
            Request::EnableKey(r) => self.enable_key(call, &r),
            Request::Encrypt(r) => self.encrypt(call, &r),
            Request::GenerateDataKey(r) => self.generate_data_key(call, &r),
            Request::GenerateDataKeyWithoutPlaintext(r) => self.generate_sealed_key(call, &r),
            Request::GenerateRandom(r) => self.generate_random(call, &r),
            Request::GetKeyPolicy(r) => self.get_key_policy(call, &r),
            Request::ListAliases(r) => self.list_aliases(call, &r),
            Request::ListKeyPolicies(r) => self.list_key_policies(call, &r),
            Request::ListKeys(r) => self.list_keys(call, &r),
            Request::PutKeyPolicy(r) => self.put_key_policy(call, &r),
            Request::ReEncrypt(r) => self.re_encrypt(call, &r),
            Request::ScheduleKeyDeletion(r) => self.schedule_key_deletion(call, &r),
            Request::UpdateAlias(r) => self.update_alias(call, &r),
            Request::UpdateKeyDescription(r) => self.update_key_description(call, &r),
            Request::ConnectCustomKeyStore(r) => self.connect_custom_key_store(call, &r),
            Request::CreateCustomKeyStore(r) => self.create_custom_key_store(call, &r),
            Request::CreateGrant(r) => self.create_grant(call, &r),
            Request::DeleteCustomKeyStore(r) => self.delete_custom_key_store(call, &r),
            Request::DeleteImportedKeyMaterial(r) => self.delete_imported_key_material(call, &r),
            Request::DeriveSharedSecret(r) => self.derive_shared_secret(call, &r),
            Request::Decapsulate(r) => self.decapsulate(call, &r),
            Request::Encapsulate(r) => self.encapsulate(call, &r),
            Request::DescribeCustomKeyStores(r) => self.describe_custom_key_stores(call, &r),
            Request::DisableKeyRotation(r) => self.disable_key_rotation(call, &r),
            Request::DisconnectCustomKeyStore(r) => self.disconnect_custom_key_store(call, &r),
            Request::EnableKeyRotation(r) => self.enable_key_rotation(call, &r),
            Request::GenerateDataKeyPair(r) => self.generate_data_key_pair(call, &r),
            Request::GenerateDataKeyPairWithoutPlaintext(r) => {
                self.generate_sealed_key_pair(call, &r)
            }
            Request::GenerateMac(r) => self.generate_mac(call, &r),
            Request::GetKeyLastUsage(r) => self.get_key_last_usage(call, &r),
            Request::GetKeyRotationStatus(r) => self.get_key_rotation_status(call, &r),
            Request::GetParametersForImport(r) => self.get_parameters_for_import(call, &r),
            Request::GetPublicKey(r) => self.get_public_key(call, &r),
            Request::ImportKeyMaterial(r) => self.import_key_material(call, &r),
            Request::ListGrants(r) => self.list_grants(call, &r),
            Request::ListKeyRotations(r) => self.list_key_rotations(call, &r),
            Request::ListResourceTags(r) => self.list_resource_tags(call, &r),
            Request::ListRetirableGrants(r) => self.list_retirable_grants(call, &r),
            Request::ReplicateKey(r) => self.replicate_key(call, &r),
            Request::RetireGrant(r) => self.retire_grant(call, &r),
            Request::RevokeGrant(r) => self.revoke_grant(call, &r),
            Request::RotateKeyOnDemand(r) => self.rotate_key_on_demand(call, &r),
            Request::Sign(r) => self.sign(call, &r),
            Request::TagResource(r) => self.tag_resource(call, &r),
            Request::UntagResource(r) => self.untag_resource(call, &r),
            Request::UpdateCustomKeyStore(r) => self.update_custom_key_store(call, &r),
            Request::UpdatePrimaryRegion(r) => self.update_primary_region(call, &r),
            Request::Verify(r) => self.verify(call, &r),
            Request::VerifyMac(r) => self.verify_mac(call, &r),
        }
    }

    /// Records the outcome, then makes its changes, then gives it.
    fn finish<R>(&self, call: Call<'_>, outcome: Result<Done<R>, KmsError>) -> Result<R, KmsError> {
        let changes = outcome.as_ref().is_ok_and(Done::changes_something);
        let again = changes.then(|| call.clone_head());
        let record = call.into_record(outcome.as_ref().err());
        self.trail.record(&[record]).map_err(|_| unrecorded())?;
        let done = outcome?;
        let Some(again) = again else { return Ok(done.reply) };
        if let Err(error) = self.commit_all(done.changes, done.elsewhere) {
            // The record said that it would happen; say that it did not.
            let record = again.into_record(Some(&error));
            if self.trail.record(&[record]).is_err() {
                tracing::error!("neither the key store nor the audit trail can be written");
            }
            return Err(error);
        }
        Ok(done.reply)
    }

    /// Makes changes durable, forgets what was cached of before, and moves the epoch if a
    /// decision may have become another.
    fn commit(&self, changes: Vec<Change>) -> Result<(), KmsError> {
        self.commit_all(changes, Vec::new())
    }

    /// The same, with changes in other Regions: all of them at once, or none.
    fn commit_all(
        &self,
        changes: Vec<Change>,
        elsewhere: Vec<(Region, Change)>,
    ) -> Result<(), KmsError> {
        let others: Vec<Arc<Service>> = self.others().collect();
        let mut stale = vec![(self.region.clone(), self.stale(&changes))];
        for other in &others {
            let there = elsewhere.iter().filter(|(region, _)| *region == other.region);
            let there: Vec<Change> = there.map(|(_, change)| change.clone()).collect();
            if !there.is_empty() {
                stale.push((other.region.clone(), other.stale(&there)));
            }
        }
        let mut raw: Vec<Change> = changes.into_iter().map(|c| self.store.raw(c)).collect();
        for (region, change) in elsewhere {
            let there = others.iter().find(|other| other.region == region);
            raw.push(there.ok_or(InternalFault::Record)?.store.raw(change));
        }
        raw.push(Change::PutMeta(META_AUDIT, self.trail.position().to_bytes()));
        let generation = {
            let _loading = self.loading.write();
            let generation = self.store.commit_raw(&raw);
            self.forget(&stale, generation.is_err());
            others.iter().for_each(|other| other.forget(&stale, generation.is_err()));
            generation?
        };
        if stale.iter().any(|(_, stale)| stale.decides) {
            others.iter().for_each(|other| other.move_epoch(generation));
            self.move_epoch(generation);
        }
        Ok(())
    }

    /// Forgets what a commit made stale. Of one that failed nobody knows what it did.
    fn forget(&self, stale: &[(Region, Stale)], failed: bool) {
        if failed {
            self.cache.clear();
        }
        for (region, stale) in stale {
            if *region == self.region {
                self.cache.forget(stale);
            } else {
                self.cache.forget_elsewhere(stale);
            }
        }
    }

    fn move_epoch(&self, generation: u64) {
        let _guard = self.epoch_lock.lock();
        self.epoch.store(generation, Ordering::Release);
        self.epoch_moved.notify_all();
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }
}

fn unrecorded() -> KmsError {
    tracing::error!("the audit trail cannot be written: a request was refused");
    InternalFault::Audit.into()
}

/// The grant tokens of a request.
fn grant_tokens(request: &Request) -> &[String] {
    match request {
        Request::CreateGrant(r) => &r.grant_tokens,
        Request::Decrypt(r) => &r.grant_tokens,
        Request::Decapsulate(r) => &r.grant_tokens,
        Request::DeriveSharedSecret(r) => &r.grant_tokens,
        Request::Encapsulate(r) => &r.grant_tokens,
        Request::DescribeKey(r) => &r.grant_tokens,
        Request::Encrypt(r) => &r.grant_tokens,
        Request::GenerateDataKey(r) | Request::GenerateDataKeyWithoutPlaintext(r) => {
            &r.grant_tokens
        }
        Request::GenerateDataKeyPair(r) | Request::GenerateDataKeyPairWithoutPlaintext(r) => {
            &r.grant_tokens
        }
        Request::GenerateMac(r) => &r.grant_tokens,
        Request::GetPublicKey(r) => &r.grant_tokens,
        Request::ReEncrypt(r) => &r.grant_tokens,
        Request::Sign(r) => &r.grant_tokens,
        Request::Verify(r) => &r.grant_tokens,
        Request::VerifyMac(r) => &r.grant_tokens,
        _ => &[],
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
