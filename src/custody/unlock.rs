//! Unlock slots: several ways to the one root key, any of which opens.
//!
//! The root key is random and never changes with its slots. A slot holds it sealed under a key
//! made from an unlocking secret: the content of a key file, a passphrase, a systemd credential.
//! Secrets come in as [`Secret`] values, never from arguments or the environment. A secret that
//! fits no slot changes nothing, and every slot of its kind is tried, so that the time taken
//! does not tell which one was close.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::software;
use crate::clock::{Clock, SystemClock};
use crate::kms::hex;
use crate::kms::kdf::{self, Label};
use crate::secret::Secret;

/// Fewest bytes of randomness in a key file or credential.
const MIN_SECRET: usize = 32;
/// Most bytes that are read of one.
const MAX_SECRET: u64 = 4096;
/// Bounds on stored costs, so that a damaged slot cannot eat the machine.
const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
const MAX_PASSES: u32 = 64;
/// How long a calibrated passphrase should take.
const TARGET: Duration = Duration::from_millis(500);

/// A way to unlock.
#[derive(Debug)]
pub enum Unlock {
    /// A file of at least 32 random bytes, raw or in hex.
    KeyFile(PathBuf),
    /// A passphrase, from a prompt or a file descriptor.
    Passphrase(Secret<Vec<u8>>),
    /// The name of a systemd credential (`$CREDENTIALS_DIRECTORY/NAME`).
    Credential(String),
}

/// Why a store stays locked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The key file cannot be read.
    #[error("cannot read the key file {path}: {source}")]
    KeyFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read the key file.
    #[error("the key file {path} has mode {mode:03o}: others could read it; chmod 600 it")]
    KeyFileOpen {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file belongs to somebody else.
    #[error("the key file {path} belongs to uid {owner}, neither to root nor to the caller")]
    KeyFileOwner {
        /// Its path.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Too little or too much in it.
    #[error("{path} does not hold 32 to 4096 bytes")]
    Length {
        /// Its path.
        path: PathBuf,
    },
    /// There is a key file already.
    #[error("the key file {path} exists already")]
    KeyFileExists {
        /// Its path.
        path: PathBuf,
    },
    /// Started without systemd's credentials.
    #[error(
        "no credential {name}: $CREDENTIALS_DIRECTORY is not set (LoadCredential= in the unit)"
    )]
    NoCredentials {
        /// Its name.
        name: String,
    },
    /// Not a name of a credential.
    #[error("{name:?} is not a name of a credential")]
    CredentialName {
        /// What was given.
        name: String,
    },
    /// An empty passphrase.
    #[error("an empty passphrase unlocks nothing")]
    EmptyPassphrase,
    /// No slot of that kind.
    #[error("this key store has no slot for a {kind}")]
    NoSlot {
        /// What was offered.
        kind: &'static str,
    },
    /// It opens no slot.
    #[error("wrong {kind}: it opens no slot of this key store")]
    Wrong {
        /// What was offered.
        kind: &'static str,
    },
    /// The slot cannot be made or read.
    #[error("a slot of the key store is damaged")]
    BadSlot,
    /// The last slot must stay.
    #[error("this is the last slot: without it nobody could unlock the key store")]
    LastSlot,
    /// No slot of that number.
    #[error("there is no slot {number}")]
    NoSuchSlot {
        /// What was asked for.
        number: u32,
    },
}

/// A slot as it is stored. Holds no secret in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// What opens it.
    pub kind: SlotKind,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    salt: [u8; 16],
    sealed: Vec<u8>,
}

/// What opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotKind {
    /// A key file.
    KeyFile,
    /// A systemd credential.
    Credential,
    /// A passphrase, by Argon2id.
    Passphrase(PassphraseCost),
}

impl SlotKind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            SlotKind::KeyFile => "key file",
            SlotKind::Credential => "credential",
            SlotKind::Passphrase(_) => "passphrase",
        }
    }
}

/// What trying a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassphraseCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl PassphraseCost {
    /// The least that is used for real: 64 MiB, 3 passes.
    pub const MINIMUM: PassphraseCost = PassphraseCost { memory_kib: 64 * 1024, passes: 3 };
    /// Next to nothing, for tests that are not about cost.
    pub const FOR_TESTS: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1 };

    /// At least the minimum, and about half a second on this machine.
    pub fn calibrated() -> PassphraseCost {
        let start = Instant::now();
        let once = PassphraseCost { passes: 1, ..PassphraseCost::MINIMUM };
        if stretch(b"calibration", &[0; 16], once).is_err() {
            return PassphraseCost::MINIMUM;
        }
        let took = start.elapsed().as_millis().max(1);
        let passes = u32::try_from(TARGET.as_millis() / took).unwrap_or(MAX_PASSES);
        let passes = passes.clamp(PassphraseCost::MINIMUM.passes, 16);
        PassphraseCost { passes, ..PassphraseCost::MINIMUM }
    }
}

