//! The two ways to seal file data.

use core::fmt;
use core::str::FromStr;

/// How the blocks of a file are sealed. The number is what the disk holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// AES-256-GCM-SIV (RFC 8452): the default. A repeated nonce tells only that two plaintexts
    /// are equal.
    #[default]
    Aes256GcmSiv = 1,
    /// XChaCha20-Poly1305: for processors without AES instructions.
    XChaCha20Poly1305 = 2,
}

/// A suite that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown suite; there are aes-256-gcm-siv and xchacha20-poly1305")]
pub struct UnknownSuite;

impl Suite {
    /// Every suite.
    pub const ALL: [Suite; 2] = [Suite::Aes256GcmSiv, Suite::XChaCha20Poly1305];

    /// The suite of a number read from disk.
    pub fn from_u8(number: u8) -> Option<Suite> {
        Suite::ALL.into_iter().find(|s| s.number() == number)
    }

    /// The number that the disk holds.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name that users see and type.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Aes256GcmSiv => "aes-256-gcm-siv",
            Suite::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(name: &str) -> Result<Suite, UnknownSuite> {
        Suite::ALL.into_iter().find(|s| s.name() == name).ok_or(UnknownSuite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_come_back() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_u8(suite.number()), Some(suite));
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        assert_eq!(Suite::from_u8(0), None);
        assert_eq!(Suite::from_u8(3), None);
        assert_eq!("AES-256-GCM-SIV".parse::<Suite>(), Err(UnknownSuite));
    }
}
