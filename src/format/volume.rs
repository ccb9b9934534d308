//! The volume descriptor `.kmsfs/volume`: one page, replaced as a whole.
//!
//! It says what the volume is, holds the volume key wrapped under the volume's CMK, and keeps the
//! list of mounts that did not end well, without which a reader could not tell what a crash left
//! from what somebody put there.

use super::{FileId, Suite, VERSION, VolumeId, VolumeKeys, WrappedKey};
use crate::codec::{CodecError, Reader, Writer};
use crate::crypto::{mac, same};
use crate::secret::Secret;

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 4096;
/// Most records of unclean sessions.
pub const MAX_RECORDS: usize = 64;

const MAGIC: [u8; 8] = *b"kmsfsvol";
const TAG_LEN: usize = 32;
const TAGGED: usize = DESCRIPTOR_LEN - TAG_LEN;
const RECORD_LEN: usize = 56;

/// Why bytes are not a volume descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Not 4096 bytes.
    #[error("a volume descriptor has {} bytes, not {found}", DESCRIPTOR_LEN)]
    BadLength {
        /// Bytes found.
        found: usize,
    },
    /// Something else is stored here.
    #[error("not a kmsfs volume")]
    BadMagic,
    /// Written by a later version.
    #[error("written by format {found}, this version reads up to {}", VERSION)]
    TooNew {
        /// The version found.
        found: u16,
    },
    /// A suite that does not exist.
    #[error("unknown suite {found}")]
    BadSuite {
        /// The number found.
        found: u8,
    },
    /// A value that no writer writes.
    #[error("volume descriptor field out of range")]
    NotCanonical,
    /// The tag does not fit: the descriptor was changed.
    #[error("volume descriptor does not authenticate")]
    BadTag,
}

/// How a mount ended, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SessionKind {
    /// The process died; what it had written is there, as the machine went on.
    Killed = 1,
    /// The machine went down; what was not synced may be missing.
    PowerLost = 2,
    /// It has not ended.
    Live = 3,
}

impl SessionKind {
    fn from_u8(number: u8) -> Option<SessionKind> {
        use SessionKind::{Killed, Live, PowerLost};
        [Killed, PowerLost, Live].into_iter().find(|&k| k as u8 == number)
    }
}

/// A mount, or a run of mounts with consecutive numbers, that was not ended by a clean unmount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRecord {
    /// Number of the first session.
    pub first: u64,
    /// Number of the last; the same for a single one.
    pub last: u64,
    /// When the first began, seconds since 1970 by the lower filesystem's clock.
    pub start: i64,
    /// When the last can have ended at the latest.
    pub end: i64,
    /// The boot in which it ran.
    pub boot_id: [u8; 16],
    /// The mount of the lower filesystem on which it ran.
    pub lower_mount: u64,
    /// How it ended.
    pub kind: SessionKind,
}

impl SessionRecord {
    /// Whether session `number` is one of these.
    pub fn covers(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// An authenticated volume descriptor, or one to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Name of the volume, for life.
    pub id: VolumeId,
    /// How new files are sealed where nothing else is said.
    pub suite: Suite,
    /// Id of the root directory.
    pub root: FileId,
    /// Counts descriptor writes.
    pub generation: u64,
    /// Number of the last session begun.
    pub session: u64,
    /// The volume key; its CMK is the volume's default.
    pub wrapped: WrappedKey,
    /// Sessions that did not end cleanly, by rising number; at most [`MAX_RECORDS`].
    pub unclean: Vec<SessionRecord>,
}

impl Descriptor {
    /// The bytes of the file, tag included.
    ///
    /// # Errors
    /// [`DescriptorError::NotCanonical`] if a field is out of its range.
    pub fn encode(&self, keys: &VolumeKeys) -> Result<Box<[u8; DESCRIPTOR_LEN]>, DescriptorError> {
        self.encode_with(&keys.descriptor)
    }

    fn encode_with(
        &self,
        seal: &Secret<[u8; 32]>,
    ) -> Result<Box<[u8; DESCRIPTOR_LEN]>, DescriptorError> {
        if !self.is_canonical() {
            return Err(DescriptorError::NotCanonical);
        }
        let mut page = Box::new([0; DESCRIPTOR_LEN]);
        let (tagged, tag) = page.split_at_mut(TAGGED);
        self.write(tagged).map_err(|_| DescriptorError::NotCanonical)?;
        tag.copy_from_slice(&mac(seal, &[tagged]));
        Ok(page)
    }

    /// The record that covers session `number`, if it did not end cleanly.
    pub fn record_of(&self, number: u64) -> Option<&SessionRecord> {
        self.unclean.iter().find(|r| r.covers(number))
    }

