//! The records that the service keeps, and the trait of whoever keeps them.
//!
//! A store is a set of records and one operation that changes them: [`Store::commit`] applies a
//! list of changes as a whole and durably, or not at all. All checks that need a consistent view
//! are the service's, which commits from one thread at a time.

use serde::{Deserialize, Serialize};

use super::api::types::{KeyManager, KeySpec, KeyState, KeyUsage, Origin};
use super::id::{AccountId, KeyId, KeyVersion};
use crate::clock::Millis;

/// A CMK without its material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Its account.
    pub account: AccountId,
    /// The owner's words.
    pub description: String,
    /// What its material is.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// Who manages it.
    pub manager: KeyManager,
    /// Whether it can be used.
    pub state: KeyState,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// When it will be gone; in state PendingDeletion.
    pub deletion: Option<i64>,
    /// Its key policy as it was put.
    pub policy: String,
    /// Its labels.
    pub tags: Vec<(String, String)>,
    /// The version that new ciphertexts use.
    pub current: KeyVersion,
}

/// One version of a CMK's material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Its key.
    pub key: KeyId,
    /// Its number.
    pub version: KeyVersion,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// Names the material towards callers.
    pub material_id: [u8; 32],
    /// What custody needs to use it.
    pub sealed: Vec<u8>,
}

/// A name of a CMK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// Account of alias and key.
    pub account: AccountId,
    /// `alias/NAME`.
    pub name: String,
    /// The key.
    pub key: KeyId,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// When it was last pointed at a key.
    pub updated: i64,
}

/// A user and the policies attached to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Its account.
    pub account: AccountId,
    /// Login name.
    pub name: String,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// Name and document of each policy.
    pub policies: Vec<(String, String)>,
}

/// A key that signs HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    /// `AKIA...`
    pub id: String,
    /// Account of its user.
    pub account: AccountId,
    /// Its user.
    pub user: String,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// The secret, sealed by custody.
    pub sealed: Vec<u8>,
}

/// One step of a commit. `Put` makes or replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes or replaces a key.
    PutKey(KeyRecord),
    /// Removes a key with its versions and aliases, for good.
    DeleteKey(KeyId),
    /// Makes or replaces a version.
    PutVersion(VersionRecord),
    /// Makes or replaces an alias.
    PutAlias(AliasRecord),
    /// Removes an alias.
    DeleteAlias(AccountId, String),
    /// Makes or replaces a user.
    PutUser(UserRecord),
    /// Removes a user with its access keys.
    DeleteUser(AccountId, String),
    /// Makes or replaces an access key.
    PutAccessKey(AccessKeyRecord),
    /// Removes an access key.
    DeleteAccessKey(String),
    /// Sets a named value.
    PutMeta(&'static str, Vec<u8>),
}

/// Why a store does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It could not be read or written; the log tells more.
    #[error("the key store could not be read or written")]
    Io,
    /// A record does not authenticate or cannot be read.
    #[error("a record of the key store is damaged")]
    Damaged,
}

/// Keeps records. Every method may be called from any thread.
pub trait Store: Send + Sync + 'static {
    /// The key of that id.
    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// Up to `limit` keys of an account, ordered by id, from the first one after `after`.
    fn keys(
        &self,
        account: &AccountId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyId>, StoreError>;

    /// How many keys an account has.
    fn key_count(&self, account: &AccountId) -> Result<u64, StoreError>;

    /// The keys whose deletion date is not after `now`.
    fn keys_due(&self, now: Millis) -> Result<Vec<KeyId>, StoreError>;

    /// All versions of a key, ordered by number.
    fn versions(&self, key: KeyId) -> Result<Vec<VersionRecord>, StoreError>;

    /// The alias of that name.
    fn alias(&self, account: &AccountId, name: &str) -> Result<Option<AliasRecord>, StoreError>;

    /// Up to `limit` aliases of an account, ordered by name, from the first one after `after`;
    /// of one key only if `key` says so.
    fn aliases(
        &self,
        account: &AccountId,
        key: Option<KeyId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AliasRecord>, StoreError>;

    /// The user of that name.
    fn user(&self, account: &AccountId, name: &str) -> Result<Option<UserRecord>, StoreError>;

    /// The users of an account, ordered by name.
    fn users(&self, account: &AccountId) -> Result<Vec<UserRecord>, StoreError>;

    /// The access key of that id.
    fn access_key(&self, id: &str) -> Result<Option<AccessKeyRecord>, StoreError>;

    /// The access keys of a user, ordered by id.
    fn access_keys(
        &self,
        account: &AccountId,
        user: &str,
    ) -> Result<Vec<AccessKeyRecord>, StoreError>;

    /// A named value.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Applies all changes, or none. When it returns `Ok`, they outlive a power cut. Returns the
    /// generation: a number that grows with every commit, and over restarts.
    ///
    /// # Crash
    /// Before the return a stop leaves all changes or none.
    fn commit(&self, changes: &[Change]) -> Result<u64, StoreError>;
}
