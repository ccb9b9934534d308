//! Header slots: what a file or directory is, and the data key that opens it.
//!
//! A slot is read in two steps, because its key is inside it. [`parse_slot`] gives an
//! [`UnverifiedHeader`], which shows only what is needed to ask for the data key; with the keys
//! derived from that, [`UnverifiedHeader::verify`] gives a [`Header`]. No other way leads to one,
//! so a header whose tag was not checked cannot be used by mistake.

use super::{FileId, HeaderKey, MAX_PLAIN, MAX_WRITES, Root, Suite, VERSION, WrappedKey};
use crate::codec::{CodecError, Reader, Writer};

/// Bytes of a slot: one sector.
pub const SLOT: usize = 512;
/// Bytes of a slot that its tag covers, the tag itself included; the rest is a link tag.
pub const SLOT_BODY: usize = 480;
/// Bytes of a link tag.
pub const LINK_TAG_LEN: usize = 32;
/// Offsets of the two link tags in a header page or directory header.
pub const LINK_TAG_AT: [usize; 2] = [SLOT_BODY, SLOT + SLOT_BODY];
/// Bytes of a directory header: two slots and nothing more.
pub const DIR_HEADER_LEN: usize = 2 * SLOT;

/// Nanoseconds of a lower modification time that stands for the one in the header. F-43. A
/// multiple of 100, which is as fine as some lower filesystems keep time.
pub const MTIME_MARK: u32 = 714_025_300;

/// The modification time that users see, from the lower one and the header's. F-43.
pub fn shown_mtime(lower: (i64, u32), header: Option<(i64, u32)>) -> (i64, u32) {
    if lower.1 == MTIME_MARK { header.unwrap_or(lower) } else { lower }
}

const MAGIC: [u8; 4] = *b"kmsf";
const TAGGED: usize = SLOT_BODY - TAG_LEN;
const TAG_LEN: usize = 32;
const FLAG_CLEAN: u8 = 1;
const FLAG_MULTI_LINK: u8 = 2;
const FLAG_MTIME: u8 = 4;
const NANOS: u32 = 1_000_000_000;

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than a slot has.
    #[error("header cut short")]
    Short,
    /// Something else is stored here.
    #[error("not a kmsfs header")]
    BadMagic,
    /// Written by a later version.
    #[error("written by format {found}, this version reads up to {}", VERSION)]
    TooNew {
        /// The version found.
        found: u16,
    },
    /// A kind that does not exist.
    #[error("unknown kind of object {found}")]
    BadKind {
        /// The number found.
        found: u8,
    },
    /// A suite that does not exist.
    #[error("unknown suite {found}")]
    BadSuite {
        /// The number found.
        found: u8,
    },
    /// Flag bits that mean nothing.
    #[error("unknown flags {found:#04x}")]
    BadFlags {
        /// All flags found.
        found: u8,
    },
    /// A value that no writer writes: lengths out of range, padding that is not zero, a field
    /// that the kind or a flag does not allow.
    #[error("header field out of range")]
    NotCanonical,
    /// The tag does not fit: the header was changed, or belongs to another data key.
    #[error("header does not authenticate")]
    BadTag,
}

/// What a header describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File = 1,
    /// A directory.
    Directory = 2,
}

impl Kind {
    /// The number that the disk holds.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind of a number read from disk.
    pub fn from_u8(number: u8) -> Option<Kind> {
        [Kind::File, Kind::Directory].into_iter().find(|k| k.number() == number)
    }
}

