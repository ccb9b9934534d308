//! Listing directories.
//!
//! Positions are the lower filesystem's own, so telldir and seekdir are as stable here as there.

use std::io::IoSliceMut;

use rustix::fs::FileType;

use crate::format::{LowerName, NAME_MAX, classify, sidecar_of};
use crate::lower::{Dir, DirEntry, FileIo, LowerError};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};

use super::Volume;
use super::directory::DirState;
use super::handle::{DirHandle, Handle};
use super::keys::{Operation, Purpose};
use super::place::Spot;
use super::types::{DirSink, Errno, Fh, FileKind, Ino, ReqCtx};

impl Volume {
    /// opendir(3), for whoever may use the directory's key: names are sealed under it.
    pub fn opendir(&self, cx: &ReqCtx, ino: Ino) -> Result<Fh, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        let state = self.dir(&inode)?;
        let (opener, epoch) =
            (self.caller(cx).to(Operation::List), AtomicU64::new(self.keys.epoch()));
        let epoch = match self.judge_dir(&state, opener, Spot::At(&inode)) {
            Ok(_) => {
                self.ask_ahead_in(&inode, &state, opener);
                epoch
            }
            // This very process opens directories to find inodes by, and reads none of them.
            Err(_) if is_own_thread(cx.pid) => AtomicU64::new(NEVER),
            Err(e) => return Err(e),
        };
        let dir = self.dir_fd(&inode, &state)?.open_for_reading()?;
        let handle = DirHandle { inode, dir: Mutex::new(dir), opener, epoch };
        Ok(self.handles.add(Handle::Dir(Arc::new(handle))))
    }

    /// A directory whose opener still has the right to it.
    pub(super) fn usable_dir(&self, fh: Fh) -> Result<Arc<DirHandle>, Errno> {
        let handle = self.handles.dir(fh)?;
        let epoch = self.keys.epoch();
        if handle.epoch.load(Ordering::Acquire) != epoch {
            let spot = Spot::At(&handle.inode);
            self.judge_dir(&*self.dir(&handle.inode)?, handle.opener, spot)?;
            handle.epoch.store(epoch, Ordering::Release);
        }
        Ok(handle)
    }

    /// Offers the entries after position `offset` to `sink`, with attributes if `plus`.
    ///
    /// A name below that does not decrypt is not shown, so that the rest of the directory can be
    /// used; it is logged and reported.
    pub fn readdir(
        &self,
        _cx: &ReqCtx,
        ino: Ino,
        fh: Fh,
        offset: u64,
        plus: bool,
        sink: &mut dyn DirSink,
    ) -> Result<(), Errno> {
        let handle = self.usable_dir(fh)?;
        let state = self.dir(&handle.inode)?;
        let dir = handle.dir.lock();
        let up = handle.inode.alias().map_or(Ino::ROOT, |alias| alias.parent);
        dir.read(offset, |entry| {
            if entry.name == b"." || entry.name == b".." {
                let dot = if entry.name == b"." { ino } else { up };
                return Ok(sink.add(dot, entry.next, FileKind::Directory, entry.name, None));
            }
            let name = match self.plain_name(&handle, &state, &dir, entry.name) {
                Some(name) => name,
                None => return Ok(true),
            };
            self.offer(ino, &dir, &entry, &name, plus, sink)
        })
    }

    fn offer(
        &self,
        parent: Ino,
        dir: &Dir,
        entry: &DirEntry<'_>,
        name: &[u8],
        plus: bool,
        sink: &mut dyn DirSink,
    ) -> Result<bool, Errno> {
        if !plus && entry.kind != FileType::Unknown {
            let kind = super::shown::kind_of(entry.kind);
            return Ok(sink.add(self.inodes.number(entry.ino), entry.next, kind, name, None));
        }
        // Gone since: not an error of the listing.
        let found = match self.entry_of(parent, dir, entry.name) {
            Err(Errno::ENOENT) => return Ok(true),
            other => other?,
        };
        let (ino, kind) = (found.attr.ino, found.attr.kind);
        let taken = sink.add(ino, entry.next, kind, name, plus.then_some(&found));
        if !taken || !plus {
            self.inodes.forget(ino, 1);
        }
        Ok(taken)
    }

    /// The plaintext of a lower name; `None` for what is not shown.
    fn plain_name(
        &self,
        handle: &DirHandle,
        state: &DirState,
        dir: &Dir,
        lower: &[u8],
    ) -> Option<Vec<u8>> {
        if let LowerName::Internal(_) | LowerName::Sidecar = classify(lower) {
            return None;
        }
        let opened = open_name(state, dir, lower);
        if opened.is_none() {
            let purpose = Purpose::Directory(state.id());
            self.tampered(purpose, &handle.inode, "a name in this directory");
        }
        opened
    }

    /// closedir(3).
    pub fn releasedir(&self, _ino: Ino, fh: Fh) -> Result<(), Errno> {
        self.handles.remove(fh).map(|_| ()).ok_or(Errno::EBADF)
    }

    /// fsync(2) of a directory: its names, and the headers on the way to it, are durable.
    pub fn fsyncdir(&self, ino: Ino, fh: Fh, _datasync: bool) -> Result<(), Errno> {
        if self.read_only {
            return Ok(());
        }
        let handle = self.handles.dir(fh)?;
        self.sync_dirs(ino)?;
        Ok(handle.dir.lock().sync()?)
    }
}

/// An epoch that never is: the handle is judged before it is used.
const NEVER: u64 = u64::MAX;

fn is_own_thread(pid: u32) -> bool {
    pid != 0 && std::path::Path::new(&format!("/proc/self/task/{pid}")).exists()
}

/// The plaintext of the lower name of an object, if it authenticates.
pub(super) fn open_name(state: &DirState, dir: &Dir, lower: &[u8]) -> Option<Vec<u8>> {
    match classify(lower) {
        LowerName::Short => state.keys.decrypt_name(lower).ok(),
        LowerName::Long => read_sidecar(dir, lower)
            .ok()
            .and_then(|content| state.keys.decrypt_long(lower, &content).ok()),
        LowerName::Internal(_) | LowerName::Sidecar | LowerName::Foreign => None,
    }
}

fn read_sidecar(dir: &Dir, lower: &[u8]) -> Result<Vec<u8>, LowerError> {
    let sidecar = sidecar_of(&String::from_utf8_lossy(lower));
    let (file, _) = dir.open_file(sidecar.as_bytes(), false)?;
    let mut content = vec![0u8; NAME_MAX * 2];
    let got = file.read_at(&mut [IoSliceMut::new(&mut content)], 0)?;
    content.truncate(got);
    Ok(content)
}
