//! Headers: saying that a writer is at work, and that it is done.

use std::io::IoSlice;

use crate::format::{
    BLOCK, DIR_HEADER_LEN, Header, Kind, PageNo, PlainLen, SLOT, SLOT_BODY, WrappedKey, cipher_len,
    slot_offset,
};
use crate::sync::Arc;

use crate::lower::{FileIo, LowerError};

use super::super::options::CrashSafety;
use super::pages::Pages;
use super::state::{FileEnv, FileError, FileState, Found, Meta, OnDisk};

/// How far [`FileState::settle`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::volume) enum Settle {
    /// The size below is the size above; the header may go on saying that a writer is at work.
    Size,
    /// The tree too, and the header says clean.
    Clean,
}

impl FileState {
    /// To be called before anything of an open file changes below.
    ///
    /// # Crash
    /// From here on the header says "a writer of this session is at work" until it is settled.
    /// In a file that another session closed this must reach the disk before any entry does, or
    /// power loss would leave a clean header over entries that it does not know; hence the sync,
    /// once per file and session.
    pub(super) fn begin_change(&self, env: &FileEnv, meta: &mut Meta) -> Result<(), FileError> {
        if !self.writable {
            return Err(FileError::ReadOnly);
        }
        if meta.stuck {
            return Err(FileError::Lower(LowerError::IO));
        }
        if meta.found == Found::Relaxed {
            self.recover(env, meta)?;
        }
        if meta.on_disk == OnDisk::Clean {
            let durable = env.crash == CrashSafety::Power && meta.session != env.session;
            // The size in the header is what it was; what is pending stays pending.
            self.write_header(env, meta, false, [0; 16], durable)?;
        }
        Ok(())
    }

    /// Brings header and length up to date. Does nothing when there is nothing to say.
    ///
    /// # Crash
    /// Length, then nodes, then header: a stop in between leaves a header that says that a
    /// writer was at work, whose size wins.
    pub fn settle(&self, env: &FileEnv, how: Settle) -> Result<(), FileError> {
        let mut meta = self.meta.write();
        if !self.writable {
            return Ok(());
        }
        if meta.stuck {
            return Err(FileError::Lower(LowerError::IO));
        }
        self.let_go(&mut meta)?;
        let clean = how == Settle::Clean && meta.tree_valid;
        let pending = meta.size_stale || meta.len_stale || meta.on_disk == OnDisk::Fresh;
        let unclean = clean && meta.on_disk == OnDisk::Dirty;
        if meta.found == Found::Relaxed || !(pending || unclean) {
            return self.restore_attributes(&meta);
        }
        if meta.len_stale {
            let len = cipher_len(PlainLen(meta.size)).ok_or(FileError::TooBig)?;
            self.io.set_len(len.0)?;
            meta.len_stale = false;
        }
        let root = if clean {
            let mut pages = self.pages.lock();
            self.write_tree(&meta, &mut pages)?
        } else {
            [0; 16]
        };
        self.write_header(env, &mut meta, clean, root, false)?;
        if clean {
            meta.touched = false;
        }
        self.restore_attributes(&meta)
    }

    /// Our own writes moved the lower modification time, and took away capabilities; this puts
    /// back what the user may see.
    fn restore_attributes(&self, meta: &Meta) -> Result<(), FileError> {
        self.io.restore_caps()?;
        // A header that was re-wrapped goes on looking new to backups.
        let wanted = match (meta.mtime, meta.mark) {
            (Some(time), Some(mark)) if time == mark.plain => Some(mark.lower),
            (None, Some(mark)) => Some(mark.lower),
            (time, _) => time,
        };
        if let Some((sec, nsec)) = wanted
            && self.writable
        {
            self.io.set_mtime(sec, nsec)?;
        }
        Ok(())
    }

    /// Makes the file durable: its data, its header with the size, and with `all` its times.
    ///
    /// # Crash
    /// Where power loss counts, a size that grew is told only after the data behind it is down:
    /// else it could be found with zeros that nobody wrote.
    pub fn sync(&self, env: &FileEnv, all: bool) -> Result<(), FileError> {
        if self.writable && env.crash == CrashSafety::Power {
            let mut meta = self.meta.write();
            self.let_go(&mut meta)?;
            if meta.size_stale && meta.size > 0 {
                self.io.sync(false)?;
                meta.in_flight.clear();
            }
        }
        self.settle(env, Settle::Size)?;
        let mut meta = self.meta.write();
        self.io.sync(all)?;
        meta.in_flight.clear();
        meta.cut_unsynced = false;
        Ok(())
    }

