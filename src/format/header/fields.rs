//! What a header says: what a file or directory is, and the data key that opens it.
//!
//! Here are its fields and their bytes; [`super`] has the tag over them, and lets nobody read the
//! fields without it.

use crate::codec::{CodecError, Reader, Writer};
use crate::format::{FileId, MAX_PLAIN, MAX_WRITES, Root, Suite, VERSION, WrappedKey};

/// Bytes of all fields.
pub(super) const FIELDS: usize = 448;

const MAGIC: [u8; 4] = *b"kmsf";
const FLAG_CLEAN: u8 = 1;
const FLAG_MULTI_LINK: u8 = 2;
const FLAG_MTIME: u8 = 4;
/// In a second.
pub(super) const NANOS: u32 = 1_000_000_000;

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
    /// The fields, with the root as the disk holds it.
    pub(super) fn write(&self, fields: &mut [u8], hidden_root: Root) -> Result<(), CodecError> {
        let flag = |on, bit| if on { bit } else { 0 };
        let (seconds, nanos) = self.mtime.unwrap_or((0, 0));
        let mut w = Writer::new(fields);
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

    /// Reads the fields. The root is the hidden one.
    pub(super) fn read(fields: &[u8]) -> Result<Header, HeaderError> {
        let mut r = Reader::new(fields);
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

    /// What only the shown root can tell: F-24.
    pub(super) fn root_fits(&self) -> bool {
        self.clean || self.root == [0; 16]
    }

    /// Whether a reader takes it: every field in its range, and none that the kind has no use for.
    pub(super) fn is_canonical(&self) -> bool {
        let directory = self.kind == Kind::Directory;
        let plain = self.size == 0 && self.root == [0; 16] && self.writes == 0 && !self.multi_link;
        self.wrapped.fits()
            && self.size <= MAX_PLAIN
            && self.writes <= MAX_WRITES
            && self.mtime.is_none_or(|(_, nanos)| nanos < NANOS)
            && (!directory || plain)
    }
}

impl From<CodecError> for HeaderError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Short { .. } => HeaderError::Short,
            CodecError::Trailing { .. } | CodecError::Padding => HeaderError::NotCanonical,
        }
    }
}
