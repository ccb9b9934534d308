//! Open files: reading, writing, making durable.

use crate::format::BLOCK;
use crate::lower::FileIo;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

use super::Volume;
use super::file::{Allocate, Settle, Stamp, Whence};
use super::handle::{Handle, InUse};
use super::keys::Operation;
use super::types::{Errno, Fh, Ino, Opened, Plain, ReqCtx, WriteFrom};

impl Volume {
    /// open(2). With O_TRUNC the file is emptied first.
    ///
    /// # Errors
    /// EACCES: policy says no. ENOKEY: the key cannot be used now. EIO: the file below is not
    /// what was written.
    pub fn open(&self, cx: &ReqCtx, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        self.open_showing(cx, ino, flags, |_| ())
    }

    /// The same, and `show` gets all that is in a small file that is opened to be read, if it is at
    /// hand and nobody else has the file open. Nobody can open it before `show` has returned, so
    /// there is no newer content than this.
    pub fn open_showing(
        &self,
        cx: &ReqCtx,
        ino: Ino,
        flags: i32,
        show: impl FnOnce(&[u8]),
    ) -> Result<Opened, Errno> {
        let inode = self.inodes.get(ino).ok_or(Errno::ESTALE)?;
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        if writes || flags & libc::O_TRUNC != 0 {
            self.writable()?;
        }
        let caller = self.caller(cx).to(Operation::of_flags(flags));
        let epoch = self.keys.epoch();
        let cached = flags & (libc::O_ACCMODE | libc::O_TRUNC | libc::O_DIRECT) == libc::O_RDONLY;
        let file = self.acquire(&inode, caller, |file| {
            let mut room = [0; BLOCK];
            if let Some(whole) = cached.then(|| file.at_hand(&mut room)).flatten() {
                show(whole);
            }
        })?;
        let ready = if writes && !file.writable() { Err(Errno::EROFS) } else { Ok(()) };
        let ready = ready.and_then(|()| {
            if flags & libc::O_TRUNC != 0 {
                file.truncate(&self.env(), 0).map_err(|e| self.file_errno(&inode, &file, e))?;
                file.set_mtime(Some(now()));
                file.io().caps_were_set(None);
            }
            Ok(())
        });
        if let Err(e) = ready {
            drop(file);
            self.release_share(&inode)?;
            return Err(e);
        }
        let opened = self.add_handle(inode, file, (caller, epoch), flags);
        // Who has lost his right meanwhile may have been looked for before he had a handle, and what
        // the kernel has of the file it would give him without a question.
        if self.keys.epoch() != epoch
            && let Err(e) = self.usable(opened.fh)
        {
            self.release(ino, opened.fh)?;
            return Err(e);
        }
        Ok(opened)
    }

    /// The file of a handle whose opener still has the right to it: judged again whenever the
    /// policy epoch has moved since.
    pub(super) fn usable(&self, fh: Fh) -> Result<InUse, Errno> {
        let handle = self.handles.file(fh)?;
        let epoch = self.keys.epoch();
        let same = handle.epoch.load(Ordering::Acquire) == epoch;
        let file = match handle.file.load_full() {
            Some(file) if same => file,
            Some(file) => {
                self.judge(&handle.inode, &file, handle.opener)?;
                file
            }
            None => self.unlock(&handle)?,
        };
        if !same {
            handle.epoch.store(epoch, Ordering::Release);
        }
        Ok(InUse { inode: Arc::clone(&handle.inode), file })
    }

    /// Reads plaintext into `out`; fewer bytes than asked only at the end of the file.
    pub fn read(&self, _ino: Ino, fh: Fh, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let handle = self.usable(fh)?;
        handle.file.read(offset, out).map_err(|e| self.file_errno(&handle.inode, &handle.file, e))
    }

