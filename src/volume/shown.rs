//! What stat(2) shows of an object: the lower object's attributes, with the plaintext's size and
//! times.
//!
//! The size follows from the lower one, and nothing is opened for it, but for files of a writer
//! that stopped and those that re-wrapping has given another time: their headers tell.

use std::io::IoSliceMut;

use rustix::fs::FileType;

use crate::format::{CipherLen, DIR_HEADER_LEN, MTIME_MARK, PlainLen, Slots, plain_len};
use crate::lower::{Dir, FileIo, LowerStat};
use crate::sync::Arc;

use super::Volume;
use super::inode::Inode;
use super::types::{Attr, FileKind, Ino};

impl Volume {
    /// Attributes from a lower stat; `at` is where a stopped writer's header can be looked at.
    pub(super) fn attr_at(
        &self,
        inode: &Arc<Inode>,
        st: &LowerStat,
        at: Option<(&Dir, &[u8])>,
    ) -> Attr {
        let mut attr = self.attr_of(inode.ino, st);
        if inode.kind == FileKind::Regular {
            if let Some(file) = &inode.file.lock().state {
                attr.size = file.size();
                if let Some(mtime) = file.shown_mtime(st.mtime) {
                    attr.mtime = LowerStat::time(mtime);
                }
                return attr;
            }
            if st.mtime.1 == MTIME_MARK
                && let Some((fd, lower)) = at
                && let Some(mtime) = mtime_in_header(fd, lower)
            {
                attr.mtime = LowerStat::time(mtime);
            }
            if self.sessions.any_stopped()
                && self.sessions.excuses(st.ctime.0)
                && let Some((fd, alias)) = at.zip(inode.alias()).map(|((fd, _), a)| (fd, a))
                && let Some(size) = self.after_stop(fd, &alias)
            {
                attr.size = size;
            }
        } else if inode.kind == FileKind::Symlink {
            attr.size = self.target_len(st, at);
        }
        attr
    }

    /// Attributes as the lower object alone tells them.
    pub(super) fn attr_of(&self, ino: Ino, st: &LowerStat) -> Attr {
        let kind = kind_of(st.file_type());
        let size = match kind {
            FileKind::Regular => plain_len(CipherLen(st.size)).unwrap_or(PlainLen(0)).0,
            FileKind::Directory => st.size,
            _ => 0,
        };
        Attr {
            ino,
            kind,
            perm: u16::try_from(st.mode & 0o7777).unwrap_or(0),
            nlink: st.nlink,
            uid: st.uid,
            gid: st.gid,
            rdev: u32::try_from(st.rdev).unwrap_or(0),
            size,
            blocks: st.blocks,
            blksize: 4096,
            atime: LowerStat::time(st.atime),
            mtime: LowerStat::time(st.mtime),
            ctime: LowerStat::time(st.ctime),
        }
    }
}

/// The kinds that both sides know.
pub(super) fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::RegularFile | FileType::Unknown => FileKind::Regular,
    }
}

/// The modification time that a re-wrapped file's header keeps.
fn mtime_in_header(fd: &Dir, lower: &[u8]) -> Option<(i64, u32)> {
    let (file, _) = fd.open_file(lower, false).ok()?;
    let mut head = [0u8; DIR_HEADER_LEN];
    file.read_at(&mut [IoSliceMut::new(&mut head)], 0).ok()?;
    match Slots::of(&head) {
        Slots::Newest { header, .. } => header.mtime(),
        Slots::Empty | Slots::Damaged => None,
    }
}
