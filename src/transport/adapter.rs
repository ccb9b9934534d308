//! One method per kernel request, as `fuser` decodes it: call, and put the answer in its types.
//!
//! No method here has a decision to make but who runs a request that may wait ([`Spare`]).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ::fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::calls::{Calls, Handle, Kept, TTL, ttl};
use super::reply::{self, attr, errno, open_flags, set_time};
use super::spare::Spare;
use super::{fuser, lend, sink};
use crate::volume::{Entry, Errno, Fh, Ino, ReqCtx, SetAttr};

/// The volume as fuser wants to see it.
pub struct Adapter {
    calls: Arc<Calls>,
    spare: Spare,
}

impl Adapter {
    /// For a session with `threads` queue threads.
    pub fn new(calls: Arc<Calls>, threads: usize) -> Adapter {
        Adapter { calls, spare: Spare::new(threads) }
    }

    /// Runs a request that may wait for a key service or a disk; see [`Spare`].
    fn may_block(&self, job: impl FnOnce(&Calls) + Send + 'static) {
        let calls = Arc::clone(&self.calls);
        self.spare.run(move || job(&calls));
    }
}

fn cx(req: &Request, umask: u32) -> ReqCtx {
    ReqCtx { uid: req.uid(), gid: req.gid(), pid: req.pid(), umask }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(errno(e)),
    }
}

fn entered(result: Result<Entry, Errno>, reply: ReplyEntry) {
    match result {
        Ok(e) => reply.entry(&ttl(&e.attr), &attr(&e.attr), Generation(e.generation)),
        Err(e) => reply.error(errno(e)),
    }
}

fn kept(result: Result<Kept, Errno>, reply: ReplyAttr) {
    match result {
        Ok(kept) => reply.attr(&kept.ttl, &attr(&kept.attr)),
        Err(e) => reply.error(errno(e)),
    }
}

fn opened(result: Result<Handle, Errno>, reply: ReplyOpen) {
    match result {
        Ok(h) => reply.opened(FileHandle(h.fh.0), open_flags(h)),
        Err(e) => reply.error(errno(e)),
    }
}

/// The two-step protocol of xattr replies: a size is asked for first, then the bytes.
fn sized(result: Result<Vec<u8>, Errno>, size: u32, reply: ReplyXattr) {
    match result {
        Err(e) => reply.error(errno(e)),
        Ok(value) => match u32::try_from(value.len()) {
            Ok(len) if size == 0 => reply.size(len),
            Ok(len) if len <= size => reply.data(&value),
            _ => reply.error(errno(Errno(libc::ERANGE))),
        },
    }
}

/// For a truncation, where fuser does not pass on whether the caller has CAP_FSETID: nobody but
/// root is taken to have it.
fn may_keep_suid(req: &Request) -> bool {
    req.uid() == 0
}

