//! Renaming and linking: the lower call is the moment, link tags follow it.

use rustix::fs::RenameFlags;

use crate::lower::{Dir, LowerError};
use crate::sync::{Arc, RwLockWriteGuard};

use super::Volume;
use super::inode::{Alias, Inode};
use super::keys::{Caller, KeyContext, KeyError, Operation, Purpose};
use super::link_tag::NameChange;
use super::place::Spot;
use super::remove::EmptiedDir;
use super::types::{Entry, Errno, FileKind, Ino, ReqCtx};

impl Volume {
    /// renameat2(2) with `flags` 0, RENAME_NOREPLACE, RENAME_EXCHANGE or RENAME_WHITEOUT.
    ///
    /// # Crash
    /// The lower rename is atomic. The moved object's link tag is written after it; a stop in
    /// between leaves a tag for the old name, which the stopped session excuses.
    ///
    /// # Errors
    /// Nothing has moved, whatever they say.
    pub fn rename(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        name: &[u8],
        new_parent: Ino,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        self.writable()?;
        let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
        let _moving = self.grace.enter();
        let (from_state, from_fd) = self.dir_and_fd(parent)?;
        let (to_state, to_fd) = self.dir_and_fd(new_parent)?;
        let (was, will) = (Spot::Named(parent, name), Spot::Named(new_parent, new_name));
        let (writes, creates) =
            (self.caller(cx).to(Operation::Write), self.caller(cx).to(Operation::Create));
        let by_path = self.judge_dir(&from_state, writes, was)?;
        let by_path = self.judge_dir(&to_state, creates, will)? || by_path;
        let from = from_state.lower_name(name)?;
        let to = to_state.lower_name(new_name)?;
        let old = Alias { parent, lower: from.name().as_bytes().into() };
        let new = Alias { parent: new_parent, lower: to.name().as_bytes().into() };
        if old == new {
            return Ok(from_fd.stat(&old.lower).map(|_| ())?);
        }
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let (moved, moved_excused) = self.known(&from_fd, &old)?;
        let (from_key, to_key) = (from_state.wrapped(), to_state.wrapped());
        let under = [from_key.key_id.as_str(), to_key.key_id.as_str()];
        let other = exchange.then(|| self.known(&to_fd, &new)).transpose()?;
        for (object, at) in [(Some(&moved), was), (other.as_ref().map(|(other, _)| other), will)] {
            let Some(object) = object else { continue };
            if self.judge_move(object, at, self.caller(cx), by_path, under)?
                && object.kind == FileKind::Directory
            {
                return Err(Errno::EXDEV);
            }
        }
        if from_state.wrapped().key_id != to_state.wrapped().key_id {
            if exchange {
                return Err(Errno::EXDEV);
            }
            self.take_along(cx, &moved, &to_state.wrapped().key_id)?;
        }
        self.write_sidecar(&to_fd, &to)?;
        // Most names are free, and then one call finds that out and moves.
        let at_once = (flags.is_empty() && moved.kind == FileKind::Regular)
            .then(|| Moving::both(&moved, None))
            .filter(|_| {
                from_fd.rename(&old.lower, &to_fd, &new.lower, RenameFlags::NOREPLACE).is_ok()
            });
        // Whoever is replaced may still be in use.
        let target = match at_once.is_none().then(|| self.known(&to_fd, &new)).transpose() {
            Ok(target) => target,
            Err(e) if e == Errno::ENOENT => None,
            Err(e) => return Err(e),
        };
        let (mut replaced, mut emptied) = (None, None);
        if let Some((target, _)) = &target
            && !exchange
            && !flags.contains(RenameFlags::NOREPLACE)
        {
            if same_object(target, &moved) {
                return Ok(());
            }
            match target.kind {
                FileKind::Directory if moved.kind == FileKind::Directory => {
                    emptied = Some(self.empty_dir(&to_fd, &new.lower)?);
                }
                FileKind::Directory => return Err(Errno::EISDIR),
                _ if moved.kind == FileKind::Directory => return Err(Errno::ENOTDIR),
                _ => replaced = self.before_removal(new_parent, &to_fd, &new.lower)?,
            }
        }
        let partner = target.as_ref().filter(|_| exchange).map(|(target, _)| target);
        let has_moved = at_once.is_some();
        let _moving = at_once.unwrap_or_else(|| Moving::both(&moved, partner));
        let done = if has_moved {
            Ok(())
        } else if moved.kind == FileKind::Symlink && !exchange {
            self.move_symlink(&old, &new, flags)
        } else {
            from_fd.rename(&old.lower, &to_fd, &new.lower, flags).map_err(Errno::from)
        };
        if let Err(e) = done {
            if let Some(gone) = replaced {
                self.still_there(&gone, &new);
            }
            if let Some(emptied) = emptied {
                self.refill_dir(&emptied);
            }
            return Err(e);
        }
        let replaced = replaced.or_else(|| emptied.and_then(EmptiedDir::gone));
        if let Some(gone) = replaced {
            self.after_replacement(&gone, new_parent, &new.lower);
        }
        self.walked.moved(&to_fd, &new.lower);
        if exchange {
            self.walked.moved(&from_fd, &old.lower);
        }
        let undoable = target.is_none() || exchange;
        if let Err(e) = self.moved(&moved, &old, &new, exchange, moved_excused) {
            let back = match flags {
                _ if exchange => RenameFlags::EXCHANGE,
                RenameFlags::WHITEOUT => RenameFlags::empty(),
                _ => RenameFlags::NOREPLACE,
            };
            if undoable && to_fd.rename(&new.lower, &from_fd, &old.lower, back).is_ok() {
                // It may have come to the new tag, and to nothing after it.
                if self.moved(&moved, &new, &old, exchange, moved_excused).is_err() {
                    self.sessions.spoil();
                }
                self.remove_sidecar(&to_fd, &new.lower);
                return Err(e);
            }
            self.sessions.spoil();
        }
        if exchange && let Some((target, excused)) = &target {
            if self.moved(target, &new, &old, exchange, *excused).is_err() {
                self.sessions.spoil();
            }
        } else {
            self.remove_sidecar(&from_fd, &old.lower);
        }
        if flags.contains(RenameFlags::WHITEOUT) {
            // It is made below by us, and belongs to whoever asked for it. What has moved stays so.
            if let Err(error) = self.give_to_caller(cx, &from_fd, &old.lower, 0, false) {
                tracing::warn!(errno = error.0, "a whiteout stays root's");
            }
        }
        Ok(())
    }

