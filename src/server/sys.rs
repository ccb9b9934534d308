//! The few calls that no safe crate offers: who is at the other end of a socket, and the user
//! and group databases of the C library (files, LDAP, SSSD: whatever nsswitch.conf says).
#![expect(unsafe_code, reason = "getsockopt(SO_PEERCRED), getpwuid_r and their kin are C calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Longest record that the user database may return, bytes.
const MAX_RECORD: usize = 1 << 20;

/// Who opened the other end, as the kernel saw it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; 0 if the process is not in our pid namespace.
    pub pid: u32,
}

/// Credentials of the peer of a Unix socket.
pub fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut cred = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>())
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open for the life of the borrow; `cred` and `length` are
    // writable and `length` is the size of `cred`, so the kernel writes inside of it.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut length,
        )
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Credentials { uid: cred.uid, gid: cred.gid, pid: u32::try_from(cred.pid).unwrap_or(0) })
}

/// Calls `ask` with a growing buffer until the record fits. `None`: no such record.
fn with_buffer<T>(
    mut ask: impl FnMut(&mut [libc::c_char]) -> (libc::c_int, Option<T>),
) -> io::Result<Option<T>> {
    let mut buffer = vec![0; 1024];
    loop {
        match ask(&mut buffer) {
            (0, found) => return Ok(found),
            (libc::ERANGE, _) if buffer.len() < MAX_RECORD => buffer.resize(buffer.len() * 4, 0),
            // What the C library may say for "no such entry", besides 0.
            (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Login name of a user; `None` if the database has none, or none in UTF-8.
pub fn login_name(uid: u32) -> io::Result<Option<String>> {
    with_buffer(|buffer| {
        // SAFETY: passwd is plain old data; all zero is a valid value of it.
        let mut record: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: record, buffer (with its true length) and found outlive the call, which
        // writes to nothing else.
        let code = unsafe {
            libc::getpwuid_r(
                uid,
                &raw mut record,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        if code != 0 || found.is_null() || record.pw_name.is_null() {
            return (code, None);
        }
        // SAFETY: the call succeeded, so pw_name is a terminated string inside `buffer`, which
        // is alive and not written to while it is read.
        let name = unsafe { CStr::from_ptr(record.pw_name) };
        (0, name.to_str().ok().map(str::to_owned))
    })
}

/// User id of a login name.
pub fn uid_of(login: &str) -> io::Result<Option<u32>> {
    let Ok(login) = CString::new(login) else { return Ok(None) };
    with_buffer(|buffer| {
        // SAFETY: passwd is plain old data; all zero is a valid value of it.
        let mut record: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: `login` is terminated; record, buffer (with its true length) and found outlive
        // the call, which writes to nothing else.
        let code = unsafe {
            libc::getpwnam_r(
                login.as_ptr(),
                &raw mut record,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        (code, (code == 0 && !found.is_null()).then_some(record.pw_uid))
    })
}

/// Group id of a group name.
pub fn gid_of(group: &str) -> io::Result<Option<u32>> {
    let Ok(group) = CString::new(group) else { return Ok(None) };
    with_buffer(|buffer| {
        // SAFETY: group is plain old data; all zero is a valid value of it.
        let mut record: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: `group` is terminated; record, buffer (with its true length) and found outlive
        // the call, which writes to nothing else.
        let code = unsafe {
            libc::getgrnam_r(
                group.as_ptr(),
                &raw mut record,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        (code, (code == 0 && !found.is_null()).then_some(record.gr_gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn knows_root_and_nobody_else() {
        assert_eq!(login_name(0).unwrap().as_deref(), Some("root"));
        assert_eq!(uid_of("root").unwrap(), Some(0));
        assert_eq!(gid_of("root").unwrap(), Some(0));
        assert_eq!(login_name(4_000_000_123).unwrap(), None);
        assert_eq!(uid_of("no-such-login-here").unwrap(), None);
        assert_eq!(gid_of("no\0name").unwrap(), None);
    }

    #[test]
    fn sees_the_peer() {
        let (a, _b) = UnixStream::pair().unwrap();
        let peer = peer_credentials(a.as_fd()).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.pid, std::process::id());
    }
}
