//! Identifiers: keys, accounts, ARNs, aliases. Parsed once at the edge, compared by value after.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Twelve decimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(String);

impl AccountId {
    /// The account's digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which a store keeps what the account has in a further Region.
    pub(super) fn within(&self, region: &Region) -> AccountId {
        AccountId(format!("{self}@{region}"))
    }

    /// The further Region of such a name.
    pub(super) fn region(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, region)| region)
    }

    /// The account of such a name.
    pub(super) fn plain(&self) -> AccountId {
        AccountId(self.0.split('@').next().unwrap_or_default().to_owned())
    }
}

impl FromStr for AccountId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(AccountId(text.to_owned()))
        } else {
            Err(IdError::Account)
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a Region: 1 to 32 of `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Region(String);

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Region(text.to_owned()))
        } else {
            Err(IdError::Region)
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a CMK: a lower-case UUID, or `mrk-` and 32 hex digits for a multi-Region key.
/// At most 36 characters as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId {
    multi_region: bool,
    bytes: [u8; 16],
}

impl KeyId {
    /// A fresh one.
    pub fn random() -> KeyId {
        KeyId { multi_region: false, bytes: *uuid::Uuid::new_v4().as_bytes() }
    }

    /// A fresh one of either form.
    pub fn fresh(multi_region: bool) -> KeyId {
        KeyId { multi_region, ..KeyId::random() }
    }

    /// From its parts, as a ciphertext blob holds them.
    pub fn from_parts(multi_region: bool, bytes: [u8; 16]) -> KeyId {
        KeyId { multi_region, bytes }
    }

    /// Whether it is of the `mrk-` form.
    pub fn multi_region(self) -> bool {
        self.multi_region
    }

    /// Its 16 bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.bytes
    }
}

impl FromStr for KeyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (multi_region, digits) = match text.strip_prefix("mrk-") {
            Some(rest) if rest.len() == 32 => (true, rest),
            None if text.len() == 36 => (false, text),
            _ => return Err(IdError::Key),
        };
        let id = uuid::Uuid::try_parse(digits).map_err(|_| IdError::Key)?;
        let id = KeyId { multi_region, bytes: *id.as_bytes() };
        // Only the canonical spelling: one key, one name.
        if id.to_string() == text { Ok(id) } else { Err(IdError::Key) }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = uuid::Uuid::from_bytes(self.bytes);
        if self.multi_region {
            write!(f, "mrk-{}", id.simple())
        } else {
            write!(f, "{}", id.hyphenated())
        }
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Number of a version of a CMK's material, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyVersion(pub u32);

impl KeyVersion {
    /// The version that a key starts with.
    pub const FIRST: KeyVersion = KeyVersion(1);
}

/// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
pub fn key_arn(region: &Region, account: &AccountId, key: KeyId) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{key}")
}

/// `arn:aws:kms:REGION:ACCOUNT:alias/NAME`; `alias` has its prefix.
pub fn alias_arn(region: &Region, account: &AccountId, alias: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:{alias}")
}

/// Why a text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not twelve digits.
    #[error("an account id is twelve digits")]
    Account,
    /// Not a Region name.
    #[error("a Region is 1 to 32 of a-z, 0-9 and -")]
    Region,
    /// Not a key id.
    #[error("not a key id")]
    Key,
    /// Not a principal.
    #[error("not the ARN of a user, role session or account root")]
    Principal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_have_one_spelling() {
        let id: KeyId = "1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap();
        assert_eq!(id.to_string(), "1234abcd-12ab-34cd-56ef-1234567890ab");
        let mrk: KeyId = "mrk-1234abcd12ab34cd56ef1234567890ab".parse().unwrap();
        assert!(mrk.multi_region());
        assert_ne!(id, mrk);
        for bad in [
            "",
            "1234ABCD-12ab-34cd-56ef-1234567890ab",
            "1234abcd12ab34cd56ef1234567890ab",
            "mrk-1234abcd-12ab-34cd-56ef-1234567890ab",
            "{1234abcd-12ab-34cd-56ef-1234567890}",
            "1234abcd-12ab-34cd-56ef-1234567890abc",
        ] {
            assert_eq!(bad.parse::<KeyId>(), Err(IdError::Key), "{bad}");
        }
    }

    #[test]
    fn accounts_are_twelve_digits() {
        assert!("111122223333".parse::<AccountId>().is_ok());
        for bad in ["", "11112222333", "1111222233334", "11112222333x"] {
            assert_eq!(bad.parse::<AccountId>(), Err(IdError::Account));
        }
    }
}
