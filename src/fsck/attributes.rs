//! Sealed extended attributes.

use std::os::fd::BorrowedFd;

use crate::format::{XATTR_PREFIX, XattrKey};
use crate::lower::{LowerError, Pinned};

/// Checks every sealed attribute of an object. `Ok(false)`: one does not authenticate.
pub(super) fn check(fd: BorrowedFd<'_>, key: &XattrKey) -> Result<bool, LowerError> {
    let pin = Pinned::new(fd);
    let names = match pin.xattr_names() {
        Err(LowerError::OPNOTSUPP) => return Ok(true),
        other => other?,
    };
    for name in names.split(|&b| b == 0).filter(|n| n.starts_with(XATTR_PREFIX.as_bytes())) {
        if key.open_xattr(name, &pin.xattr(name)?).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
