//! From what is asked for to a call, and from its result to the bytes of the reply.

use zerocopy::{Immutable, IntoBytes};

use super::abi::{self, InHeader};
use super::decode::{Op, decode};
use super::dirents::Dirents;
use super::{Body, encode};
use crate::sync::interrupt;
use crate::transport::calls::Calls;
use crate::volume::{Entry, Errno, Ino, Plain, ReqCtx};

/// Room for the largest reply of fixed size.
const FIXED: usize = size_of::<abi::CreateOut>();

/// The body of a reply.
pub enum Reply {
    /// The first so many bytes of the request's [`Body`].
    InPlace(usize),
    /// A struct, and its size.
    Fixed([u8; FIXED], usize),
    /// Bytes from elsewhere.
    Bytes(Vec<u8>),
}

impl Reply {
    /// A reply without a body.
    const EMPTY: Reply = Reply::InPlace(0);

    fn fixed(value: &(impl IntoBytes + Immutable)) -> Reply {
        let bytes = value.as_bytes();
        let mut room = [0; FIXED];
        match room.get_mut(..bytes.len()) {
            Some(to) => {
                to.copy_from_slice(bytes);
                Reply::Fixed(room, bytes.len())
            }
            None => Reply::Bytes(bytes.to_vec()),
        }
    }

    /// The bytes, of which those in place are in `body`.
    pub fn bytes<'a>(&'a self, body: &'a Body<'_>) -> &'a [u8] {
        match self {
            Reply::InPlace(len) => body.bytes.get(..*len).unwrap_or_default(),
            Reply::Fixed(room, len) => room.get(..*len).unwrap_or_default(),
            Reply::Bytes(bytes) => bytes,
        }
    }

    /// Copies what is not in place to the start of `body`. Gives the length, or EIO if it does
    /// not fit.
    pub fn settle(self, body: &mut Body<'_>) -> Result<usize, Errno> {
        let (bytes, len) = match &self {
            Reply::InPlace(len) => return Ok(*len),
            Reply::Fixed(room, len) => (room.get(..*len).unwrap_or_default(), *len),
            Reply::Bytes(bytes) => (bytes.as_slice(), bytes.len()),
        };
        body.bytes.get_mut(..len).ok_or(Errno::EIO)?.copy_from_slice(bytes);
        Ok(len)
    }
}