    /// Asks, where policies go by paths, whether `caller` may read and write what leaves its place:
    /// or a name would be a way around them. `by_path`: the policies of the directories' keys,
    /// which are `under`, do. Gives whether they do, or those of the object's own key.
    fn judge_move(
        &self,
        object: &Arc<Inode>,
        at: Spot<'_>,
        caller: Caller,
        by_path: bool,
        under: [&str; 2],
    ) -> Result<bool, Errno> {
        // Most volumes have one key, and the directories have said it all.
        if !matches!(object.kind, FileKind::Regular | FileKind::Directory)
            || !by_path && self.cmks.lock().len() <= 1
        {
            return Ok(by_path);
        }
        let seals = match self.seals(object) {
            Ok(seals) => seals,
            // Not written yet, by somebody who was stopped: there is nothing in it.
            Err(Errno::ENODATA) => return Ok(by_path),
            Err(e) => return Err(e),
        };
        let purpose = match object.kind {
            FileKind::Directory => Purpose::Directory(seals.id),
            _ => Purpose::File(seals.id),
        };
        let (wrapped, context) = (&seals.wrapped, KeyContext { volume: self.id, purpose });
        let caller = caller.to(Operation::ReadWrite);
        // Where nobody asks for a path, whoever may write in the directories may move the name.
        let asked = by_path
            || !under.contains(&wrapped.key_id.as_str())
                && self.keys.authorize(caller, wrapped, &context) == Err(KeyError::PathWanted);
        if asked {
            self.may_use(at, caller, wrapped, &context)?;
        }
        Ok(asked)
    }

