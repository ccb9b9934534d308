//! Header slots: what a file or directory is, and the data key that opens it, under a tag.
//!
//! A slot is read in two steps, because its key is inside it. [`parse_slot`] gives an
//! [`UnverifiedHeader`], which shows only what is needed to ask for the data key; with the keys
//! derived from that, [`UnverifiedHeader::verify`] gives a [`Header`]. No other way leads to one,
//! so a header whose tag was not checked cannot be used by mistake.

mod fields;

use self::fields::FIELDS;
use super::{FileId, HeaderKey, Suite, WrappedKey};

pub use self::fields::{Header, HeaderError, Kind};

/// Bytes of a slot: one sector.
pub const SLOT: usize = 512;
/// Bytes of a slot that its tag covers, the tag itself included; the rest is a link tag.
pub const SLOT_BODY: usize = FIELDS + TAG_LEN;
/// Bytes of a link tag.
pub const LINK_TAG_LEN: usize = SLOT - SLOT_BODY;
/// Offsets of the two link tags in a header page or directory header.
pub const LINK_TAG_AT: [usize; 2] = [SLOT_BODY, SLOT + SLOT_BODY];

const TAG_LEN: usize = 32;

impl Header {
    /// The bytes of a slot, tag included.
    ///
    /// # Errors
    /// [`HeaderError::NotCanonical`] if a field is out of its range.
    pub fn encode(&self, keys: &HeaderKey) -> Result<[u8; SLOT_BODY], HeaderError> {
        if !self.is_canonical() || !self.root_fits() {
            return Err(HeaderError::NotCanonical);
        }
        let mut body = [0; SLOT_BODY];
        let (fields, tag) = body.split_at_mut(FIELDS);
        let hidden = keys.hide_root(self.root);
        self.write(fields, hidden).map_err(|_| HeaderError::NotCanonical)?;
        tag.copy_from_slice(&keys.sign(fields));
        Ok(body)
    }
}

/// A header that has been taken apart, but not yet authenticated: enough to ask for its key.
#[derive(Clone, Debug)]
pub struct UnverifiedHeader {
    header: Header,
    fields: [u8; FIELDS],
    tag: [u8; TAG_LEN],
}

impl UnverifiedHeader {
    /// The wrapped data key.
    pub fn wrapped(&self) -> &WrappedKey {
        &self.header.wrapped
    }

    /// What the header says that the object is called.
    pub fn id(&self) -> FileId {
        self.header.id
    }

    /// What the header says about the suite.
    pub fn suite(&self) -> Suite {
        self.header.suite
    }

    /// What the header says about its age.
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// Plaintext size as written; for a guess at a stopped writer's file, never for data.
    pub fn size(&self) -> u64 {
        self.header.size
    }

    /// What the header says about the kind.
    pub fn kind(&self) -> Kind {
        self.header.kind
    }

    /// What the header says of the plaintext's modification time; for stat(2), like the size.
    pub fn mtime(&self) -> Option<(i64, u32)> {
        self.header.mtime
    }

    /// Whether it has names that it keeps no link tag of.
    pub fn multi_link(&self) -> bool {
        self.header.multi_link
    }

    /// What the header says about the mount that wrote it.
    pub fn session(&self) -> u64 {
        self.header.session
    }

    /// Whether the tag fits. What is inside can be used only after [`UnverifiedHeader::verify`].
    pub fn is_authentic(&self, key: &HeaderKey) -> bool {
        key.accepts(&self.fields, &self.tag)
    }

    /// The slot that follows this one, with the same data key under another wrapping; everything
    /// else of it stays, but for the modification time. F-42.
    ///
    /// # Errors
    /// [`HeaderError::BadTag`] if this slot does not authenticate: it is not made good.
    pub fn rewrapped(
        &self,
        key: &HeaderKey,
        wrapped: WrappedKey,
        mtime: Option<(i64, u32)>,
    ) -> Result<[u8; SLOT_BODY], HeaderError> {
        if !self.is_authentic(key) {
            return Err(HeaderError::BadTag);
        }
        let generation = self.header.generation.checked_add(1).ok_or(HeaderError::NotCanonical)?;
        let next = Header { generation, wrapped, mtime, ..self.header.clone() };
        if !next.is_canonical() {
            return Err(HeaderError::NotCanonical);
        }
        let mut body = [0; SLOT_BODY];
        let (fields, tag) = body.split_at_mut(FIELDS);
        // The root of an unverified header is the hidden one.
        next.write(fields, next.root).map_err(|_| HeaderError::NotCanonical)?;
        tag.copy_from_slice(&key.sign(fields));
        Ok(body)
    }

