//! Files, directories and special files made.
//!
//! A file's key is asked for before anything is made, so that who may not have one leaves nothing
//! behind; a name is used after its sidecar is there.

use rustix::fs::FileType;

use crate::format::DIR_HEADER;
use crate::lower::{Dir, FileIo, LowerError, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::directory::DirState;
use super::inode::Alias;
use super::keys::{FreshFor, Operation};
use super::place::Spot;
use super::types::{Entry, Errno, Ino, Opened, ReqCtx};

impl Volume {
    /// Makes a regular file and opens it.
    ///
    /// # Crash
    /// The file is below, empty and without a header, until it is first written or closed: a
    /// stop before that leaves an empty file.
    pub fn create(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        name: &[u8],
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, Opened), Errno> {
        self.writable()?;
        let epoch = self.keys.epoch();
        let (state, fd) = self.dir_and_fd(parent)?;
        let lower = state.lower_name(name)?;
        let caller = self.caller(cx).to(Operation::Create);
        let _making = self.grace.enter();
        // The key first: who may not have one must leave nothing behind.
        let spot = Spot::Named(parent, name);
        let fresh = self.new_key(Some(spot), caller, &state.wrapped().key_id, FreshFor::File)?;
        self.write_sidecar(&fd, &lower)?;
        let lname = lower.name().as_bytes();
        let perm = self.perm_for(cx, &state, &fd, mode);
        let file = match fd.create_file(lname, perm) {
            Ok(file) => file,
            Err(LowerError::EXIST) if flags & libc::O_EXCL == 0 => {
                let entry = self.entry_of(parent, &fd, lname)?;
                let opened = self.open(cx, entry.attr.ino, flags)?;
                return Ok((entry, opened));
            }
            Err(e) => return Err(e.into()),
        };
        self.give_to_caller(cx, &fd, lname, perm, false)?;
        let st = file.stat()?;
        let alias = Alias { parent, lower: lname.into() };
        let inode = self.inodes.intern(&st, alias);
        let file = Arc::new(self.fresh_file(self.io(file), &state, lname, fresh));
        file.set_mtime(Some(st.mtime));
        file.io().caps_were_set(None); // it was made just now
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

    /// mknod(2). A regular file gets its header at once; others have none.
    pub fn mknod(
        &self,
        cx: &ReqCtx,
        parent: Ino,
        name: &[u8],
        mode: u32,
        rdev: u32,
    ) -> Result<Entry, Errno> {
        self.writable()?;
        let kind = FileType::from_raw_mode(mode);
        if kind == FileType::RegularFile || mode & libc::S_IFMT == 0 {
            let flags = libc::O_EXCL | libc::O_RDWR;
            let (entry, opened) = self.create(cx, parent, name, mode, flags)?;
            self.release(entry.attr.ino, opened.fh)?;
            return Ok(entry);
        }
        let (state, fd) = self.dir_and_fd(parent)?;
        let spot = Spot::Named(parent, name);
        self.judge_dir(&state, self.caller(cx).to(Operation::Create), spot)?;
        let lower = state.lower_name(name)?;
        self.write_sidecar(&fd, &lower)?;
        let lname = lower.name().as_bytes();
        let perm = self.perm_for(cx, &state, &fd, mode);
        fd.mknod(lname, kind, perm, u64::from(rdev))?;
        self.give_to_caller(cx, &fd, lname, perm, false)?;
        self.entry_of(parent, &fd, lname)
    }

    /// mkdir(2).
    ///
    /// # Crash
    /// A directory whose header is not there yet starts again, empty, at its next use.
    pub fn mkdir(&self, cx: &ReqCtx, parent: Ino, name: &[u8], mode: u32) -> Result<Entry, Errno> {
        self.writable()?;
        let _making = self.grace.enter();
        let (state, fd) = self.dir_and_fd(parent)?;
        let lower = state.lower_name(name)?;
        self.write_sidecar(&fd, &lower)?;
        let lname = lower.name().as_bytes();
        let perm = self.perm_for(cx, &state, &fd, mode);
        // We must be able to write its header, whatever the caller may do with it.
        let needed = if self.euid == 0 { 0 } else { 0o700 };
        fd.mkdir(lname, perm | needed)?;
        let named = (lname, Spot::Named(parent, name));
        let made = self.finish_mkdir(cx, &state, &fd, named, perm, needed);
        match made {
            Ok(child) => {
                let entry = self.entry_of(parent, &fd, lname)?;
                if let Some(inode) = self.inodes.get(entry.attr.ino) {
                    *inode.dir.lock() = Some(Arc::new(child));
                }
                Ok(entry)
            }
            Err(e) => {
                if let Ok(dir) = fd.open_dir(lname) {
                    let _ = dir.unlink(DIR_HEADER.as_bytes());
                }
                let _ = fd.rmdir(lname);
                self.remove_sidecar(&fd, lname);
                Err(e)
            }
        }
    }

    fn finish_mkdir(
        &self,
        cx: &ReqCtx,
        parent: &DirState,
        fd: &Dir,
        (lname, spot): (&[u8], Spot<'_>),
        perm: u32,
        needed: u32,
    ) -> Result<DirState, Errno> {
        let child_fd = fd.open_dir(lname)?;
        let caller = self.caller(cx).to(Operation::Create);
        let child = self.make_dir_header(&child_fd, parent, lname, caller, Some(spot))?;
        child.made_in(parent);
        self.give_to_caller(cx, fd, lname, perm, true)?;
        if perm | needed != perm {
            let inherited = child_fd.stat_self()?.mode & libc::S_ISGID;
            Pinned::new(child_fd.fd()).chmod(perm | inherited)?;
        }
        Ok(child)
    }
}
