//! The records that the service keeps, and the trait of whoever keeps them.
//!
//! A store is a set of records and one operation that changes them: [`Store::commit`] applies a
//! list of changes as a whole and durably, or not at all. All checks that need a consistent view
//! are the service's, which commits from one thread at a time.

use serde::{Deserialize, Serialize};

use super::api::types::{KeyManager, KeySpec, KeyState, KeyUsage, Origin, RotationType};
use super::grant::GrantRecord;
use super::id::{AccountId, KeyId, KeyVersion};
use super::keystore::KeyStoreRecord;
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
    /// What was added to the record later.
    pub more: KeyMore,
}

/// What was added to [`KeyRecord`] later. A record of before has the default of it, and members
/// are only ever added at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMore {
    /// Rotation of the key by itself.
    pub rotation: Option<RotationPlan>,
    /// When the first of the imported versions ends: milliseconds since 1970.
    pub expiry: Option<i64>,
    /// Region of the primary, of a replica.
    pub primary: Option<String>,
    /// Days that a primary waits for its deletion once its replicas are gone.
    pub window: Option<u32>,
    /// Where its material is, if it is in a custom key store.
    pub key_store: Option<InKeyStore>,
}

/// The place of a key in a custom key store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InKeyStore {
    /// `cks-...`
    pub store: String,
    /// The HSM cluster, of a key in one.
    pub cluster: Option<String>,
    /// The key's name in the external key manager, of a key there.
    pub external: Option<String>,
}

/// Rotation of a key by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPlan {
    /// Days between rotations.
    pub days: u32,
    /// When the next one is: milliseconds since 1970.
    pub next: i64,
}

impl KeyRecord {
    /// When something is to be done about the key without anybody asking: milliseconds since
    /// 1970.
    pub fn due(&self) -> Option<i64> {
        // A replica rotates with its primary.
        let enabled = self.state == KeyState::Enabled && self.more.primary.is_none();
        let rotation = self.more.rotation.filter(|_| enabled).map(|plan| plan.next);
        [self.deletion, rotation, self.more.expiry].into_iter().flatten().min()
    }
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
    /// What custody needs to use it. Nothing when imported material expired or was removed.
    pub sealed: Vec<u8>,
    /// What was added to the record later.
    pub more: VersionMore,
}

/// What was added to [`VersionRecord`] later. A record of before has the default of it, and
/// members are only ever added at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionMore {
    /// The public key, SubjectPublicKeyInfo in DER; of asymmetric keys only.
    pub public: Vec<u8>,
    /// How it was imported, if it was.
    pub import: Option<Imported>,
    /// When and why it became current; the first version has none.
    pub rotation: Option<(i64, RotationType)>,
    /// It waits for a rotation.
    pub pending: bool,
    /// Somebody else may have it: it opens nothing any more, but for data keys that are sealed
    /// under another version without being shown.
    pub compromised: bool,
}

/// What an importer said of material.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// When it ends: milliseconds since 1970.
    pub valid_to: Option<i64>,
    /// In his words.
    pub description: Option<String>,
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
    /// Removes a key with its versions, aliases and grants, for good.
    DeleteKey(KeyId),
    /// Makes or replaces a version.
    PutVersion(VersionRecord),
    /// Makes or replaces an alias.
    PutAlias(AliasRecord),
    /// Removes an alias.
    DeleteAlias(AccountId, String),
    /// Makes or replaces a grant.
    PutGrant(GrantRecord),
    /// Removes a grant.
    DeleteGrant(String),
    /// Makes or replaces a user.
    PutUser(UserRecord),
    /// Removes a user with its access keys.
    DeleteUser(AccountId, String),
    /// Makes or replaces an access key.
    PutAccessKey(AccessKeyRecord),
    /// Removes an access key.
    DeleteAccessKey(String),
    /// Makes or replaces a custom key store.
    PutKeyStore(KeyStoreRecord),
    /// Removes a custom key store.
    DeleteKeyStore(AccountId, String),
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

    /// The keys that something is to be done about now; see [`KeyRecord::due`].
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

    /// The grant of that id.
    fn grant(&self, id: &str) -> Result<Option<GrantRecord>, StoreError>;

    /// The grants on a key, ordered by id.
    fn grants(&self, key: KeyId) -> Result<Vec<GrantRecord>, StoreError>;

    /// Up to `limit` grants that name this retiring principal, ordered by id, from the first one
    /// after `after`.
    fn grants_retired_by(
        &self,
        principal: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRecord>, StoreError>;

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

    /// The custom key stores of an account, ordered by id: a handful.
    fn key_stores(&self, account: &AccountId) -> Result<Vec<KeyStoreRecord>, StoreError>;

    /// A named value.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Checks some of what is stored, in turns, and repairs what can be. Called now and then.
    fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Applies all changes, or none. When it returns `Ok`, they outlive a power cut. Returns the
    /// generation: a number that grows with every commit, and over restarts.
    ///
    /// # Crash
    /// Before the return a stop leaves all changes or none.
    fn commit(&self, changes: &[Change]) -> Result<u64, StoreError>;
}