    /// Writes plaintext. Whole or not at all.
    pub fn write<'a>(
        &self,
        _ino: Ino,
        fh: Fh,
        offset: u64,
        data: impl Into<Plain<'a>>,
        from: WriteFrom,
    ) -> Result<usize, Errno> {
        let data = data.into();
        let len = data.bytes().len();
        self.writable()?;
        let handle = self.usable(fh)?;
        let env = self.env();
        let stamp = match from {
            WriteFrom::PageCache => Stamp::Stays,
            WriteFrom::Program => Stamp::Now,
        };
        let holding = handle
            .file
            .write(&env, offset, data, stamp)
            .map_err(|e| self.file_errno(&handle.inode, &handle.file, e))?;
        if from == WriteFrom::Program {
            handle.file.io().caps_were_set(None);
        }
        if holding {
            let mut holding = self.holding.lock();
            if !holding.iter().any(|w| w.as_ptr() == Arc::as_ptr(&handle.file)) {
                holding.push(Arc::downgrade(&handle.file));
            }
        }
        Ok(len)
    }

    /// Brings down what files hold back, so that nothing waits long for somebody to sync. To be
    /// called every few seconds.
    pub fn write_behind(&self) {
        let holding = std::mem::take(&mut *self.holding.lock());
        for file in holding.iter().filter_map(crate::sync::Weak::upgrade) {
            if let Err(error) = file.write_behind() {
                // It stays held; whoever syncs or closes the file is told.
                tracing::warn!(file = %file.identity().id, %error, "write-behind failed");
                self.holding.lock().push(Arc::downgrade(&file));
            }
        }
    }

    /// After the kernel has forgotten many inodes: makes the table of them smaller, and gives true,
    /// for a heap that has many holes now. To be called every few seconds.
    pub fn tidy_up(&self) -> bool {
        self.rest_ahead();
        self.inodes.tidy_up()
    }

    /// Settles a handle's file before its last handle goes: what is still to be written reaches
    /// the lower filesystem, and the header says clean.
    pub fn flush(&self, _ino: Ino, fh: Fh) -> Result<(), Errno> {
        let handle = self.handles.file(fh)?;
        if !handle.writes || self.read_only {
            return Ok(());
        }
        // What was locked away was settled before.
        let Some(file) = handle.file.load_full() else { return Ok(()) };
        file.settle(&self.env(), Settle::Clean)
            .map_err(|e| self.file_errno(&handle.inode, &file, e))
    }

    /// The last descriptor of a handle is gone.
    pub fn release(&self, _ino: Ino, fh: Fh) -> Result<(), Errno> {
        match self.handles.remove(fh) {
            Some(Handle::File(handle)) => {
                let inode = Arc::clone(&handle.inode);
                drop(handle);
                self.release_share(&inode)
            }
            Some(Handle::Dir(_)) => Ok(()),
            None => Err(Errno::EBADF),
        }
    }

    /// fsync(2) and fdatasync(2): data, size and the way to the file are durable on return.
    pub fn fsync(&self, _ino: Ino, fh: Fh, datasync: bool) -> Result<(), Errno> {
        if self.read_only {
            return Ok(());
        }
        let handle = self.handles.file(fh)?;
        match handle.file.load_full() {
            Some(file) => file
                .sync(&self.env(), !datasync)
                .map_err(|e| self.file_errno(&handle.inode, &file, e))?,
            // Settled before it was locked away, and no more than that.
            None => {
                let _here = handle.inode.settled();
                self.open_lower(&handle.inode)?.0.sync(!datasync)?;
            }
        }
        match handle.inode.alias() {
            Some(alias) => self.sync_dirs(alias.parent),
            None => Ok(()),
        }
    }

    /// fallocate(2). Collapsing and inserting ranges would move every block: EOPNOTSUPP.
    pub fn fallocate(
        &self,
        _ino: Ino,
        fh: Fh,
        offset: u64,
        len: u64,
        mode: i32,
    ) -> Result<(), Errno> {
        self.writable()?;
        let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        let how = match mode & !libc::FALLOC_FL_KEEP_SIZE {
            0 if keep_size => Allocate::KeepSize,
            0 => Allocate::Extend,
            libc::FALLOC_FL_PUNCH_HOLE if keep_size => Allocate::Punch,
            libc::FALLOC_FL_ZERO_RANGE => Allocate::Zero { keep_size },
            _ => return Err(Errno::EOPNOTSUPP),
        };
        let handle = self.usable(fh)?;
        handle
            .file
            .allocate(&self.env(), offset, len, how)
            .map_err(|e| self.file_errno(&handle.inode, &handle.file, e))?;
        handle.file.set_mtime(Some(now()));
        Ok(())
    }

    /// lseek(2) with SEEK_DATA or SEEK_HOLE.
    pub fn lseek(&self, _ino: Ino, fh: Fh, offset: u64, whence: i32) -> Result<u64, Errno> {
        let whence = match whence {
            libc::SEEK_DATA => Whence::Data,
            libc::SEEK_HOLE => Whence::Hole,
            _ => return Err(Errno::EINVAL),
        };
        let handle = self.usable(fh)?;
        handle
            .file
            .seek(offset, whence)
            .map_err(|e| self.file_errno(&handle.inode, &handle.file, e))?
            .ok_or(Errno::ENXIO)
    }

    /// copy_file_range(2): decrypts and encrypts again, under the other file's key. May copy less
    /// than asked.
    #[expect(clippy::too_many_arguments, reason = "the system call has them all")]
    pub fn copy_file_range(
        &self,
        _in_ino: Ino,
        in_fh: Fh,
        in_offset: u64,
        out_ino: Ino,
        out_fh: Fh,
        out_offset: u64,
        len: u64,
    ) -> Result<usize, Errno> {
        let source = self.usable(in_fh)?;
        let want = usize::try_from(len).unwrap_or(usize::MAX).min(COPY_BUFFER);
        let mut buf = vec![0u8; want];
        let got = source
            .file
            .read(in_offset, &mut buf)
            .map_err(|e| self.file_errno(&source.inode, &source.file, e))?;
        let data = buf.get(..got).unwrap_or_default();
        self.write(out_ino, out_fh, out_offset, data, WriteFrom::Program)
    }
}

/// Bytes copied per call; the caller asks again.
const COPY_BUFFER: usize = 1 << 20;

/// The time for a modification that happens now.
pub(super) fn now() -> (i64, u32) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}
