//! Directories: id, key, and the descriptor by which names are reached.

use std::io::{IoSlice, IoSliceMut};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::crypto::Suite;
use crate::format::{
    CipherName, DIR_HEADER, DIR_HEADER_LEN, DirKeys, FileId, Header, HeaderKey, Kind, SLOT_BODY,
    Slots, WrappedKey, link_tag, slot_offset,
};
use crate::lower::{Dir, FileIo, LowerError, LowerFile};
use crate::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::sync::{Arc, Mutex};

use super::Volume;
use super::ahead::Scan;
use super::inode::Inode;
use super::keys::{Caller, FreshFor, KeyContext, Operation, Purpose};
use super::place::Spot;
use super::types::{Errno, FileKind, Ino, ReqCtx};

/// What is known of a directory once its header was read.
pub(super) struct DirState {
    pub keys: DirKeys,
    /// Its key as wrapped; new children take its CMK.
    wrapped: ArcSwap<WrappedKey>,
    /// Its header or its own name may not be durable yet: made in this session, or in one that
    /// was stopped.
    pub unsynced: AtomicBool,
    default_acl: AtomicU8,
    /// Who goes through it, opening one file after the other.
    pub scan: Mutex<Scan>,
    /// The same of what is below it.
    pub dir_scan: Mutex<Scan>,
    fd: ArcSwapOption<Dir>,
}

const ACL_UNKNOWN: u8 = 0;
const ACL_NONE: u8 = 1;
const ACL_SET: u8 = 2;

impl DirState {
    pub fn new(keys: DirKeys, wrapped: WrappedKey, unsynced: bool) -> DirState {
        DirState {
            keys,
            wrapped: ArcSwap::from_pointee(wrapped),
            unsynced: AtomicBool::new(unsynced),
            default_acl: AtomicU8::new(ACL_UNKNOWN),
            scan: Mutex::default(),
            dir_scan: Mutex::default(),
            fd: ArcSwapOption::empty(),
        }
    }

    /// The id.
    pub fn id(&self) -> FileId {
        self.keys.id()
    }

    /// Its key as wrapped now.
    pub fn wrapped(&self) -> Arc<WrappedKey> {
        self.wrapped.load_full()
    }

    /// Notes that its header has the key under another wrapping.
    pub fn was_rewrapped(&self, wrapped: WrappedKey) {
        self.wrapped.store(Arc::new(wrapped));
    }

    /// The lower form of a name.
    pub fn lower_name(&self, name: &[u8]) -> Result<CipherName, Errno> {
        if name.len() > crate::format::NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.keys.encrypt_name(name).map_err(|_| Errno::EINVAL)
    }

    /// The descriptor, if there is one.
    pub fn open_fd(&self) -> Option<Arc<Dir>> {
        self.fd.load_full()
    }

    /// Lets the descriptor go; it is opened again when wanted.
    pub fn close(&self) {
        self.fd.store(None);
    }

    /// Notes of a directory made just now that it has no default ACL, if the one it was made in
    /// is known to have none: it could have come from nowhere else (acl(5)).
    pub fn made_in(&self, parent: &DirState) {
        if parent.default_acl.load(Ordering::Relaxed) == ACL_NONE {
            self.default_acl.store(ACL_NONE, Ordering::Relaxed);
        }
    }

    /// Forgets what is known of the default ACL.
    pub fn acl_changed(&self) {
        self.default_acl.store(ACL_UNKNOWN, Ordering::Relaxed);
    }
}

