//! Key derivation: HKDF-SHA256 with one label per use.

use hkdf::Hkdf;
use sha2::Sha256;

use super::Suite;
use crate::secret::Secret;

/// What a derived key is for. No two uses share a label, so no two uses share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// The tag of a file's or directory's header.
    Header,
    /// The data blocks of a file, under this suite.
    Block(Suite),
    /// The MACs of entry pages and nodes.
    Index,
    /// What hides the root of the index in the header.
    Root,
    /// The names in a directory.
    Names,
    /// The tags that bind objects to their names in a directory.
    Link,
    /// The targets of symbolic links.
    Symlink,
    /// The values of extended attributes.
    Xattr,
    /// The names below of extended attributes.
    XattrName,
    /// The tag of the volume descriptor.
    Volume,
}

impl Label {
    /// The text that goes into the derivation.
    fn text(self) -> &'static str {
        match self {
            Label::Header => "header",
            Label::Block(Suite::Aes256GcmSiv) => "block aes-256-gcm-siv",
            Label::Block(Suite::XChaCha20Poly1305) => "block xchacha20-poly1305",
            Label::Index => "index",
            Label::Root => "root",
            Label::Names => "names",
            Label::Link => "link",
            Label::Symlink => "symlink",
            Label::Xattr => "xattr",
            Label::XattrName => "xattr name",
            Label::Volume => "volume",
        }
    }
}

/// Derives the key for one use from a 256-bit key.
///
/// HKDF-SHA256 without salt; info is `"kmsfs v1 "`, the label's text, a zero byte, the length of
/// `context` as four bytes (low one first), and `context`. F-5.
pub fn derive(key: &Secret<[u8; 32]>, label: Label, context: &[u8]) -> Secret<[u8; 32]> {
    Derivation::new(key).key(label, context)
}

/// Several derivations from one key: the half that they have in common is computed once, which
/// counts where a file is opened.
pub struct Derivation(Hkdf<Sha256>);

impl Derivation {
    /// Extracts, in the words of RFC 5869.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(Hkdf::new(None, key.expose()))
    }

    /// What [`derive()`] gives for the same label and context.
    pub fn key(&self, label: Label, context: &[u8]) -> Secret<[u8; 32]> {
        let length = u32::try_from(context.len()).expect("contexts are ids, a few dozen bytes");
        let info = [b"kmsfs v1 ", label.text().as_bytes(), &[0], &length.to_le_bytes(), context];
        Secret::new_with(|out| {
            let expanded = self.0.expand_multi_info(&info, out);
            expanded.expect("32 bytes are less than HKDF's limit of 8160");
        })
    }
}