    fn write(&self, tagged: &mut [u8]) -> Result<(), CodecError> {
        let many = CodecError::Short { wanted: self.unclean.len(), left: MAX_RECORDS };
        let mut w = Writer::new(tagged);
        w.bytes(&MAGIC)?;
        w.u16(VERSION)?;
        w.u8(self.suite.number())?;
        self.wrapped.write_lengths(&mut w)?;
        w.u8(u8::try_from(self.unclean.len()).map_err(|_| many)?)?;
        w.zeros(1)?;
        w.bytes(&self.id.0)?;
        w.bytes(&self.root.0)?;
        w.u64(self.generation)?;
        w.u64(self.session)?;
        w.u32(self.wrapped.version)?;
        self.wrapped.write_fields(&mut w)?;
        for record in &self.unclean {
            record.write(&mut w)?;
        }
        w.zeros((MAX_RECORDS - self.unclean.len()) * RECORD_LEN + PADDING)?;
        w.finish()
    }

    fn is_canonical(&self) -> bool {
        let ranges = self.unclean.iter().all(|r| 1 <= r.first && r.first <= r.last)
            && self.unclean.iter().all(|r| r.last <= self.session)
            && self.unclean.iter().all(|r| r.last - r.first < u64::from(u32::MAX));
        let rising = self.unclean.is_sorted_by(|a, b| a.last < b.first);
        self.wrapped.fits() && self.unclean.len() <= MAX_RECORDS && ranges && rising
    }
}

/// Zero bytes between the records and the tag.
const PADDING: usize = TAGGED - 424 - MAX_RECORDS * RECORD_LEN;

impl SessionRecord {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), CodecError> {
        let long = CodecError::Short { wanted: 8, left: 4 };
        let count = (self.last - self.first).checked_add(1).ok_or(long)?;
        w.u64(self.first)?;
        w.u32(u32::try_from(count).map_err(|_| long)?)?;
        w.u8(self.kind as u8)?;
        w.zeros(3)?;
        w.i64(self.start)?;
        w.i64(self.end)?;
        w.bytes(&self.boot_id)?;
        w.u64(self.lower_mount)
    }

    fn read(r: &mut Reader<'_>) -> Result<SessionRecord, DescriptorError> {
        let (first, count, kind) = (r.u64()?, r.u32()?, r.u8()?);
        r.zeros(3)?;
        let more = u64::from(count).checked_sub(1).ok_or(DescriptorError::NotCanonical)?;
        Ok(SessionRecord {
            first,
            last: first.checked_add(more).ok_or(DescriptorError::NotCanonical)?,
            kind: SessionKind::from_u8(kind).ok_or(DescriptorError::NotCanonical)?,
            start: r.i64()?,
            end: r.i64()?,
            boot_id: r.array()?,
            lower_mount: r.u64()?,
        })
    }
}

/// A descriptor that has been taken apart, but not yet authenticated: enough to ask for its key.
#[derive(Clone, Debug)]
pub struct UnverifiedDescriptor {
    descriptor: Descriptor,
    page: Box<[u8; DESCRIPTOR_LEN]>,
}

impl UnverifiedDescriptor {
    /// The wrapped volume key.
    pub fn wrapped(&self) -> &WrappedKey {
        &self.descriptor.wrapped
    }

    /// What the descriptor says that the volume is called.
    pub fn id(&self) -> VolumeId {
        self.descriptor.id
    }

    /// The descriptor that follows this one, with the volume key under another wrapping, and this
    /// one authenticated. `seal` is the descriptor's tag key. F-42.
    ///
    /// # Errors
    /// [`DescriptorError::BadTag`] if this one does not authenticate.
    pub fn rewrapped(
        &self,
        seal: &Secret<[u8; 32]>,
        wrapped: WrappedKey,
    ) -> Result<(Descriptor, Box<[u8; DESCRIPTOR_LEN]>), DescriptorError> {
        let (tagged, tag) = self.page.split_at(TAGGED);
        if !same(&mac(seal, &[tagged]), tag) {
            return Err(DescriptorError::BadTag);
        }
        let generation = self.descriptor.generation + 1;
        let next = Descriptor { generation, wrapped, ..self.descriptor.clone() };
        Ok((self.descriptor.clone(), next.encode_with(seal)?))
    }

    /// Authenticates the descriptor.
    ///
    /// # Errors
    /// [`DescriptorError::BadTag`].
    pub fn verify(self, keys: &VolumeKeys) -> Result<Descriptor, DescriptorError> {
        let (tagged, tag) = self.page.split_at(TAGGED);
        if same(&mac(&keys.descriptor, &[tagged]), tag) {
            Ok(self.descriptor)
        } else {
            Err(DescriptorError::BadTag)
        }
    }
}

/// Takes the content of a descriptor file apart.
pub fn parse_descriptor(bytes: &[u8]) -> Result<UnverifiedDescriptor, DescriptorError> {
    let page: &[u8; DESCRIPTOR_LEN] =
        bytes.try_into().map_err(|_| DescriptorError::BadLength { found: bytes.len() })?;
    let (tagged, _) = page.split_at(TAGGED);
    Ok(UnverifiedDescriptor { descriptor: read(tagged)?, page: Box::new(*page) })
}

