//! Directory entries, packed into the memory of a reply.

use zerocopy::IntoBytes;

use super::{abi, encode};
use crate::volume::{DirSink, Entry, FileKind, Ino};

/// Records start at multiples of this many bytes.
const ALIGN: usize = 8;

/// Takes entries until the room is used up.
pub struct Dirents<'a> {
    room: &'a mut [u8],
    used: usize,
    plus: bool,
}

impl<'a> Dirents<'a> {
    /// For READDIR, or READDIRPLUS with `plus`.
    pub fn new(room: &'a mut [u8], plus: bool) -> Dirents<'a> {
        Dirents { room, used: 0, plus }
    }

    /// Bytes that were filled.
    pub fn used(&self) -> usize {
        self.used
    }
}

impl DirSink for Dirents<'_> {
    fn add(
        &mut self,
        ino: Ino,
        next: u64,
        kind: FileKind,
        name: &[u8],
        entry: Option<&Entry>,
    ) -> bool {
        let Ok(namelen) = u32::try_from(name.len()) else { return false };
        let of = encode::format_bits(kind);
        let dirent = abi::Dirent { ino: ino.0, off: next, namelen, kind: of >> 12 };
        let found = match entry {
            Some(e) => encode::entry(e),
            // `.` and `..`: number 0 tells the kernel to take type and name and count nothing.
            None => abi::EntryOut {
                attr: abi::Attr { ino: ino.0, mode: of, ..abi::Attr::default() },
                ..abi::EntryOut::default()
            },
        };
        let found = if self.plus { found.as_bytes() } else { &[] };
        let len = found.len() + size_of::<abi::Dirent>() + name.len();
        let padded = len.next_multiple_of(ALIGN);
        let Some(room) = self.room.get_mut(self.used..).and_then(|r| r.get_mut(..padded)) else {
            return false;
        };
        let mut room = room;
        for part in [found, dirent.as_bytes(), name] {
            let Some((to, rest)) = room.split_at_mut_checked(part.len()) else { return false };
            to.copy_from_slice(part);
            room = rest;
        }
        room.fill(0); // up to the next record, nothing left over from another reply
        self.used += padded;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_packed_and_padded() {
        let mut room = [0xffu8; 64];
        let mut to = Dirents::new(&mut room, false);
        assert!(to.add(Ino(7), 9, FileKind::Directory, b"ab", None));
        assert!(to.add(Ino(8), 10, FileKind::Regular, b"abcdefgh", None));
        assert!(!to.add(Ino(9), 11, FileKind::Regular, b"x", None), "there is no room left");
        assert_eq!(to.used(), 64);
        assert_eq!(room[..8], 7u64.to_le_bytes());
        assert_eq!(room[8..16], 9u64.to_le_bytes());
        assert_eq!(room[16..20], 2u32.to_le_bytes());
        assert_eq!(room[20..24], 4u32.to_le_bytes(), "DT_DIR");
        assert_eq!(&room[24..32], b"ab\0\0\0\0\0\0");
        assert_eq!(room[32..40], 8u64.to_le_bytes());
        assert_eq!(room[52..56], 8u32.to_le_bytes(), "DT_REG");
        assert_eq!(&room[56..64], b"abcdefgh");
    }

    #[test]
    fn dots_take_no_reference() {
        let mut room = [0xffu8; 512];
        let mut to = Dirents::new(&mut room, true);
        assert!(to.add(Ino(7), 9, FileKind::Directory, b"..", None));
        assert_eq!(to.used(), 128 + 24 + 8);
        assert_eq!(room[..8], [0; 8], "the number of the inode");
        assert_eq!(room[128..136], 7u64.to_le_bytes());
    }
}
