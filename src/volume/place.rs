//! Where in the volume an object is, for policies that ask (`kmsfs:Path`).
//!
//! A path is put together from names that were decrypted under the keys of the directories that
//! they are in, and from nothing that a user says. Whatever has no path of its own has none here: a
//! file without a name, or with more than one.

use crate::format::WrappedKey;
use crate::sync::Arc;

use super::Volume;
use super::inode::Inode;
use super::keys::{Caller, DataKey, FreshFor, FreshKey, KeyContext, KeyError};
use super::readdir::open_name;
use super::types::{Errno, FileKind, Ino};

/// Directories on the way to an object, at most.
const MAX_DEPTH: usize = 4096;

/// Whose path is in question.
#[derive(Clone, Copy)]
pub(super) enum Spot<'a> {
    /// An object that is there.
    At(&'a Arc<Inode>),
    /// A name that is there or will be, in a directory.
    Named(Ino, &'a [u8]),
}

impl Volume {
    /// Asks without telling where the object is, and tells it if that is wanted. Gives whether it
    /// was.
    fn telling<T>(
        &self,
        spot: Spot<'_>,
        plainly: impl FnOnce() -> Result<T, KeyError>,
        told: impl FnOnce(Option<&str>) -> Result<T, KeyError>,
    ) -> Result<(T, bool), Errno> {
        match plainly() {
            Err(KeyError::PathWanted) => {}
            other => return Ok((other?, false)),
        }
        let path = self.path(spot)?;
        Ok((told(path.as_deref())?, true))
    }

    /// Asks whether `caller` may use a key for what is at `spot`. Gives whether it was asked where
    /// that is.
    pub(super) fn may_use(
        &self,
        spot: Spot<'_>,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<bool, Errno> {
        let plainly = || self.keys.authorize(caller, wrapped, context);
        let told = |path: Option<&str>| self.keys.authorize_at(caller, wrapped, context, path);
        self.telling(spot, plainly, told).map(|((), asked)| asked)
    }

    /// Asks for the key of what is at `spot`.
    pub(super) fn key_of(
        &self,
        spot: Spot<'_>,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<DataKey, Errno> {
        let plainly = || self.keys.unwrap(caller, wrapped, context);
        let told = |path: Option<&str>| self.keys.unwrap_at(caller, wrapped, context, path);
        self.telling(spot, plainly, told).map(|(key, _)| key)
    }

    /// Has a key made for what will be at `spot`.
    pub(super) fn new_key(
        &self,
        spot: Option<Spot<'_>>,
        caller: Caller,
        cmk: &str,
        what: FreshFor,
    ) -> Result<FreshKey, Errno> {
        match (self.keys.generate(caller, cmk, self.id, what), spot) {
            (Err(KeyError::PathWanted), None) => {
                Ok(self.keys.generate_at(caller, cmk, self.id, what, None)?)
            }
            (Err(KeyError::PathWanted), Some(spot)) => {
                let path = self.path(spot)?;
                Ok(self.keys.generate_at(caller, cmk, self.id, what, path.as_deref())?)
            }
            (other, _) => Ok(other?),
        }
    }

    /// Path of what is at `spot`, `None` if it has none or more than one. Bytes that are no UTF-8
    /// become U+FFFD.
    ///
    /// # Errors
    /// Denied: it is too deep. Nobody gets past a policy by digging.
    fn path(&self, spot: Spot<'_>) -> Result<Option<String>, KeyError> {
        let names = self.names(spot)?;
        Ok(names.map(|names| {
            let mut path = String::new();
            for name in names.iter().rev() {
                path.push('/');
                path.push_str(&String::from_utf8_lossy(name));
            }
            if path.is_empty() { "/".to_owned() } else { path }
        }))
    }

    /// The names on the way, the last one first.
    fn names(&self, spot: Spot<'_>) -> Result<Option<Vec<Vec<u8>>>, KeyError> {
        let mut names = Vec::new();
        let mut at = match spot {
            Spot::Named(parent, name) => {
                names.push(name.to_vec());
                parent
            }
            Spot::At(inode) if inode.ino == Ino::ROOT => Ino::ROOT,
            Spot::At(inode) => match self.one_name(inode) {
                Some((name, parent)) => {
                    names.push(name);
                    parent
                }
                None => return Ok(None),
            },
        };
        while at != Ino::ROOT {
            if names.len() > MAX_DEPTH {
                return Err(KeyError::Denied);
            }
            match self.inodes.get(at).and_then(|inode| self.one_name(&inode)) {
                Some((name, parent)) => {
                    names.push(name);
                    at = parent;
                }
                None => return Ok(None),
            }
        }
        Ok(Some(names))
    }

    /// The name of an object that has one, and the directory that it is in.
    fn one_name(&self, inode: &Arc<Inode>) -> Option<(Vec<u8>, Ino)> {
        let alias = inode.alias()?;
        let (state, fd) = self.dir_and_fd(alias.parent).ok()?;
        if inode.kind != FileKind::Directory {
            let st = fd.stat(&alias.lower).ok()?;
            if st.ino != inode.lower_ino() || st.nlink != 1 {
                return None;
            }
        }
        Some((open_name(&state, &fd, &alias.lower)?, alias.parent))
    }
}