    /// Writes the next generation of the header into the slot that holds the one before last.
    /// A file without a header gets its whole first page.
    pub(super) fn write_header(
        &self,
        env: &FileEnv,
        meta: &mut Meta,
        clean: bool,
        root: [u8; 16],
        durable: bool,
    ) -> Result<(), FileError> {
        let header = self.next_header(env, meta, clean, root);
        let body: [u8; SLOT_BODY] = self.encode(&header)?;
        if meta.on_disk == OnDisk::Fresh {
            let head = head(meta, &body);
            let pages = self.pages.lock();
            self.io.write_at(&[IoSlice::new(&head), first_entries(&pages)?], 0)?;
        } else if durable {
            self.io.write_durable_at(&[IoSlice::new(&body)], slot_offset(header.generation))?;
        } else {
            self.io.write_at(&[IoSlice::new(&body)], slot_offset(header.generation))?;
        }
        meta.header_is_down(&header);
        meta.size_stale = false;
        Ok(())
    }

    /// The header of a file that has none yet and what its first page begins with, for whoever
    /// brings that down together with the first data: it says that a writer is at work, and has the
    /// size from before.
    pub(super) fn head_of_writer(
        &self,
        env: &FileEnv,
        meta: &Meta,
    ) -> Result<(Header, Head), FileError> {
        let header = self.next_header(env, meta, false, [0; 16]);
        let head = head(meta, &self.encode(&header)?);
        Ok((header, head))
    }

    fn next_header(&self, env: &FileEnv, meta: &Meta, clean: bool, root: [u8; 16]) -> Header {
        Header {
            kind: Kind::File,
            suite: self.identity.suite,
            clean,
            multi_link: meta.multi_link,
            generation: meta.generation + 1,
            session: env.session,
            id: self.identity.id,
            size: meta.size,
            root: if clean { root } else { [0; 16] },
            writes: meta.writes,
            wrapped: WrappedKey::clone(&self.identity.wrapped.load()),
            mtime: meta.mark.map(|mark| mark.plain),
        }
    }

    fn encode(&self, header: &Header) -> Result<[u8; SLOT_BODY], FileError> {
        header
            .encode(self.keys.load().header())
            .map_err(|_| FileError::Tampered("the header to be written"))
    }

    /// Puts the same data key under another CMK: `wrapped` is it, sealed there.
    ///
    /// # Crash
    /// One slot is written: the header has the one key or the other.
    pub fn rewrap(&self, env: &FileEnv, wrapped: WrappedKey) -> Result<(), FileError> {
        {
            let mut meta = self.meta.write();
            self.begin_change(env, &mut meta)?;
            self.identity.wrapped.store(Arc::new(wrapped));
            meta.size_stale = true;
        }
        self.settle(env, Settle::Clean)
    }

    /// Notes in the header that the file has more names than it has room for link tags.
    pub fn set_multi_link(&self, env: &FileEnv) -> Result<(), FileError> {
        {
            let mut meta = self.meta.write();
            if meta.multi_link {
                return Ok(());
            }
            self.begin_change(env, &mut meta)?;
            meta.multi_link = true;
            meta.size_stale = true;
        }
        self.settle(env, Settle::Clean)
    }
}

/// What the first page of a file begins with: both slots of the header.
pub(super) type Head = [u8; DIR_HEADER_LEN];

/// That of a file without a first page: `body` in slot A, and the link tags.
fn head(meta: &Meta, body: &[u8; SLOT_BODY]) -> Head {
    let mut head = [0; DIR_HEADER_LEN];
    let (slot_a, slot_b) = head.split_at_mut(SLOT);
    let (a_body, a_tag) = slot_a.split_at_mut(SLOT_BODY);
    a_body.copy_from_slice(body);
    let [tag_a, tag_b] = meta.link_tags;
    a_tag.copy_from_slice(&tag_a);
    slot_b.split_at_mut(SLOT_BODY).1.copy_from_slice(&tag_b);
    head
}

/// What fills the rest of it: the first entries.
pub(super) fn first_entries(pages: &Pages) -> Result<IoSlice<'_>, FileError> {
    // Fewer would bring what follows to the wrong place.
    let entries = pages.get(PageNo(0)).filter(|page| page.len() == BLOCK - DIR_HEADER_LEN);
    entries.map(IoSlice::new).ok_or(FileError::Lower(LowerError::IO))
}
