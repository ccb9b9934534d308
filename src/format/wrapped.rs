//! A data key under a customer master key, as headers keep it.

use crate::codec::{CodecError, Reader, Writer};

/// Longest key id in bytes: a UUID, or `mrk-` and 32 digits.
pub const KEY_ID_MAX: usize = 36;
/// Longest wrapped key in bytes.
pub const BLOB_MAX: usize = 320;

/// A data key that only the key service can unwrap; opaque to the filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrappedKey {
    /// Which CMK wrapped it: the id alone, no ARN. 1 to [`KEY_ID_MAX`] printable ASCII characters.
    pub key_id: String,
    /// Which version of the CMK wrapped it.
    pub version: u32,
    /// What the key service returned: 1 to [`BLOB_MAX`] bytes.
    pub blob: Vec<u8>,
}

impl WrappedKey {
    /// Whether a header can hold it.
    pub fn fits(&self) -> bool {
        (1..=KEY_ID_MAX).contains(&self.key_id.len())
            && self.key_id.bytes().all(|c| c.is_ascii_graphic())
            && (1..=BLOB_MAX).contains(&self.blob.len())
    }

    /// The two length fields: of the key id (one byte) and the blob (two).
    pub(super) fn write_lengths(&self, w: &mut Writer<'_>) -> Result<(), CodecError> {
        w.u8(narrow(self.key_id.len())?)?;
        w.u16(narrow(self.blob.len())?)
    }

    /// The two fields of fixed width.
    pub(super) fn write_fields(&self, w: &mut Writer<'_>) -> Result<(), CodecError> {
        w.padded(self.key_id.as_bytes(), KEY_ID_MAX)?;
        w.padded(&self.blob, BLOB_MAX)
    }

    /// Reads the fields that [`WrappedKey::write_fields`] wrote. `None`: not canonical.
    pub(super) fn read_fields(
        r: &mut Reader<'_>,
        key_id_len: u8,
        blob_len: u16,
        version: u32,
    ) -> Result<Option<WrappedKey>, CodecError> {
        let key_id = unpad(r.bytes(KEY_ID_MAX)?, usize::from(key_id_len));
        let blob = unpad(r.bytes(BLOB_MAX)?, usize::from(blob_len));
        let text = key_id.and_then(|id| core::str::from_utf8(id).ok());
        let (Some(key_id), Some(blob)) = (text, blob) else { return Ok(None) };
        let wrapped = WrappedKey { key_id: key_id.to_owned(), version, blob: blob.to_vec() };
        Ok(wrapped.fits().then_some(wrapped))
    }
}

fn narrow<T: TryFrom<usize>>(n: usize) -> Result<T, CodecError> {
    T::try_from(n).map_err(|_| CodecError::Short { wanted: n, left: BLOB_MAX })
}

/// The first `len` bytes of a field whose others are zero.
fn unpad(field: &[u8], len: usize) -> Option<&[u8]> {
    let (value, padding) = field.split_at_checked(len)?;
    padding.iter().all(|&b| b == 0).then_some(value)
}
