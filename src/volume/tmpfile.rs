//! Files without a name: O_TMPFILE, and the name that one may get later.

use std::os::fd::AsFd;

use crate::format::CipherName;
use crate::lower::{Dir, FileIo, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::directory::DirState;
use super::inode::{Alias, Inode};
use super::keys::{FreshFor, Operation};
use super::types::{Entry, Errno, FileKind, Ino, Opened, ReqCtx};

impl Volume {
    /// open(2) with O_TMPFILE: a regular file in `parent`'s filesystem that no name leads to.
    /// It is sealed under the key of `parent`, and gone with its last handle unless
    /// [`Volume::link`] gives it a name.
    ///
    /// # Errors
    /// EOPNOTSUPP where the lower filesystem has no such files.
    ///
    /// # Crash
    /// Without a name it is gone.
    pub fn tmpfile(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, Opened), Errno> {
        self.writable()?;
        let epoch = self.keys.epoch();
        let (state, fd) = self.dir_and_fd(parent)?;
        let caller = self.caller(cx).to(Operation::Create);
        let _making = self.grace.enter();
        let fresh = self.new_key(None, caller, &state.wrapped().key_id, FreshFor::File)?;
        let perm = self.perm_for(cx, &state, &fd, mode);
        let lower = fd.create_nameless(perm)?;
        let pin = lower.fd().try_clone_to_owned().map_err(|_| Errno(libc::EMFILE))?;
        self.give_inode_to_caller(cx, &fd, &Pinned::new(pin.as_fd()), perm)?;
        let st = lower.stat()?;
        let inode = self.inodes.intern_nameless(&st);
        *inode.pin.lock() = Some(Arc::new(pin));
        // The tag of a name comes with the name.
        let file = Arc::new(self.fresh_file(self.io(lower), &state, b"", fresh));
        file.set_fresh_link_tag([0; 32]);
        file.set_mtime(Some(st.mtime));
        {
            let mut open = inode.file.lock();
            open.state = Some(Arc::clone(&file));
            open.handles += 1;
        }
        let attr = self.attr_at(&inode, &st, None);
        let caller = caller.to(Operation::of_flags(flags));
        let generation = inode.generation.into();
        let opened = self.add_handle(inode, file, (caller, epoch), flags);
        Ok((Entry { attr, generation }, opened))
    }

    /// Gives a pinned inode that is known by no name the name `lower` in `parent`. The lower
    /// filesystem decides whether it may: a file that was unlinked stays so.
    ///
    /// # Crash
    /// A header that is not below yet takes the tag along; else the name is there before its
    /// tag, which the stopped session excuses.
    pub(super) fn link_nameless(
        &self,
        inode: &Arc<Inode>,
        (parent, state, fd): (Ino, &DirState, &Arc<Dir>),
        lower: &CipherName,
    ) -> Result<Entry, Errno> {
        let pin = inode.pinned().ok_or(Errno::ENOENT)?;
        let new = Alias { parent, lower: lower.name().as_bytes().into() };
        self.write_sidecar(fd, lower)?;
        let open = inode.file.lock().state.clone();
        let fresh = match (&open, inode.kind) {
            (Some(file), FileKind::Regular) => {
                let id = file.identity().id;
                file.set_fresh_link_tag(crate::format::link_tag(&state.keys, &new.lower, &id))
            }
            _ => false,
        };
        if let Err(e) = Pinned::new(pin.as_fd()).link(fd, &new.lower) {
            self.remove_sidecar(fd, &new.lower);
            return Err(e.into());
        }
        if !fresh && inode.kind == FileKind::Regular {
            self.tag_first_name(inode, &new)?;
        }
        self.walked.moved(fd, &new.lower);
        let entry = self.entry_of(parent, fd, &new.lower)?;
        *inode.pin.lock() = None;
        let mut open = inode.file.lock();
        if open.handles == 0 {
            // Its last handle was closed before it had a name to be kept by.
            self.close_file(inode, &mut open)?;
        }
        drop(open);
        Ok(entry)
    }
}
