//! An embedded key service from a directory: lock, find, unlock, check, serve.
//!
//! The command line and kmsd both start here. Everything that can be wrong with a directory, a
//! key file or a passphrase is found before anything is changed.

use std::path::{Path, PathBuf};

use super::audit_files::{self, Files, FilesError, ROTATE_AT};
use super::copy::make_dir;
use super::embedded::{Embedded, EmbeddedError, directories};
use super::housekeeping::Housekeeper;
use super::lock::{LockError, StoreLock};
use super::locked::{Locked, OpenReport};
use crate::clock::SystemClock;
use crate::custody::software::Software;
use crate::custody::unlock::{
    PassphraseCost, Slot, SlotKind, Unlock, UnlockError, create_key_file,
};
use crate::kms::audit::{ChainState, Trail};
use crate::kms::caller::Principal;
use crate::kms::error::KmsError;
use crate::kms::id::{AccountId, Region};
use crate::kms::kdf::{self, Label};
use crate::kms::keystore;
use crate::kms::limits::Limits;
use crate::kms::service::{META_AUDIT, Parts, RotationRules, Service};
use crate::kms::store::Store as _;
use crate::secret::Secret;
use crate::sync::Arc;

/// Account of a service that is told none.
pub const DEFAULT_ACCOUNT: &str = "111122223333";
/// Region of a service that is told none.
pub const DEFAULT_REGION: &str = "local-1";

/// What to open, and how.
#[derive(Debug)]
pub struct EmbeddedOptions {
    /// The store's directory.
    pub dir: PathBuf,
    /// Further directories that hold an equal copy of the records.
    pub mirrors: Vec<PathBuf>,
    /// Where the audit trail is; `DIR/audit` when `None`.
    pub audit: Option<PathBuf>,
    /// The account to serve.
    pub account: AccountId,
    /// The Region to serve.
    pub region: Region,
    /// Further Regions.
    pub regions: Vec<Region>,
    /// Login names of the administrators.
    pub administrators: Vec<String>,
    /// Quotas and rates.
    pub limits: Limits,
    /// When keys rotate.
    pub rotation: RotationRules,
    /// How to unlock; the key file `DIR/root.key` when `None`. On creation, a key file that is
    /// named but not there is made.
    pub unlock: Option<Unlock>,
    /// Make the store if there is none.
    pub create: bool,
    /// Cost of a passphrase slot made on creation; measured on this machine when `None`.
    pub cost: Option<PassphraseCost>,
}

impl EmbeddedOptions {
    /// The store in `dir` with all defaults, made if it is not there, administrated by `user`.
    pub fn new(dir: &Path, user: &str) -> EmbeddedOptions {
        EmbeddedOptions {
            dir: dir.to_path_buf(),
            mirrors: Vec::new(),
            audit: None,
            account: DEFAULT_ACCOUNT.parse().expect("twelve digits"),
            region: DEFAULT_REGION.parse().expect("letters, a dash and a digit"),
            regions: Vec::new(),
            administrators: vec![user.to_owned()],
            limits: Limits::default(),
            rotation: RotationRules::default(),
            unlock: None,
            create: true,
            cost: None,
        }
    }

    fn unlock(&self) -> Unlock {
        match &self.unlock {
            Some(Unlock::KeyFile(path)) => Unlock::KeyFile(path.clone()),
            Some(Unlock::Passphrase(secret)) => Unlock::Passphrase(secret.duplicate()),
            Some(Unlock::Credential(name)) => Unlock::Credential(name.clone()),
            None => Unlock::KeyFile(default_key_file(&self.dir)),
        }
    }

    fn audit_dir(&self) -> PathBuf {
        self.audit.clone().unwrap_or_else(|| self.dir.join("audit"))
    }
}

/// What can unlock the store in `dir`, so that a passphrase is asked for only where one fits.
/// Fails like [`open`] when there is no store, or when it is in use.
pub fn slot_kinds(dir: &Path, mirrors: &[PathBuf]) -> Result<Vec<SlotKind>, OpenError> {
    let _lock = lock(dir)?;
    let locked = Locked::find(&directories(dir, mirrors))?;
    Ok(locked.slots()?.into_iter().map(|(_, slot)| slot.kind).collect())
}

/// The key file of a store that was made with the default.
pub fn default_key_file(dir: &Path) -> PathBuf {
    dir.join("root.key")
}

