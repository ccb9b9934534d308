//! MACs over entry pages and nodes, and the root that a header holds.
//!
//! The root is the XOR of one value per page: the MAC of entry page 0 and a MAC of every node
//! page, each of which holds the MACs of 256 entry pages. A page of zeros counts as sixteen zero
//! bytes, so holes cost nothing, and changing one page changes the root by two XORs. FORMAT.md
//! says why a sum is enough here.

use super::{NodeNo, PageNo};
use crate::crypto::{Derivation, Label, mac};
use crate::secret::Secret;

/// Bytes of a root, and of a MAC in a node page.
pub type Root = [u8; 16];

/// The key of a file's index.
#[derive(Debug)]
pub struct IndexKey(Secret<[u8; 32]>);

impl IndexKey {
    pub(super) fn new(data_key: &Derivation, context: &[u8]) -> Self {
        Self(data_key.key(Label::Index, context))
    }

    /// What entry page `k` with these bytes counts: its place in a node, or in the root for 0.
    pub fn entry_page_mac(&self, k: PageNo, bytes: &[u8]) -> Root {
        self.page_mac(b"E", k.0, bytes)
    }

    /// What node page `j` with these bytes counts in the root.
    pub fn node_mac(&self, j: NodeNo, bytes: &[u8]) -> Root {
        self.page_mac(b"N", j.0, bytes)
    }

    fn page_mac(&self, kind: &[u8], number: u64, bytes: &[u8]) -> Root {
        if bytes.iter().all(|&b| b == 0) {
            return [0; 16];
        }
        let tag = mac(&self.0, &[kind, &number.to_le_bytes(), bytes]);
        let (half, _) = tag.split_at(16);
        half.try_into().expect("sixteen bytes were split off")
    }
}

/// Adds a page's value to a root, or takes it away: the same operation.
pub fn xor_mac(root: &mut Root, value: &Root) {
    for (r, v) in root.iter_mut().zip(value) {
        *r ^= v;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileId, FileKeys, Suite};
    use super::*;

    /// F-27: bringing a root up to date gives what making it anew gives.
    #[test]
    fn a_root_can_be_changed_in_one_place() {
        let keys = FileKeys::new(&Secret::new([1; 32]), Suite::default(), &FileId([2; 16]));
        let index = keys.index();
        let mut pages: Vec<[u8; 4096]> = (0..20).map(|n| [n; 4096]).collect();
        let root = |pages: &[[u8; 4096]]| {
            let mut root = [0; 16];
            for (j, page) in (0..).zip(pages) {
                xor_mac(&mut root, &index.node_mac(NodeNo(j), page));
            }
            root
        };
        let before = root(&pages);
        let mut changed = before;
        xor_mac(&mut changed, &index.node_mac(NodeNo(13), &pages[13]));
        pages[13][100] ^= 1;
        xor_mac(&mut changed, &index.node_mac(NodeNo(13), &pages[13]));
        assert_eq!(changed, root(&pages));
        assert_ne!(changed, before);
    }
}
