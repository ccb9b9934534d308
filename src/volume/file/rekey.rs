//! An open file under another data key, while it is used.
//!
//! Its content is sealed anew into a second lower file, a copy that is whole in itself, page by
//! entry page and as often as it takes until little is left that changed meanwhile. Then, with
//! everybody else waiting, the rest follows, whoever keeps the copy makes it durable and puts its
//! bytes in place of the file's (see `redo`), and the key in memory becomes the new one. The
//! inode below stays, with all its names.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};

use crate::format::{
    BLOCK, BlockNo, DIR_HEADER_LEN, Entry, LINK_TAG_AT, PageNo, Seal, WrappedKey, blocks_of,
    entry_page_of, entry_slot,
};
use crate::lower::{FileIo, LowerError};
use crate::sync::Arc;

use super::super::options::CrashSafety;
use super::super::reseal::marked_time;
use super::super::types::Plain;
use super::holes::{Allocate, Whence};
use super::pages::page_len;
use super::settle::Settle;
use super::state::{FileEnv, FileError, FileState, Found, Mark, Meta, OnDisk};
use super::write::Stamp;

/// Of each entry page that was copied, what it said: a page that says the same now has the same
/// blocks, as no two seals are alike.
#[derive(Default)]
pub(in crate::volume) struct Copied {
    pages: HashMap<u64, [u8; 16]>,
}

/// How far the copy was kept when that failed.
#[derive(Debug)]
pub(in crate::volume) enum Kept {
    /// The file is as it was.
    Not(FileError),
    /// The copy is durable and the file is neither: the next mount puts the copy in its place.
    HalfWay(LowerError),
}

/// Something done while the file's state is held still.
type Step<'a> = dyn FnMut(&Meta) -> Result<(), FileError> + 'a;

impl FileState {
    /// Readies a file for being copied: one that a stopped writer left is put in order first, and
    /// one that has no header yet, by which it would be found again, gets it.
    pub fn before_copy(&self, env: &FileEnv) -> Result<(), FileError> {
        {
            let mut meta = self.meta.write();
            if !self.writable {
                return Err(FileError::ReadOnly);
            }
            if meta.found == Found::Relaxed {
                self.begin_change(env, &mut meta)?;
            }
        }
        self.settle(env, Settle::Size)
    }

    /// Copies the pages that changed since they were last copied, all of them at first, while
    /// others read and write. Gives the number of pages.
    pub fn copy_changed(
        &self,
        env: &FileEnv,
        to: &FileState,
        copied: &mut Copied,
    ) -> Result<u64, FileError> {
        self.pass(env, to, copied, &|work| work(&self.meta.read()))
    }

    /// Copies what is left, has `keep` put the copy in this file's place (it is given the lower
    /// files of the copy and of this one), and goes on under the copy's key.
    ///
    /// # Errors
    /// [`Kept::Not`]: nothing has changed. [`Kept::HalfWay`]: the file gives EIO from here on,
    /// and is whole again at the next mount.
    ///
    /// # Crash
    /// Until `keep` has made the copy durable the file is as it was; from then on what is below
    /// is made the copy at the next mount.
    pub fn become_copy(
        &self,
        env: &FileEnv,
        to: &FileState,
        copied: &mut Copied,
        keep: impl FnOnce(&dyn FileIo, &dyn FileIo) -> Result<(), Kept>,
    ) -> Result<(), Kept> {
        let _attributes = self.attributes.write();
        let mut meta = self.meta.write();
        self.finish_copy(env, &mut meta, to, copied).map_err(Kept::Not)?;
        if let Err(e) = keep(&to.io, &self.io) {
            meta.stuck = matches!(e, Kept::HalfWay(_));
            return Err(e);
        }
        self.keys.store(to.keys.load_full());
        self.identity.wrapped.store(to.identity.wrapped.load_full());
        let time = meta.mtime;
        std::mem::swap(&mut *meta, &mut *to.meta.write());
        meta.mtime = time;
        std::mem::swap(&mut *self.pages.lock(), &mut *to.pages.lock());
        Ok(())
    }

