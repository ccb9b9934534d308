//! Rows: a record, encoded, with a tag that binds it to its table and its primary key.
//!
//! The tag is under a key derived from the root key. A row that was changed, moved to another
//! key or brought in from another store is found when it is read, so nobody who can write the
//! file, but has not the root key, can change a policy or attach an access key. (That an old
//! state of the whole file is put back cannot be seen here.)

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::crypto;
use crate::kms::store::{KeyMore, StoreError, VersionMore};
use crate::secret::Secret;

/// First byte of every row; another encoding of records gets another number. Rows of format 1
/// hold keys and versions without their last member, those of format 2 keys without what ties them
/// to keys of other Regions, those of format 3 versions without whether they are compromised, those
/// of format 4 keys without their place in a custom key store.
const FORMAT: u8 = 5;
const FOURTH: u8 = 4;
const THIRD: u8 = 3;
const SECOND: u8 = 2;
const FIRST: u8 = 1;
const TAG: usize = 32;

/// Encodes a record for `table` under `name`.
pub fn encode<T: Serialize>(
    key: &Secret<[u8; 32]>,
    table: &str,
    name: &[u8],
    record: &T,
) -> Result<Vec<u8>, StoreError> {
    let mut row = vec![FORMAT];
    let body = bincode::serde::encode_to_vec(record, config()).map_err(|error| {
        tracing::error!(table, %error, "a record cannot be encoded");
        StoreError::Damaged
    })?;
    row.extend_from_slice(&body);
    let tag = crypto::mac(key, &[table.as_bytes(), name, &row]);
    row.extend_from_slice(&tag);
    Ok(row)
}

/// Decodes a row that was read from `table` under `name`.
pub fn decode<T: DeserializeOwned>(
    key: &Secret<[u8; 32]>,
    table: &str,
    name: &[u8],
    row: &[u8],
) -> Result<T, StoreError> {
    let body = check(key, table, name, row)?;
    let whole;
    let body = match row.first() {
        Some(&before) if before < FORMAT => {
            whole = [body, &missing(before, table)].concat();
            whole.as_slice()
        }
        _ => body,
    };
    match bincode::serde::decode_from_slice(body, config()) {
        Ok((record, used)) if used == body.len() => Ok(record),
        _ => {
            tracing::error!(table, "a record of the key store cannot be read");
            Err(StoreError::Damaged)
        }
    }
}

/// Whether a row is authentic; the encoded record within.
pub fn check<'r>(
    key: &Secret<[u8; 32]>,
    table: &str,
    name: &[u8],
    row: &'r [u8],
) -> Result<&'r [u8], StoreError> {
    let damaged = || {
        tracing::error!(table, "a record of the key store does not authenticate");
        StoreError::Damaged
    };
    let (signed, tag) = row.split_last_chunk::<TAG>().ok_or_else(damaged)?;
    if !crypto::same(&crypto::mac(key, &[table.as_bytes(), name, signed]), tag) {
        return Err(damaged());
    }
    match signed.split_first() {
        Some((&(FORMAT | FOURTH | THIRD | SECOND | FIRST), body)) => Ok(body),
        _ => Err(damaged()),
    }
}

/// The name that a row's tag binds, for tables with two key columns.
pub fn pair(first: &str, second: impl std::fmt::Display) -> Vec<u8> {
    format!("{first}/{second}").into_bytes()
}

/// The defaults of the members that records of a table did not have in that format.
fn missing(format: u8, table: &str) -> Vec<u8> {
    let encoded = match table {
        "keys" if format == SECOND => {
            let KeyMore { primary, window, key_store, .. } = KeyMore::default();
            bincode::serde::encode_to_vec((primary, window, key_store), config())
        }
        "keys" if format > SECOND => {
            let KeyMore { key_store, .. } = KeyMore::default();
            bincode::serde::encode_to_vec((key_store,), config())
        }
        "versions" if format == SECOND || format == THIRD => {
            let VersionMore { compromised, .. } = VersionMore::default();
            bincode::serde::encode_to_vec((compromised,), config())
        }
        _ if format > FIRST => return Vec::new(),
        "keys" => bincode::serde::encode_to_vec(KeyMore::default(), config()),
        "versions" => bincode::serde::encode_to_vec(VersionMore::default(), config()),
        _ => return Vec::new(),
    };
    // Encoding these to memory cannot fail; nothing at all would not decode.
    encoded.unwrap_or_default()
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_only_where_it_was_written() {
        let key = Secret::new([1; 32]);
        let row = encode(&key, "keys", b"a", &("text".to_owned(), 7u32)).unwrap();
        let read = |table, name, row: &[u8]| decode::<(String, u32)>(&key, table, name, row);
        assert_eq!(read("keys", b"a", &row), Ok(("text".to_owned(), 7)));
        assert_eq!(read("users", b"a", &row), Err(StoreError::Damaged));
        assert_eq!(read("keys", b"b", &row), Err(StoreError::Damaged));
        for i in 0..row.len() {
            let mut bad = row.clone();
            bad[i] ^= 1;
            assert_eq!(read("keys", b"a", &bad), Err(StoreError::Damaged), "byte {i}");
        }
        let other = Secret::new([2; 32]);
        assert!(decode::<(String, u32)>(&other, "keys", b"a", &row).is_err());
    }

    /// A row as a release of before wrote it.
    fn before<T: Serialize>(format: u8, table: &str, record: &T, less: usize) -> Vec<u8> {
        let body = bincode::serde::encode_to_vec(record, config()).unwrap();
        let mut row = vec![format];
        row.extend_from_slice(&body[..body.len() - less]);
        let tag = crypto::mac(&Secret::new([1; 32]), &[table.as_bytes(), b"a", &row]);
        row.extend_from_slice(&tag);
        row
    }

    #[test]
    fn rows_of_before_have_the_defaults_of_what_came_since() {
        let key = Secret::new([1; 32]);
        let more = |plan: u32| KeyMore { window: Some(plan), ..KeyMore::default() };
        // Everything that a format lacks is `None` or `false`: a byte each, at the end.
        for (format, less, wanted) in [
            (FOURTH, 1, more(7)),
            (THIRD, 1, more(7)),
            (SECOND, 3, KeyMore::default()),
            (FIRST, 5, KeyMore::default()),
        ] {
            let row = before(format, "keys", &wanted, less);
            assert_eq!(decode::<KeyMore>(&key, "keys", b"a", &row), Ok(wanted), "{format}");
        }
        let wanted = VersionMore { public: vec![1, 2], ..VersionMore::default() };
        for (format, less) in [(FOURTH, 0), (THIRD, 1), (SECOND, 1)] {
            let row = before(format, "versions", &wanted, less);
            let read = decode::<VersionMore>(&key, "versions", b"a", &row);
            assert_eq!(read.as_ref(), Ok(&wanted), "{format}");
        }
    }
}
