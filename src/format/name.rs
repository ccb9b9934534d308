//! Names: deterministic, so that a lookup computes the lower name, and authenticated, so that
//! nobody without the directory's key can make one.
//!
//! A name is sealed with AES-256-GCM-SIV and a nonce of zeros under a key of the directory alone:
//! equal names look different in two directories. What no longer fits a lower name becomes a hash,
//! and the sealed bytes go to a sidecar file beside it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{DirKeys, Sealed};
use crate::crypto::BadTag;

/// The header of a directory, in the directory.
pub const DIR_HEADER: &str = "kmsfs.dir";
/// The volume's own directory, in the lower root.
pub const VOLUME_DIR: &str = ".kmsfs";
/// The volume descriptor, in [`VOLUME_DIR`].
pub const VOLUME_FILE: &str = "volume";
/// Files on their way to another data key, in [`VOLUME_DIR`]. S-14.
pub const REKEY_DIR: &str = "rekey";
/// End of the name of one that counts, after its id.
pub const REKEY_READY: &str = ".ready";
/// Longest name in bytes, above and below.
pub const NAME_MAX: usize = 255;

/// Longest plaintext whose sealed form still fits a lower name: 16 + 175 bytes are 255 characters.
const SHORT_MAX: usize = 175;
const TAG_LEN: usize = 16;
const NONCE: [u8; 16] = [0; 16];
const LONG_MARK: &str = "~";
const SIDECAR_SUFFIX: &str = ".n";
/// Characters of a SHA-256 in base64url.
const HASH_CHARS: usize = 43;

/// Why a lower name gives no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not what kmsfs makes.
    #[error("not an encrypted name")]
    NotAName,
    /// Not the hash of its sidecar's content.
    #[error("long name does not fit its sidecar")]
    BadHash,
    /// The name was changed, or comes from another directory.
    #[error("name does not authenticate")]
    BadTag,
    /// What came out is no name: empty, too long, `.`, `..`, or with a slash or NUL in it.
    #[error("not a file name")]
    Unnameable,
}

/// A name as it is stored below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CipherName {
    /// The lower name says it all.
    Short(String),
    /// The lower name is a hash; the sealed name is the content of a file beside it.
    Long {
        /// Name of the object.
        name: String,
        /// Name of the sidecar.
        sidecar: String,
        /// Content of the sidecar.
        content: Vec<u8>,
    },
}

impl CipherName {
    /// The lower name of the object.
    pub fn name(&self) -> &str {
        match self {
            CipherName::Short(name) | CipherName::Long { name, .. } => name,
        }
    }
}

/// What a lower name can be, by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowerName {
    /// An object.
    Short,
    /// An object with a sidecar.
    Long,
    /// The sidecar of a long name.
    Sidecar,
    /// kmsfs's own.
    Internal(Internal),
    /// Not made by kmsfs.
    Foreign,
}

/// Files that kmsfs keeps beside those of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internal {
    /// `.kmsfs`
    VolumeDir,
    /// `kmsfs.dir`
    DirHeader,
}

/// Whether `name` can be the name of a file at all.
pub fn is_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !matches!(name, b"." | b"..")
        && !name.iter().any(|&b| b == b'/' || b == 0)
}

/// Tells lower names apart by their looks; whether one authenticates is another matter.
pub fn classify(lower: &[u8]) -> LowerName {
    if lower == VOLUME_DIR.as_bytes() {
        return LowerName::Internal(Internal::VolumeDir);
    }
    if lower == DIR_HEADER.as_bytes() {
        return LowerName::Internal(Internal::DirHeader);
    }
    if let Some(hash) = lower.strip_prefix(LONG_MARK.as_bytes()) {
        let (hash, kind) = match hash.strip_suffix(SIDECAR_SUFFIX.as_bytes()) {
            Some(hash) => (hash, LowerName::Sidecar),
            None => (hash, LowerName::Long),
        };
        let is_hash = hash.len() == HASH_CHARS && decode(hash).is_some();
        return if is_hash { kind } else { LowerName::Foreign };
    }
    match decode(lower) {
        Some(raw) if (TAG_LEN + 1..=TAG_LEN + SHORT_MAX).contains(&raw.len()) => LowerName::Short,
        _ => LowerName::Foreign,
    }
}

/// The lower name of the sidecar that belongs to a long lower name.
pub fn sidecar_of(lower_name: &str) -> String {
    format!("{lower_name}{SIDECAR_SUFFIX}")
}

