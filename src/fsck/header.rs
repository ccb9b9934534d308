//! Headers of files and directories: slots, key, tag, and for which names.

use crate::format::{
    BLOCK, DIR_HEADER_LEN, DirKeys, FileId, FileKeys, Header, Kind, LINK_TAG_AT, Slots, link_tag,
};
use crate::volume::keys::{Caller, DataKey, KeyContext, KeyError, Purpose};

use super::report::Check;
use super::walk::Walk;

/// What a header turned out to be.
pub(super) enum Outcome<K> {
    /// It authenticates.
    Good(Box<Header>, K),
    /// There is none, or it is half written, and a stopped session explains that.
    Unfinished,
    /// Its key is not to be had.
    Unread,
    /// It is wrong; what, and by which check.
    Bad(Check, &'static str),
}

/// Where an object was found.
pub(super) struct Place<'a> {
    /// Keys of the directory; `None` for the root.
    pub parent: Option<&'a DirKeys>,
    /// Its lower name there.
    pub name: &'a [u8],
    /// A stopped session may have been at work on it.
    pub excused: bool,
}

impl Walk<'_> {
    /// Checks the header of a regular file, the first page of it.
    pub(super) fn file_header(&self, page0: &[u8], place: &Place<'_>) -> Outcome<FileKeys> {
        let found = self.header(page0, BLOCK, Kind::File, place, |key, h| {
            let keys = FileKeys::new(key, h.suite(), &h.id());
            let header = h.verify(keys.header()).ok()?;
            Some((header, keys))
        });
        if let Outcome::Good(header, _) = &found
            && !header.clean
        {
            let written = self.volume.stopped(header.session);
            return if written {
                Outcome::Unfinished
            } else {
                Outcome::Bad(Check::Header, "a writer's header without a writer")
            };
        }
        found
    }

    /// Checks the header of a directory.
    pub(super) fn dir_header(&self, bytes: &[u8], place: &Place<'_>) -> Outcome<DirKeys> {
        let found = self.header(bytes, DIR_HEADER_LEN, Kind::Directory, place, |key, h| {
            let keys = DirKeys::new(key, &h.id());
            let header = h.verify(keys.header()).ok()?;
            Some((header, keys))
        });
        match found {
            Outcome::Good(header, _) if place.parent.is_none() && header.id != self.root_id() => {
                Outcome::Bad(Check::Header, "not the volume's root directory")
            }
            other => other,
        }
    }

    fn header<K>(
        &self,
        bytes: &[u8],
        length: usize,
        kind: Kind,
        place: &Place<'_>,
        open: impl Fn(&DataKey, crate::format::UnverifiedHeader) -> Option<(Header, K)>,
    ) -> Outcome<K> {
        let bad = |what| Outcome::Bad(Check::Header, what);
        if bytes.iter().all(|&b| b == 0) {
            return if place.excused { Outcome::Unfinished } else { bad("there is no header") };
        }
        let (newest, older, intact) = match Slots::of(bytes) {
            Slots::Newest { header, older, intact } if bytes.len() >= length => {
                (header, older, intact)
            }
            _ if place.excused => return Outcome::Unfinished,
            _ => return bad("the header is damaged"),
        };
        if newest.kind() != kind {
            return bad("the header is of another kind of object");
        }
        let id = newest.id();
        let key = match self.unwrap(newest.wrapped(), kind, id) {
            Ok(key) => key,
            Err(KeyError::Corrupt) => return bad("the wrapped key does not authenticate"),
            Err(_) => return Outcome::Unread,
        };
        let Some((header, keys)) = open(&key, *newest) else {
            return bad("the header does not authenticate");
        };
        let stopped = self.volume.stopped(header.session);
        // Of a rewrapped header too: the data key is the same.
        let second = older.is_none_or(|older| open(&key, *older).is_some());
        let whole = intact && second;
        if !(whole || stopped || place.excused) {
            return bad("the slots of the header do not follow each other");
        }
        if !header.multi_link && !place.excused && !answers(bytes, place, &id) {
            return Outcome::Bad(Check::LinkTag, "this name was given to another object");
        }
        Outcome::Good(Box::new(header), keys)
    }

    fn unwrap(
        &self,
        wrapped: &crate::format::WrappedKey,
        kind: Kind,
        id: FileId,
    ) -> Result<DataKey, KeyError> {
        let (caller, purpose) = match kind {
            Kind::Directory => (Caller::Service, Purpose::Directory(id)),
            Kind::File => (self.options.caller, Purpose::File(id)),
        };
        let context = KeyContext { volume: self.volume.descriptor.id, purpose };
        self.keys.unwrap(caller, wrapped, &context)
    }

    fn root_id(&self) -> FileId {
        self.volume.descriptor.root
    }
}

/// Whether one of the link tags is for the name that the object was found under.
fn answers(bytes: &[u8], place: &Place<'_>, id: &FileId) -> bool {
    let Some(parent) = place.parent else { return true };
    let tag = link_tag(parent, place.name, id);
    LINK_TAG_AT.iter().any(|&at| bytes.get(at..at + tag.len()) == Some(tag.as_slice()))
}
