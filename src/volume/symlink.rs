//! Symbolic links: the target is sealed under the volume key and bound to the link's name.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, RenameFlags};

use crate::format::{Binding, LINKS_DIR, SealedTarget, TARGET_MAX, TargetText, parse_target};
use crate::lower::{Dir, FileIo, LowerError, LowerStat, Pinned};

use super::Volume;
use super::inode::Alias;
use super::keys::{Operation, Purpose};
use super::place::Spot;
use super::types::{Entry, Errno, FileKind, Ino, ReqCtx};

impl Volume {
    /// symlink(2).
    pub fn symlink(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        name: &[u8],
        target: &[u8],
    ) -> Result<Entry, Errno> {
        self.writable()?;
        let (state, fd) = self.dir_and_fd(parent)?;
        let spot = Spot::Named(parent, name);
        self.judge_dir(&state, self.caller(cx).to(Operation::Create), spot)?;
        let lower = state.lower_name(name)?;
        let lname = lower.name().as_bytes();
        let binding = Binding::Name { dir: state.id(), name: lname };
        let text = self.seal_target(binding, target)?;
        self.write_sidecar(&fd, &lower)?;
        fd.symlink(lname, &text)?;
        self.give_to_caller(cx, &fd, lname, 0, false)?;
        self.entry_of(parent, &fd, lname)
    }