/// An authenticated header, or one to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// File or directory.
    pub kind: Kind,
    /// How the blocks are sealed; of a directory: how new files in it are.
    pub suite: Suite,
    /// Size and root are those of the bytes below: nobody was writing when this was written.
    pub clean: bool,
    /// The file has had three links or more: link tags are not kept any longer.
    pub multi_link: bool,
    /// Counts header writes; of two valid slots the higher one counts.
    pub generation: u64,
    /// The mount that wrote this.
    pub session: u64,
    /// Name of the object, for life.
    pub id: FileId,
    /// Plaintext bytes; zero for a directory.
    pub size: u64,
    /// Root of the index; zero for a directory, and where not clean. The disk holds it hidden.
    pub root: Root,
    /// Blocks sealed under this data key so far, at least; zero for a directory.
    pub writes: u64,
    /// The data key.
    pub wrapped: WrappedKey,
    /// Plaintext mtime (seconds, nanoseconds), where it differs from the lower file's.
    pub mtime: Option<(i64, u32)>,
}

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
        let (tagged, tag) = body.split_at_mut(TAGGED);
        let hidden = keys.hide_root(self.root);
        self.write(tagged, hidden).map_err(|_| HeaderError::NotCanonical)?;
        tag.copy_from_slice(&keys.sign(tagged));
        Ok(body)
    }

    fn write(&self, tagged: &mut [u8], hidden_root: Root) -> Result<(), CodecError> {
        let flag = |on, bit| if on { bit } else { 0 };
        let (seconds, nanos) = self.mtime.unwrap_or((0, 0));
        let mut w = Writer::new(tagged);
        w.bytes(&MAGIC)?;
        w.u16(VERSION)?;
        w.u8(self.kind.number())?;
        w.u8(self.suite.number())?;
        w.u8(flag(self.clean, FLAG_CLEAN)
            | flag(self.multi_link, FLAG_MULTI_LINK)
            | flag(self.mtime.is_some(), FLAG_MTIME))?;
        self.wrapped.write_lengths(&mut w)?;
        w.u32(self.wrapped.version)?;
        w.u64(self.generation)?;
        w.u64(self.session)?;
        w.bytes(&self.id.0)?;
        w.u64(self.size)?;
        w.bytes(&hidden_root)?;
        w.u64(self.writes)?;
        w.i64(seconds)?;
        w.u32(nanos)?;
        self.wrapped.write_fields(&mut w)?;
        w.finish()
    }

    /// What only the shown root can tell: F-24.
    fn root_fits(&self) -> bool {
        self.clean || self.root == [0; 16]
    }

    fn is_canonical(&self) -> bool {
        let directory = self.kind == Kind::Directory;
        let plain = self.size == 0 && self.root == [0; 16] && self.writes == 0 && !self.multi_link;
        self.wrapped.fits()
            && self.size <= MAX_PLAIN
            && self.writes <= MAX_WRITES
            && self.mtime.is_none_or(|(_, nanos)| nanos < NANOS)
            && (!directory || plain)
    }
}

