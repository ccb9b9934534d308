//! The on-disk format, without I/O: bytes to values and back, and nothing that opens a file.
//!
//! Invariant: whatever is read is parsed in full or refused, and no value that was not
//! authenticated can be taken for one that was ([`UnverifiedHeader`], [`UnverifiedDescriptor`]).
//! The text below is the format's definition; the code cites its requirements by number.
//!
#![doc = include_str!("FORMAT.md")]

mod attr;
mod block;
mod geometry;
mod header;
mod id;
mod index;
mod keys;
mod mtime;
mod name;
mod slots;
mod symlink;
mod volume;
mod wrapped;

pub use attr::{AttrError, XATTR_PREFIX, XattrKey};
pub use block::{BlockCipher, ENTRY_LEN, Entry, LOST_WRITES, MAX_WRITES, Seal};
pub use geometry::{
    BLOCK, BlockNo, CipherLen, GROUP, HEADER_ENTRIES, HEADER_ENTRIES_OFFSET, MAX_PLAIN,
    NODE_FANOUT, NodeNo, PageNo, PlainLen, block_offset, blocks_of, cipher_len, entry_page_at,
    entry_page_len, entry_page_of, entry_page_offset, entry_slot, node_of, node_offset, plain_len,
};
pub use header::{
    Header, HeaderError, Kind, LINK_TAG_AT, LINK_TAG_LEN, SLOT, SLOT_BODY, UnverifiedHeader,
    parse_slot,
};
pub use id::{BadId, FileId, VolumeId};
pub use index::{IndexKey, Root, xor_mac};
pub use keys::{DirKeys, FileKeys, HeaderKey, VolumeKeys, link_tag};
pub use mtime::{MTIME_MARK, shown_mtime};
pub use name::{
    CipherName, DIR_HEADER, Internal, LowerName, NAME_MAX, NameError, REKEY_DIR, REKEY_READY,
    VOLUME_DIR, VOLUME_FILE, classify, is_name, sidecar_of,
};
pub use slots::{DIR_HEADER_LEN, SlotState, Slots, newest, parse_slots, slot_offset};
pub use symlink::{
    Binding, LINKS_DIR, LinkError, SealedTarget, TARGET_MAX, TargetText, parse_target,
};
pub use volume::{
    DESCRIPTOR_LEN, Descriptor, DescriptorError, MAX_RECORDS, SessionKind, SessionRecord,
    UnverifiedDescriptor, parse_descriptor,
};
pub use wrapped::{BLOB_MAX, KEY_ID_MAX, WrappedKey};

pub use crate::crypto::{BadTag, Suite};

/// The format that this version writes, and the newest that it reads.
pub const VERSION: u16 = 1;

/// First byte of everything that is sealed: what it is. No two kinds of bytes can be taken for
/// each other. F-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Sealed {
    /// A data block.
    Block = 1,
    /// A name in a directory.
    Name = 2,
    /// The target of a symbolic link.
    Symlink = 3,
    /// The value of an extended attribute.
    Xattr = 4,
}

impl Sealed {
    /// Associated data: this kind, then `parts`, whose lengths the kind fixes (the last one may
    /// vary).
    fn aad(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut aad = vec![self as u8];
        for part in parts {
            aad.extend_from_slice(part);
        }
        aad
    }
}

#[cfg(test)]
mod tests {
    use super::Sealed;
    use crate::crypto::{Aead, BadTag, Suite};
    use crate::secret::Secret;

    /// F-7: bytes of one kind do not open as another, even under one key, nonce and binding.
    #[test]
    fn kinds_of_sealed_bytes_do_not_mix() {
        let aead = Aead::new(Suite::default(), &Secret::new([1; 32]));
        let kinds = [Sealed::Block, Sealed::Name, Sealed::Symlink, Sealed::Xattr];
        for (n, kind) in (1u8..).zip(kinds) {
            assert_eq!(kind.aad(&[b"id"]), [&[n][..], b"id"].concat());
            let mut sealed = *b"something";
            let tag = aead.seal(&[0; 16], 0, &kind.aad(&[b"id"]), &mut sealed);
            for other in kinds {
                let mut text = sealed;
                let opened = aead.open(&[0; 16], 0, &other.aad(&[b"id"]), &mut text, &tag);
                let expected = if other == kind { Ok(()) } else { Err(BadTag) };
                assert_eq!(opened, expected, "{kind:?} as {other:?}");
            }
        }
    }
}
