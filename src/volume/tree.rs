//! Names: looking them up, making them, removing them.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;

use arc_swap::ArcSwapOption;
use rustix::fs::FileType;

use crate::format::{
    CipherLen, CipherName, DIR_HEADER_LEN, MTIME_MARK, PlainLen, Slots, plain_len, sidecar_of,
};
use crate::lower::{Dir, FileIo, LowerError, LowerStat, Pinned};
use crate::sync::Arc;
use crate::sync::atomic::AtomicU64;

use super::Volume;
use super::directory::DirState;
use super::handle::{FileHandle, Handle};
use super::inode::{Alias, Inode};
use super::keys::{Caller, FreshFor, Operation};
use super::link_tag::NameChange;
use super::place::Spot;
use super::types::{Attr, Entry, Errno, FileKind, Ino, Opened, ReqCtx};

impl Volume {
    /// Finds a name and counts one reference for the kernel.
    pub fn lookup(&self, cx: &ReqCtx, parent: Ino, name: &[u8]) -> Result<Entry, Errno> {
        match name {
            // So the kernel asks for an inode by its number, and for the directory above one.
            b"." => return self.revive(cx, parent),
            b".." => return self.revive_parent(cx, parent),
            _ => {}
        }
        let (state, fd) = self.dir_and_fd(parent)?;
        let lower = state.lower_name(name)?;
        self.entry_of(parent, &fd, lower.name().as_bytes())
    }

    /// The kernel drops `n` references.
    pub fn forget(&self, ino: Ino, n: u64) {
        self.inodes.forget(ino, n);
    }

    /// Stats a lower name and takes its inode into the table.
    pub(super) fn entry_of(&self, parent: Ino, fd: &Dir, lower: &[u8]) -> Result<Entry, Errno> {
        let st = fd.stat(lower)?;
        let alias = Alias { parent, lower: lower.into() };
        let inode = self.inodes.intern(&st, alias);
        let attr = self.attr_at(&inode, &st, Some((fd, lower)));
        Ok(Entry { attr, generation: inode.generation.into() })
    }

    /// Attributes from a lower stat; `at` is where a stopped writer's header can be looked at.
    pub(super) fn attr_at(
        &self,
        inode: &Arc<Inode>,
        st: &LowerStat,
        at: Option<(&Dir, &[u8])>,
    ) -> Attr {
        let mut attr = self.attr_of(inode.ino, st);
        if inode.kind == FileKind::Regular {
            if let Some(file) = &inode.file.lock().state {
                attr.size = file.size();
                if let Some(mtime) = file.shown_mtime(st.mtime) {
                    attr.mtime = LowerStat::time(mtime);
                }
                return attr;
            }
            if st.mtime.1 == MTIME_MARK
                && let Some((fd, lower)) = at
                && let Some(mtime) = mtime_in_header(fd, lower)
            {
                attr.mtime = LowerStat::time(mtime);
            }
            if self.sessions.any_stopped()
                && self.sessions.excuses(st.ctime.0)
                && let Some((fd, alias)) = at.zip(inode.alias()).map(|((fd, _), a)| (fd, a))
                && let Some(size) = self.after_stop(fd, &alias)
            {
                attr.size = size;
            }
        } else if inode.kind == FileKind::Symlink {
            attr.size = self.target_len(st, at);
        }
        attr
    }