    /// readlink(2): for whoever may use the key of the directory that the link is in.
    pub fn readlink(&self, cx: &ReqCtx, ino: Ino) -> Result<Vec<u8>, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        if inode.kind != FileKind::Symlink {
            return Err(Errno::EINVAL);
        }
        let _here = inode.settled();
        let alias = inode.alias();
        // A link that has no name any more is nobody's in particular.
        let parent = alias.as_ref().map_or(Ino::ROOT, |alias| alias.parent);
        self.judge_dir(&self.dir_and_fd(parent)?.0, self.caller(cx), Spot::At(&inode))?;
        let text = Pinned::new(self.pin_of(&inode)?.as_fd()).readlink()?;
        self.open_target(alias.as_ref(), &text).map_err(|e| match e {
            Errno::EIO => self.tampered(Purpose::Volume, &inode, "a link target"),
            e => e,
        })
    }

    fn open_target(&self, alias: Option<&Alias>, text: &[u8]) -> Result<Vec<u8>, Errno> {
        let spilled = match parse_target(text).map_err(|_| Errno::EIO)? {
            TargetText::Inline(_) => None,
            TargetText::Spilled(name) => Some(self.read_spilled(&name)?),
        };
        let dir = match alias {
            Some(alias) => Some((self.dir_and_fd(alias.parent)?.0.id(), &alias.lower)),
            None => None,
        };
        let binding = match &dir {
            Some((dir, name)) => Binding::Name { dir: *dir, name },
            None => Binding::Unbound,
        };
        self.volume_keys
            .open_target(binding, text, spilled.as_deref())
            .map(|(target, _)| target)
            .map_err(|_| Errno::EIO)
    }

    /// The lower text for a target; a very long one spills into `.kmsfs/links` first.
    fn seal_target(&self, binding: Binding<'_>, target: &[u8]) -> Result<Vec<u8>, Errno> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() > TARGET_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        match self.volume_keys.seal_target(binding, target).map_err(|_| Errno::EINVAL)? {
            SealedTarget::Inline(text) => Ok(text.into_bytes()),
            SealedTarget::Spilled { text, content } => {
                let file = self.links_dir()?.create_file(text.as_bytes(), 0o600)?;
                file.write_at(&[IoSlice::new(&content)], 0)?;
                file.sync(true)?;
                Ok(text.into_bytes())
            }
        }
    }

    fn links_dir(&self) -> Result<Dir, Errno> {
        Ok(self.kmsfs.open_dir(LINKS_DIR.as_bytes())?)
    }

    fn read_spilled(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let file = match self.links_dir()?.open_file(name.as_bytes(), false) {
            Ok((file, _)) => file,
            Err(LowerError::NOENT) => return Err(Errno::EIO),
            Err(e) => return Err(e.into()),
        };
        let mut content = vec![0u8; TARGET_MAX * 2];
        let got = file.read_at(&mut [IoSliceMut::new(&mut content)], 0)?;
        content.truncate(got);
        Ok(content)
    }

    /// Bytes of the target of a lower symlink, for stat.
    pub(super) fn target_len(&self, st: &LowerStat, at: Option<(&Dir, &[u8])>) -> u64 {
        let spilled = || -> Option<u64> {
            let (fd, lower) = at?;
            let text = fd.readlink(lower).ok()?;
            match parse_target(&text).ok()? {
                TargetText::Spilled(name) => Some(self.read_spilled(&name).ok()?.len() as u64),
                TargetText::Inline(raw) => Some(raw.len() as u64),
            }
        };
        // base64 without padding, or the fixed length of a hash.
        let raw = if st.size == SPILLED_TEXT { spilled().unwrap_or(0) } else { st.size * 3 / 4 };
        raw.saturating_sub(OVERHEAD)
    }

    /// Renames a symlink: the same target, sealed anew for the new name, takes that name in one
    /// step, and the old one goes.
    ///
    /// # Crash
    /// A stop in between leaves both names, both good.
    pub(super) fn move_symlink(
        &self,
        old: &Alias,
        new: &Alias,
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let (_, from) = self.dir_and_fd(old.parent)?;
        let (state, to) = self.dir_and_fd(new.parent)?;
        let like = Like::of(&from, &old.lower)?;
        if like.st.nlink > 1 {
            // Bound to no name, and to stay the same inode as its other names.
            return Ok(from.rename(&old.lower, &to, &new.lower, flags)?);
        }
        let target = self.open_target(Some(old), &from.readlink(&old.lower)?)?;
        let binding = Binding::Name { dir: state.id(), name: &new.lower };
        let text = self.seal_target(binding, &target)?;
        let whiteout = flags.contains(RenameFlags::WHITEOUT);
        self.put_symlink(&like, &text, &to, &new.lower, flags.difference(RenameFlags::WHITEOUT))?;
        from.unlink(&old.lower)?;
        if whiteout {
            from.mknod(&old.lower, FileType::CharacterDevice, 0, 0)?;
        }
        Ok(())
    }

    /// After an exchange: the link under `new` is sealed anew for that name.
    ///
    /// # Crash
    /// Between the exchange and this the link gives EIO; it can be removed and made again.
    pub(super) fn rebind_symlink(&self, old: &Alias, new: &Alias) -> Result<(), Errno> {
        let (state, fd) = self.dir_and_fd(new.parent)?;
        let like = Like::of(&fd, &new.lower)?;
        if like.st.nlink > 1 {
            return Ok(());
        }
        let target = self.open_target(Some(old), &fd.readlink(&new.lower)?)?;
        let binding = Binding::Name { dir: state.id(), name: &new.lower };
        let text = self.seal_target(binding, &target)?;
        self.put_symlink(&like, &text, &fd, &new.lower, RenameFlags::empty())
    }

    /// Before a second hard link: the same target, bound to no name. Before a third it is so already.
    pub(super) fn unbind_symlink(&self, alias: &Alias) -> Result<(), Errno> {
        let (_, fd) = self.dir_and_fd(alias.parent)?;
        let like = Like::of(&fd, &alias.lower)?;
        if like.st.nlink > 1 {
            return Ok(());
        }
        let text = fd.readlink(&alias.lower)?;
        let target = self.open_target(Some(alias), &text)?;
        let text = self.seal_target(Binding::Unbound, &target)?;
        self.put_symlink(&like, &text, &fd, &alias.lower, RenameFlags::empty())
    }

    /// Makes a lower symlink with `text` that has owner, attributes and times of `like`, under the
    /// name `lower`, in one step. Above it is the same inode.
    fn put_symlink(
        &self,
        like: &Like,
        text: &[u8],
        fd: &Dir,
        lower: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let st = &like.st;
        let temporary = format!("link.{:x}", st.ino);
        let temporary = temporary.as_bytes();
        match self.kmsfs.unlink(temporary) {
            Ok(()) | Err(LowerError::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        self.kmsfs.symlink(temporary, text)?;
        if self.euid == 0 {
            self.kmsfs.chown(temporary, Some(st.uid), Some(st.gid))?;
        }
        let pin = self.kmsfs.pin(temporary)?;
        let pinned = Pinned::new(pin.as_fd());
        like.give_attributes(&pinned, self.euid == 0)?;
        pinned.set_times(&times_of(st))?;
        let made = pinned.stat()?.ino;
        self.kmsfs.rename(temporary, fd, lower, flags)?;
        self.inodes.took_the_place(made, st.ino);
        Ok(())
    }
}

/// The lower symlink in whose place another comes.
struct Like {
    st: LowerStat,
    pin: OwnedFd,
}

impl Like {
    fn of(dir: &Dir, name: &[u8]) -> Result<Like, Errno> {
        let pin = dir.pin(name)?;
        let st = Pinned::new(pin.as_fd()).stat()?;
        Ok(Like { st, pin })
    }

    /// Labels and whatever else root has put on it. Who is not root has put nothing there, and
    /// may not take along what the system has.
    fn give_attributes(&self, to: &Pinned<'_>, root: bool) -> Result<(), Errno> {
        let from = Pinned::new(self.pin.as_fd());
        let names = match from.xattr_names() {
            Ok(names) => names,
            // A filesystem without attributes.
            Err(LowerError::OPNOTSUPP) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
            let given = from
                .xattr(name)
                .and_then(|value| to.set_xattr(name, &value, rustix::fs::XattrFlags::empty()));
            if root {
                given?;
            }
        }
        Ok(())
    }
}

fn times_of(st: &LowerStat) -> rustix::fs::Timestamps {
    let spec =
        |(sec, nsec): (i64, u32)| rustix::fs::Timespec { tv_sec: sec, tv_nsec: i64::from(nsec) };
    rustix::fs::Timestamps { last_access: spec(st.atime), last_modification: spec(st.mtime) }
}

/// Nonce and tag of a sealed target.
const OVERHEAD: u64 = 32;

/// Length of the text that stands for a spilled target: `~` and 43 characters.
const SPILLED_TEXT: u64 = 44;
