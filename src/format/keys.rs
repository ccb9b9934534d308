//! What is derived from each data key, and the tags that need nothing else.

use std::sync::OnceLock;

use super::{BlockCipher, FileId, IndexKey, Kind, Root, VolumeId, XattrKey};
use crate::crypto::{Aead, Derivation, Hide, Label, Suite, derive, mac, same};
use crate::secret::Secret;

/// The key that authenticates the header of one object.
#[derive(Debug)]
pub struct HeaderKey {
    tag: Secret<[u8; 32]>,
    /// Hides the root of a file's index; a directory has none.
    root: Option<Hide>,
}

impl HeaderKey {
    /// Of a file (`suite` is in the derivation) or a directory (it is not: its keys are the same
    /// under every suite).
    pub fn new(kind: Kind, data_key: &Secret<[u8; 32]>, suite: Suite, id: &FileId) -> Self {
        Self::from(kind, &Derivation::new(data_key), suite, id)
    }

    fn from(kind: Kind, data_key: &Derivation, suite: Suite, id: &FileId) -> Self {
        match kind {
            Kind::File => {
                let context = file_context(suite, id);
                let root = data_key.key(Label::Root, &context);
                Self { tag: data_key.key(Label::Header, &context), root: Some(Hide::new(&root)) }
            }
            Kind::Directory => {
                Self { tag: data_key.key(Label::Header, &dir_context(id)), root: None }
            }
        }
    }

    /// From the tag key alone, as a re-wrapper has it: it shows no roots.
    pub fn tag_only(tag: Secret<[u8; 32]>) -> Self {
        Self { tag, root: None }
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        mac(&self.tag, &[bytes])
    }

    /// Whether a tag is this key's, for tests of who else derives it.
    #[cfg(test)]
    pub fn would_sign(&self, bytes: &[u8], tag: &[u8; 32]) -> bool {
        self.accepts(bytes, tag)
    }

    /// A header's tag, for the fuzzer, which cannot guess one.
    #[cfg(fuzzing)]
    pub fn tag_of(&self, bytes: &[u8]) -> [u8; 32] {
        self.sign(bytes)
    }

    /// The root as the disk holds it. F-22.
    pub(super) fn hide_root(&self, root: Root) -> Root {
        self.root.as_ref().map_or(root, |hide| hide.hide(root))
    }

    /// The root of what the disk holds.
    pub(super) fn show_root(&self, hidden: Root) -> Root {
        self.root.as_ref().map_or(hidden, |hide| hide.show(hidden))
    }

    pub(super) fn accepts(&self, bytes: &[u8], tag: &[u8; 32]) -> bool {
        same(&self.sign(bytes), tag)
    }
}

/// Everything that a file's data key gives.
#[derive(Debug)]
pub struct FileKeys {
    header: HeaderKey,
    block: BlockCipher,
    index: IndexKey,
    /// Few files have attributes, so their key is derived when it is wanted.
    xattr: OnceLock<XattrKey>,
    data_key: Secret<[u8; 32]>,
    suite: Suite,
    id: FileId,
}

impl FileKeys {
    /// Derives them.
    pub fn new(data_key: &Secret<[u8; 32]>, suite: Suite, id: &FileId) -> Self {
        let context = file_context(suite, id);
        let derivation = Derivation::new(data_key);
        Self {
            header: HeaderKey::from(Kind::File, &derivation, suite, id),
            block: BlockCipher::new(&derivation, suite, &context, id),
            index: IndexKey::new(&derivation, &context),
            xattr: OnceLock::new(),
            data_key: data_key.duplicate(),
            suite,
            id: *id,
        }
    }

    /// Authenticates the header.
    pub fn header(&self) -> &HeaderKey {
        &self.header
    }

    /// Seals the blocks.
    pub fn block(&self) -> &BlockCipher {
        &self.block
    }

    /// Authenticates entry pages and nodes.
    pub fn index(&self) -> &IndexKey {
        &self.index
    }

    /// Seals extended attributes.
    pub fn xattr(&self) -> &XattrKey {
        self.xattr.get_or_init(|| {
            let context = file_context(self.suite, &self.id);
            XattrKey::new(&Derivation::new(&self.data_key), &context, &self.id)
        })
    }
}

/// Everything that a directory's data key gives.
#[derive(Debug)]
pub struct DirKeys {
    header: HeaderKey,
    xattr: XattrKey,
    pub(super) names: Aead,
    pub(super) id: FileId,
    link: Secret<[u8; 32]>,
}

impl DirKeys {
    /// Derives them all.
    pub fn new(dir_key: &Secret<[u8; 32]>, id: &FileId) -> Self {
        let context = dir_context(id);
        let derivation = Derivation::new(dir_key);
        let names = derivation.key(Label::Names, &context);
        Self {
            // The suite plays no part in a directory's derivations.
            header: HeaderKey::from(Kind::Directory, &derivation, Suite::default(), id),
            xattr: XattrKey::new(&derivation, &context, id),
            names: Aead::new(Suite::Aes256GcmSiv, &names),
            id: *id,
            link: derivation.key(Label::Link, &context),
        }
    }

    /// Authenticates the header.
    pub fn header(&self) -> &HeaderKey {
        &self.header
    }

    /// Seals extended attributes of the directory itself.
    pub fn xattr(&self) -> &XattrKey {
        &self.xattr
    }

    /// The directory's id.
    pub fn id(&self) -> FileId {
        self.id
    }
}

/// What the volume key gives.
#[derive(Debug)]
pub struct VolumeKeys {
    pub(super) descriptor: Secret<[u8; 32]>,
    pub(super) symlink: Aead,
}

impl VolumeKeys {
    /// Derives them all.
    pub fn new(volume_key: &Secret<[u8; 32]>, id: &VolumeId) -> Self {
        let symlink = derive(volume_key, Label::Symlink, &id.0);
        Self {
            descriptor: derive(volume_key, Label::Volume, &id.0),
            symlink: Aead::new(Suite::Aes256GcmSiv, &symlink),
        }
    }

    /// A descriptor's tag, for the fuzzer, which cannot guess one.
    #[cfg(fuzzing)]
    pub fn tag_of(&self, bytes: &[u8]) -> [u8; 32] {
        mac(&self.descriptor, &[bytes])
    }
}

/// The tag that says: in this directory, the lower name `name` means object `id`. F-30.
pub fn link_tag(dir: &DirKeys, name: &[u8], id: &FileId) -> [u8; 32] {
    mac(&dir.link, &[name, &id.0])
}

/// Context of the tag key of a header.
#[cfg(test)]
pub(super) fn seal_context(kind: Kind, suite: Suite, id: &FileId) -> [u8; 18] {
    match kind {
        Kind::File => file_context(suite, id),
        Kind::Directory => dir_context(id),
    }
}

/// Context of what a file's data key gives: suite and id.
fn file_context(suite: Suite, id: &FileId) -> [u8; 18] {
    context(Kind::File, suite.number(), id)
}

/// Context of what a directory's data key gives.
fn dir_context(id: &FileId) -> [u8; 18] {
    context(Kind::Directory, 0, id)
}

fn context(kind: Kind, suite: u8, id: &FileId) -> [u8; 18] {
    let mut context = [0; 18];
    context[0] = kind.number();
    context[1] = suite;
    let (_, tail) = context.split_at_mut(2);
    tail.copy_from_slice(&id.0);
    context
}