    /// Attributes as the lower object alone tells them.
    pub(super) fn attr_of(&self, ino: Ino, st: &LowerStat) -> Attr {
        let kind = kind_of(st.file_type());
        let size = match kind {
            FileKind::Regular => plain_len(CipherLen(st.size)).unwrap_or(PlainLen(0)).0,
            FileKind::Directory => st.size,
            _ => 0,
        };
        Attr {
            ino,
            kind,
            perm: u16::try_from(st.mode & 0o7777).unwrap_or(0),
            nlink: st.nlink,
            uid: st.uid,
            gid: st.gid,
            rdev: u32::try_from(st.rdev).unwrap_or(0),
            size,
            blocks: st.blocks,
            blksize: 4096,
            atime: LowerStat::time(st.atime),
            mtime: LowerStat::time(st.mtime),
            ctime: LowerStat::time(st.ctime),
        }
    }

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
        let opened = self.add_handle(inode, file, caller, flags);
        Ok((Entry { attr, generation }, opened))
    }

    /// Registers a handle for an acquired file.
    pub(super) fn add_handle(
        &self,
        inode: Arc<Inode>,
        file: Arc<super::file::FileState>,
        opener: Caller,
        flags: i32,
    ) -> Opened {
        let epoch = AtomicU64::new(self.keys.epoch());
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        let file = ArcSwapOption::new(Some(file));
        let handle = FileHandle { inode, file, opener, epoch, writes };
        Opened { fh: self.handles.add(Handle::File(Arc::new(handle))), keep_cache: true }
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
                    let _ = dir.unlink(crate::format::DIR_HEADER.as_bytes());
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
        self.give_to_caller(cx, fd, lname, perm, true)?;
        if perm | needed != perm {
            let inherited = child_fd.stat_self()?.mode & libc::S_ISGID;
            Pinned::new(child_fd.fd()).chmod(perm | inherited)?;
        }
        Ok(child)
    }

    /// Removes a file's name.
    pub fn unlink(&self, _cx: &ReqCtx, parent: Ino, name: &[u8]) -> Result<(), Errno> {
        self.removable()?;
        let (state, fd) = self.dir_and_fd(parent)?;
        let lower = state.lower_name(name)?;
        let lname = lower.name().as_bytes();
        let gone = self.before_removal(parent, &fd, lname)?;
        if let Err(e) = fd.unlink(lname) {
            if let Some(inode) = gone {
                self.still_there(&inode, &Alias { parent, lower: lname.into() });
            }
            return Err(e.into());
        }
        self.after_removal(gone, parent, &fd, lname);
        Ok(())
    }

    /// Pins whatever `lname` is before it loses that name, if the kernel remembers it, and takes
    /// its link tag away if it has other names.
    pub(super) fn before_removal(
        &self,
        parent: Ino,
        fd: &Dir,
        lname: &[u8],
    ) -> Result<Option<Arc<Inode>>, Errno> {
        let pin = fd.pin(lname)?;
        let st = Pinned::new(std::os::fd::AsFd::as_fd(&pin)).stat()?;
        let Some(inode) = self.inodes.get(self.inodes.number(st.ino)) else { return Ok(None) };
        if st.nlink > 1 {
            // Another name's tag is written: a stop must find this session on record.
            self.writable()?;
        }
        let moving = inode.place.write();
        if inode.kind == FileKind::Regular && st.nlink > 1 {
            self.writable()?;
            let alias = Alias { parent, lower: lname.into() };
            inode.seen_as(alias.clone());
            let excused = self.sessions.excuses(st.ctime.0);
            self.retag(&inode, &alias, NameChange::Gone, &alias, excused)?;
        }
        *inode.pin.lock() = Some(Arc::new(pin));
        drop(moving);
        Ok(Some(inode))
    }

    /// Takes back what [`Volume::before_removal`] did, for a name that could not be removed.
    pub(super) fn still_there(&self, inode: &Arc<Inode>, alias: &Alias) {
        let _moving = inode.place.write();
        let Some(pin) = inode.pin.lock().take() else { return };
        let links = Pinned::new(std::os::fd::AsFd::as_fd(&pin)).stat().map_or(2, |st| st.nlink);
        if inode.kind == FileKind::Regular
            && links > 1
            // Excused: it had its tag until just now.
            && self.retag(inode, alias, NameChange::Also(alias), alias, true).is_err()
        {
            self.sessions.spoil();
        }
    }

    pub(super) fn after_removal(
        &self,
        gone: Option<Arc<Inode>>,
        parent: Ino,
        fd: &Dir,
        lname: &[u8],
    ) {
        self.remove_sidecar(fd, lname);
        if let Some(inode) = gone {
            self.after_replacement(&inode, parent, lname);
        }
    }

    /// What follows the loss of a name, for the inode that had it.
    pub(super) fn after_replacement(&self, gone: &Arc<Inode>, parent: Ino, lname: &[u8]) {
        if gone.lost(parent, lname) && !self.find_again(gone, parent) {
            self.let_go(gone);
        } else {
            // It has another name that we know: reach it by that.
            *gone.pin.lock() = None;
        }
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, _cx: &ReqCtx, parent: Ino, name: &[u8]) -> Result<(), Errno> {
        self.writable()?;
        let (state, fd) = self.dir_and_fd(parent)?;
        let lower = state.lower_name(name)?;
        let lname = lower.name().as_bytes();
        let emptied = self.empty_dir(&fd, lname)?;
        if let Err(e) = fd.rmdir(lname) {
            self.refill_dir(&emptied);
            return Err(e.into());
        }
        let gone = emptied.gone();
        self.after_removal(gone, parent, &fd, lname);
        Ok(())
    }

    /// Makes the directory `lname`, in which nothing is for a user, empty below, so that it can be
    /// removed or replaced. [`Volume::refill_dir`] takes it back.
    ///
    /// # Crash
    /// An empty directory without its header starts again, empty, at its next use.
    pub(super) fn empty_dir(&self, fd: &Dir, lname: &[u8]) -> Result<EmptiedDir, Errno> {
        let pin = fd.pin(lname)?;
        let st = Pinned::new(std::os::fd::AsFd::as_fd(&pin)).stat()?;
        if st.file_type() != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        let dir = fd.open_dir(lname)?;
        self.must_be_empty(&dir)?;
        let inode = self.inodes.get(self.inodes.number(st.ino));
        let name = crate::format::DIR_HEADER.as_bytes();
        let header = match dir.open_file(name, false) {
            Ok((file, _)) => {
                let mut bytes = [0u8; DIR_HEADER_LEN];
                file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
                dir.unlink(name)?;
                Some(bytes)
            }
            Err(LowerError::NOENT) => None,
            Err(e) => return Err(e.into()),
        };
        Ok(EmptiedDir { inode, pin, dir, header })
    }

    /// Puts the header of a directory that could not be removed back.
    pub(super) fn refill_dir(&self, emptied: &EmptiedDir) {
        let put_back = || -> Result<(), LowerError> {
            let Some(bytes) = &emptied.header else { return Ok(()) };
            let file = emptied.dir.create_file(crate::format::DIR_HEADER.as_bytes(), 0o644)?;
            file.write_at(&[IoSlice::new(bytes)], 0)
        };
        if put_back().is_err() {
            // It starts again, empty, once this session counts as stopped.
            self.sessions.spoil();
        }
    }

    /// ENOTEMPTY if anything but the directory's own header is in it. Sidecars that outlived
    /// their name in a stopped session are cleared away.
    fn must_be_empty(&self, dir: &Dir) -> Result<(), Errno> {
        let reading = dir.open_for_reading()?;
        let mut stray = Vec::new();
        let mut full = false;
        reading.read(0, |entry| {
            use crate::format::{Internal, LowerName};
            match crate::format::classify(entry.name) {
                _ if matches!(entry.name, b"." | b"..") => {}
                LowerName::Internal(Internal::DirHeader) => {}
                LowerName::Sidecar => stray.push(entry.name.to_vec()),
                _ => full = true,
            }
            Ok::<_, Errno>(!full)
        })?;
        if full {
            return Err(Errno(libc::ENOTEMPTY));
        }
        for name in stray {
            dir.unlink(&name)?;
        }
        Ok(())
    }

    /// Puts the sidecar of a long name in place, durably, before the name is used.
    ///
    /// # Crash
    /// A sidecar without its name is ignored, and removed with the directory.
    pub(super) fn write_sidecar(&self, fd: &Dir, lower: &CipherName) -> Result<(), Errno> {
        let CipherName::Long { sidecar, content, .. } = lower else { return Ok(()) };
        match fd.create_file(sidecar.as_bytes(), 0o644) {
            Ok(file) => {
                file.write_at(&[IoSlice::new(content)], 0)?;
                file.sync(true)?;
                Ok(())
            }
            Err(LowerError::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the sidecar of a long name that is no longer used.
    pub(super) fn remove_sidecar(&self, fd: &Dir, lname: &[u8]) {
        if crate::format::classify(lname) == crate::format::LowerName::Long
            && fd.stat(lname).is_err()
        {
            let _ = fd.unlink(sidecar_of(&String::from_utf8_lossy(lname)).as_bytes());
        }
    }

    /// Permission bits for a new object: the umask counts unless a default ACL decides, which
    /// the lower filesystem applies by itself.
    pub(super) fn perm_for(&self, cx: &ReqCtx, state: &DirState, fd: &Dir, mode: u32) -> u32 {
        let perm = mode & 0o7777;
        if self.has_default_acl(state, fd) { perm } else { perm & !(cx.umask & 0o777) }
    }

    /// Makes the caller the owner of what we made as root. In a set-group-id directory the group
    /// stays what the lower filesystem chose.
    pub(super) fn give_to_caller(
        &self,
        cx: &ReqCtx,
        fd: &Dir,
        lname: &[u8],
        perm: u32,
        is_dir: bool,
    ) -> Result<(), Errno> {
        if self.euid != 0 || (cx.uid == 0 && cx.gid == 0) {
            return Ok(());
        }
        let inherits = fd.stat_self()?.mode & libc::S_ISGID != 0;
        let gid = if inherits { None } else { Some(cx.gid) };
        fd.chown(lname, Some(cx.uid), gid)?;
        if !is_dir && perm & (libc::S_ISUID | libc::S_ISGID) != 0 {
            let pin = fd.pin(lname)?;
            Pinned::new(std::os::fd::AsFd::as_fd(&pin)).chmod(perm)?;
        }
        Ok(())
    }
}

/// An empty directory whose header was taken out of it.
pub(super) struct EmptiedDir {
    inode: Option<Arc<Inode>>,
    pin: OwnedFd,
    dir: Dir,
    header: Option<[u8; DIR_HEADER_LEN]>,
}

impl EmptiedDir {
    /// It has been removed. Gives its inode if the kernel remembers it, pinned.
    pub fn gone(self) -> Option<Arc<Inode>> {
        let inode = self.inode?;
        let moving = inode.place.write();
        *inode.pin.lock() = Some(Arc::new(self.pin));
        if let Some(state) = inode.dir.lock().as_ref() {
            state.close();
        }
        drop(moving);
        Some(inode)
    }
}

/// The modification time that a re-wrapped file's header keeps.
fn mtime_in_header(fd: &Dir, lower: &[u8]) -> Option<(i64, u32)> {
    let (file, _) = fd.open_file(lower, false).ok()?;
    let mut head = [0u8; DIR_HEADER_LEN];
    file.read_at(&mut [IoSliceMut::new(&mut head)], 0).ok()?;
    match Slots::of(&head) {
        Slots::Newest { header, .. } => header.mtime(),
        Slots::Empty | Slots::Damaged => None,
    }
}

/// The kinds that both sides know.
pub(super) fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::RegularFile | FileType::Unknown => FileKind::Regular,
    }
}
