//! Extended attributes.
//!
//! `user.*` is sealed, name and value, under the file's or directory's own key, so reading them
//! takes the right to the key. ACLs, capabilities and labels must be known to the lower
//! filesystem and to backup tools and pass through. `kmsfs.*` is made up on the fly and tells
//! what an object is sealed with.

use rustix::fs::XattrFlags;

use crate::format::{FileId, WrappedKey, XATTR_PREFIX, XattrKey};
use crate::sync::Arc;

use super::Volume;
use super::file::{CAPABILITY, FileState};
use super::inode::Inode;
use super::keys::{Operation, Purpose};
use super::place::Spot;
use super::types::{Errno, FileKind, Ino, ReqCtx};

/// Attributes that are made up on the fly.
const VIRTUAL: [&str; 6] = [
    "kmsfs.file-id",
    "kmsfs.key-id",
    "kmsfs.key-version",
    "kmsfs.suite",
    "kmsfs.volume-id",
    "kmsfs.lower-name",
];

/// The attribute through which the background work of a mount is spoken to.
const CONTROL: &[u8] = b"kmsfs.rewrap";

/// Setting it to `new` gives a file another data key.
const DATA_KEY: &[u8] = b"kmsfs.data-key";

/// What the virtual attributes tell of a file or directory.
pub(super) struct Seals {
    pub id: FileId,
    pub wrapped: WrappedKey,
}

impl Volume {
    /// getxattr(2).
    pub fn getxattr(&self, cx: &ReqCtx, ino: Ino, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        if name == CONTROL {
            let control = self.control.get().ok_or(Errno::ENODATA)?;
            return Ok(control.status().into_bytes());
        }
        if name.starts_with(b"kmsfs.") {
            return self.virtual_xattr(&inode, name);
        }
        named(name)?;
        if !name.starts_with(b"user.") {
            let open = |file: &Arc<FileState>| file.io().has_no_caps();
            if name == CAPABILITY && inode.file.lock().state.as_ref().is_some_and(open) {
                return Err(Errno::ENODATA);
            }
            return self.with_pinned(&inode, |pin| Ok(pin.xattr(name)?));
        }
        self.with_xattr_key(cx, &inode, Operation::Read, |key| {
            let lower = key.lower_name(name);
            let sealed = self.with_pinned(&inode, |pin| Ok(pin.xattr(lower.as_bytes())?))?;
            let (found, value) =
                key.open_xattr(lower.as_bytes(), &sealed).map_err(|_| self.bad_xattr(&inode))?;
            if found == name { Ok(value) } else { Err(self.bad_xattr(&inode)) }
        })
    }

    /// setxattr(2).
    pub fn setxattr(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        self.writable()?;
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        let flags = u32::try_from(flags).ok().and_then(XattrFlags::from_bits);
        let flags = flags.ok_or(Errno::EINVAL)?;
        if name == b"kmsfs.key-id" && inode.kind == FileKind::Directory {
            return self.set_default_key(cx, &inode, value);
        }
        if name == b"kmsfs.key-id" && inode.kind == FileKind::Regular {
            return self.set_file_key(cx, &inode, value);
        }
        if name == DATA_KEY {
            return if value == b"new" { self.rekey(cx, &inode) } else { Err(Errno::EINVAL) };
        }
        if name == CONTROL {
            if cx.uid != 0 && cx.uid != self.euid {
                return Err(Errno::EPERM);
            }
            let control = self.control.get().ok_or(Errno::EOPNOTSUPP)?;
            return control.command(std::str::from_utf8(value).map_err(|_| Errno::EINVAL)?);
        }
        if name.starts_with(b"kmsfs.") {
            return Err(Errno::EPERM);
        }
        named(name)?;
        if !name.starts_with(b"user.") {
            self.with_pinned(&inode, |pin| Ok(pin.set_xattr(name, value, flags)?))?;
            self.note_acl(&inode, name);
            note_caps(&inode, name, Some(value));
            return Ok(());
        }
        self.with_xattr_key(cx, &inode, Operation::Write, |key| {
            let (lower, sealed) = key.seal_xattr(name, value).map_err(|_| Errno::ERANGE)?;
            self.with_pinned(&inode, |pin| Ok(pin.set_xattr(lower.as_bytes(), &sealed, flags)?))
        })
    }

