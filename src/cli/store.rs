//! The embedded key store, from the command line: which secret unlocks it, open it or make it,
//! and what its errors mean.

use std::env;
use std::path::Path;

use super::config::Unlock;
use super::error::CliError;
use super::exit::Exit;
use super::passphrase::Typed;
use crate::custody::unlock::{SlotKind, Unlock as Way};
use crate::secret::Secret;
use crate::server::users::Names;
use crate::store::embedded::{Embedded, EmbeddedError};
use crate::store::lock::{LockError, StoreLock};
use crate::store::open::{EmbeddedOptions, Offline, OpenError, Served};
use crate::store::{CopyError, Locked, open::open as open_embedded};

/// The systemd credential that unlocks a store, if the unit has one.
pub const CREDENTIAL: &str = "kmsfs.key";

/// Who has the store.
pub enum Opened {
    /// This process.
    Here(Box<Served>),
    /// Another one.
    Elsewhere,
}

/// Whether the store in `dir` can only be unlocked by a passphrase, as far as can be seen: its
/// default key file is gone and it has a slot for one. One that another process has open will
/// not be unlocked here at all.
pub fn needs_passphrase(dir: &Path, key_file: &Path) -> bool {
    if !Embedded::exists(&[dir.to_owned()]) || key_file.exists() || has_credential() {
        return false;
    }
    let Ok(_lock) = StoreLock::take(dir) else { return false };
    let slots = Locked::find(&[dir.to_owned()]).ok().and_then(|found| found.slots().ok());
    let passphrase = |kind| matches!(kind, SlotKind::Passphrase(_));
    slots.is_some_and(|slots| slots.iter().any(|(_, slot)| passphrase(slot.kind)))
}

fn has_credential() -> bool {
    env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|d| Path::new(&d).join(CREDENTIAL).exists())
}

/// The secret to unlock with; `None` is the store's own default, which makes a key file with a
/// new store.
pub fn way(unlock: &Unlock, typed: Option<&Typed>) -> Option<Way> {
    match (unlock, typed) {
        (_, Some(typed)) => Some(Way::Passphrase(Secret::new(typed.to_vec()))),
        (Unlock::KeyFile(file), None) => Some(Way::KeyFile(file.clone())),
        (Unlock::Automatic { key_file }, None) if !key_file.exists() && has_credential() => {
            Some(Way::Credential(CREDENTIAL.into()))
        }
        (Unlock::Automatic { .. } | Unlock::PassphraseFd(_), None) => None,
    }
}

/// Opens the store in `dir` and starts its service. The first use makes it; its owner, who is
/// this process's user, administrates it.
pub fn open(dir: &Path, unlock: &Unlock, typed: Option<&Typed>) -> Result<Opened, CliError> {
    let owner = Names::default().of(rustix::process::geteuid().as_raw());
    let mut options = EmbeddedOptions::new(dir, &owner);
    options.unlock = way(unlock, typed);
    match open_embedded(&options) {
        Ok(served) => Ok(Opened::Here(Box::new(served))),
        Err(OpenError::Lock { lock: LockError::Busy { .. }, .. }) => Ok(Opened::Elsewhere),
        Err(e) => Err(CliError::Store(e)),
    }
}

/// Takes hold of a store that nobody serves, for work on its slots and its trail.
pub fn offline(dir: &Path, unlock: &Unlock, typed: Option<&Typed>) -> Result<Offline, CliError> {
    let way = way(unlock, typed)
        .unwrap_or_else(|| Way::KeyFile(crate::store::open::default_key_file(dir)));
    Offline::open(dir, &[], &way).map_err(|e| match e {
        OpenError::Lock { .. } => CliError::StoreBusy { dir: dir.to_owned() },
        e => CliError::Store(e),
    })
}

/// The exit code of a store's error.
pub fn exit(e: &OpenError) -> Exit {
    match e {
        OpenError::Directory { source, .. } => super::error::of_io(source),
        OpenError::Lock { .. } => Exit::Busy,
        OpenError::Occupied { .. } => Exit::Failed,
        OpenError::Store(EmbeddedError::Missing { .. }) => Exit::Locked,
        OpenError::Store(EmbeddedError::Unusable { cause, .. }) => match cause {
            CopyError::TooNew { .. } => Exit::TooNew,
            CopyError::Io(source) => super::error::of_io(source),
            _ => Exit::Damaged,
        },
        OpenError::Store(EmbeddedError::Write { cause: CopyError::Io(source), .. }) => {
            super::error::of_io(source)
        }
        OpenError::Store(EmbeddedError::Damaged) => Exit::Damaged,
        OpenError::Store(EmbeddedError::Write { .. }) | OpenError::Service(_) => Exit::Failed,
        OpenError::Unlock(_) | OpenError::KeyFileWithoutStore { .. } => Exit::Locked,
        OpenError::Audit(_) => Exit::AuditBroken,
    }
}

/// What to do about it; empty where the error says it itself.
pub fn remedy(e: &OpenError) -> &'static str {
    use crate::custody::unlock::UnlockError as U;
    match e {
        OpenError::Directory { .. } => "check owner and mode, or name another with keystore=",
        OpenError::Lock { .. } => "wait for that process to end",
        OpenError::Occupied { .. } => {
            "name an empty directory; 'keystore restore --replace' puts a backup in its place"
        }
        OpenError::Store(EmbeddedError::Missing { .. }) => "check the path, or restore the store",
        OpenError::Store(EmbeddedError::Unusable { cause: CopyError::TooNew { .. }, .. }) => {
            "use a newer kmsfs"
        }
        OpenError::Store(EmbeddedError::Write { .. }) => "check space and permissions",
        OpenError::Store(_) => "restore the store from a backup; nothing was changed",
        OpenError::Unlock(U::Wrong { .. } | U::EmptyPassphrase) => "nothing was changed; try again",
        OpenError::Unlock(U::KeyFile { .. }) => {
            "name it with --key-file or -o keyfile=, or unlock with a passphrase"
        }
        OpenError::Unlock(U::NoSlot { .. } | U::NoSuchSlot { .. }) => {
            "'kmsfs slot list' shows what unlocks it"
        }
        OpenError::Unlock(U::LastSlot) => "add another first",
        OpenError::Unlock(U::BadSlot) => "unlock another way, or restore the store from a backup",
        OpenError::Audit(_) => "keep the files, and compare them with a copy",
        OpenError::Unlock(_) | OpenError::KeyFileWithoutStore { .. } | OpenError::Service(_) => "",
    }
}