impl DirKeys {
    /// Encrypts a name. The same name gives the same lower name every time.
    ///
    /// # Errors
    /// [`NameError::Unnameable`] for what [`is_name`] refuses.
    pub fn encrypt_name(&self, name: &[u8]) -> Result<CipherName, NameError> {
        if !is_name(name) {
            return Err(NameError::Unnameable);
        }
        let mut raw = vec![0; TAG_LEN];
        raw.extend_from_slice(name);
        let (tag, text) = raw.split_at_mut(TAG_LEN);
        tag.copy_from_slice(&self.names.seal(&NONCE, 0, &self.name_aad(), text));
        if name.len() <= SHORT_MAX {
            return Ok(CipherName::Short(URL_SAFE_NO_PAD.encode(raw)));
        }
        let name = hashed(&raw);
        let sidecar = sidecar_of(&name);
        Ok(CipherName::Long { name, sidecar, content: raw })
    }

    /// Decrypts a short lower name.
    pub fn decrypt_name(&self, lower: &[u8]) -> Result<Vec<u8>, NameError> {
        let raw = decode(lower).ok_or(NameError::NotAName)?;
        let name = self.open_name(raw)?;
        if name.len() <= SHORT_MAX { Ok(name) } else { Err(NameError::NotAName) }
    }

    /// Decrypts a long lower name by the content of its sidecar.
    pub fn decrypt_long(&self, lower: &[u8], sidecar_content: &[u8]) -> Result<Vec<u8>, NameError> {
        if classify(lower) != LowerName::Long {
            return Err(NameError::NotAName);
        }
        if sidecar_content.len() > TAG_LEN + NAME_MAX || hashed(sidecar_content).as_bytes() != lower
        {
            return Err(NameError::BadHash);
        }
        let name = self.open_name(sidecar_content.to_vec())?;
        if name.len() > SHORT_MAX { Ok(name) } else { Err(NameError::NotAName) }
    }

    fn open_name(&self, mut raw: Vec<u8>) -> Result<Vec<u8>, NameError> {
        let (tag, text) = raw.split_first_chunk_mut::<TAG_LEN>().ok_or(NameError::NotAName)?;
        if text.is_empty() {
            return Err(NameError::NotAName);
        }
        let opened = self.names.open(&NONCE, 0, &self.name_aad(), text, tag);
        opened.map_err(|BadTag| NameError::BadTag)?;
        raw.drain(..TAG_LEN);
        if is_name(&raw) { Ok(raw) } else { Err(NameError::Unnameable) }
    }

    fn name_aad(&self) -> Vec<u8> {
        Sealed::Name.aad(&[&self.id.0])
    }
}

/// `~` and the hash of sealed bytes, for what is too long to be a name itself.
pub(super) fn hashed(raw: &[u8]) -> String {
    format!("{LONG_MARK}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(raw)))
}

/// Base64url without padding, in its one canonical spelling.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// As [`decode`], the other way.
pub(super) fn encode(raw: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FileId;
    use super::*;
    use crate::secret::Secret;

    fn dir(n: u8) -> DirKeys {
        DirKeys::new(&Secret::new([n; 32]), &FileId([n; 16]))
    }

    fn open(keys: &DirKeys, name: &CipherName) -> Result<Vec<u8>, NameError> {
        match name {
            CipherName::Short(lower) => keys.decrypt_name(lower.as_bytes()),
            CipherName::Long { name, content, .. } => keys.decrypt_long(name.as_bytes(), content),
        }
    }

    /// F-31.
    #[test]
    fn what_is_no_name_is_not_sealed() {
        let long = [b'a'; 256];
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &long] {
            assert_eq!(dir(1).encrypt_name(name), Err(NameError::Unnameable), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_comes_back_in_its_directory_alone(
            name in prop::collection::vec(any::<u8>(), 1..=255).prop_filter("a name", |n| is_name(n)),
        ) {
            let sealed = dir(1).encrypt_name(&name).unwrap();
            prop_assert!(sealed.name().len() <= NAME_MAX);
            prop_assert_eq!(open(&dir(1), &sealed), Ok(name.clone()));
            prop_assert_eq!(open(&dir(2), &sealed), Err(NameError::BadTag));
            prop_assert_eq!(&dir(1).encrypt_name(&name).unwrap(), &sealed);
            let elsewhere = dir(2).encrypt_name(&name).unwrap();
            prop_assert_ne!(elsewhere.name(), sealed.name());
        }

        #[test]
        fn hostile_lower_names_do_no_harm(lower in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(dir(1).decrypt_name(&lower).is_err());
            prop_assert!(dir(1).decrypt_long(&lower, &lower).is_err());
        }
    }
}
