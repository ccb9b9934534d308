//! Headers around the same data key under another wrapping, in volumes that are mounted and in
//! such that are not.
//!
//! A re-wrapped header is the next slot and differs from the one before in nothing but the wrapped
//! key (F-42). Whoever writes a header of an open file holds its state; whoever opens a file holds
//! its inode. Here the same locks are held, so a writer's header and a re-wrapped one follow each
//! other, and the object is looked at again under the lock: if its key is not the one that was
//! sealed again, nothing is written.

use std::io::{IoSlice, IoSliceMut};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::XattrFlags;

use crate::format::{
    DESCRIPTOR_LEN, DIR_HEADER, DIR_HEADER_LEN, HeaderKey, Kind, MTIME_MARK, Slots,
    UnverifiedHeader, VolumeId, WrappedKey, shown_mtime, slot_offset,
};
use crate::lower::{Dir, FileIo, LowerError, LowerFile, LowerStat, Pinned};

use super::Volume;
use super::file::{CAPABILITY, FileError};
use super::keys::{KeyContext, Purpose, Resealed, Sealed};
pub use super::redo::finish_interrupted;
pub use super::walked::Moved;

/// Why a header was not re-wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The lower filesystem failed.
    #[error("{0}")]
    Lower(#[from] LowerError),
    /// It does not authenticate, or its slots do not follow each other. It is left as it is.
    #[error("{0} does not authenticate; left as it is")]
    Damaged(&'static str),
}

/// A header as it lies below, not authenticated.
pub struct Found {
    header: Box<UnverifiedHeader>,
    older: Option<Box<UnverifiedHeader>>,
    intact: bool,
}

impl Found {
    /// Reads the header at the beginning of a file, or of a directory's header file. `None`:
    /// there is none (yet).
    pub fn read(io: &dyn FileIo) -> Result<Option<Found>, Trouble> {
        let mut head = [0u8; DIR_HEADER_LEN];
        io.read_at(&mut [IoSliceMut::new(&mut head)], 0)?;
        match Slots::of(&head) {
            Slots::Empty => Ok(None),
            Slots::Damaged => Err(Trouble::Damaged("the header")),
            Slots::Newest { header, older, intact } => Ok(Some(Found { header, older, intact })),
        }
    }

    /// What is to be sealed again.
    pub fn sealed(&self, volume: VolumeId) -> Sealed {
        let id = self.header.id();
        let purpose = match self.header.kind() {
            Kind::File => Purpose::File(id),
            Kind::Directory => Purpose::Directory(id),
        };
        let context = KeyContext { volume, purpose };
        Sealed { wrapped: self.header.wrapped().clone(), context, suite: self.header.suite() }
    }

    /// The key as it is wrapped now.
    pub fn wrapped(&self) -> &WrappedKey {
        self.header.wrapped()
    }

    /// The session that wrote it.
    pub fn session(&self) -> u64 {
        self.header.session()
    }

    /// Whether the pair of slots is one that a writer leaves: else somebody took the newest slot
    /// away, and writing another would hide that.
    fn is_whole(&self, key: &HeaderKey) -> bool {
        self.intact && self.older.as_ref().is_none_or(|older| older.is_authentic(key))
    }
}

/// Writes the next header of an object that nobody has open, if its key is still `asked`.
/// `excused`: power was lost while it was written, so its slots need not follow each other.
/// `Ok(false)`: it has another header by now.
///
/// # Crash
/// One slot is written, in one sector; the header has the one wrapping or the other. A stop right
/// after it leaves the lower modification time of this moment.
pub fn write_closed(
    io: &dyn FileIo,
    asked: &WrappedKey,
    new: Resealed,
    excused: bool,
) -> Result<bool, Trouble> {
    let Some(found) = Found::read(io)? else { return Ok(false) };
    if found.wrapped() != asked {
        return Ok(false);
    }
    let key = HeaderKey::tag_only(new.tag_key);
    if !(found.is_whole(&key) || excused) {
        return Err(Trouble::Damaged("a pair of header slots"));
    }
    let header = &found.header;
    if header.kind() == Kind::Directory {
        let body = header.rewrapped(&key, new.wrapped, None);
        let body = body.map_err(|_| Trouble::Damaged("a directory's header"))?;
        io.write_at(&[IoSlice::new(&body)], slot_offset(header.generation() + 1))?;
        return Ok(true);
    }
    let st = io.stat()?;
    let plain = shown_mtime(st.mtime, header.mtime());
    let body = header.rewrapped(&key, new.wrapped, Some(plain));
    let body = body.map_err(|_| Trouble::Damaged("a file's header"))?;
    let pin = Pinned::new(io.fd());
    let caps = if st.mode & 0o111 != 0 { pin.xattr(CAPABILITY).ok() } else { None };
    io.write_at(&[IoSlice::new(&body)], slot_offset(header.generation() + 1))?;
    if let Some(caps) = caps {
        pin.set_xattr(CAPABILITY, &caps, XattrFlags::empty())?;
    }
    let (sec, nsec) = marked_time(&st);
    io.set_mtime(sec, nsec)?;
    Ok(true)
}

/// Replaces a volume's descriptor; `own` is its `.kmsfs`.
///
/// # Crash
/// The old one or the new one is there, whole.
pub fn replace_descriptor(own: &Dir, page: &[u8; DESCRIPTOR_LEN]) -> Result<(), Trouble> {
    Ok(super::descriptor::put(own, page)?)
}

/// A lower time that stands for the one in the header, later than the one before. F-43.
pub(super) fn marked_time(st: &LowerStat) -> (i64, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    (now.max(st.mtime.0.saturating_add(1)), MTIME_MARK)
}

impl Volume {
    /// Begins to collect what moves, after everybody is done who was given a wrapped key before.
    pub fn walk_begins(&self) {
        self.walked.begin();
        self.grace.wait();
    }

    /// What has moved since. At the end of a walk, whoever had begun to move something is waited
    /// for; if nothing has moved then, the walk is over.
    pub fn walk_moved(&self, end: bool) -> Moved {
        if end {
            self.grace.wait();
        }
        self.walked.take(end)
    }

    /// The root directory below, for a walk.
    pub fn walk_root(&self) -> Result<Dir, LowerError> {
        self.root.open_dir(b".")
    }

    /// The directory `.kmsfs`.
    pub fn own_dir(&self) -> &Dir {
        &self.kmsfs
    }

    /// Makes durable what is below: what a walk found counts only then.
    pub fn sync_below(&self) -> Result<(), LowerError> {
        rustix::fs::syncfs(self.root.open_for_reading()?.fd())
    }

    /// Requests for the data of open files so far: whether somebody is at work.
    pub fn activity(&self) -> u64 {
        self.handles.uses()
    }

    /// The key of an open file whose header is not below yet.
    pub fn sealed_in_memory(&self, lower_ino: u64) -> Option<Sealed> {
        let inode = self.inodes.get(self.inodes.number(lower_ino))?;
        let open = inode.file.lock();
        let identity = open.state.as_ref()?.identity();
        let context = self.file_context(identity.id);
        let wrapped = WrappedKey::clone(&identity.wrapped.load());
        Some(Sealed { wrapped, context, suite: identity.suite })
    }

    /// Re-wraps a file, open or not, if its key is still `asked`. `Ok(false)`: it is not.
    pub fn reseal_file(
        &self,
        file: LowerFile,
        asked: &WrappedKey,
        new: Resealed,
    ) -> Result<bool, Trouble> {
        // Known from here on: whoever opens it now waits for the lock below.
        let inode = self.inodes.intern_nameless(&file.stat()?);
        let done = {
            let open = inode.file.lock();
            match &open.state {
                Some(state) => state.reseal(asked, new).map_err(|e| match e {
                    FileError::Lower(e) => Trouble::Lower(e),
                    FileError::ReadOnly => Trouble::Lower(LowerError::ROFS),
                    _ => Trouble::Damaged("the header of an open file"),
                }),
                None => {
                    let excused = self.sessions.any_lost_power() && {
                        let session = Found::read(&file)?.map(|found| found.session());
                        session.is_some_and(|s| {
                            self.sessions.ended(s) == super::session::Ended::PowerLost
                        })
                    };
                    let io = self.io(file);
                    write_closed(io.as_ref(), asked, new, excused)
                }
            }
        };
        self.inodes.forget(inode.ino, 1);
        done
    }

    /// Re-wraps the header of a directory, if its key is still `asked`. `Ok(false)`: it is not.
    pub fn reseal_dir(
        &self,
        dir: &Dir,
        asked: &WrappedKey,
        new: Resealed,
    ) -> Result<bool, Trouble> {
        let inode = self.inodes.intern_nameless(&dir.stat_self()?);
        let done = self.reseal_dir_of(&inode, dir, asked, new);
        self.inodes.forget(inode.ino, 1);
        done
    }

    fn reseal_dir_of(
        &self,
        inode: &super::inode::Inode,
        dir: &Dir,
        asked: &WrappedKey,
        new: Resealed,
    ) -> Result<bool, Trouble> {
        let state = inode.dir.lock();
        let (file, writable) = dir.open_file(DIR_HEADER.as_bytes(), true)?;
        if !writable {
            return Err(Trouble::Lower(LowerError::ROFS));
        }
        let excused = self.sessions.any_stopped() && self.sessions.excuses(file.stat()?.ctime.0);
        let wrapped = new.wrapped.clone();
        let done = write_closed(self.io(file).as_ref(), asked, new, excused)?;
        if done && let Some(state) = state.as_ref() {
            state.was_rewrapped(wrapped);
        }
        Ok(done)
    }

    /// The volume key as the descriptor has it.
    pub fn sealed_descriptor(&self) -> Sealed {
        let wrapped = self.descriptor.lock().wrapped.clone();
        let context = KeyContext { volume: self.id, purpose: Purpose::Volume };
        Sealed { wrapped, context, suite: self.suite }
    }

    /// Re-wraps the descriptor, if its key is still `asked`. `Ok(false)`: it is not.
    ///
    /// # Crash
    /// The old one or the new one is there, whole.
    pub fn reseal_descriptor(&self, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        let mut descriptor = self.descriptor.lock();
        if descriptor.wrapped != *asked {
            return Ok(false);
        }
        let mut next = descriptor.clone();
        next.wrapped = new.wrapped;
        next.generation += 1;
        super::descriptor::replace(&self.kmsfs, &next, &self.volume_keys).map_err(|e| match e {
            super::VolumeError::Lower(e) => Trouble::Lower(e),
            _ => Trouble::Damaged("the volume descriptor"),
        })?;
        *descriptor = next;
        Ok(true)
    }
}