/// A header that has been taken apart, but not yet authenticated: enough to ask for its key.
#[derive(Clone, Debug)]
pub struct UnverifiedHeader {
    header: Header,
    tagged: [u8; TAGGED],
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
        key.accepts(&self.tagged, &self.tag)
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
        let (tagged, tag) = body.split_at_mut(TAGGED);
        // The root of an unverified header is the hidden one.
        next.write(tagged, next.root).map_err(|_| HeaderError::NotCanonical)?;
        tag.copy_from_slice(&key.sign(tagged));
        Ok(body)
    }

    /// Authenticates the header.
    ///
    /// # Errors
    /// [`HeaderError::BadTag`]; [`HeaderError::NotCanonical`] for a root where there is none.
    pub fn verify(self, key: &HeaderKey) -> Result<Header, HeaderError> {
        if !key.accepts(&self.tagged, &self.tag) {
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
    let tagged: &[u8; TAGGED] = body.first_chunk().ok_or(HeaderError::Short)?;
    let tag: &[u8; TAG_LEN] = body.last_chunk().ok_or(HeaderError::Short)?;
    Ok(UnverifiedHeader { header: read(tagged)?, tagged: *tagged, tag: *tag })
}

fn read(tagged: &[u8]) -> Result<Header, HeaderError> {
    let mut r = Reader::new(tagged);
    if r.array()? != MAGIC {
        return Err(HeaderError::BadMagic);
    }
    match r.u16()? {
        VERSION => {}
        0 => return Err(HeaderError::NotCanonical),
        found => return Err(HeaderError::TooNew { found }),
    }
    let kind = r.u8()?;
    let kind = Kind::from_u8(kind).ok_or(HeaderError::BadKind { found: kind })?;
    let suite = r.u8()?;
    let suite = Suite::from_u8(suite).ok_or(HeaderError::BadSuite { found: suite })?;
    let flags = r.u8()?;
    if flags & !(FLAG_CLEAN | FLAG_MULTI_LINK | FLAG_MTIME) != 0 {
        return Err(HeaderError::BadFlags { found: flags });
    }
    let (key_id_len, blob_len, key_version) = (r.u8()?, r.u16()?, r.u32()?);
    let (generation, session) = (r.u64()?, r.u64()?);
    let (id, size, root, writes) = (FileId(r.array()?), r.u64()?, r.array()?, r.u64()?);
    let mtime = match (flags & FLAG_MTIME != 0, r.i64()?, r.u32()?) {
        (true, seconds, nanos) => Some((seconds, nanos)),
        (false, 0, 0) => None,
        (false, ..) => return Err(HeaderError::NotCanonical),
    };
    let wrapped = WrappedKey::read_fields(&mut r, key_id_len, blob_len, key_version)?
        .ok_or(HeaderError::NotCanonical)?;
    r.finish()?;
    let header = Header {
        kind,
        suite,
        clean: flags & FLAG_CLEAN != 0,
        multi_link: flags & FLAG_MULTI_LINK != 0,
        generation,
        session,
        id,
        size,
        root,
        writes,
        wrapped,
        mtime,
    };
    if header.is_canonical() { Ok(header) } else { Err(HeaderError::NotCanonical) }
}

/// What lies in a slot.
#[derive(Clone, Debug)]
pub enum SlotState {
    /// All zero: never written.
    Empty,
    /// Not a header.
    Bad(HeaderError),
    /// A header, if it authenticates.
    Slot(Box<UnverifiedHeader>),
}

/// Both slots of a header page or directory header.
pub fn parse_slots(page0: &[u8]) -> [SlotState; 2] {
    [0, SLOT].map(|at| {
        let Some(body) = page0.get(at..).and_then(<[u8]>::first_chunk::<SLOT_BODY>) else {
            return SlotState::Bad(HeaderError::Short);
        };
        if body.iter().all(|&b| b == 0) {
            return SlotState::Empty;
        }
        match parse_slot(body) {
            Ok(header) => SlotState::Slot(Box::new(header)),
            Err(error) => SlotState::Bad(error),
        }
    })
}

/// The headers to try, with the number of their slot, the higher generation first; the first that
/// authenticates counts. Slot A goes first where both have one generation.
pub fn newest(slots: [SlotState; 2]) -> impl Iterator<Item = (usize, UnverifiedHeader)> {
    let mut found: Vec<_> = slots
        .into_iter()
        .enumerate()
        .filter_map(|(n, slot)| match slot {
            SlotState::Slot(header) => Some((n, *header)),
            SlotState::Empty | SlotState::Bad(_) => None,
        })
        .collect();
    found.sort_by_key(|(_, header)| core::cmp::Reverse(header.generation()));
    found.into_iter()
}

impl From<CodecError> for HeaderError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Short { .. } => HeaderError::Short,
            CodecError::Trailing { .. } | CodecError::Padding => HeaderError::NotCanonical,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn header() -> Header {
        Header {
            kind: Kind::File,
            suite: Suite::Aes256GcmSiv,
            clean: true,
            multi_link: false,
            generation: 5,
            session: 2,
            id: FileId([9; 16]),
            size: 12345,
            root: [8; 16],
            writes: 4,
            wrapped: WrappedKey { key_id: "key".to_owned(), version: 1, blob: vec![3; 100] },
            mtime: None,
        }
    }

    fn keys(header: &Header) -> HeaderKey {
        HeaderKey::new(header.kind, &Secret::new([1; 32]), header.suite, &header.id)
    }

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

    /// F-43: the header's time counts where the lower one is marked, and nowhere else.
    #[test]
    fn only_a_marked_time_stands_for_another() {
        assert_eq!(shown_mtime((9, MTIME_MARK), Some((5, 6))), (5, 6));
        assert_eq!(shown_mtime((9, MTIME_MARK), None), (9, MTIME_MARK));
        assert_eq!(shown_mtime((9, MTIME_MARK + 1), Some((5, 6))), (9, MTIME_MARK + 1));
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

    fn any_header() -> impl Strategy<Value = Header> {
        let wrapped = ("[!-~]{1,36}", any::<u32>(), prop::collection::vec(any::<u8>(), 1..=320))
            .prop_map(|(key_id, version, blob)| WrappedKey { key_id, version, blob });
        let mtime = prop::option::of((any::<i64>(), 0..NANOS));
        let numbers = (any::<u64>(), any::<u64>(), 0..=MAX_PLAIN, 0..=MAX_WRITES);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        (wrapped, mtime, numbers, flags, any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(
            |(wrapped, mtime, (generation, session, size, writes), flags, id, root)| {
                let (clean, multi_link, file, gcm) = flags;
                Header {
                    kind: if file { Kind::File } else { Kind::Directory },
                    suite: if gcm { Suite::Aes256GcmSiv } else { Suite::XChaCha20Poly1305 },
                    clean,
                    multi_link: multi_link && file,
                    generation,
                    session,
                    id: FileId(id),
                    size: if file { size } else { 0 },
                    root: if file && clean { root } else { [0; 16] },
                    writes: if file { writes } else { 0 },
                    wrapped,
                    mtime,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_header_comes_back(h in any_header()) {
            let body = h.encode(&keys(&h)).unwrap();
            let parsed = parse_slot(&body).unwrap();
            prop_assert_eq!(parsed.wrapped(), &h.wrapped);
            prop_assert_eq!(parsed.verify(&keys(&h)), Ok(h));
        }

        #[test]
        fn hostile_bytes_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..1100), h in any_header(), at in 0..480usize,
        ) {
            prop_assert_eq!(newest(parse_slots(&bytes)).count(), 0);
            let mut page = h.encode(&keys(&h)).unwrap().to_vec();
            let taken = bytes.len().min(480 - at);
            page[at..at + taken].copy_from_slice(&bytes[..taken]);
            for (_, parsed) in newest(parse_slots(&page)) {
                let verified = parsed.verify(&keys(&h));
                prop_assert!(verified.is_err() || verified == Ok(h.clone()));
            }
        }
    }
}