    /// Authenticates the header.
    ///
    /// # Errors
    /// [`HeaderError::BadTag`]; [`HeaderError::NotCanonical`] for a root where there is none.
    pub fn verify(self, key: &HeaderKey) -> Result<Header, HeaderError> {
        if !key.accepts(&self.fields, &self.tag) {
            return Err(HeaderError::BadTag);
        }
        let root = key.show_root(self.header.root);
        let header = Header { root, ..self.header };
        if header.root_fits() { Ok(header) } else { Err(HeaderError::NotCanonical) }
    }
}

/// Takes a slot apart. `bytes` may go on after the slot's body.
pub fn parse_slot(bytes: &[u8]) -> Result<UnverifiedHeader, HeaderError> {
    let body: &[u8; SLOT_BODY] = bytes.first_chunk().ok_or(HeaderError::Short)?;
    let fields: &[u8; FIELDS] = body.first_chunk().ok_or(HeaderError::Short)?;
    let tag: &[u8; TAG_LEN] = body.last_chunk().ok_or(HeaderError::Short)?;
    Ok(UnverifiedHeader { header: Header::read(fields)?, fields: *fields, tag: *tag })
}

#[cfg(test)]
pub(super) mod samples;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fields::NANOS;
    use super::samples::{any_header, header, keys};
    use super::*;
    use crate::format::{MAX_PLAIN, MAX_WRITES};
    use crate::secret::Secret;

    /// F-14, F-15: there is no bit whose change goes unnoticed.
    #[test]
    fn every_bit_of_a_slot_counts() {
        let good = header();
        let body = good.encode(&keys(&good)).unwrap();
        for bit in 0..SLOT_BODY * 8 {
            let mut changed = body;
            changed[bit / 8] ^= 1 << (bit % 8);
            let outcome = parse_slot(&changed).and_then(|parsed| {
                let key = HeaderKey::new(
                    parsed.kind(),
                    &Secret::new([1; 32]),
                    parsed.suite(),
                    &parsed.id(),
                );
                parsed.verify(&key)
            });
            assert!(outcome.is_err(), "bit {bit}");
        }
    }

    /// F-22: the same root looks different in two files, and is not there in the clear.
    #[test]
    fn the_root_is_hidden() {
        let one = header();
        let other = Header { id: FileId([7; 16]), ..header() };
        let shown = |h: &Header| h.encode(&keys(h)).unwrap()[56..72].to_vec();
        assert_ne!(shown(&one), one.root);
        assert_ne!(shown(&one), shown(&other));
        assert_eq!(shown(&one), shown(&Header { generation: 6, ..header() }));
    }

    #[test]
    fn what_no_reader_takes_is_not_written() {
        let good = header();
        let long = WrappedKey { blob: vec![1; 321], ..good.wrapped.clone() };
        let named = WrappedKey { key_id: "k".repeat(37), ..good.wrapped.clone() };
        let wrong = [
            Header { size: MAX_PLAIN + 1, ..header() },
            Header { writes: MAX_WRITES + 1, ..header() },
            Header { mtime: Some((0, NANOS)), ..header() },
            Header { kind: Kind::Directory, ..header() },
            Header { clean: false, ..header() },
            Header { wrapped: long, ..header() },
            Header { wrapped: named, ..header() },
        ];
        for h in wrong {
            assert_eq!(h.encode(&keys(&h)), Err(HeaderError::NotCanonical), "{h:?}");
        }
    }

    /// F-42: whoever holds the tag key alone makes the next slot, and nothing else of it changes.
    #[test]
    fn a_slot_is_rewrapped_with_the_tag_key_alone() {
        for old in [header(), Header { clean: false, root: [0; 16], ..header() }] {
            let keys = keys(&old);
            let parsed = parse_slot(&old.encode(&keys).unwrap()).unwrap();
            let context = super::super::keys::seal_context(old.kind, old.suite, &old.id);
            let tag = crate::crypto::derive(
                &Secret::new([1; 32]),
                crate::crypto::Label::Header,
                &context,
            );
            let wrapped = WrappedKey { version: 2, blob: vec![4; 90], ..old.wrapped.clone() };
            let seal = HeaderKey::tag_only(tag);
            let body = parsed.rewrapped(&seal, wrapped.clone(), Some((5, 6))).unwrap();
            let found = parse_slot(&body).unwrap().verify(&keys).unwrap();
            let expected = Header { generation: 6, wrapped, mtime: Some((5, 6)), ..old.clone() };
            assert_eq!(found, expected);
            let other = HeaderKey::tag_only(Secret::new([9; 32]));
            let refused = parsed.rewrapped(&other, old.wrapped.clone(), None);
            assert_eq!(refused, Err(HeaderError::BadTag));
        }
    }

    proptest! {
        #[test]
        fn a_header_comes_back(h in any_header()) {
            let body = h.encode(&keys(&h)).unwrap();
            let parsed = parse_slot(&body).unwrap();
            prop_assert_eq!(parsed.wrapped(), &h.wrapped);
            prop_assert_eq!(parsed.verify(&keys(&h)), Ok(h));
        }
    }
}
