//! From the bytes of a request to what is asked for.

use std::time::{Duration, SystemTime};

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::abi::{self, InHeader, fattr, op};
use crate::volume::{Errno, Fh, Ino, SetAttr, SetTime, WriteFrom};

/// What a request asks for. Names and values lie where the kernel put them. The data of a WRITE is
/// not lent here, since it may be overwritten: it is the first `size` bytes behind the fixed part.
#[derive(Debug, PartialEq)]
pub enum Op<'a> {
    Lookup { name: &'a [u8] },
    Getattr { fh: Option<Fh> },
    Setattr { fh: Option<Fh>, set: SetAttr, kill_suidgid: bool },
    Readlink,
    Symlink { name: &'a [u8], target: &'a [u8] },
    Mknod { name: &'a [u8], mode: u32, umask: u32, rdev: u32 },
    Mkdir { name: &'a [u8], mode: u32, umask: u32 },
    Unlink { name: &'a [u8] },
    Rmdir { name: &'a [u8] },
    Rename { name: &'a [u8], to: Ino, new_name: &'a [u8], flags: u32 },
    Link { ino: Ino, name: &'a [u8] },
    Open { flags: i32, kill_suidgid: bool },
    Create { name: &'a [u8], mode: u32, umask: u32, flags: i32 },
    Tmpfile { mode: u32, umask: u32, flags: i32 },
    Statx { fh: Option<Fh> },
    Read { fh: Fh, offset: u64, size: usize },
    Write { fh: Fh, offset: u64, size: usize, from: WriteFrom, kill_suidgid: bool },
    Statfs,
    Release { fh: Fh },
    Fsync { fh: Fh, datasync: bool },
    Setxattr { name: &'a [u8], value: &'a [u8], flags: i32, kill_sgid: bool },
    Getxattr { name: &'a [u8], size: usize },
    Listxattr { size: usize },
    Removexattr { name: &'a [u8] },
    Flush { fh: Fh },
    Opendir,
    Readdir { fh: Fh, offset: u64, size: usize, plus: bool },
    Releasedir { fh: Fh },
    Fsyncdir { fh: Fh, datasync: bool },
    Access { mask: i32 },
    Fallocate { fh: Fh, offset: u64, len: u64, mode: i32 },
    Lseek { fh: Fh, offset: i64, whence: i32 },
    CopyFileRange { fh: Fh, offset: u64, to: (Ino, Fh, u64), len: u64, wide: bool },
}

/// Reads a request. `args` starts with the operation's struct, `input` is what follows it.
///
/// # Errors
/// ENOSYS for an operation that is not offered: the kernel then does without. EINVAL for bytes
/// that do not make sense.
pub fn decode<'a>(head: &InHeader, args: &[u8], input: &'a [u8]) -> Result<Op<'a>, Errno> {
    let mut input = Input(input);
    Ok(match head.opcode {
        op::LOOKUP => Op::Lookup { name: input.name()? },
        op::GETATTR => {
            let a: abi::GetattrIn = fixed(args)?;
            Op::Getattr { fh: (a.flags & abi::GETATTR_FH != 0).then_some(Fh(a.fh)) }
        }
        op::SETATTR => setattr(&fixed(args)?)?,
        op::READLINK => Op::Readlink,
        op::SYMLINK => Op::Symlink { name: input.name()?, target: input.name()? },
        op::MKNOD => {
            let a: abi::MknodIn = fixed(args)?;
            Op::Mknod { name: input.name()?, mode: a.mode, umask: a.umask, rdev: a.rdev }
        }
        op::MKDIR => {
            let a: abi::MkdirIn = fixed(args)?;
            Op::Mkdir { name: input.name()?, mode: a.mode, umask: a.umask }
        }
        op::UNLINK => Op::Unlink { name: input.name()? },
        op::RMDIR => Op::Rmdir { name: input.name()? },
        op::RENAME => rename(fixed(args)?, 0, &mut input)?,
        op::RENAME2 => {
            let a: abi::Rename2In = fixed(args)?;
            rename(a.newdir, a.flags, &mut input)?
        }
        op::LINK => Op::Link { ino: Ino(fixed(args)?), name: input.name()? },
        op::OPEN => {
            let a: abi::OpenIn = fixed(args)?;
            let kill_suidgid = a.open_flags & abi::OPEN_KILL_SUIDGID != 0;
            Op::Open { flags: signed(a.flags), kill_suidgid }
        }
        op::CREATE => {
            let a: abi::CreateIn = fixed(args)?;
            let flags = signed(a.flags);
            Op::Create { name: input.name()?, mode: a.mode, umask: a.umask, flags }
        }
        op::TMPFILE => {
            let a: abi::CreateIn = fixed(args)?;
            // The kernel makes a name up, which nobody will see.
            input.name()?;
            Op::Tmpfile { mode: a.mode, umask: a.umask, flags: signed(a.flags) }
        }
        op::STATX => {
            let a: abi::StatxIn = fixed(args)?;
            Op::Statx { fh: (a.flags & abi::GETATTR_FH != 0).then_some(Fh(a.fh)) }
        }
        op::READ => {
            let a: abi::ReadIn = fixed(args)?;
            Op::Read { fh: Fh(a.fh), offset: a.offset, size: length(a.size)? }
        }
        op::WRITE => write(&fixed(args)?, &mut input)?,
        op::STATFS => Op::Statfs,
        op::RELEASE => Op::Release { fh: Fh(fixed::<abi::ReleaseIn>(args)?.fh) },
        op::FSYNC => {
            let (fh, datasync) = fsync(args)?;
            Op::Fsync { fh, datasync }
        }
        op::SETXATTR => setxattr(args, &mut input)?,
        op::GETXATTR => Op::Getxattr { size: number(args)?, name: input.name()? },
        op::LISTXATTR => Op::Listxattr { size: number(args)? },
        op::REMOVEXATTR => Op::Removexattr { name: input.name()? },
        op::FLUSH => Op::Flush { fh: Fh(fixed::<abi::FlushIn>(args)?.fh) },
        op::OPENDIR => Op::Opendir,
        op::READDIR | op::READDIRPLUS => {
            let a: abi::ReadIn = fixed(args)?;
            let (size, plus) = (length(a.size)?, head.opcode == op::READDIRPLUS);
            Op::Readdir { fh: Fh(a.fh), offset: a.offset, size, plus }
        }
        op::RELEASEDIR => Op::Releasedir { fh: Fh(fixed::<abi::ReleaseIn>(args)?.fh) },
        op::FSYNCDIR => {
            let (fh, datasync) = fsync(args)?;
            Op::Fsyncdir { fh, datasync }
        }
        op::ACCESS => Op::Access { mask: signed(fixed::<abi::NumberIn>(args)?.number) },
        op::FALLOCATE => {
            let a: abi::FallocateIn = fixed(args)?;
            let mode = signed(a.mode);
            Op::Fallocate { fh: Fh(a.fh), offset: a.offset, len: a.length, mode }
        }
        op::LSEEK => {
            let a: abi::LseekIn = fixed(args)?;
            let (offset, whence) = (a.offset.cast_signed(), signed(a.whence));
            Op::Lseek { fh: Fh(a.fh), offset, whence }
        }
        op::COPY_FILE_RANGE | op::COPY_FILE_RANGE_64 => {
            let a: abi::CopyIn = fixed(args)?;
            Op::CopyFileRange {
                fh: Fh(a.fh_in),
                offset: a.off_in,
                to: (Ino(a.nodeid_out), Fh(a.fh_out), a.off_out),
                len: a.len,
                wide: head.opcode == op::COPY_FILE_RANGE_64,
            }
        }
        _ => return Err(Errno(libc::ENOSYS)),
    })
}

/// References that the kernel gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Of this inode ...
    pub ino: Ino,
    /// ... so many.
    pub count: u64,
}

/// The inodes of a FORGET or BATCH_FORGET; nothing for another operation. What is cut off is
/// left out: a reference too many costs memory, one too few a file.
pub fn forgotten(head: &InHeader, args: &[u8], input: &[u8]) -> Vec<Forgotten> {
    match head.opcode {
        op::FORGET => fixed(args)
            .map(|count| Forgotten { ino: Ino(head.nodeid), count })
            .into_iter()
            .collect(),
        op::BATCH_FORGET => {
            let count = fixed::<abi::BatchForgetIn>(args).map_or(0, |b| b.count);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            input
                .chunks_exact(size_of::<abi::ForgetOne>())
                .take(count)
                .filter_map(|one| abi::ForgetOne::read_from_bytes(one).ok())
                .map(|one| Forgotten { ino: Ino(one.nodeid), count: one.nlookup })
                .collect()
        }
        _ => Vec::new(),
    }
}

fn setattr<'a>(a: &abi::SetattrIn) -> Result<Op<'a>, Errno> {
    let given = |bit| a.valid & bit != 0;
    let time = |bit, now, secs: u64, nanos| match (given(bit), given(now)) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(SetTime::Now)),
        (true, false) => at(secs.cast_signed(), nanos).map(|t| Some(SetTime::At(t))),
    };
    let set = SetAttr {
        mode: given(fattr::MODE).then_some(a.mode & 0o7777),
        uid: given(fattr::UID).then_some(a.uid),
        gid: given(fattr::GID).then_some(a.gid),
        size: given(fattr::SIZE).then_some(a.size),
        atime: time(fattr::ATIME, fattr::ATIME_NOW, a.atime, a.atimensec)?,
        mtime: time(fattr::MTIME, fattr::MTIME_NOW, a.mtime, a.mtimensec)?,
        // Alone, that is how it comes.
        keep_owner: a.valid & !fattr::FH == fattr::CTIME,
    };
    let fh = given(fattr::FH).then_some(Fh(a.fh));
    Ok(Op::Setattr { fh, set, kill_suidgid: given(fattr::KILL_SUIDGID) })
}

/// Seconds may be negative; nanoseconds count forward from them.
fn at(secs: i64, nanos: u32) -> Result<SystemTime, Errno> {
    if nanos >= 1_000_000_000 {
        return Err(Errno::EINVAL);
    }
    let whole = Duration::from_secs(secs.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let start = if secs < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    start.and_then(|t| t.checked_add(Duration::new(0, nanos))).ok_or(Errno::EINVAL)
}

fn rename<'a>(to: u64, flags: u32, input: &mut Input<'a>) -> Result<Op<'a>, Errno> {
    Ok(Op::Rename { name: input.name()?, to: Ino(to), new_name: input.name()?, flags })
}

fn write<'a>(a: &abi::WriteIn, input: &mut Input<'a>) -> Result<Op<'a>, Errno> {
    let cached = a.write_flags & abi::WRITE_CACHE != 0;
    let size = length(a.size)?;
    input.take(size)?;
    Ok(Op::Write {
        fh: Fh(a.fh),
        offset: a.offset,
        size,
        from: if cached { WriteFrom::PageCache } else { WriteFrom::Program },
        kill_suidgid: a.write_flags & abi::WRITE_KILL_SUIDGID != 0,
    })
}

