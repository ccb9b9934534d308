//! Opening files: from what lies below to a verified [`FileState`].

use std::io::IoSliceMut;

use arc_swap::ArcSwap;

use crate::format::{BLOCK, FileId, FileKeys, Kind, Slots, UnverifiedHeader, link_tag};
use crate::lower::{FileIo, LowerFile, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::directory::DirState;
use super::file::{FileError, FileState, Found, Identity};
use super::inode::{Inode, OpenFile};
use super::keys::{Caller, FreshFor, KeyContext, Purpose};
use super::place::Spot;
use super::session::Ended;
use super::types::{Errno, FileKind};

impl Volume {
    /// Takes a handle's share in an inode's file, reading and verifying it if nobody has it open:
    /// then `first` gets it before anybody else does. Whoever comes later is judged all the same.
    pub(super) fn acquire(
        &self,
        inode: &Arc<Inode>,
        caller: Caller,
        first: impl FnOnce(&FileState),
    ) -> Result<Arc<FileState>, Errno> {
        match inode.kind {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        let _here = inode.settled();
        let mut open = inode.file.lock();
        let file = match &open.state {
            Some(file) => {
                let file = Arc::clone(file);
                self.judge(inode, &file, caller)?;
                file
            }
            None => {
                let file = self.load_file(inode, caller)?;
                // There are handles if it was locked away; their readers may hold a page of it, and
                // wait for us.
                if open.handles == 0 {
                    first(&file);
                }
                Arc::new(file)
            }
        };
        open.state = Some(Arc::clone(&file));
        open.handles += 1;
        Ok(file)
    }

    /// Gives a share back. The last one closes the file cleanly; if that fails it stays in
    /// memory, so that what it holds can still be written out later.
    pub(super) fn release_share(&self, inode: &Arc<Inode>) -> Result<(), Errno> {
        let mut open = inode.file.lock();
        open.handles = open.handles.saturating_sub(1);
        if open.handles > 0 {
            return Ok(());
        }
        let closed = self.close_file(inode, &mut open);
        drop(open);
        // The kernel may have forgotten it while it was open, or while it could not be closed.
        self.inodes.forget(inode.ino, 0);
        closed
    }

    /// Lets go of a file that has just lost its last name and that nobody has open: what could
    /// not be written out for it is not wanted any more, and its descriptor would hold its space.
    pub(super) fn let_go(&self, inode: &Arc<Inode>) {
        let mut open = inode.file.lock();
        let dead = |file: &Arc<FileState>| file.io().stat().is_ok_and(|st| st.nlink == 0);
        if open.handles == 0 && open.state.as_ref().is_some_and(dead) {
            open.state = None;
            drop(open);
            self.inodes.forget(inode.ino, 0);
        }
    }

    pub(super) fn close_file(&self, inode: &Arc<Inode>, open: &mut OpenFile) -> Result<(), Errno> {
        let Some(file) = open.state.as_ref() else { return Ok(()) };
        // A file without a name is gone with the inode; nobody will read its header.
        let nameless = inode.pin.lock().is_some() && file.io().stat().is_ok_and(|st| st.nlink == 0);
        open.nameless = nameless;
        if nameless {
            return Ok(());
        }
        if self.may_write() {
            file.settle(&self.env(), super::file::Settle::Clean)
                .map_err(|e| self.file_errno(inode, file, e))?;
        }
        open.state = None;
        Ok(())
    }

    /// Runs `work` on a file that need not be open.
    pub(super) fn with_file<T>(
        &self,
        inode: &Arc<Inode>,
        caller: Caller,
        work: impl FnOnce(&Arc<FileState>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let file = self.acquire(inode, caller, |_| ())?;
        let result = work(&file);
        drop(file);
        self.release_share(inode)?;
        result
    }

    /// Asks whether `caller` may use an open file's key.
    pub(super) fn judge(
        &self,
        inode: &Arc<Inode>,
        file: &FileState,
        caller: Caller,
    ) -> Result<(), Errno> {
        let identity = file.identity();
        let context = self.file_context(identity.id);
        self.may_use(Spot::At(inode), caller, &identity.wrapped.load(), &context).map(drop)
    }

    pub(super) fn file_context(&self, id: FileId) -> KeyContext {
        KeyContext { volume: self.id, purpose: Purpose::File(id) }
    }

    /// Puts the fault hook, if there is one, in front of a lower file.
    pub(super) fn io(&self, file: LowerFile) -> Box<dyn FileIo> {
        match &self.fault {
            Some(fault) => {
                Box::new(crate::lower::faulty::Faulty::new(Box::new(file), Arc::clone(fault)))
            }
            None => Box::new(file),
        }
    }

    /// Opens the lower file of an inode that is settled: one open, by name or by pin.
    pub(super) fn open_lower(&self, inode: &Arc<Inode>) -> Result<(LowerFile, bool), Errno> {
        let write = !self.read_only;
        if let Some(pin) = inode.pinned() {
            return Ok(Pinned::new(std::os::fd::AsFd::as_fd(&*pin)).reopen(write)?);
        }
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let (_, parent) = self.dir_and_fd(alias.parent)?;
        Ok(parent.open_file(&alias.lower, write)?)
    }

    pub(super) fn load_file(&self, inode: &Arc<Inode>, caller: Caller) -> Result<FileState, Errno> {
        let asked = self.keys.questions();
        let (lower, writable) = self.open_lower(inode)?;
        let io = self.io(lower);
        let st = io.stat()?;
        if st.ino != inode.lower_ino() {
            return Err(Errno::ESTALE);
        }
        // Header, first entries and, in the same call, all of a small file's data.
        let mut first = vec![0u8; 2 * BLOCK];
        let got = io.read_at(&mut [IoSliceMut::new(&mut first)], 0)?;
        first.truncate(got);
        let excused = self.sessions.excuses(st.ctime.0);
        let fail = |what| self.tampered(Purpose::File(FileId([0; 16])), inode, what);
        let page0 = first.get(..BLOCK.min(got)).unwrap_or_default();
        if page0.iter().all(|&b| b == 0) {
            // A file without a header was made by the session that was stopped, whatever was
            // done to its attributes since.
            if excused || io.born()?.is_some_and(|born| self.sessions.excuses(born)) {
                return self.adopt_empty(inode, io, writable, caller);
            }
            return Err(fail("a file without a header"));
        }
        let (newest, older, intact) = match Slots::of(page0) {
            Slots::Newest { header, older, intact } if got >= BLOCK => (header, older, intact),
            _ => return Err(fail("a file header")),
        };
        let mut older = older;
        let opened = match self.unwrap_header(inode, *newest, caller) {
            // A sector torn by a power cut; the slot before it is whole.
            Err(Errno::EIO) if self.sessions.any_lost_power() && older.is_some() => older
                .take()
                .ok_or(Errno::EIO)
                .and_then(|older| self.unwrap_header(inode, *older, caller)),
            other => other,
        };
        let (header, keys) =
            opened.map_err(|e| if e == Errno::EIO { fail("a file header's tag") } else { e })?;
        self.ask_ahead(inode, caller, self.keys.questions() != asked);
        let id = header.id;
        let intact = intact && older.is_none_or(|older| older.verify(keys.header()).is_ok());
        if !intact && self.sessions.ended(header.session) != Ended::PowerLost {
            return Err(fail("the slots of a file header"));
        }
        let found = match (self.sessions.ended(header.session), header.clean) {
            (Ended::PowerLost, _) | (Ended::Killed | Ended::Current, false) => Found::Relaxed,
            (Ended::Well, false) => return Err(fail("a writer's header without a writer")),
            (Ended::Well | Ended::Killed | Ended::Current, true) => Found::Strict,
        };
        if !header.multi_link && !excused && inode.pin.lock().is_none() {
            self.check_link(inode, &id, page0).map_err(|_| fail("a file's name"))?;
        }
        let identity = Identity {
            id,
            suite: header.suite,
            wrapped: ArcSwap::from_pointee(header.wrapped.clone()),
        };
        let file = FileState::found(io, st.size, writable, identity, keys, &header, found, &first)
            .map_err(|e| match e {
                FileError::Tampered(what) => fail(what),
                FileError::Lower(e) => e.into(),
                _ => Errno::EIO,
            })?;
        file.note_mark(st.mtime, header.mtime);
        Ok(file)
    }

    /// Asks for a header's data key and verifies the header with it. EIO: one of the two is not
    /// what it was.
    pub(super) fn unwrap_header(
        &self,
        inode: &Arc<Inode>,
        header: UnverifiedHeader,
        caller: Caller,
    ) -> Result<(crate::format::Header, FileKeys), Errno> {
        if header.kind() != Kind::File {
            return Err(Errno::EIO);
        }
        let context = self.file_context(header.id());
        let key = self.key_of(Spot::At(inode), caller, header.wrapped(), &context)?;
        let keys = FileKeys::new(&key, header.suite(), &header.id());
        let header = header.verify(keys.header()).map_err(|_| Errno::EIO)?;
        Ok((header, keys))
    }

    /// A file that was made in a session that was stopped before its first header reached the
    /// disk. None of it was ever synced: it is empty, and gets a key of its own.
    fn adopt_empty(
        &self,
        inode: &Arc<Inode>,
        io: Box<dyn FileIo>,
        writable: bool,
        caller: Caller,
    ) -> Result<FileState, Errno> {
        let _making = self.grace.enter();
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let parent = self.inodes.get(alias.parent).ok_or(Errno::ESTALE)?;
        let parent = self.dir(&parent)?;
        if writable && io.stat()?.size != 0 {
            io.set_len(0)?;
        }
        self.new_file(io, &parent, &alias.lower, Spot::At(inode), caller)
    }

    /// Key, id and state for a file that has no header yet, named `name` below in `parent`.
    pub(super) fn new_file(
        &self,
        io: Box<dyn FileIo>,
        parent: &DirState,
        name: &[u8],
        spot: Spot<'_>,
        caller: Caller,
    ) -> Result<FileState, Errno> {
        let cmk = &parent.wrapped().key_id;
        let fresh = self.new_key(Some(spot), caller, cmk, FreshFor::File)?;
        Ok(self.fresh_file(io, parent, name, fresh))
    }

    /// The state of a new file for a key that is at hand.
    pub(super) fn fresh_file(
        &self,
        io: Box<dyn FileIo>,
        parent: &DirState,
        name: &[u8],
        fresh: super::keys::FreshKey,
    ) -> FileState {
        let keys = FileKeys::new(&fresh.key, self.suite, &fresh.id);
        let tag = link_tag(&parent.keys, name, &fresh.id);
        let identity = Identity {
            id: fresh.id,
            suite: self.suite,
            wrapped: ArcSwap::from_pointee(fresh.wrapped),
        };
        let file = FileState::fresh(io, identity, keys);
        file.set_fresh_link_tag(tag);
        file
    }

    /// The errno for a data path error; tampering is reported on the way.
    pub(super) fn file_errno(&self, inode: &Arc<Inode>, file: &FileState, e: FileError) -> Errno {
        match e {
            FileError::Lower(e) => e.into(),
            FileError::Tampered(what) => {
                self.tampered(Purpose::File(file.identity().id), inode, what)
            }
            FileError::TooBig => Errno::EFBIG,
            FileError::NonceBudget => Errno::EIO,
            FileError::ReadOnly => Errno::EROFS,
        }
    }

    /// Notes that something below was changed by somebody without the key. Always EIO.
    pub(super) fn tampered(&self, purpose: Purpose, inode: &Inode, what: &str) -> Errno {
        let name = inode.alias().map(|a| String::from_utf8_lossy(&a.lower).into_owned());
        let name = name.unwrap_or_else(|| format!("inode {}", inode.lower_ino()));
        tracing::error!(object = %name, what, "does not authenticate");
        let context = KeyContext { volume: self.id, purpose };
        self.keys.report_tamper(Caller::Service, &context, &name, what);
        Errno::EIO
    }

    /// The newest header of a file that nobody has open, unverified.
    pub(super) fn peek_header(
        &self,
        inode: &Arc<Inode>,
    ) -> Result<Option<UnverifiedHeader>, Errno> {
        let _here = inode.settled();
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let (_, parent) = self.dir_and_fd(alias.parent)?;
        let (file, _) = parent.open_file(&alias.lower, false)?;
        let mut head = [0u8; crate::format::DIR_HEADER_LEN];
        file.read_at(&mut [IoSliceMut::new(&mut head)], 0)?;
        match Slots::of(&head) {
            Slots::Newest { header, .. } => Ok(Some(*header)),
            Slots::Empty | Slots::Damaged => Ok(None),
        }
    }
}