/// Writes the header of a new directory, not yet synced, and gives the file.
pub(super) fn write_new_header(
    dir: &Dir,
    id: &FileId,
    suite: Suite,
    wrapped: &WrappedKey,
    key: &HeaderKey,
    session: u64,
    tag: [u8; 32],
) -> Result<LowerFile, LowerError> {
    let header = Header {
        kind: Kind::Directory,
        suite,
        clean: true,
        multi_link: false,
        generation: 1,
        session,
        id: *id,
        size: 0,
        root: [0; 16],
        writes: 0,
        wrapped: wrapped.clone(),
        mtime: None,
    };
    let body = header.encode(key).map_err(|_| LowerError::INVAL)?;
    let mut bytes = [0u8; DIR_HEADER_LEN];
    let (slot_a, rest) = bytes.split_at_mut(SLOT_BODY);
    slot_a.copy_from_slice(&body);
    if let Some(place) = rest.first_chunk_mut::<32>() {
        *place = tag;
    }
    let file = dir.create_file(DIR_HEADER.as_bytes(), 0o644)?;
    file.write_at(&[IoSlice::new(&bytes)], 0)?;
    Ok(file)
}

impl Volume {
    /// Id and keys of a directory, read and verified at first use.
    pub(super) fn dir(&self, inode: &Arc<Inode>) -> Result<Arc<DirState>, Errno> {
        if inode.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if let Some(state) = inode.dir.lock().as_ref() {
            return Ok(Arc::clone(state));
        }
        let _here = inode.settled();
        let mut slot = inode.dir.lock();
        if let Some(state) = slot.as_ref() {
            return Ok(Arc::clone(state));
        }
        let lower = self.open_dir_of(inode)?;
        let asked = self.keys.questions();
        let state = Arc::new(self.load_dir(inode, &lower)?);
        if inode.ino != Ino::ROOT {
            self.ask_dirs_ahead(inode, self.keys.questions() != asked);
        }
        self.keep_fd(&state, lower);
        *slot = Some(Arc::clone(&state));
        Ok(state)
    }

