//! Names removed, by unlink(2) and rmdir(2), and for a rename that replaces them.
//!
//! Before an object loses a name it is pinned, since the kernel may go on using it, and of
//! several names the one that goes has its link tag taken away. What could not be removed then
//! gets back what was taken from it.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::FileType;

use crate::format::{DIR_HEADER, DIR_HEADER_LEN, Internal, LowerName, classify};
use crate::lower::{Dir, FileIo, LowerError, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::inode::{Alias, Inode};
use super::link_tag::NameChange;
use super::types::{Errno, FileKind, Ino, ReqCtx};

impl Volume {
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
        let st = Pinned::new(pin.as_fd()).stat()?;
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
        let links = Pinned::new(pin.as_fd()).stat().map_or(2, |st| st.nlink);
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
        let st = Pinned::new(pin.as_fd()).stat()?;
        if st.file_type() != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        let dir = fd.open_dir(lname)?;
        self.must_be_empty(&dir)?;
        let inode = self.inodes.get(self.inodes.number(st.ino));
        let name = DIR_HEADER.as_bytes();
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
            let file = emptied.dir.create_file(DIR_HEADER.as_bytes(), 0o644)?;
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
            match classify(entry.name) {
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