    /// listxattr(2): names, each with a NUL behind it. Whoever may not use the key sees only the
    /// names that are not sealed, and root alone those that are trusted.
    pub fn listxattr(&self, cx: &ReqCtx, ino: Ino) -> Result<Vec<u8>, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        let lower = self.with_pinned(&inode, |pin| Ok(pin.xattr_names()?))?;
        let (sealed, plain): (Vec<&[u8]>, Vec<&[u8]>) = lower
            .split(|&b| b == 0)
            .filter(|name| !name.is_empty())
            .partition(|name| name.starts_with(XATTR_PREFIX.as_bytes()));
        let mut out = Vec::new();
        for name in plain {
            // A plaintext user attribute below is nothing that we put there, and what is trusted is
            // not for everybody to see.
            let hidden = name.starts_with(b"trusted.") && cx.uid != 0;
            if !name.starts_with(b"user.") && !hidden {
                out.extend_from_slice(name);
                out.push(0);
            }
        }
        if sealed.is_empty() {
            return Ok(out);
        }
        let names = self.with_xattr_key(cx, &inode, Operation::Read, |key| {
            let mut names = Vec::new();
            for lower in sealed {
                let value = match self.with_pinned(&inode, |pin| Ok(pin.xattr(lower)?)) {
                    Err(e) if e == Errno::ENODATA => continue,
                    other => other?,
                };
                let opened = key.open_xattr(lower, &value);
                let (name, _) = opened.map_err(|_| self.bad_xattr(&inode))?;
                names.extend_from_slice(&name);
                names.push(0);
            }
            Ok(names)
        });
        match names {
            Ok(names) => out.extend_from_slice(&names),
            Err(Errno::EACCES | Errno::ENOKEY) => {}
            Err(e) => return Err(e),
        }
        Ok(out)
    }

    /// removexattr(2).
    pub fn removexattr(&self, cx: &ReqCtx, ino: Ino, name: &[u8]) -> Result<(), Errno> {
        self.writable()?;
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        if name.starts_with(b"kmsfs.") {
            return Err(Errno::EPERM);
        }
        if !name.starts_with(b"user.") {
            self.with_pinned(&inode, |pin| Ok(pin.remove_xattr(name)?))?;
            self.note_acl(&inode, name);
            note_caps(&inode, name, None);
            return Ok(());
        }
        self.with_xattr_key(cx, &inode, Operation::Write, |key| {
            let lower = key.lower_name(name);
            self.with_pinned(&inode, |pin| Ok(pin.remove_xattr(lower.as_bytes())?))
        })
    }

    fn note_acl(&self, inode: &Arc<Inode>, name: &[u8]) {
        if name == b"system.posix_acl_default"
            && let Some(state) = inode.dir.lock().as_ref()
        {
            state.acl_changed();
        }
    }

    fn bad_xattr(&self, inode: &Arc<Inode>) -> Errno {
        self.tampered(Purpose::Volume, inode, "an extended attribute")
    }

    /// Runs `work` with the key that seals an object's attributes.
    fn with_xattr_key<T>(
        &self,
        cx: &ReqCtx,
        inode: &Arc<Inode>,
        operation: Operation,
        work: impl FnOnce(&XattrKey) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match inode.kind {
            FileKind::Regular => self
                .with_file(inode, self.caller(cx).to(operation), |file| file.with_attributes(work)),
            FileKind::Directory => {
                let state = self.dir(inode)?;
                self.judge_dir(&state, self.caller(cx).to(operation), Spot::At(inode))?;
                work(state.keys.xattr())
            }
            _ => Err(Errno::EPERM),
        }
    }

    fn virtual_xattr(&self, inode: &Arc<Inode>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if !VIRTUAL.iter().any(|known| known.as_bytes() == name) {
            return Err(Errno::ENODATA);
        }
        if name == b"kmsfs.volume-id" {
            return Ok(self.id.to_string().into_bytes());
        }
        if name == b"kmsfs.lower-name" {
            return inode.alias().map(|a| a.lower.into_vec()).ok_or(Errno::ENODATA);
        }
        let seals = self.seals(inode)?;
        let text = match name {
            b"kmsfs.file-id" => seals.id.to_string(),
            b"kmsfs.key-id" => seals.wrapped.key_id,
            b"kmsfs.key-version" => seals.wrapped.version.to_string(),
            _ => self.suite.name().to_owned(),
        };
        Ok(text.into_bytes())
    }

    /// What an object is sealed with; needs no right to its key, so it is not verified with it.
    pub(super) fn seals(&self, inode: &Arc<Inode>) -> Result<Seals, Errno> {
        match inode.kind {
            FileKind::Directory => {
                let state = self.dir(inode)?;
                Ok(Seals { id: state.id(), wrapped: WrappedKey::clone(&state.wrapped()) })
            }
            FileKind::Regular => {
                let open = inode.file.lock().state.clone();
                if let Some(file) = open {
                    let identity = file.identity();
                    return Ok(Seals {
                        id: identity.id,
                        wrapped: WrappedKey::clone(&identity.wrapped.load()),
                    });
                }
                let header = self.peek_header(inode)?.ok_or(Errno::ENODATA)?;
                Ok(Seals { id: header.id(), wrapped: header.wrapped().clone() })
            }
            _ => Err(Errno::ENODATA),
        }
    }
}

/// What we write to an open file later must not take its capabilities away.
fn note_caps(inode: &Inode, name: &[u8], value: Option<&[u8]>) {
    if name == CAPABILITY
        && let Some(file) = inode.file.lock().state.as_ref()
    {
        file.io().caps_were_set(value);
    }
}

/// A name space alone is no name.
fn named(name: &[u8]) -> Result<(), Errno> {
    if name == b"user." { Err(Errno::EINVAL) } else { Ok(()) }
}