    /// Puts a file that moves to a directory under another CMK under that one, if the mover may.
    ///
    /// # Errors
    /// EXDEV: he may not, or it is a directory, whose whole subtree would have to follow. Programs
    /// then copy, which makes new files under the new key.
    fn take_along(&self, cx: &ReqCtx, inode: &Arc<Inode>, cmk: &str) -> Result<(), Errno> {
        match inode.kind {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EXDEV),
            // Others have no key of their own.
            _ => return Ok(()),
        }
        let taken = self.put_under(self.caller(cx).to(Operation::Write), inode, cmk);
        taken.map_err(|e| if e == Errno::EACCES { Errno::EXDEV } else { e })
    }

    /// Puts a file's key under the CMK of that id, ARN or alias, for its owner or root.
    ///
    /// # Errors
    /// EPERM: neither of them asks. EACCES: the caller may not take the key from the one CMK to
    /// the other.
    ///
    /// # Crash
    /// The header has the key under the one CMK or the other.
    pub(super) fn set_file_key(
        &self,
        cx: &ReqCtx,
        inode: &Arc<Inode>,
        cmk: &[u8],
    ) -> Result<(), Errno> {
        let _making = self.grace.enter();
        let cmk = std::str::from_utf8(cmk).map_err(|_| Errno::EINVAL)?;
        self.owner_or_root(cx, inode)?;
        self.put_under(self.caller(cx).to(Operation::Write), inode, cmk)
    }

    fn put_under(&self, caller: Caller, inode: &Arc<Inode>, cmk: &str) -> Result<(), Errno> {
        self.with_file(inode, caller, |file| {
            let identity = file.identity();
            let wrapped = identity.wrapped.load_full();
            if wrapped.key_id == cmk {
                return Ok(());
            }
            let context = self.file_context(identity.id);
            let wrapped = self.keys.rewrap(caller, &wrapped, &context, cmk)?;
            self.cmks.lock().insert(wrapped.key_id.clone());
            file.rewrap(&self.env(), wrapped).map_err(|e| self.file_errno(inode, file, e))
        })
    }

    /// The inode under a name, as the table has it or as a passing visitor, and whether a stopped
    /// session excuses what state it is in.
    fn known(&self, fd: &Dir, alias: &Alias) -> Result<(Arc<Inode>, bool), Errno> {
        let st = fd.stat(&alias.lower)?;
        let inode = self.inodes.intern(&st, alias.clone());
        self.inodes.forget(inode.ino, 1);
        Ok((inode, self.sessions.excuses(st.ctime.0)))
    }

    /// What follows a lower rename, for one of the objects concerned.
    fn moved(
        &self,
        inode: &Arc<Inode>,
        old: &Alias,
        new: &Alias,
        exchanged: bool,
        excused: bool,
    ) -> Result<(), Errno> {
        inode.lost(old.parent, &old.lower);
        inode.seen_as(new.clone());
        match inode.kind {
            FileKind::Regular | FileKind::Directory => {
                self.retag(inode, old, NameChange::To(new), new, excused).map(|_| ())
            }
            FileKind::Symlink if exchanged => self.rebind_symlink(old, new),
            _ => Ok(()),
        }
    }

    /// link(2).
    ///
    /// # Crash
    /// The name is there before its tag; the stopped session excuses the gap.
    pub fn link(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        new_parent: Ino,
        new_name: &[u8],
    ) -> Result<Entry, Errno> {
        self.writable()?;
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        if inode.kind == FileKind::Directory {
            return Err(Errno::EPERM);
        }
        let _moving = self.grace.enter();
        let (state, fd) = self.dir_and_fd(new_parent)?;
        let will = Spot::Named(new_parent, new_name);
        let by_path = self.judge_dir(&state, self.caller(cx).to(Operation::Create), will)?;
        let lower = state.lower_name(new_name)?;
        let Some(old) = inode.alias() else {
            // It came back by its number: it has names, but which is not known, so none can be added.
            if self.attr(&inode)?.nlink > 0 {
                return Err(Errno::EXDEV);
            }
            // A nameless file moves in, rather, and is not re-wrapped on the way.
            if self.seals(&inode)?.wrapped.key_id != state.wrapped().key_id {
                return Err(Errno::EXDEV);
            }
            return self.link_nameless(&inode, (new_parent, &state, &fd), &lower);
        };
        let (from_state, from_fd) = self.dir_and_fd(old.parent)?;
        let was = Spot::At(&inode);
        let by_path = self.judge_dir(&from_state, self.caller(cx), was)? || by_path;
        // A file with two names has no path that a policy could go by.
        let (from_key, to_key) = (from_state.wrapped(), state.wrapped());
        let under = [from_key.key_id.as_str(), to_key.key_id.as_str()];
        if self.judge_move(&inode, was, self.caller(cx), by_path, under)? {
            return Err(Errno::EXDEV);
        }
        // One file cannot be under the keys of two directories.
        if from_state.wrapped().key_id != state.wrapped().key_id {
            return Err(Errno::EXDEV);
        }
        let new = Alias { parent: new_parent, lower: lower.name().as_bytes().into() };
        match fd.stat(&new.lower) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(LowerError::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        self.write_sidecar(&fd, &lower)?;
        if inode.kind == FileKind::Symlink {
            self.unbind_symlink(&old)?;
        }
        let excused = self.sessions.excuses(from_fd.stat(&old.lower)?.ctime.0);
        if inode.kind == FileKind::Regular {
            // A header must be below to take the second tag.
            let open = inode.file.lock().state.clone();
            if let Some(file) = open {
                file.settle(&self.env(), super::file::Settle::Clean)
                    .map_err(|e| self.file_errno(&inode, &file, e))?;
            }
            if !self.retag(&inode, &old, NameChange::Also(&new), &old, excused)? {
                let env = self.env();
                self.with_file(&inode, self.caller(cx).to(Operation::Write), |file| {
                    file.set_multi_link(&env).map_err(|e| self.file_errno(&inode, file, e))
                })?;
            }
        }
        if let Err(e) = from_fd.link(&old.lower, &fd, &new.lower) {
            if inode.kind == FileKind::Regular {
                // Takes back the tag of the link that could not be made.
                let _ = self.retag(&inode, &new, NameChange::Gone, &old, false);
            }
            return Err(e.into());
        }
        self.walked.moved(&fd, &new.lower);
        self.entry_of(new_parent, &fd, &new.lower)
    }
}

/// Whoever is being moved, kept from being reached by name.
struct Moving<'a> {
    _one: RwLockWriteGuard<'a, ()>,
    _other: Option<RwLockWriteGuard<'a, ()>>,
}

impl<'a> Moving<'a> {
    /// In the order of numbers, so that two exchanges do not wait for each other.
    fn both(one: &'a Inode, other: Option<&'a Arc<Inode>>) -> Moving<'a> {
        match other {
            Some(other) if other.ino < one.ino => {
                let first = other.place.write();
                Moving { _one: one.place.write(), _other: Some(first) }
            }
            Some(other) if other.ino > one.ino => {
                Moving { _one: one.place.write(), _other: Some(other.place.write()) }
            }
            _ => Moving { _one: one.place.write(), _other: None },
        }
    }
}

fn same_object(a: &Arc<Inode>, b: &Arc<Inode>) -> bool {
    a.lower_ino() == b.lower_ino()
}