    /// Makes the copy whole: data, size, times, tags, and two headers that follow this file's.
    fn finish_copy(
        &self,
        env: &FileEnv,
        meta: &mut Meta,
        to: &FileState,
        copied: &mut Copied,
    ) -> Result<(), FileError> {
        if meta.stuck {
            return Err(FileError::Lower(LowerError::IO));
        }
        self.let_go(meta)?;
        let quiet: &Meta = meta;
        self.pass(env, to, copied, &|work| work(quiet))?;
        let quick = FileEnv { crash: CrashSafety::Process, ..*env };
        to.truncate(&quick, meta.size)?;
        let st = self.io.stat()?;
        let marked = meta.mark.filter(|mark| mark.lower == st.mtime).map(|mark| mark.plain);
        let plain = meta.mtime.or(marked).unwrap_or(st.mtime);
        let lower = marked_time(&st);
        {
            let mut new = to.meta.write();
            new.multi_link = meta.multi_link;
            new.mark = Some(Mark { plain, lower });
            if new.on_disk == OnDisk::Fresh {
                // The first one lies in the first slot whatever its number.
                to.write_header(&quick, &mut new, false, [0; 16], false)?;
            }
            new.generation = new.generation.max(meta.generation);
            to.write_header(&quick, &mut new, false, [0; 16], false)?;
        }
        to.settle(&quick, Settle::Clean)?;
        let mut head = [0u8; DIR_HEADER_LEN];
        self.io.read_at(&mut [IoSliceMut::new(&mut head)], 0)?;
        for at in LINK_TAG_AT {
            let tag = head.get(at..at + 32).unwrap_or_default();
            to.io.write_at(&[IoSlice::new(tag)], at as u64)?;
        }
        to.io.set_mtime(lower.0, lower.1)?;
        if env.crash == CrashSafety::Power { Ok(to.io.sync(true)?) } else { Ok(()) }
    }

    /// Goes through the data once; `under` runs a step with the file's state held still.
    fn pass(
        &self,
        env: &FileEnv,
        to: &FileState,
        copied: &mut Copied,
        under: &dyn Fn(&mut Step<'_>) -> Result<(), FileError>,
    ) -> Result<u64, FileError> {
        let mut before = std::mem::take(&mut copied.pages);
        let (mut at, mut count) = (Some(0), 0);
        while let Some(offset) = at.take() {
            under(&mut |meta| {
                let Some(data) = self.seek_in(meta, offset, Whence::Data)? else { return Ok(()) };
                let k = entry_page_of(BlockNo(data / BLOCK as u64));
                let known = before.remove(&k.0);
                let now = self.copy_page(env, meta, to, k, known)?;
                count += u64::from(known != Some(now));
                copied.pages.insert(k.0, now);
                at = Some(blocks_of(k).end * BLOCK as u64);
                Ok(())
            })?;
        }
        // What had data and has none any more.
        for (k, known) in before {
            under(&mut |meta| self.copy_page(env, meta, to, PageNo(k), Some(known)).map(|_| ()))?;
            count += 1;
        }
        Ok(count)
    }

    /// Copies the blocks of one entry page, unless it says what it said when it was `known`.
    fn copy_page(
        &self,
        env: &FileEnv,
        meta: &Meta,
        to: &FileState,
        k: PageNo,
        known: Option<[u8; 16]>,
    ) -> Result<[u8; 16], FileError> {
        let blocks = blocks_of(k);
        let end = blocks.end.min(meta.size.div_ceil(BLOCK as u64)).max(blocks.start);
        let entries = self.entries(meta, blocks.start..end)?;
        let mut page = vec![0; page_len(k)];
        for (b, entry) in (blocks.start..).zip(&entries) {
            Entry { cur: entry.cur, prev: Seal::HOLE }.write(&mut page, entry_slot(BlockNo(b)));
        }
        let now = self.keys.load().index().entry_page_mac(k, &page);
        if known == Some(now) {
            return Ok(now);
        }
        let env = FileEnv { crash: CrashSafety::Process, ..*env };
        let mut at = blocks.start;
        for run in entries.chunk_by(|a, b| a.cur.is_hole() == b.cur.is_hole()) {
            let from = at * BLOCK as u64;
            at += run.len() as u64;
            let end = (at * BLOCK as u64).min(meta.size);
            if !run.iter().all(|entry| entry.cur.is_hole()) {
                let mut plain =
                    zeroize::Zeroizing::new(vec![0; usize::try_from(end - from).unwrap_or(0)]);
                self.read_range(meta, from, &mut plain)?;
                to.write(&env, from, Plain::Lent(&plain), Stamp::Below)?;
            } else if known.is_some() {
                to.allocate(&env, from, end - from, Allocate::Punch)?;
            }
        }
        if known.is_some() && end < blocks.end {
            // Cut off meanwhile.
            let (from, stop) = (end * BLOCK as u64, blocks.end * BLOCK as u64);
            to.allocate(&env, from, stop - from, Allocate::Punch)?;
        }
        Ok(now)
    }

    /// The wrapped key that a copy is to have, if it was sealed again since it was made.
    pub fn rewrapped(&self, wrapped: WrappedKey) {
        self.identity.wrapped.store(Arc::new(wrapped));
    }
}
