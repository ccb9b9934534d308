//! What is known of an open file.

use std::collections::HashSet;

use arc_swap::ArcSwap;

use crate::crypto::Suite;
use crate::format::{FileId, FileKeys, Header, MTIME_MARK, WrappedKey, XattrKey};
use crate::lower::{FileIo, LowerError};
use crate::sync::{Arc, Mutex, RwLock};

use super::super::options::CrashSafety;
use super::below::Below;
use super::held::Held;
use super::pages::Pages;

/// What went wrong in a file's data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::volume) enum FileError {
    /// The lower filesystem failed.
    #[error("below: {0}")]
    Lower(#[from] LowerError),
    /// Something below was changed by somebody without the key. Names what.
    #[error("{0} does not authenticate")]
    Tampered(&'static str),
    /// Past the largest size.
    #[error("past the largest file size")]
    TooBig,
    /// The data key has sealed as many blocks as it may.
    #[error("the data key has sealed as many blocks as one key may; copy the file to get another")]
    NonceBudget,
    /// The lower file is open for reading only.
    #[error("read-only below")]
    ReadOnly,
}

/// What all files of a mount share.
#[derive(Clone, Copy, Debug)]
pub(in crate::volume) struct FileEnv {
    /// Number of this mount's session.
    pub session: u64,
    /// Which sudden stops must be harmless.
    pub crash: CrashSafety,
}

/// Who a file is, in the clear.
#[derive(Debug)]
pub(in crate::volume) struct Identity {
    /// Its id.
    pub id: FileId,
    /// How it is sealed.
    pub suite: Suite,
    /// Its data key under the CMK.
    pub wrapped: ArcSwap<WrappedKey>,
}

/// State of the header below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// There is none yet: a stop now leaves an empty file.
    Fresh,
    /// Its newest slot says clean.
    Clean,
    /// Its newest slot says that a writer is at work.
    Dirty,
}

/// How a file is read after what happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::volume) enum Found {
    /// Closed cleanly: everything must match.
    Strict,
    /// A session stopped while it was open, or lost power after: see `recover`.
    Relaxed,
}

/// A modification time that is in the header, as long as the lower one says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// What users see.
    pub plain: (i64, u32),
    /// What lies below.
    pub lower: (i64, u32),
}

pub(super) struct Meta {
    /// Plaintext bytes.
    pub size: u64,
    pub on_disk: OnDisk,
    /// Generation of the newest slot; slot A holds the odd ones.
    pub generation: u64,
    /// Session in the newest slot.
    pub session: u64,
    pub multi_link: bool,
    /// Blocks sealed under the data key.
    pub writes: u64,
    /// How many of them the header below knows of.
    pub writes_told: u64,
    pub found: Found,
    /// The header below has another size.
    pub size_stale: bool,
    /// The lower file has another length than the size asks for.
    pub len_stale: bool,
    /// Space was reserved that a cut has to give back.
    pub reserved: bool,
    /// Anything but the header changed since it was last written clean.
    pub touched: bool,
    /// What the modification time must be; set again after our own writes moved it.
    pub mtime: Option<(i64, u32)>,
    /// The header was re-wrapped since that time, and the lower time moved for it: F-43.
    pub mark: Option<Mark>,
    /// Blocks whose data was overwritten and not synced since: their entry's two seals are both
    /// spoken for, so a third needs a sync first.
    pub in_flight: HashSet<u64>,
    /// The lower file was cut and not synced since: what was cut may come back with a power cut.
    pub cut_unsynced: bool,
    /// Overwrites that wait for a barrier.
    pub held: Held,
    /// The bytes past the size in the last block are known to be zero.
    pub tail_zero: bool,
    /// The nodes describe the entry pages below, but for the pages noted as changed.
    pub tree_valid: bool,
    /// It was being put under another data key, and that failed half way: nothing below may
    /// change until the next mount has finished it.
    pub stuck: bool,
    /// Link tags for a header that is still to be written: slot A's, slot B's.
    pub link_tags: [[u8; 32]; 2],
}

impl Meta {
    /// Notes that `header` is the newest one below. Whether its size is the right one is for the
    /// caller to say.
    pub(super) fn header_is_down(&mut self, header: &Header) {
        self.on_disk = if header.clean { OnDisk::Clean } else { OnDisk::Dirty };
        self.generation = header.generation;
        self.session = header.session;
        self.writes_told = header.writes;
    }

    /// As [`FileState::shown_mtime`].
    pub(super) fn shown_mtime(&self, lower: (i64, u32)) -> Option<(i64, u32)> {
        let marked = || self.mark.filter(|mark| mark.lower == lower).map(|mark| mark.plain);
        self.mtime.or_else(marked)
    }

    /// As [`FileState::set_mtime`].
    pub(super) fn set_mtime(&mut self, time: Option<(i64, u32)>) {
        self.mtime = time;
        if self.mark.is_some_and(|mark| time != Some(mark.plain)) {
            self.mark = None;
        }
    }
}