fn counted(result: Result<usize, Errno>, reply: ReplyWrite) {
    match result.map(u32::try_from) {
        Ok(Ok(n)) => reply.written(n),
        Ok(Err(_)) => reply.error(errno(Errno(libc::EIO))),
        Err(e) => reply.error(errno(e)),
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        fuser::negotiate(config)
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (cx, name) = (cx(req, 0), name.to_owned());
        self.may_block(move |v| match v.lookup(&cx, Ino(parent.0), name.as_bytes()) {
            Ok(Some(e)) => entered(Ok(e), reply),
            Ok(None) => reply.entry(&TTL, &reply::absent(), Generation(0)),
            Err(e) => entered(Err(e), reply),
        });
    }

    fn forget(&self, _: &Request, ino: INodeNo, n: u64) {
        self.calls.forget(Ino(ino.0), n);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        kept(self.calls.getattr(Ino(ino.0), fh.map(|f| Fh(f.0))), reply);
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let asked = mode.is_some() || uid.is_some() || gid.is_some() || size.is_some();
        let asked = asked || atime.is_some() || mtime.is_some();
        let set = SetAttr {
            keep_owner: ctime.is_some() && !asked,
            mode: mode.map(|m| m & 0o7777),
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
        };
        let kill = size.is_some() && !may_keep_suid(req);
        let fh = fh.map(|f| Fh(f.0));
        kept(self.calls.setattr_and_kill(&cx(req, 0), Ino(ino.0), fh, set, kill), reply);
    }

    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        let cx = cx(req, 0);
        self.may_block(move |v| match v.readlink(&cx, Ino(ino.0)) {
            Ok(target) => reply.data(&target),
            Err(e) => reply.error(errno(e)),
        });
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (cx, name) = (cx(req, umask), name.to_owned());
        self.may_block(move |v| {
            entered(v.mknod(&cx, Ino(parent.0), name.as_bytes(), mode, rdev), reply);
        });
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let (cx, name) = (cx(req, umask), name.to_owned());
        self.may_block(move |v| {
            entered(v.mkdir(&cx, Ino(parent.0), name.as_bytes(), mode), reply);
        });
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let cx = cx(req, 0);
        done(self.calls.unlink(&cx, Ino(parent.0), name.as_bytes()), reply);
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let cx = cx(req, 0);
        done(self.calls.rmdir(&cx, Ino(parent.0), name.as_bytes()), reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let (cx, name, target) = (cx(req, 0), name.to_owned(), target.as_os_str().to_owned());
        self.may_block(move |v| {
            let target = target.as_bytes();
            entered(v.symlink(&cx, Ino(parent.0), name.as_bytes(), target), reply);
        });
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (cx, from, to) = (cx(req, 0), name.to_owned(), newname.to_owned());
        let (old, new) = (Ino(parent.0), Ino(newparent.0));
        self.may_block(move |v| {
            let (from, to) = (from.as_bytes(), to.as_bytes());
            done(v.rename(&cx, (old, from), (new, to), flags.bits()), reply);
        });
    }

    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let (cx, name) = (cx(req, 0), newname.as_bytes());
        entered(self.calls.link(&cx, Ino(ino.0), Ino(newparent.0), name), reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let cx = cx(req, 0);
        let kill = flags.0 & libc::O_TRUNC != 0 && !may_keep_suid(req);
        self.may_block(move |v| {
            let ready = if kill { v.drop_privileges(&cx, Ino(ino.0)) } else { Ok(()) };
            opened(ready.and_then(|()| v.open(&cx, Ino(ino.0), flags.0)), reply);
        });
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (cx, name) = (cx(req, umask), name.to_owned());
        self.may_block(move |v| match v.create(&cx, Ino(parent.0), name.as_bytes(), mode, flags) {
            Ok((e, h)) => {
                let (generation, fh) = (Generation(e.generation), FileHandle(h.fh.0));
                reply.created(&ttl(&e.attr), &attr(&e.attr), generation, fh, open_flags(h));
            }
            Err(e) => reply.error(errno(e)),
        });
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        lend::buffer(size, |out| {
            let result = self.calls.read(Ino(ino.0), Fh(fh.0), offset, out);
            match result.map(|n| out.get(..n)) {
                Ok(Some(data)) => reply.data(data),
                Ok(None) => reply.error(errno(Errno(libc::EIO))),
                Err(e) => reply.error(errno(e)),
            }
        });
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let from = reply::write_from(write_flags);
        let kill = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let (ino, cx) = (Ino(ino.0), cx(req, 0));
        let ready = if kill { self.calls.drop_privileges(&cx, ino) } else { Ok(()) };
        let result =
            ready.and_then(|()| self.calls.write(ino, Fh(fh.0), offset, data.into(), from));
        counted(result, reply);
    }

    fn flush(&self, _: &Request, ino: INodeNo, fh: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        done(self.calls.flush(Ino(ino.0), Fh(fh.0)), reply);
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.may_block(move |v| done(v.release(Ino(ino.0), Fh(fh.0)), reply));
    }

    fn fsync(&self, _: &Request, ino: INodeNo, fh: FileHandle, data: bool, reply: ReplyEmpty) {
        self.may_block(move |v| done(v.fsync(Ino(ino.0), Fh(fh.0), data), reply));
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let cx = cx(req, 0);
        self.may_block(move |v| opened(v.opendir(&cx, Ino(ino.0)), reply));
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let (cx, mut to) = (cx(req, 0), sink::Plain(&mut reply));
        let v = &self.calls;
        match v.readdir(&cx, Ino(ino.0), Fh(fh.0), offset, false, &mut to) {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let (cx, mut to) = (cx(req, 0), sink::Plus(&mut reply));
        let v = &self.calls;
        match v.readdir(&cx, Ino(ino.0), Fh(fh.0), offset, true, &mut to) {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn releasedir(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        done(self.calls.releasedir(Ino(ino.0), Fh(fh.0)), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, fh: FileHandle, data: bool, reply: ReplyEmpty) {
        self.may_block(move |v| done(v.fsyncdir(Ino(ino.0), Fh(fh.0), data), reply));
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.calls.statfs(Ino(ino.0)) {
            Ok(s) => reply.statfs(
                s.blocks, s.bfree, s.bavail, s.files, s.ffree, s.bsize, s.namelen, s.frsize,
            ),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (cx, name) = (cx(req, 0), name.as_bytes());
        done(self.calls.setxattr(&cx, Ino(ino.0), name, value, flags), reply);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let (cx, name) = (cx(req, 0), name.as_bytes());
        sized(self.calls.getxattr(&cx, Ino(ino.0), name), size, reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        sized(self.calls.listxattr(&cx(req, 0), Ino(ino.0)), size, reply);
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (cx, name) = (cx(req, 0), name.as_bytes());
        done(self.calls.removexattr(&cx, Ino(ino.0), name), reply);
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        done(self.calls.access(&cx(req, 0), Ino(ino.0), mask.bits()), reply);
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let cx = cx(req, 0);
        self.may_block(move |v| {
            done(v.fallocate(&cx, Ino(ino.0), Fh(fh.0), offset, len, mode), reply);
        });
    }

    fn lseek(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.may_block(move |v| match v.lseek(Ino(ino.0), Fh(fh.0), offset, whence) {
            Ok(at) => reply.offset(at),
            Err(e) => reply.error(errno(e)),
        });
    }

    fn copy_file_range(
        &self,
        req: &Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let from = (Ino(ino_in.0), Fh(fh_in.0), offset_in);
        let to = (Ino(ino_out.0), Fh(fh_out.0), offset_out);
        // The reply counts in 32 bits; callers go on where a short copy ended.
        let len = len.min(u64::from(u32::MAX) & !0xfff);
        let cx = cx(req, 0);
        self.may_block(move |v| counted(v.copy_file_range(&cx, from, to, len), reply));
    }
}
