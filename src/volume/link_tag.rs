//! Link tags: which name an object answers to.
//!
//! A tag is written where a name is given, and only for an object that has the tag of the name
//! it goes by already (S-11): otherwise a rename would make good what somebody else exchanged
//! below. An object that a stopped session renamed without coming to its tag is the exception,
//! and is put right when it is next looked up.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;

use crate::crypto::same;
use crate::format::{DIR_HEADER, DIR_HEADER_LEN, LINK_TAG_AT, Slots, UnverifiedHeader};
use crate::lower::{Dir, FileIo, LowerStat, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::file::CAPABILITY;
use super::inode::{Alias, Inode};
use super::types::{Errno, FileKind, Ino};

/// No tag.
const NONE: [u8; 32] = [0; 32];

/// What becomes of an object's names.
#[derive(Clone, Copy, Debug)]
pub(super) enum NameChange<'a> {
    /// The present name becomes this one.
    To(&'a Alias),
    /// This one comes besides.
    Also(&'a Alias),
    /// The present name goes.
    Gone,
}

/// An object's header page, as far as tags are concerned.
struct Head {
    bytes: [u8; DIR_HEADER_LEN],
    header: Box<UnverifiedHeader>,
}

impl Head {
    /// `None` where there is no header to speak of.
    fn read(io: &dyn FileIo) -> Result<Option<Head>, Errno> {
        let mut bytes = [0u8; DIR_HEADER_LEN];
        let got = io.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
        match Slots::of(&bytes) {
            Slots::Newest { header, .. } if got == bytes.len() => Ok(Some(Head { bytes, header })),
            _ => Ok(None),
        }
    }

    fn place_of(&self, tag: &[u8; 32]) -> Option<usize> {
        let at = |at: &usize| self.bytes.get(*at..at + 32).is_some_and(|found| same(found, tag));
        LINK_TAG_AT.into_iter().find(at)
    }
}

impl Volume {
    /// Changes an object's link tag along with its name. `present` is the name that the object
    /// had when `excused` was asked, and `now` the one that it is reached by.
    ///
    /// `Ok(false)`: it has no room for another tag.
    pub(super) fn retag(
        &self,
        inode: &Arc<Inode>,
        present: &Alias,
        change: NameChange<'_>,
        now: &Alias,
        excused: bool,
    ) -> Result<bool, Errno> {
        let open = inode.file.lock();
        let lower;
        let io: &dyn FileIo = match &open.state {
            Some(file) => {
                if let NameChange::To(new) = change {
                    let tag = self.tag_for(new.parent, &new.lower, &file.identity().id)?;
                    if file.set_fresh_link_tag(tag) {
                        return Ok(true);
                    }
                }
                file.io()
            }
            None => {
                let (_, parent) = self.dir_and_fd(now.parent)?;
                let file = match inode.kind {
                    FileKind::Directory => {
                        parent.open_dir(&now.lower)?.open_file(DIR_HEADER.as_bytes(), true)?
                    }
                    _ => parent.open_file(&now.lower, true)?,
                };
                lower = self.io(file.0);
                lower.as_ref()
            }
        };
        let Some(head) = Head::read(io)? else { return Ok(true) };
        let id = head.header.id();
        let old_tag = self.tag_for(present.parent, &present.lower, &id)?;
        let Some(old_place) = head.place_of(&old_tag).or(excused.then_some(SLOT_A_TAG)) else {
            if !head.header.multi_link() {
                tracing::warn!(
                    inode = inode.ino.0,
                    "its link tag is not for its name; it gets no other"
                );
            }
            return Ok(true);
        };
        let (place, tag) = match change {
            NameChange::To(new) => (Some(old_place), self.tag_for(new.parent, &new.lower, &id)?),
            NameChange::Also(new) => {
                (head.place_of(&NONE), self.tag_for(new.parent, &new.lower, &id)?)
            }
            NameChange::Gone => (Some(old_place), NONE),
        };
        let Some(place) = place else { return Ok(false) };
        put(io, place, &tag)?;
        Ok(true)
    }

    /// Writes the tag of the first name that an object was given after it was made without one.
    /// It was pinned all the time, so that nobody can have put another in its place.
    pub(super) fn tag_first_name(&self, inode: &Arc<Inode>, new: &Alias) -> Result<(), Errno> {
        let open = inode.file.lock();
        let lower;
        let io: &dyn FileIo = match &open.state {
            Some(file) => file.io(),
            None => {
                let pin = inode.pinned().ok_or(Errno::ESTALE)?;
                lower = self.io(Pinned::new(pin.as_fd()).reopen(true)?.0);
                lower.as_ref()
            }
        };
        let Some(head) = Head::read(io)? else { return Ok(()) };
        let tag = self.tag_for(new.parent, &new.lower, &head.header.id())?;
        match head.place_of(&NONE) {
            Some(place) => put(io, place, &tag),
            None => Ok(()),
        }
    }

    /// Checks that one of the link tags in `head` is for the name that `inode` was last seen
    /// under.
    pub(super) fn check_link(
        &self,
        inode: &Arc<Inode>,
        id: &crate::format::FileId,
        head: &[u8],
    ) -> Result<(), Errno> {
        let Some(alias) = inode.alias() else { return Ok(()) };
        let expected = self.tag_for(alias.parent, &alias.lower, id)?;
        let found = LINK_TAG_AT
            .iter()
            .any(|&at| head.get(at..at + 32).is_some_and(|tag| same(tag, &expected)));
        if found { Ok(()) } else { Err(Errno::EIO) }
    }

    /// The link tag of object `id` under lower name `lower` in `parent`.
    pub(super) fn tag_for(
        &self,
        parent: Ino,
        lower: &[u8],
        id: &crate::format::FileId,
    ) -> Result<[u8; 32], Errno> {
        let parent = self.inodes.get(parent).ok_or(Errno::ESTALE)?;
        Ok(crate::format::link_tag(&self.dir(&parent)?.keys, lower, id))
    }

    /// Looks at a file whose change time lies in a stopped session, under the name it was found
    /// by: puts its link tag right while the excuse is still good, and tells the size that its
    /// header has. The lower length may be ahead of that or behind; opening verifies.
    pub(super) fn after_stop(&self, fd: &Dir, alias: &Alias) -> Option<u64> {
        let (file, _) = fd.open_file(&alias.lower, !self.read_only).ok()?;
        let io = self.io(file);
        let Some(head) = Head::read(io.as_ref()).ok()? else {
            let mut first = [0u8; DIR_HEADER_LEN];
            io.read_at(&mut [IoSliceMut::new(&mut first)], 0).ok()?;
            return first.iter().all(|&b| b == 0).then_some(0);
        };
        let tag = self.tag_for(alias.parent, &alias.lower, &head.header.id()).ok()?;
        if self.may_write() && head.place_of(&tag).is_none() {
            let place = head.place_of(&NONE).unwrap_or(SLOT_A_TAG);
            if let Err(e) = put(io.as_ref(), place, &tag) {
                tracing::warn!(error = ?e, "a link tag could not be put right");
            }
        }
        Some(head.header.size())
    }

    /// The same for a directory's header.
    pub(super) fn put_right(&self, lower: &Dir, inode: &Inode, id: &crate::format::FileId) {
        let put_right = || -> Result<(), Errno> {
            let Some(alias) = inode.alias() else { return Ok(()) };
            let tag = self.tag_for(alias.parent, &alias.lower, id)?;
            let (file, _) = lower.open_file(DIR_HEADER.as_bytes(), true)?;
            put(self.io(file).as_ref(), SLOT_A_TAG, &tag)
        };
        if let Err(e) = put_right() {
            tracing::warn!(inode = inode.ino.0, error = ?e, "a link tag could not be put right");
        }
    }
}

const SLOT_A_TAG: usize = LINK_TAG_AT[0];

/// Writes a tag; the lower modification time and the capabilities of a program stay.
fn put(io: &dyn FileIo, place: usize, tag: &[u8; 32]) -> Result<(), Errno> {
    let st: LowerStat = io.stat()?;
    let pin = Pinned::new(io.fd());
    let program = st.mode & 0o111 != 0;
    let caps = if program { pin.xattr(CAPABILITY).ok() } else { None };
    io.write_at(&[IoSlice::new(tag)], place as u64)?;
    if let Some(caps) = caps {
        pin.set_xattr(CAPABILITY, &caps, XattrFlags::empty())?;
    }
    Ok(io.set_mtime(st.mtime.0, st.mtime.1)?)
}