fn read(tagged: &[u8]) -> Result<Descriptor, DescriptorError> {
    let mut r = Reader::new(tagged);
    if r.array()? != MAGIC {
        return Err(DescriptorError::BadMagic);
    }
    match r.u16()? {
        VERSION => {}
        0 => return Err(DescriptorError::NotCanonical),
        found => return Err(DescriptorError::TooNew { found }),
    }
    let suite = r.u8()?;
    let suite = Suite::from_u8(suite).ok_or(DescriptorError::BadSuite { found: suite })?;
    let (key_id_len, blob_len, records) = (r.u8()?, r.u16()?, usize::from(r.u8()?));
    r.zeros(1)?;
    let (id, root) = (VolumeId(r.array()?), FileId(r.array()?));
    let (generation, session, key_version) = (r.u64()?, r.u64()?, r.u32()?);
    let wrapped = WrappedKey::read_fields(&mut r, key_id_len, blob_len, key_version)?
        .ok_or(DescriptorError::NotCanonical)?;
    let padding = MAX_RECORDS.checked_sub(records).ok_or(DescriptorError::NotCanonical)?;
    let unclean =
        (0..records).map(|_| SessionRecord::read(&mut r)).collect::<Result<Vec<_>, _>>()?;
    r.zeros(padding * RECORD_LEN + PADDING)?;
    r.finish()?;
    let descriptor = Descriptor { id, suite, root, generation, session, wrapped, unclean };
    if descriptor.is_canonical() { Ok(descriptor) } else { Err(DescriptorError::NotCanonical) }
}

impl From<CodecError> for DescriptorError {
    fn from(_: CodecError) -> Self {
        // The length is checked before anything is read, so only padding can be wrong.
        DescriptorError::NotCanonical
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn descriptor() -> Descriptor {
        let record = SessionRecord {
            first: 4,
            last: 6,
            start: 100,
            end: 200,
            boot_id: [5; 16],
            lower_mount: 77,
            kind: SessionKind::PowerLost,
        };
        Descriptor {
            id: VolumeId([1; 16]),
            suite: Suite::default(),
            root: FileId([2; 16]),
            generation: 3,
            session: 10,
            wrapped: WrappedKey { key_id: "key".to_owned(), version: 1, blob: vec![3; 100] },
            unclean: vec![record, SessionRecord { first: 10, last: 10, ..record }],
        }
    }

    fn keys() -> VolumeKeys {
        VolumeKeys::new(&Secret::new([9; 32]), &VolumeId([1; 16]))
    }

    /// F-39, F-40.
    #[test]
    fn every_bit_of_a_descriptor_counts() {
        let page = descriptor().encode(&keys()).unwrap();
        for byte in 0..DESCRIPTOR_LEN {
            let mut changed = page.clone();
            changed[byte] ^= 1 << (byte % 8);
            let verified = parse_descriptor(&changed[..]).and_then(|parsed| parsed.verify(&keys()));
            assert!(verified.is_err(), "byte {byte}");
        }
    }

    /// F-41.
    #[test]
    fn what_no_reader_takes_is_not_written() {
        let [a, b] = descriptor().unclean[..] else { panic!("two records") };
        let many = (1..=65).map(|n| SessionRecord { first: n, last: n, ..a }).collect();
        let wrong: [Vec<SessionRecord>; 6] = [
            vec![b, a],
            vec![a, a],
            vec![SessionRecord { first: 0, ..a }],
            vec![SessionRecord { first: 7, ..a }],
            vec![SessionRecord { last: 11, ..b }],
            many,
        ];
        for unclean in wrong {
            let d = Descriptor { unclean, ..descriptor() };
            assert_eq!(d.encode(&keys()), Err(DescriptorError::NotCanonical), "{:?}", d.unclean);
        }
    }

    #[test]
    fn a_session_is_found_in_its_record() {
        let d = descriptor();
        assert_eq!(d.record_of(3), None);
        assert_eq!(d.record_of(5), d.unclean.first());
        assert_eq!(d.record_of(7), None);
        assert_eq!(d.record_of(10), d.unclean.last());
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..DESCRIPTOR_LEN,
        ) {
            prop_assert!(parse_descriptor(&bytes).is_err());
            let mut page = descriptor().encode(&keys()).unwrap();
            let taken = bytes.len().min(DESCRIPTOR_LEN - at);
            page[at..at + taken].copy_from_slice(&bytes[..taken]);
            let verified = parse_descriptor(&page[..]).and_then(|parsed| parsed.verify(&keys()));
            prop_assert!(verified.is_err() || verified == Ok(descriptor()));
        }
    }
}