impl Unlock {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Unlock::KeyFile(_) => "key file",
            Unlock::Passphrase(_) => "passphrase",
            Unlock::Credential(_) => "credential",
        }
    }

    fn fits(&self, kind: SlotKind) -> bool {
        matches!(
            (self, kind),
            (Unlock::KeyFile(_), SlotKind::KeyFile)
                | (Unlock::Passphrase(_), SlotKind::Passphrase(_))
                | (Unlock::Credential(_), SlotKind::Credential)
        )
    }

    /// Reads the secret.
    pub fn secret(&self) -> Result<Secret<Vec<u8>>, UnlockError> {
        match self {
            Unlock::KeyFile(path) => read_key_file(path),
            Unlock::Passphrase(secret) if secret.expose().is_empty() => {
                Err(UnlockError::EmptyPassphrase)
            }
            Unlock::Passphrase(secret) => Ok(secret.duplicate()),
            Unlock::Credential(name) => read_credential(name),
        }
    }

    /// Makes a slot that this opens. `cost` is for passphrases.
    pub fn new_slot(
        &self,
        root: &Secret<[u8; 32]>,
        cost: PassphraseCost,
    ) -> Result<Slot, UnlockError> {
        let kind = match self {
            Unlock::KeyFile(_) => SlotKind::KeyFile,
            Unlock::Passphrase(_) => SlotKind::Passphrase(cost),
            Unlock::Credential(_) => SlotKind::Credential,
        };
        let salt = *Secret::<[u8; 16]>::random().expose();
        let key = slot_key(self.secret()?.expose(), kind, &salt)?;
        let sealed = software::seal(&key, &binding(kind, &salt), root.expose())
            .map_err(|_| UnlockError::BadSlot)?;
        Ok(Slot { kind, created: SystemClock.now().0, salt, sealed })
    }

    /// Opens the root key with whichever slot fits.
    pub fn open(&self, slots: &[Slot]) -> Result<Secret<[u8; 32]>, UnlockError> {
        let kind = self.kind();
        if !slots.iter().any(|slot| self.fits(slot.kind)) {
            return Err(UnlockError::NoSlot { kind });
        }
        let secret = self.secret()?;
        let mut root = None;
        for slot in slots.iter().filter(|slot| self.fits(slot.kind)) {
            let key = slot_key(secret.expose(), slot.kind, &slot.salt)?;
            if let Ok(opened) = software::open(&key, &binding(slot.kind, &slot.salt), &slot.sealed)
                && let Ok(bytes) = <&[u8; 32]>::try_from(opened.expose())
            {
                root = root.or(Some(Secret::new_with(|to: &mut [u8; 32]| *to = *bytes)));
            }
        }
        root.ok_or(UnlockError::Wrong { kind })
    }
}

/// Makes a key file: 32 random bytes in hex, mode 0600, never over an existing file. Durable
/// when it returns.
pub fn create_key_file(path: &Path) -> Result<(), UnlockError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => {
            UnlockError::KeyFileExists { path: path.to_path_buf() }
        }
        _ => UnlockError::KeyFile { path: path.to_path_buf(), source },
    };
    let secret = Secret::<[u8; 32]>::random();
    let mut text = Zeroizing::new(hex::encode(secret.expose()));
    text.push('\n');
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    if let Some(directory) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        File::open(directory).and_then(|d| d.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn read_key_file(path: &Path) -> Result<Secret<Vec<u8>>, UnlockError> {
    let failed = |source| UnlockError::KeyFile { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    // Of the open file, so that it cannot be exchanged in between.
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(UnlockError::KeyFileOpen { path: path.to_path_buf(), mode });
    }
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != 0 && owner != me {
        return Err(UnlockError::KeyFileOwner { path: path.to_path_buf(), owner });
    }
    read_secret(path, file)
}

fn read_credential(name: &str) -> Result<Secret<Vec<u8>>, UnlockError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(UnlockError::CredentialName { name: name.to_owned() });
    }
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| UnlockError::NoCredentials { name: name.to_owned() })?;
    let path = Path::new(&directory).join(name);
    let file =
        File::open(&path).map_err(|source| UnlockError::KeyFile { path: path.clone(), source })?;
    read_secret(&path, file)
}

fn read_secret(path: &Path, file: File) -> Result<Secret<Vec<u8>>, UnlockError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(5000));
    file.take(MAX_SECRET + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| UnlockError::KeyFile { path: path.to_path_buf(), source })?;
    let decoded = std::str::from_utf8(&bytes).ok().and_then(|text| hex::decode(text.trim_end()));
    let secret = match decoded {
        Some(raw) => Secret::new(raw),
        None => Secret::new(bytes.to_vec()),
    };
    let length = secret.expose().len();
    let too_long = u64::try_from(length).is_ok_and(|n| n > MAX_SECRET);
    if length < MIN_SECRET || too_long {
        return Err(UnlockError::Length { path: path.to_path_buf() });
    }
    Ok(secret)
}