/// An open file.
pub(in crate::volume) struct FileState {
    pub(super) io: Below,
    pub(super) writable: bool,
    pub(super) identity: Identity,
    pub(super) keys: ArcSwap<FileKeys>,
    /// Held by whoever changes attributes below under the file's key; and by whoever exchanges
    /// that, alone.
    pub(super) attributes: RwLock<()>,
    pub(super) meta: RwLock<Meta>,
    pub(super) pages: Mutex<Pages>,
}

impl FileState {
    /// A file that has just been made, or was lost before its first header, and is empty below.
    pub fn fresh(io: Box<dyn FileIo>, identity: Identity, keys: FileKeys) -> FileState {
        let meta = Meta {
            size: 0,
            on_disk: OnDisk::Fresh,
            generation: 0,
            session: 0,
            multi_link: false,
            writes: 0,
            writes_told: 0,
            found: Found::Strict,
            size_stale: true,
            len_stale: true,
            reserved: false,
            touched: false,
            mtime: None,
            mark: None,
            in_flight: HashSet::new(),
            held: Held::default(),
            cut_unsynced: false,
            tail_zero: true,
            tree_valid: true,
            stuck: false,
            link_tags: [[0; 32]; 2],
        };
        FileState {
            io: Below::new(io, Some(0)),
            writable: true,
            identity,
            keys: ArcSwap::from_pointee(keys),
            attributes: RwLock::new(()),
            meta: RwLock::new(meta),
            pages: Mutex::new(Pages::empty()),
        }
    }

    /// A file found below, with its verified header and its lower length. `first_pages` is the
    /// first page, and the second where it was read along.
    ///
    /// # Errors
    /// `Tampered` if the file was closed cleanly and is not as it was then.
    #[expect(clippy::too_many_arguments, reason = "all that was found, and no two alike")]
    pub fn found(
        io: Box<dyn FileIo>,
        lower_len: u64,
        writable: bool,
        identity: Identity,
        keys: FileKeys,
        header: &Header,
        found: Found,
        first_pages: &[u8],
    ) -> Result<FileState, FileError> {
        let meta = Meta {
            size: header.size,
            on_disk: if header.clean { OnDisk::Clean } else { OnDisk::Dirty },
            generation: header.generation,
            session: header.session,
            multi_link: header.multi_link,
            writes: header.writes,
            writes_told: header.writes,
            found,
            size_stale: false,
            len_stale: found == Found::Relaxed,
            reserved: false,
            touched: false,
            mtime: None,
            mark: None,
            in_flight: HashSet::new(),
            held: Held::default(),
            cut_unsynced: false,
            tail_zero: header.size.is_multiple_of(crate::format::BLOCK as u64),
            tree_valid: found == Found::Strict,
            stuck: false,
            link_tags: [[0; 32]; 2],
        };
        let file = FileState {
            io: Below::new(io, Some(lower_len)),
            writable,
            identity,
            keys: ArcSwap::from_pointee(keys),
            attributes: RwLock::new(()),
            meta: RwLock::new(meta),
            pages: Mutex::new(Pages::with_first(first_pages)),
        };
        if found == Found::Strict {
            file.check_tree(header)?;
        }
        Ok(file)
    }

    /// Plaintext bytes.
    pub fn size(&self) -> u64 {
        self.meta.read().size
    }

    /// Id, suite and wrapped key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The keys, for whoever holds attributes still himself.
    pub fn key_of_attributes(&self) -> Arc<FileKeys> {
        self.keys.load_full()
    }

    /// Runs `work` with the key of extended attributes, which stays what it is meanwhile.
    pub fn with_attributes<T>(&self, work: impl FnOnce(&XattrKey) -> T) -> T {
        let _attributes = self.attributes.read();
        work(self.keys.load().xattr())
    }

    /// The lower file, for calls on the inode that carry no data.
    pub fn io(&self) -> &Below {
        &self.io
    }

    /// Whether the file can be changed below.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// The modification time to show, if it is another than the lower one.
    pub fn shown_mtime(&self, lower: (i64, u32)) -> Option<(i64, u32)> {
        self.meta.read().shown_mtime(lower)
    }

    /// Sets the modification time, now and again after later writes of ours.
    pub fn set_mtime(&self, time: Option<(i64, u32)>) {
        self.meta.write().set_mtime(time);
    }

    /// Notes the time in the header, if the lower one stands for it.
    pub fn note_mark(&self, lower: (i64, u32), header: Option<(i64, u32)>) {
        if let Some(plain) = header.filter(|_| lower.1 == MTIME_MARK) {
            self.meta.write().mark = Some(Mark { plain, lower });
        }
    }

    /// The header's link tags, for one that is still to be written. `false`: it is below.
    pub fn set_fresh_link_tag(&self, tag: [u8; 32]) -> bool {
        let mut meta = self.meta.write();
        if meta.on_disk != OnDisk::Fresh {
            return false;
        }
        meta.link_tags = [tag, [0; 32]];
        true
    }
}
