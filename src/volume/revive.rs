//! Inodes that the kernel asks for by number, having forgotten them: open_by_handle_at(2).
//!
//! The lower filesystem finds them by the same number, if it can ([`open_number`]). Numbers can be
//! made up, so whatever is found has to show that it is of this volume: a directory by the way up
//! from it to the root, at each step of which its link tag is checked; a file by its header, for which
//! the caller needs the right to read it.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};

use crate::format::{DIR_HEADER_LEN, Slots};
use crate::lower::{Dir, FileIo, LowerError, Pinned, open_number};
use crate::sync::Arc;

use super::Volume;
use super::inode::{Alias, Inode, MAX_ALIASES};
use super::keys::Caller;
use super::types::{Entry, Errno, FileKind, Ino, ReqCtx};

/// Directories on the way up, at most: each takes room on the stack of a queue's thread.
const MAX_DEPTH: usize = 256;

impl Volume {
    /// The inode of that number, and counts one reference for the kernel.
    ///
    /// # Errors
    /// ESTALE: there is none, it is of no volume or another one, or the lower filesystem cannot
    /// find inodes by number and it is not remembered.
    pub(super) fn revive(&self, cx: &ReqCtx, ino: Ino) -> Result<Entry, Errno> {
        self.revived(self.caller(cx), ino, 0).map_err(|e| match e {
            // These speak of the way that was tried.
            Errno::ENOENT | Errno::EOPNOTSUPP | Errno(libc::EPERM | libc::ENODATA) => Errno::ESTALE,
            other => other,
        })
    }