/// The key that seals the root key in a slot.
fn slot_key(
    secret: &[u8],
    kind: SlotKind,
    salt: &[u8; 16],
) -> Result<Secret<[u8; 32]>, UnlockError> {
    let strong = match kind {
        SlotKind::Passphrase(cost) => stretch(secret, salt, cost)?,
        SlotKind::KeyFile | SlotKind::Credential => {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
            Secret::new_with(|key: &mut [u8; 32]| {
                key.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
            })
        }
    };
    Ok(kdf::derive(strong.expose(), Label::Slot, salt))
}

fn stretch(
    passphrase: &[u8],
    salt: &[u8; 16],
    cost: PassphraseCost,
) -> Result<Secret<[u8; 32]>, UnlockError> {
    if cost.memory_kib > MAX_MEMORY_KIB || cost.passes > MAX_PASSES {
        return Err(UnlockError::BadSlot);
    }
    let params =
        Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|_| UnlockError::BadSlot)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut result = Ok(());
    let key = Secret::new_with(|key: &mut [u8; 32]| {
        result = argon.hash_password_into(passphrase, salt, key);
    });
    result.map_err(|_| UnlockError::BadSlot)?;
    Ok(key)
}

/// Binds the sealed root key to its slot's kind, cost and salt.
fn binding(kind: SlotKind, salt: &[u8; 16]) -> Vec<u8> {
    let mut bytes = b"root key slot".to_vec();
    match kind {
        SlotKind::KeyFile => bytes.push(1),
        SlotKind::Credential => bytes.push(2),
        SlotKind::Passphrase(cost) => {
            bytes.push(3);
            bytes.extend_from_slice(&cost.memory_kib.to_le_bytes());
            bytes.extend_from_slice(&cost.passes.to_le_bytes());
        }
    }
    bytes.extend_from_slice(salt);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const COST: PassphraseCost = PassphraseCost::FOR_TESTS;

    fn passphrase(text: &str) -> Unlock {
        Unlock::Passphrase(Secret::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn any_slot_opens_and_a_wrong_secret_opens_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create_key_file(&path).unwrap();
        let root = Secret::<[u8; 32]>::random();
        let file = Unlock::KeyFile(path);
        let slots = [
            passphrase("first").new_slot(&root, COST).unwrap(),
            file.new_slot(&root, COST).unwrap(),
            passphrase("second").new_slot(&root, COST).unwrap(),
        ];
        for good in [&file, &passphrase("first"), &passphrase("second")] {
            assert!(good.open(&slots).unwrap().same(&root));
        }
        let wrong = passphrase("First").open(&slots).unwrap_err();
        assert_eq!(wrong.to_string(), "wrong passphrase: it opens no slot of this key store");
        assert!(matches!(passphrase("").open(&slots), Err(UnlockError::EmptyPassphrase)));
        assert!(matches!(file.open(&slots[..1]), Err(UnlockError::NoSlot { .. })));
    }

    #[test]
    fn a_slot_moved_to_a_cheaper_cost_does_not_open() {
        let root = Secret::<[u8; 32]>::random();
        let mut slot = passphrase("x").new_slot(&root, COST).unwrap();
        slot.kind = SlotKind::Passphrase(PassphraseCost { passes: 2, ..COST });
        assert!(matches!(passphrase("x").open(&[slot.clone()]), Err(UnlockError::Wrong { .. })));
        slot.kind = SlotKind::Passphrase(PassphraseCost { passes: 1000, ..COST });
        assert!(matches!(passphrase("x").open(&[slot]), Err(UnlockError::BadSlot)));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create_key_file(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(matches!(create_key_file(&path), Err(UnlockError::KeyFileExists { .. })));
        let slots = [Unlock::KeyFile(path.clone()).new_slot(&Secret::new([1; 32]), COST).unwrap()];
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Unlock::KeyFile(path.clone()).open(&slots);
        assert!(matches!(refused, Err(UnlockError::KeyFileOpen { mode: 0o640, .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Unlock::KeyFile(path).open(&slots), Err(UnlockError::KeyFile { .. })));
    }

    #[test]
    fn short_and_endless_key_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("short", vec![1u8; 31]), ("long", vec![1u8; 4097])] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Unlock::KeyFile(path).secret(), Err(UnlockError::Length { .. })));
        }
        let zero = Unlock::KeyFile("/dev/zero".into()).secret();
        assert!(matches!(zero, Err(UnlockError::Length { .. })));
    }

    #[test]
    fn credential_names_cannot_leave_their_directory() {
        for bad in ["", "../key", ".hidden", "a/b"] {
            let got = Unlock::Credential(bad.into()).secret();
            assert!(matches!(got, Err(UnlockError::CredentialName { .. })), "{bad}");
        }
    }
}