    /// The directory and its descriptor together.
    pub(super) fn dir_and_fd(&self, ino: Ino) -> Result<(Arc<DirState>, Arc<Dir>), Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        let state = self.dir(&inode)?;
        let fd = self.dir_fd(&inode, &state)?;
        Ok((state, fd))
    }

    /// The descriptor of a directory; opened again if it had to be given up.
    pub(super) fn dir_fd(
        &self,
        inode: &Arc<Inode>,
        state: &Arc<DirState>,
    ) -> Result<Arc<Dir>, Errno> {
        if let Some(fd) = state.open_fd() {
            return Ok(fd);
        }
        let _here = inode.settled();
        let lower = self.open_dir_of(inode)?;
        Ok(self.keep_fd(state, lower))
    }

    /// Caches a directory's descriptor and lets the oldest go when there are too many.
    fn keep_fd(&self, state: &Arc<DirState>, lower: Dir) -> Arc<Dir> {
        let fd = Arc::new(lower);
        state.fd.store(Some(Arc::clone(&fd)));
        let mut open = self.open_dirs.lock();
        open.push_back(Arc::downgrade(state));
        while open.len() > self.max_open_dirs {
            if let Some(oldest) = open.pop_front().and_then(|weak| weak.upgrade())
                && !Arc::ptr_eq(&oldest, state)
            {
                oldest.close();
            }
        }
        fd
    }

    /// Opens a directory that is settled by what is known of it.
    fn open_dir_of(&self, inode: &Arc<Inode>) -> Result<Dir, Errno> {
        if inode.ino == Ino::ROOT {
            return Ok(self.root.open_dir(b".")?);
        }
        if let Some(pin) = inode.pinned() {
            return Ok(Dir::new(pin.try_clone().map_err(|_| Errno(libc::EMFILE))?));
        }
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let parent = self.inodes.get(alias.parent).ok_or(Errno::ESTALE)?;
        let parent_state = self.dir(&parent)?;
        let parent_fd = self.dir_fd(&parent, &parent_state)?;
        let dir = parent_fd.open_dir(&alias.lower)?;
        if dir.stat_self()?.ino != inode.lower_ino() {
            return Err(Errno::ESTALE);
        }
        Ok(dir)
    }

    fn load_dir(&self, inode: &Arc<Inode>, lower: &Dir) -> Result<DirState, Errno> {
        let mut bytes = [0u8; DIR_HEADER_LEN + 1];
        let (got, ctime) = match lower.open_file(DIR_HEADER.as_bytes(), false) {
            Ok((file, _)) => {
                (file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?, file.stat()?.ctime.0)
            }
            Err(LowerError::NOENT) => (0, lower.stat_self()?.ctime.0),
            Err(e) => return Err(e.into()),
        };
        let excused = self.sessions.excuses(ctime);
        let bytes = bytes.get(..got).unwrap_or_default();
        let nothing = bytes.iter().all(|&b| b == 0);
        if nothing && excused && self.may_write() && inode.ino != Ino::ROOT {
            return self.restart_dir(inode, lower);
        }
        let fail = |what| self.tampered(Purpose::Directory(FileId([0; 16])), inode, what);
        if got != DIR_HEADER_LEN {
            return Err(fail("a directory header of the wrong length"));
        }
        let (header, intact) = match Slots::of(bytes) {
            Slots::Newest { header, intact, .. } => (header, intact),
            Slots::Empty | Slots::Damaged => return Err(fail("a directory header")),
        };
        if !(intact || excused) || header.kind() != Kind::Directory {
            return Err(fail("the slots of a directory header"));
        }
        let id = header.id();
        let wrapped = header.wrapped().clone();
        let context = KeyContext { volume: self.id, purpose: Purpose::Directory(id) };
        let key = self.keys.unwrap(Caller::Service, &wrapped, &context).map_err(|e| {
            if e == super::keys::KeyError::Corrupt {
                fail("a directory's wrapped key");
            }
            Errno::from(e)
        })?;
        let keys = DirKeys::new(&key, &id);
        let header = header.verify(keys.header()).map_err(|_| fail("a directory header's tag"))?;
        if inode.ino == Ino::ROOT {
            if !super::descriptor::is_root(&self.descriptor.lock(), &id) {
                return Err(fail("the root directory's id"));
            }
        } else if inode.pin.lock().is_none()
            && let Err(e) = self.check_link(inode, &id, bytes)
        {
            if e != Errno::EIO || !excused {
                return Err(fail("a directory's name"));
            }
            if self.may_write() {
                self.put_right(lower, inode, &id);
            }
        }
        self.cmks.lock().insert(wrapped.key_id.clone());
        let unsynced = self.sessions.ended(header.session) != super::session::Ended::Well;
        Ok(DirState::new(keys, wrapped, unsynced))
    }

    /// A directory whose header never reached the disk before its session was stopped: nothing
    /// in it was ever synced, or the header would have been. It starts again, empty; what lies in
    /// it below has no name any more.
    fn restart_dir(&self, inode: &Arc<Inode>, lower: &Dir) -> Result<DirState, Errno> {
        tracing::warn!(
            inode = inode.ino.0,
            "a directory lost its header in a stopped session; it starts again, empty"
        );
        let alias = inode.alias().ok_or(Errno::ESTALE)?;
        let parent = self.inodes.get(alias.parent).ok_or(Errno::ESTALE)?;
        let parent = self.dir(&parent)?;
        match lower.unlink(DIR_HEADER.as_bytes()) {
            Ok(()) | Err(LowerError::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        self.make_dir_header(lower, &parent, &alias.lower, Caller::Service, None)
    }

    /// Makes, for `caller`, key, id and header for the new directory `lower`, named `name` below in `parent`.
    pub(super) fn make_dir_header(
        &self,
        lower: &Dir,
        parent: &DirState,
        name: &[u8],
        caller: Caller,
        spot: Option<Spot<'_>>,
    ) -> Result<DirState, Errno> {
        let _making = self.grace.enter();
        let cmk = &parent.wrapped().key_id;
        let fresh = self.new_key(spot, caller, cmk, FreshFor::Directory)?;
        let keys = DirKeys::new(&fresh.key, &fresh.id);
        let tag = link_tag(&parent.keys, name, &fresh.id);
        let session = self.sessions.current;
        write_new_header(
            lower,
            &fresh.id,
            self.suite,
            &fresh.wrapped,
            keys.header(),
            session,
            tag,
        )?;
        self.cmks.lock().insert(fresh.wrapped.key_id.clone());
        Ok(DirState::new(keys, fresh.wrapped, true))
    }

    /// Asks whether `caller` may use a directory's key, to see its names or give names in it, for
    /// the sake of what is at `spot`. Gives whether it was asked where that is.
    pub(super) fn judge_dir(
        &self,
        state: &DirState,
        caller: Caller,
        spot: Spot<'_>,
    ) -> Result<bool, Errno> {
        self.may_use(spot, caller, &state.wrapped(), &self.dir_context(state))
    }

    fn dir_context(&self, state: &DirState) -> KeyContext {
        KeyContext { volume: self.id, purpose: Purpose::Directory(state.id()) }
    }

    /// Puts a directory's key under the CMK of that id, ARN or alias; what is made in it from now
    /// on goes under that one too. What is in it already stays where it is.
    ///
    /// # Errors
    /// EPERM: neither its owner nor root asks. EACCES: the caller may not take the key from the
    /// one CMK to the other.
    ///
    /// # Crash
    /// One slot is written: the header has the one key or the other.
    pub(super) fn set_default_key(
        &self,
        cx: &ReqCtx,
        inode: &Arc<Inode>,
        cmk: &[u8],
    ) -> Result<(), Errno> {
        let _making = self.grace.enter();
        let cmk = std::str::from_utf8(cmk).map_err(|_| Errno::EINVAL)?;
        self.owner_or_root(cx, inode)?;
        let state = self.dir(inode)?;
        let context = self.dir_context(&state);
        let wrapped = self.keys.rewrap(
            self.caller(cx).to(Operation::Write),
            &state.wrapped(),
            &context,
            cmk,
        )?;
        // Held from here on, so that of two who do this the second reads what the first wrote.
        let mut slot = inode.dir.lock();
        let fd = self.dir_fd(inode, &state)?;
        let (file, _) = fd.open_file(DIR_HEADER.as_bytes(), true)?;
        let mut bytes = [0u8; DIR_HEADER_LEN];
        file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
        let Slots::Newest { header, .. } = Slots::of(&bytes) else { return Err(Errno::EIO) };
        let header = header.verify(state.keys.header()).map_err(|_| Errno::EIO)?;
        let (generation, session) = (header.generation + 1, self.sessions.current);
        let next = Header { generation, session, wrapped, ..header };
        let body = next.encode(state.keys.header()).map_err(|_| Errno::EIO)?;
        file.write_at(&[IoSlice::new(&body)], slot_offset(generation))?;
        file.sync(true)?;
        self.cmks.lock().insert(next.wrapped.key_id);
        *slot = None;
        Ok(())
    }

    /// Whether new children of a directory take their permissions from a default ACL.
    pub(super) fn has_default_acl(&self, state: &DirState, fd: &Dir) -> bool {
        match state.default_acl.load(Ordering::Relaxed) {
            ACL_NONE => false,
            ACL_SET => true,
            _ => {
                let pinned = crate::lower::Pinned::new(fd.fd());
                let set = pinned.xattr(b"system.posix_acl_default").is_ok();
                state.default_acl.store(if set { ACL_SET } else { ACL_NONE }, Ordering::Relaxed);
                set
            }
        }
    }

    /// Makes the headers of a directory and of all above it durable, where they may not be yet:
    /// a synced file must not be lost because a directory on the way to it was.
    pub(super) fn sync_dirs(&self, ino: Ino) -> Result<(), Errno> {
        let mut at = ino;
        for _ in 0..MAX_DEPTH {
            let inode = self.inodes.get(at).ok_or(Errno::ESTALE)?;
            let state = self.dir(&inode)?;
            if state.unsynced.load(Ordering::Acquire) {
                let fd = self.dir_fd(&inode, &state)?;
                fd.open_file(DIR_HEADER.as_bytes(), false)?.0.sync(true)?;
                fd.open_for_reading()?.sync()?;
                state.unsynced.store(false, Ordering::Release);
            }
            match inode.alias() {
                Some(alias) if at != Ino::ROOT => at = alias.parent,
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Directories between a file and the root, at most: a path of PATH_MAX bytes has fewer.
const MAX_DEPTH: usize = 4096;