    /// The directory that a directory is in.
    pub(super) fn revive_parent(&self, cx: &ReqCtx, ino: Ino) -> Result<Entry, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        match inode.alias() {
            _ if ino == Ino::ROOT => self.revive(cx, ino),
            Some(alias) => self.revive(cx, alias.parent),
            None => Err(Errno::ESTALE),
        }
    }

    fn revived(&self, caller: Caller, ino: Ino, depth: usize) -> Result<Entry, Errno> {
        if let Some(inode) = self.inodes.get(ino) {
            self.hold(&inode);
            let attr = self.attr(&inode)?;
            self.inodes.again(&inode);
            return Ok(Entry { attr, generation: inode.generation.into() });
        }
        if depth > MAX_DEPTH {
            return Err(Errno::ESTALE);
        }
        let lower = self.inodes.lower_number(ino);
        let pin = open_number(&self.root, lower)?;
        let st = Pinned::new(pin.as_fd()).stat()?;
        if st.ino != lower || st.dev != self.root.stat_self()?.dev || st.nlink == 0 {
            return Err(Errno::ESTALE);
        }
        match super::shown::kind_of(st.file_type()) {
            FileKind::Directory => self.revive_dir(caller, &Dir::new(pin), lower, depth),
            FileKind::Regular => self.revive_file(caller, pin),
            // Nothing in them says whose they are.
            _ => Err(Errno::ESTALE),
        }
    }

    /// Keeps a file reachable that is asked for by number while it is remembered under a name: the
    /// kernel may forget the directory that the name is in before it forgets the file. Where the
    /// lower filesystem cannot, it is left with its name.
    fn hold(&self, inode: &Arc<Inode>) {
        if inode.kind != FileKind::Regular || inode.pinned().is_some() {
            return;
        }
        let Ok(pin) = open_number(&self.root, inode.lower_ino()) else { return };
        let same = Pinned::new(pin.as_fd()).stat().is_ok_and(|st| {
            st.ino == inode.lower_ino() && st.generation() == inode.generation && st.nlink > 0
        });
        if same {
            *inode.pin.lock() = Some(Arc::new(pin));
        }
    }

    /// A directory gets the name that it has in the one above, which comes back first.
    fn revive_dir(
        &self,
        caller: Caller,
        dir: &Dir,
        lower: u64,
        depth: usize,
    ) -> Result<Entry, Errno> {
        let above = dir.parent()?;
        let up = above.stat_self()?;
        if up.ino == lower {
            return Err(Errno::ESTALE);
        }
        let parent = self.inodes.number(up.ino);
        self.revived(caller, parent, depth + 1)?;
        let found = self.revive_below(&above, parent, lower);
        self.inodes.forget(parent, 1);
        found
    }

    fn revive_below(&self, above: &Dir, parent: Ino, lower: u64) -> Result<Entry, Errno> {
        let mut name = None;
        above.open_for_reading()?.read(0, |entry| {
            if entry.ino == lower && !matches!(entry.name, b"." | b"..") {
                name = Some(entry.name.to_vec());
            }
            Ok::<_, LowerError>(name.is_none())
        })?;
        let name = name.ok_or(Errno::ESTALE)?;
        let (_, fd) = self.dir_and_fd(parent)?;
        let entry = self.entry_of(parent, &fd, &name)?;
        let inode = self.inodes.get(entry.attr.ino).ok_or(Errno::ESTALE)?;
        // Its header and its link tag; and it is known from here on.
        if inode.lower_ino() == lower && self.dir(&inode).is_ok() {
            return Ok(entry);
        }
        self.inodes.forget(entry.attr.ino, 1);
        Err(Errno::ESTALE)
    }

    /// A file has no way up. It is held as a reference until somebody finds it by name.
    fn revive_file(&self, caller: Caller, pin: OwnedFd) -> Result<Entry, Errno> {
        let pinned = Pinned::new(pin.as_fd());
        let st = pinned.stat()?;
        let inode = self.inodes.intern_nameless(&st);
        let ours =
            if inode.alias().is_some() { Ok(()) } else { self.is_ours(&inode, caller, &pin) };
        if let Err(e) = ours {
            self.inodes.forget(inode.ino, 1);
            return Err(e);
        }
        let attr = self.attr(&inode)?;
        Ok(Entry { attr, generation: inode.generation.into() })
    }

    /// Checks that a file's header is of this volume, and keeps the file reachable.
    fn is_ours(&self, inode: &Arc<Inode>, caller: Caller, pin: &OwnedFd) -> Result<(), Errno> {
        let mut head = [0u8; DIR_HEADER_LEN];
        let (file, _) = Pinned::new(pin.as_fd()).reopen(false)?;
        file.read_at(&mut [IoSliceMut::new(&mut head)], 0)?;
        let Slots::Newest { header, .. } = Slots::of(&head) else { return Err(Errno::ESTALE) };
        match self.unwrap_header(inode, *header, caller) {
            Ok(_) => {}
            Err(Errno::EIO) => return Err(Errno::ESTALE),
            Err(e) => return Err(e),
        }
        let pin = pin.try_clone().map_err(|_| Errno(libc::EMFILE))?;
        *inode.pin.lock() = Some(Arc::new(pin));
        Ok(())
    }

    /// Looks for other names of an inode, in the directory where it has just lost the last one that
    /// is known: it had more than are remembered, and the kernel, which knows them all, goes on
    /// using it. `false`: none was found.
    pub(super) fn find_again(&self, inode: &Arc<Inode>, parent: Ino) -> bool {
        if !inode.is_crowded() || inode.kind == FileKind::Directory {
            return false;
        }
        let _moving = inode.place.write();
        let mut found = 0;
        let looked = self.dir_and_fd(parent).and_then(|(_, fd)| {
            fd.open_for_reading()?.read(0, |entry| {
                if entry.ino == inode.lower_ino()
                    && fd.stat(entry.name).is_ok_and(|st| st.ino == entry.ino)
                {
                    inode.seen_as(Alias { parent, lower: entry.name.into() });
                    found += 1;
                }
                Ok::<_, LowerError>(found < MAX_ALIASES)
            })?;
            Ok(())
        });
        if let Err(error) = looked {
            tracing::warn!(inode = inode.ino.0, errno = error.0, "its other names were not found");
        }
        found > 0
    }

    /// The generation of an inode that the kernel remembers.
    pub fn generation(&self, ino: Ino) -> u32 {
        self.inodes.get(ino).map_or(0, |inode| inode.generation)
    }
}
