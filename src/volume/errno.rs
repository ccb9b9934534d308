//! The one place where errors become errno values.

use super::keys::KeyError;
use super::types::Errno;

impl Errno {
    /// Nothing of that name.
    pub const ENOENT: Errno = Errno(libc::ENOENT);
    /// Data that does not authenticate, or a fault below.
    pub const EIO: Errno = Errno(libc::EIO);
    /// Policy or permission bits say no.
    pub const EACCES: Errno = Errno(libc::EACCES);
    /// The operation is for a privileged caller.
    pub const EPERM: Errno = Errno(libc::EPERM);
    /// The key is disabled, pending deletion or out of reach.
    pub const ENOKEY: Errno = Errno(libc::ENOKEY);
    /// Malformed request.
    pub const EINVAL: Errno = Errno(libc::EINVAL);
    /// No such inode or handle (any more).
    pub const ESTALE: Errno = Errno(libc::ESTALE);
    /// Somebody is at it already.
    pub const EBUSY: Errno = Errno(libc::EBUSY);
    /// Not an open handle.
    pub const EBADF: Errno = Errno(libc::EBADF);
    /// Mounted read-only.
    pub const EROFS: Errno = Errno(libc::EROFS);
    /// From under one key to under another.
    pub const EXDEV: Errno = Errno(libc::EXDEV);
    /// There already.
    pub const EEXIST: Errno = Errno(libc::EEXIST);
    /// Not a directory.
    pub const ENOTDIR: Errno = Errno(libc::ENOTDIR);
    /// Is a directory.
    pub const EISDIR: Errno = Errno(libc::EISDIR);
    /// Past the largest offset.
    pub const EFBIG: Errno = Errno(libc::EFBIG);
    /// Name of more than 255 bytes, or link target of more than 4,095.
    pub const ENAMETOOLONG: Errno = Errno(libc::ENAMETOOLONG);
    /// Not supported here or below.
    pub const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);
    /// No such attribute.
    pub const ENODATA: Errno = Errno(libc::ENODATA);
    /// Seek past the last data, or no such position.
    pub const ENXIO: Errno = Errno(libc::ENXIO);
    /// Buffer too small.
    pub const ERANGE: Errno = Errno(libc::ERANGE);
}

impl From<rustix::io::Errno> for Errno {
    fn from(e: rustix::io::Errno) -> Errno {
        Errno(e.raw_os_error())
    }
}

impl From<KeyError> for Errno {
    fn from(e: KeyError) -> Errno {
        match e {
            KeyError::Denied | KeyError::PathWanted => Errno::EACCES,
            KeyError::Unusable | KeyError::Unreachable => Errno::ENOKEY,
            KeyError::Interrupted => Errno(libc::EINTR),
            KeyError::Corrupt => Errno::EIO,
        }
    }
}