fn setxattr<'a>(args: &[u8], input: &mut Input<'a>) -> Result<Op<'a>, Errno> {
    // A kernel that did not agree to SETXATTR_EXT sends half of it.
    let a = fixed(args).or_else(|_| {
        let abi::SetxattrIn { size, flags } = fixed(args)?;
        Ok::<_, Errno>(abi::SetxattrExtIn { size, flags, setxattr_flags: 0, pad: 0 })
    })?;
    let name = input.name()?;
    Ok(Op::Setxattr {
        name,
        value: input.take(length(a.size)?)?,
        flags: signed(a.flags),
        kill_sgid: a.setxattr_flags & abi::SETXATTR_ACL_KILL_SGID != 0,
    })
}

fn fsync(args: &[u8]) -> Result<(Fh, bool), Errno> {
    let a: abi::FsyncIn = fixed(args)?;
    Ok((Fh(a.fh), a.flags & abi::FSYNC_FDATASYNC != 0))
}

fn number(args: &[u8]) -> Result<usize, Errno> {
    length(fixed::<abi::NumberIn>(args)?.number)
}

fn length(n: u32) -> Result<usize, Errno> {
    usize::try_from(n).map_err(|_| Errno::EINVAL)
}

/// Flags, which the kernel passes as an unsigned number.
fn signed(n: u32) -> i32 {
    n.cast_signed()
}

fn fixed<T: FromBytes + KnownLayout + Immutable>(args: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(args).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
}

/// What follows the fixed part, taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// A name and the NUL behind it.
    fn name(&mut self) -> Result<&'a [u8], Errno> {
        let end = self.0.iter().position(|&b| b == 0).ok_or(Errno::EINVAL)?;
        let name = self.take(end)?;
        self.take(1)?;
        Ok(name)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Errno::EINVAL)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
