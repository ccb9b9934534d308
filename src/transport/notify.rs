//! What the filesystem tells the kernel without being asked.

use std::io;
use std::sync::Arc;

use super::device::Device;
use crate::volume::Ino;

/// A way to tell it, over whichever transport there is.
pub enum Notifier {
    /// Through `fuser`.
    Fuser(::fuser::Notifier),
    /// Straight to the device; with a ring too, notifications go this way.
    Device(Arc<Device>),
}

impl Notifier {
    /// Gives the kernel what an inode's pages from the first on hold, as if it had read them. Of an
    /// inode that nobody has open and that nobody can open meanwhile: pages that somebody wrote to
    /// would be overwritten.
    pub fn store(&self, ino: Ino, data: &[u8]) -> io::Result<()> {
        match self {
            Notifier::Fuser(n) => n.store(::fuser::INodeNo(ino.0), 0, data),
            Notifier::Device(device) => device.store(ino, data),
        }
    }

    /// Drops the pages and attributes that the kernel has of an inode. Waits for pages that are
    /// being read or written back.
    pub fn drop_pages(&self, ino: Ino) -> io::Result<()> {
        match self {
            Notifier::Fuser(n) => n.inval_inode(::fuser::INodeNo(ino.0), 0, 0),
            Notifier::Device(device) => device.drop_pages(ino),
        }
    }
}