/// A key service in this process. Dropping it stops its housekeeping and writes down where the
/// audit trail ends.
pub struct Served {
    service: Arc<Service>,
    /// What was found and done at the start.
    pub report: OpenReport,
    /// Whether the store was made just now.
    pub created: bool,
    /// What the audit trail turned out to lack, when the store remembers more than is there.
    pub trail_cut: Option<(u64, u64)>,
    housekeeper: Option<Housekeeper>,
}

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or entered.
    #[error("cannot use the directory {}: {source}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else serves it.
    #[error("{lock} ({})", .dir.display())]
    Lock {
        /// The directory.
        dir: PathBuf,
        /// Why.
        lock: LockError,
    },
    /// The store itself.
    #[error(transparent)]
    Store(#[from] EmbeddedError),
    /// The way to unlock it.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// The audit trail.
    #[error(transparent)]
    Audit(#[from] FilesError),
    /// A key file without the store that it belongs to: making another store would look like
    /// success while all keys are missing.
    #[error(
        "{} is there but the key store is not: restore the store, or move the key file away to \
         make a new one", .key_file.display()
    )]
    KeyFileWithoutStore {
        /// The key file.
        key_file: PathBuf,
    },
    /// A store is where one was to be written.
    #[error("there is a key store in {} already", .dir.display())]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// The service does not start.
    #[error("the key service does not start: {0}")]
    Service(#[from] KmsError),
}

/// Opens (or makes) the store and starts the service.
pub fn open(options: &EmbeddedOptions) -> Result<Served, OpenError> {
    if options.create {
        let dir = options.dir.clone();
        make_dir(&dir).map_err(|source| OpenError::Directory { dir, source })?;
    }
    let lock = lock(&options.dir)?;
    let dirs = directories(&options.dir, &options.mirrors);
    let created = options.create && !Embedded::exists(&dirs);
    let (store, report, root) =
        if created { create(options, &dirs)? } else { unlock(&dirs, &options.unlock())? };

    let remembered = store.meta(META_AUDIT).map_err(KmsError::from)?;
    let remembered = remembered.and_then(|bytes| ChainState::from_bytes(&bytes));
    let (files, found) = Files::open(&options.audit_dir(), ROTATE_AT)?;
    let mut start = found.end;
    let mut trail_cut = None;
    if let Some(remembered) = remembered.filter(|r| r.sequence > start.sequence) {
        tracing::error!(
            end = start.sequence,
            written = remembered.sequence,
            "the audit trail is shorter than it was: its last lines were removed"
        );
        trail_cut = Some((start.sequence, remembered.sequence));
        // Going on with the number and chain of the last line that was, so that the gap stays
        // visible for ever.
        start = remembered;
    }
    if found.torn > 0 {
        tracing::warn!(bytes = found.torn, "a torn last line of the audit trail was cut off");
    }
    let trail = Trail::new(Box::new(files), audit_key(&root), start);
    let administrators = options.administrators.iter();
    let administrators =
        administrators.map(|name| Principal::user(&options.account, name).to_string()).collect();
    let service = Service::new(Parts {
        account: options.account.clone(),
        region: options.region.clone(),
        administrators,
        store: Box::new(store.holding(lock)),
        custody: Box::new(Software::new(&root)),
        backings: Box::new(keystore::Nothing),
        trail,
        clock: Box::new(SystemClock),
        marker_key: kdf::derive(root.expose(), Label::Marker, b""),
        limits: options.limits.clone(),
        rotation: options.rotation,
    })?;
    let service = service.with_regions(&options.regions);
    service.report_start(found.torn, trail_cut)?;
    let housekeeper = Some(Housekeeper::start(&service));
    Ok(Served { service, report, created, trail_cut, housekeeper })
}

impl Served {
    /// The service.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It changes the store: first it ends.
        self.housekeeper = None;
        if let Err(error) = self.service.close() {
            tracing::error!(%error, "the key store could not be closed in order");
        }
    }
}

/// A store that nobody serves, held to look at it or to change its slots.
pub struct Offline {
    store: Embedded,
    root: Secret<[u8; 32]>,
    slots: Vec<(u32, Slot)>,
}

