//! Extended attributes of users, sealed under the key of the object they belong to.
//!
//! The lower name is a MAC of the name, so that a lookup computes it; the value's bytes hold name
//! and value together, so that a list can be made, and so that two values cannot trade places.

use super::name::encode;
use super::{FileId, Sealed};
use crate::codec::Reader;
use crate::crypto::{Aead, BadTag, Derivation, Label, Suite, mac, random_array};
use crate::secret::Secret;

/// What lower names of sealed attributes begin with.
pub const XATTR_PREFIX: &str = "user.kmsfs.";

const NONCE_LEN: usize = 16;
const TAG_LEN: usize = 16;
/// The kernel's XATTR_NAME_MAX.
const NAME_MAX: usize = 255;

/// Why a lower attribute gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttrError {
    /// Not what kmsfs makes.
    #[error("not an encrypted attribute")]
    NotAnAttr,
    /// The attribute was changed, or belongs to another object or under another name.
    #[error("attribute does not authenticate")]
    BadTag,
    /// A name that is empty or too long.
    #[error("not an attribute name")]
    BadName,
}

/// Seals the attributes of one object.
#[derive(Debug)]
pub struct XattrKey {
    values: Aead,
    names: Secret<[u8; 32]>,
    id: FileId,
}

impl XattrKey {
    pub(super) fn new(data_key: &Derivation, context: &[u8], id: &FileId) -> Self {
        let values = data_key.key(Label::Xattr, context);
        Self {
            values: Aead::new(Suite::Aes256GcmSiv, &values),
            names: data_key.key(Label::XattrName, context),
            id: *id,
        }
    }

    /// The lower name of the attribute `name` (which begins with `user.`).
    pub fn lower_name(&self, name: &[u8]) -> String {
        let tag = mac(&self.names, &[name]);
        let (half, _) = tag.split_at(16);
        format!("{XATTR_PREFIX}{}", encode(half))
    }

    /// Seals an attribute; returns its lower name and value.
    ///
    /// # Errors
    /// [`AttrError::BadName`].
    pub fn seal_xattr(&self, name: &[u8], value: &[u8]) -> Result<(String, Vec<u8>), AttrError> {
        self.seal_xattr_with(name, value, random_array())
    }

    pub(super) fn seal_xattr_with(
        &self,
        name: &[u8],
        value: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Result<(String, Vec<u8>), AttrError> {
        let length = u16::try_from(name.len()).map_err(|_| AttrError::BadName)?;
        if !is_name(name) {
            return Err(AttrError::BadName);
        }
        let mut text = [&length.to_le_bytes()[..], name, value].concat();
        let tag = self.values.seal(&nonce, 0, &self.aad(), &mut text);
        Ok((self.lower_name(name), [&nonce[..], &tag, &text].concat()))
    }

    /// Opens an attribute; returns its name and value. The value is refused under any lower name
    /// but its own.
    pub fn open_xattr(
        &self,
        lower_name: &[u8],
        lower_value: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), AttrError> {
        let (nonce, rest) = lower_value.split_first_chunk().ok_or(AttrError::NotAnAttr)?;
        let (tag, sealed) = rest.split_first_chunk::<TAG_LEN>().ok_or(AttrError::NotAnAttr)?;
        let mut text = sealed.to_vec();
        let opened = self.values.open(nonce, 0, &self.aad(), &mut text, tag);
        opened.map_err(|BadTag| AttrError::BadTag)?;
        let mut r = Reader::new(&text);
        let length = r.u16().map_err(|_| AttrError::NotAnAttr)?;
        let name = r.bytes(usize::from(length)).map_err(|_| AttrError::NotAnAttr)?;
        if !is_name(name) {
            return Err(AttrError::NotAnAttr);
        }
        if self.lower_name(name).as_bytes() != lower_name {
            return Err(AttrError::BadTag);
        }
        Ok((name.to_vec(), r.rest().to_vec()))
    }

    /// Bytes by which a lower value is longer than name and value together.
    pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN + 2;

    fn aad(&self) -> Vec<u8> {
        Sealed::Xattr.aad(&[&self.id.0])
    }
}

fn is_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && !name.contains(&0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DirKeys, FileKeys};
    use super::*;

    proptest! {
        /// F-37, F-38.
        #[test]
        fn an_attribute_comes_back_under_its_name_alone(
            name in prop::collection::vec(1..=255u8, 1..=255),
            value in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let (key, id) = (Secret::new([1; 32]), FileId([2; 16]));
            let file = FileKeys::new(&key, Suite::XChaCha20Poly1305, &id);
            let (lower, sealed) = file.xattr().seal_xattr(&name, &value).unwrap();
            prop_assert_eq!(sealed.len(), name.len() + value.len() + XattrKey::OVERHEAD);
            let opened = file.xattr().open_xattr(lower.as_bytes(), &sealed);
            prop_assert_eq!(opened, Ok((name.clone(), value)));
            let other = file.xattr().lower_name(b"user.another one");
            let opened = file.xattr().open_xattr(other.as_bytes(), &sealed);
            prop_assert_eq!(opened, Err(AttrError::BadTag));
            let directory = DirKeys::new(&key, &id);
            let opened = directory.xattr().open_xattr(lower.as_bytes(), &sealed);
            prop_assert_eq!(opened, Err(AttrError::BadTag));
        }
    }

    #[test]
    fn names_that_the_kernel_has_not_are_refused() {
        let file = FileKeys::new(&Secret::new([1; 32]), Suite::default(), &FileId([2; 16]));
        for name in [&b""[..], b"user.\0", &[b'n'; 256]] {
            assert_eq!(file.xattr().seal_xattr(name, b""), Err(AttrError::BadName));
        }
    }
}
