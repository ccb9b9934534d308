//! Random 128-bit names of volumes and objects.

use core::fmt;
use core::str::FromStr;

use crate::crypto::random_array;

/// Text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct BadId;

/// Names a file, symlink, special file or directory, wherever it lies. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub [u8; 16]);

/// Names a volume.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(pub [u8; 16]);

macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// A fresh one.
            pub fn random() -> Self {
                Self(random_array())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text).map(Self)
            }
        }
    };
}

id!(FileId);
id!(VolumeId);

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

fn parse_hex(text: &str) -> Result<[u8; 16], BadId> {
    let canonical = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 32 || !canonical {
        return Err(BadId);
    }
    let number = u128::from_str_radix(text, 16).map_err(|_| BadId)?;
    Ok(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_hex_digits() {
        let id = FileId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xFF]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("000102030405060708090A0b0c0d0eff".parse::<FileId>(), Err(BadId));
        assert_eq!("+00102030405060708090a0b0c0d0eff".parse::<VolumeId>(), Err(BadId));
        assert_eq!("00".parse::<VolumeId>(), Err(BadId));
        assert_ne!(VolumeId::random(), VolumeId::random());
    }
}