impl Offline {
    /// Takes the lock and unlocks.
    pub fn open(dir: &Path, mirrors: &[PathBuf], way: &Unlock) -> Result<Offline, OpenError> {
        let lock = lock(dir)?;
        let dirs = directories(dir, mirrors);
        let locked = Locked::find(&dirs)?;
        let slots = locked.slots()?;
        let (store, _, root) = unlock_found(locked, way)?;
        Ok(Offline { store: store.holding(lock), root, slots })
    }

    /// The slots by number.
    pub fn slots(&self) -> &[(u32, Slot)] {
        &self.slots
    }

    /// Adds a slot; returns its number.
    pub fn add_slot(&mut self, way: &Unlock, cost: PassphraseCost) -> Result<u32, OpenError> {
        let slot = way.new_slot(&self.root, cost)?;
        let number = self.slots.last().map_or(1, |(last, _)| last.saturating_add(1));
        let mut slots = self.slots.clone();
        slots.push((number, slot));
        self.store.put_slots(&slots)?;
        self.slots = slots;
        Ok(number)
    }

    /// Removes a slot; never the last one.
    pub fn remove_slot(&mut self, number: u32) -> Result<(), OpenError> {
        let mut slots = self.slots.clone();
        slots.retain(|(known, _)| *known != number);
        if slots.len() == self.slots.len() {
            return Err(UnlockError::NoSuchSlot { number }.into());
        }
        if slots.is_empty() {
            return Err(UnlockError::LastSlot.into());
        }
        self.store.put_slots(&slots)?;
        self.slots = slots;
        Ok(())
    }

    /// Checks the whole audit trail in `dir` against its chain, its tags, and what the store
    /// remembers of its end.
    pub fn verify_audit(&self, dir: &Path) -> Result<ChainState, OpenError> {
        let remembered = self.store.meta(META_AUDIT).map_err(KmsError::from)?;
        let remembered = remembered.and_then(|bytes| ChainState::from_bytes(&bytes));
        Ok(audit_files::verify(dir, Some(&audit_key(&self.root)), remembered)?)
    }
}

pub(super) fn lock(dir: &Path) -> Result<StoreLock, OpenError> {
    StoreLock::take(dir).map_err(|lock| match lock {
        LockError::Io(source) => OpenError::Directory { dir: dir.to_path_buf(), source },
        busy => OpenError::Lock { dir: dir.to_path_buf(), lock: busy },
    })
}

type Opened = (Embedded, OpenReport, Secret<[u8; 32]>);

fn unlock(dirs: &[PathBuf], way: &Unlock) -> Result<Opened, OpenError> {
    unlock_found(Locked::find(dirs)?, way)
}

fn unlock_found(locked: Locked, way: &Unlock) -> Result<Opened, OpenError> {
    let slots: Vec<Slot> = locked.slots()?.into_iter().map(|(_, slot)| slot).collect();
    let root = way.open(&slots)?;
    let (store, report) = locked.unlock(records_key(&root))?;
    Ok((store, report, root))
}

/// # Crash
/// The key file comes first: a stop after it leaves a key file that opens nothing, which the
/// next start names; never a store that nothing opens.
fn create(options: &EmbeddedOptions, dirs: &[PathBuf]) -> Result<Opened, OpenError> {
    let way = options.unlock();
    if let Unlock::KeyFile(key_file) = &way {
        let key_file = key_file.clone();
        match (key_file.exists(), &options.unlock) {
            (false, _) => create_key_file(&key_file)?,
            // Made beforehand and named: that is the one to use.
            (true, Some(_)) => {}
            (true, None) => return Err(OpenError::KeyFileWithoutStore { key_file }),
        }
    }
    let root = Secret::<[u8; 32]>::random();
    let cost = match (&way, options.cost) {
        (_, Some(cost)) => cost,
        (Unlock::Passphrase(_), None) => PassphraseCost::calibrated(),
        (_, None) => PassphraseCost::MINIMUM,
    };
    let slot = way.new_slot(&root, cost)?;
    let store = Embedded::create(dirs, records_key(&root), &slot)?;
    let report = OpenReport { lead: options.dir.clone(), ..OpenReport::default() };
    Ok((store, report, root))
}

pub(super) fn records_key(root: &Secret<[u8; 32]>) -> Secret<[u8; 32]> {
    kdf::derive(root.expose(), Label::Records, b"")
}

pub(super) fn audit_key(root: &Secret<[u8; 32]>) -> Secret<[u8; 32]> {
    kdf::derive(root.expose(), Label::Audit, b"")
}