/// Answers one request. `args` starts with the operation's struct.
pub fn answer(
    calls: &Calls,
    head: &InHeader,
    args: &[u8],
    body: &mut Body<'_>,
) -> Result<Reply, Errno> {
    interrupt::begin(Some(head.unique));
    let input = body.bytes.get(..body.input).unwrap_or_default();
    let op = decode(head, args, input)?;
    let ino = Ino(head.nodeid);
    let mut cx = ReqCtx { uid: head.uid, gid: head.gid, pid: head.pid, umask: 0 };
    match op {
        Op::Lookup { name } => Ok(match calls.lookup(&cx, ino, name)? {
            Some(e) => Reply::fixed(&encode::entry(&e)),
            None => Reply::fixed(&encode::absent()),
        }),
        Op::Getattr { fh } => Ok(Reply::fixed(&encode::kept(&calls.getattr(ino, fh)?))),
        Op::Setattr { fh, set, kill_suidgid } => {
            let kept = calls.setattr_and_kill(&cx, ino, fh, set, kill_suidgid)?;
            Ok(Reply::fixed(&encode::kept(&kept)))
        }
        Op::Readlink => Ok(Reply::Bytes(calls.readlink(&cx, ino)?)),
        Op::Symlink { name, target } => named(calls.symlink(&cx, ino, name, target)),
        Op::Mknod { name, mode, umask, rdev } => {
            cx.umask = umask;
            named(calls.mknod(&cx, ino, name, mode, rdev))
        }
        Op::Mkdir { name, mode, umask } => {
            cx.umask = umask;
            named(calls.mkdir(&cx, ino, name, mode))
        }
        Op::Unlink { name } => empty(calls.unlink(&cx, ino, name)),
        Op::Rmdir { name } => empty(calls.rmdir(&cx, ino, name)),
        Op::Rename { name, to, new_name, flags } => {
            empty(calls.rename(&cx, (ino, name), (to, new_name), flags))
        }
        Op::Link { ino: existing, name } => named(calls.link(&cx, existing, ino, name)),
        Op::Open { flags, kill_suidgid } => {
            if kill_suidgid {
                calls.drop_privileges(&cx, ino)?;
            }
            Ok(Reply::fixed(&encode::opened(calls.open(&cx, ino, flags)?)))
        }
        Op::Create { name, mode, umask, flags } => {
            cx.umask = umask;
            let (entry, handle) = calls.create(&cx, ino, name, mode, flags)?;
            let (entry, open) = (encode::entry(&entry), encode::opened(handle));
            Ok(Reply::fixed(&abi::CreateOut { entry, open }))
        }
        Op::Tmpfile { mode, umask, flags } => {
            cx.umask = umask;
            let (entry, handle) = calls.tmpfile(&cx, ino, mode, flags)?;
            let (entry, open) = (encode::entry(&entry), encode::opened(handle));
            Ok(Reply::fixed(&abi::CreateOut { entry, open }))
        }
        Op::Statx { fh } => {
            let (kept, born) = calls.statx(ino, fh)?;
            Ok(Reply::fixed(&encode::statx(&kept, born)))
        }
        Op::Read { fh, offset, size } => {
            calls.read(ino, fh, offset, body.room(size)).map(Reply::InPlace)
        }
        Op::Write { fh, offset, size, from, kill_suidgid } => {
            if kill_suidgid {
                calls.drop_privileges(&cx, ino)?;
            }
            let data = Plain::Given(body.given(size).ok_or(Errno::EINVAL)?);
            counted(calls.write(ino, fh, offset, data, from))
        }
        Op::Statfs => Ok(Reply::fixed(&encode::statfs(&calls.statfs(ino)?))),
        Op::Release { fh } => empty(calls.release(ino, fh)),
        Op::Fsync { fh, datasync } => empty(calls.fsync(ino, fh, datasync)),
        Op::Setxattr { name, value, flags, kill_sgid } => {
            calls.setxattr(&cx, ino, name, value, flags)?;
            if kill_sgid { empty(calls.drop_setgid(&cx, ino)) } else { Ok(Reply::EMPTY) }
        }
        Op::Getxattr { name, size } => sized(calls.getxattr(&cx, ino, name), size),
        Op::Listxattr { size } => sized(calls.listxattr(&cx, ino), size),
        Op::Removexattr { name } => empty(calls.removexattr(&cx, ino, name)),
        Op::Flush { fh } => empty(calls.flush(ino, fh)),
        Op::Opendir => Ok(Reply::fixed(&encode::opened(calls.opendir(&cx, ino)?))),
        Op::Readdir { fh, offset, size, plus } => {
            let mut to = Dirents::new(body.room(size), plus);
            calls.readdir(&cx, ino, fh, offset, plus, &mut to)?;
            Ok(Reply::InPlace(to.used()))
        }
        Op::Releasedir { fh } => empty(calls.releasedir(ino, fh)),
        Op::Fsyncdir { fh, datasync } => empty(calls.fsyncdir(ino, fh, datasync)),
        Op::Access { mask } => empty(calls.access(&cx, ino, mask)),
        Op::Fallocate { fh, offset, len, mode } => {
            empty(calls.fallocate(&cx, ino, fh, offset, len, mode))
        }
        Op::Lseek { fh, offset, whence } => {
            calls.lseek(ino, fh, offset, whence).map(|at| Reply::fixed(&at))
        }
        Op::CopyFileRange { fh, offset, to, len, wide: true } => {
            let copied = calls.copy_file_range(&cx, (ino, fh, offset), to, len)?;
            Ok(Reply::fixed(&u64::try_from(copied).map_err(|_| Errno::EIO)?))
        }
        Op::CopyFileRange { fh, offset, to, len, wide: false } => {
            // The reply counts in 32 bits; callers go on where a short copy ended.
            let len = len.min(u64::from(u32::MAX) & !0xfff);
            counted(calls.copy_file_range(&cx, (ino, fh, offset), to, len))
        }
    }
}

fn empty(result: Result<(), Errno>) -> Result<Reply, Errno> {
    result.map(|()| Reply::EMPTY)
}

fn named(result: Result<Entry, Errno>) -> Result<Reply, Errno> {
    result.map(|e| Reply::fixed(&encode::entry(&e)))
}

fn counted(result: Result<usize, Errno>) -> Result<Reply, Errno> {
    let count = u32::try_from(result?).map_err(|_| Errno::EIO)?;
    Ok(Reply::fixed(&abi::CountOut { count, pad: 0 }))
}

/// The two-step protocol of extended attributes: a size is asked for first, then the bytes.
fn sized(result: Result<Vec<u8>, Errno>, size: usize) -> Result<Reply, Errno> {
    let value = result?;
    match size {
        0 => counted(Ok(value.len())),
        _ if value.len() <= size => Ok(Reply::Bytes(value)),
        _ => Err(Errno::ERANGE),
    }
}
