//! Targets of symbolic links, sealed under the volume key and bound to the link's lower name.
//!
//! A symlink has nowhere to keep a header, so it has no key and no id of its own. Its lower
//! target is text: the sealed target in base64url or, where that is longer than a target may be,
//! a hash of the sealed bytes, which then lie in `.kmsfs/links` under that name.

use super::name::{decode, encode, hashed};
use super::{FileId, Sealed, VolumeKeys};
use crate::crypto::random_array;

/// Where sealed targets lie that are too long to be one; in [`super::VOLUME_DIR`]. The name of a
/// file there is the lower target's text.
pub const LINKS_DIR: &str = "links";

/// Longest target in bytes, above and below.
pub const TARGET_MAX: usize = 4095;

const NONCE_LEN: usize = 16;
const TAG_LEN: usize = 16;

/// Why a lower target gives no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not what kmsfs makes.
    #[error("not an encrypted link target")]
    NotATarget,
    /// The target was changed, or belongs to another link.
    #[error("link target does not authenticate")]
    BadTag,
    /// Empty, longer than [`TARGET_MAX`], or with a NUL in it.
    #[error("not a link target")]
    Unlinkable,
}

/// Which link a target belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding<'a> {
    /// Any: a link with several names, which cannot be bound to one.
    Unbound,
    /// The one with this name in this directory.
    Name {
        /// Id of the directory.
        dir: FileId,
        /// Lower name of the link in it.
        name: &'a [u8],
    },
}

impl Binding<'_> {
    fn aad(&self) -> Vec<u8> {
        match self {
            Binding::Unbound => Sealed::Symlink.aad(&[&[0]]),
            Binding::Name { dir, name } => Sealed::Symlink.aad(&[&[1], &dir.0, name]),
        }
    }
}

/// A target as it is stored below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedTarget {
    /// The lower target says it all.
    Inline(String),
    /// The lower target is a hash, and the name of a file in [`LINKS_DIR`].
    Spilled {
        /// The lower target, and the file's name.
        text: String,
        /// The file's content; to be durable before the link is.
        content: Vec<u8>,
    },
}

/// What the text of a lower target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetText {
    /// The sealed target itself.
    Inline(Vec<u8>),
    /// The name of a file in [`LINKS_DIR`].
    Spilled(String),
}

/// Takes the text of a lower target apart.
pub fn parse_target(text: &[u8]) -> Result<TargetText, LinkError> {
    if text.first() != Some(&b'~') {
        return decode(text).map(TargetText::Inline).ok_or(LinkError::NotATarget);
    }
    match super::classify(text) {
        super::LowerName::Long => {
            Ok(TargetText::Spilled(String::from_utf8_lossy(text).into_owned()))
        }
        _ => Err(LinkError::NotATarget),
    }
}

impl VolumeKeys {
    /// Seals a target for the link that `binding` names.
    ///
    /// # Errors
    /// [`LinkError::Unlinkable`].
    pub fn seal_target(
        &self,
        binding: Binding<'_>,
        target: &[u8],
    ) -> Result<SealedTarget, LinkError> {
        self.seal_target_with(binding, target, random_array())
    }

    pub(super) fn seal_target_with(
        &self,
        binding: Binding<'_>,
        target: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Result<SealedTarget, LinkError> {
        if !is_target(target) {
            return Err(LinkError::Unlinkable);
        }
        let mut text = target.to_vec();
        let tag = self.symlink.seal(&nonce, 0, &binding.aad(), &mut text);
        let raw = [&nonce[..], &tag, &text].concat();
        let inline = encode(&raw);
        if inline.len() <= TARGET_MAX {
            return Ok(SealedTarget::Inline(inline));
        }
        Ok(SealedTarget::Spilled { text: hashed(&raw), content: raw })
    }

    /// Opens a lower target: `text` is what readlink gives below, and `spilled` the content of
    /// the file that [`parse_target`] asked for, if it did. Returns the target and whether it was
    /// bound to `binding`; a target bound to no name opens too.
    pub fn open_target<'a>(
        &self,
        binding: Binding<'a>,
        text: &[u8],
        spilled: Option<&[u8]>,
    ) -> Result<(Vec<u8>, Binding<'a>), LinkError> {
        let raw = match (parse_target(text)?, spilled) {
            (TargetText::Inline(raw), _) => raw,
            (TargetText::Spilled(name), Some(content)) if hashed(content) == name => {
                content.to_vec()
            }
            (TargetText::Spilled(_), Some(_)) => return Err(LinkError::BadTag),
            (TargetText::Spilled(_), None) => return Err(LinkError::NotATarget),
        };
        let (nonce, rest) = raw.split_first_chunk().ok_or(LinkError::NotATarget)?;
        let (tag, sealed) = rest.split_first_chunk::<TAG_LEN>().ok_or(LinkError::NotATarget)?;
        for tried in [binding, Binding::Unbound] {
            let mut target = sealed.to_vec();
            if self.symlink.open(nonce, 0, &tried.aad(), &mut target, tag).is_ok() {
                let target =
                    if is_target(&target) { Ok(target) } else { Err(LinkError::Unlinkable) };
                return target.map(|target| (target, tried));
            }
        }
        Err(LinkError::BadTag)
    }
}

fn is_target(target: &[u8]) -> bool {
    (1..=TARGET_MAX).contains(&target.len()) && !target.contains(&0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::VolumeId;
    use super::*;
    use crate::secret::Secret;

    fn keys() -> VolumeKeys {
        VolumeKeys::new(&Secret::new([1; 32]), &VolumeId([2; 16]))
    }

    const LINK: Binding<'_> = Binding::Name { dir: FileId([3; 16]), name: b"link" };
    const OTHER: Binding<'_> = Binding::Name { dir: FileId([3; 16]), name: b"other" };

    #[test]
    fn what_is_no_target_is_not_sealed() {
        for target in [&b""[..], b"a\0b", &[b'a'; 4096]] {
            assert_eq!(keys().seal_target(LINK, target), Err(LinkError::Unlinkable));
        }
    }

    proptest! {
        #[test]
        fn a_target_comes_back_to_its_link_alone(
            target in prop::collection::vec(1..=255u8, 1..=TARGET_MAX), bound: bool,
        ) {
            let binding = if bound { LINK } else { Binding::Unbound };
            let (text, spilled) = match keys().seal_target(binding, &target).unwrap() {
                SealedTarget::Inline(text) => (text, None),
                SealedTarget::Spilled { text, content } => (text, Some(content)),
            };
            prop_assert!(text.len() <= TARGET_MAX);
            let at = |asked| keys().open_target(asked, text.as_bytes(), spilled.as_deref());
            prop_assert_eq!(at(LINK), Ok((target.clone(), binding)));
            if bound {
                prop_assert_eq!(at(OTHER), Err(LinkError::BadTag));
                prop_assert_eq!(at(Binding::Unbound), Err(LinkError::BadTag));
            } else {
                prop_assert_eq!(at(OTHER), Ok((target, Binding::Unbound)));
            }
        }
    }
}
