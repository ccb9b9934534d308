//! Headers for the tests of slots.

use proptest::prelude::*;

use super::fields::NANOS;
use super::{Header, HeaderKey, Kind};
use crate::format::{FileId, MAX_PLAIN, MAX_WRITES, Suite, WrappedKey};
use crate::secret::Secret;

/// One of a file.
pub fn header() -> Header {
    Header {
        kind: Kind::File,
        suite: Suite::Aes256GcmSiv,
        clean: true,
        multi_link: false,
        generation: 5,
        session: 2,
        id: FileId([9; 16]),
        size: 12345,
        root: [8; 16],
        writes: 4,
        wrapped: WrappedKey { key_id: "key".to_owned(), version: 1, blob: vec![3; 100] },
        mtime: None,
    }
}

/// Its keys, under the data key of all samples.
pub fn keys(header: &Header) -> HeaderKey {
    HeaderKey::new(header.kind, &Secret::new([1; 32]), header.suite, &header.id)
}

/// Any that a reader takes.
pub fn any_header() -> impl Strategy<Value = Header> {
    let wrapped = ("[!-~]{1,36}", any::<u32>(), prop::collection::vec(any::<u8>(), 1..=320))
        .prop_map(|(key_id, version, blob)| WrappedKey { key_id, version, blob });
    let mtime = prop::option::of((any::<i64>(), 0..NANOS));
    let numbers = (any::<u64>(), any::<u64>(), 0..=MAX_PLAIN, 0..=MAX_WRITES);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (wrapped, mtime, numbers, flags, any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(
        |(wrapped, mtime, (generation, session, size, writes), flags, id, root)| {
            let (clean, multi_link, file, gcm) = flags;
            Header {
                kind: if file { Kind::File } else { Kind::Directory },
                suite: if gcm { Suite::Aes256GcmSiv } else { Suite::XChaCha20Poly1305 },
                clean,
                multi_link: multi_link && file,
                generation,
                session,
                id: FileId(id),
                size: if file { size } else { 0 },
                root: if file && clean { root } else { [0; 16] },
                writes: if file { writes } else { 0 },
                wrapped,
                mtime,
            }
        },
    )
}
