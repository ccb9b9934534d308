//! The tree over the entry pages: checked when a strict file is opened, brought up to date when
//! one is closed.

use std::io::IoSlice;

use crate::format::{
    BLOCK, Header, NODE_FANOUT, NodeNo, PageNo, PlainLen, cipher_len, node_of, node_offset, xor_mac,
};
use crate::lower::{FileIo, LowerError};

use super::pages::Pages;
use super::state::{FileError, FileState, Meta};

/// One past the last node of a file of `size` plaintext bytes.
pub(super) fn node_count(size: u64) -> u64 {
    if size == 0 {
        return 0;
    }
    let last = crate::format::BlockNo((size - 1) / BLOCK as u64);
    node_of(crate::format::entry_page_of(last)).map_or(0, |(j, _)| j.0 + 1)
}

impl FileState {
    /// Checks length, nodes and page 0 of a strict file against its header. Other entry pages
    /// are checked against their node when they are read.
    pub(super) fn check_tree(&self, header: &Header) -> Result<(), FileError> {
        let expected = cipher_len(PlainLen(header.size)).ok_or(FileError::Tampered("the size"))?;
        if self.io.len()? != expected.0 {
            return Err(FileError::Tampered("the file's length"));
        }
        let mut pages = self.pages.lock();
        self.load_nodes(&mut pages, header.size)?;
        if self.root(&pages) != header.root {
            return Err(FileError::Tampered("the entries"));
        }
        Ok(())
    }

    /// Reads every node that is not a hole below. One node is read for 64 MiB of data.
    fn load_nodes(&self, pages: &mut Pages, size: u64) -> Result<(), FileError> {
        let count = node_count(size);
        let mut j = 0;
        while j < count {
            let at = node_offset(NodeNo(j));
            // A long hole is stepped over at once: no data below, no node.
            let Some(data) = self.io.next_data(at)? else { break };
            if data >= at + BLOCK as u64 {
                j = first_node_from(data, j + 1);
                continue;
            }
            let node = self.read_node(NodeNo(j))?;
            if node.iter().any(|&b| b != 0) {
                pages.nodes.insert(j, node);
            }
            j += 1;
        }
        Ok(())
    }

    /// The root over what is in memory: nodes and page 0.
    fn root(&self, pages: &Pages) -> [u8; 16] {
        let keys = self.keys.load();
        let index = keys.index();
        let first = pages.get(PageNo(0)).unwrap_or_default();
        let mut root = index.entry_page_mac(PageNo(0), first);
        for (&j, node) in &pages.nodes {
            xor_mac(&mut root, &index.node_mac(NodeNo(j), node));
        }
        root
    }

    /// Brings the nodes up to date with the changed pages, writes those that changed, and gives
    /// the root for a clean header.
    ///
    /// # Crash
    /// The header still says that a writer is at work, so nobody looks at the nodes.
    pub(super) fn write_tree(&self, meta: &Meta, pages: &mut Pages) -> Result<[u8; 16], FileError> {
        let changed: Vec<u64> = pages.changed.iter().copied().filter(|&k| k != 0).collect();
        let mut touched = Vec::new();
        for k in changed {
            let k = PageNo(k);
            let mac = match pages.evicted.get(&k.0) {
                Some(mac) if pages.get(k).is_none() => *mac,
                _ => {
                    self.load_page(meta, pages, k)?;
                    self.keys.load().index().entry_page_mac(k, pages.get(k).unwrap_or_default())
                }
            };
            let Some((j, at)) = node_of(k) else { continue };
            let node = pages.nodes.entry(j.0).or_insert_with(|| vec![0; BLOCK].into());
            if let Some(place) = node.get_mut(at * 16..at * 16 + 16) {
                place.copy_from_slice(&mac);
            }
            if touched.last() != Some(&j.0) {
                touched.push(j.0);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for j in touched {
            if let Some(node) = pages.nodes.get(&j) {
                self.io.write_at(&[IoSlice::new(node)], node_offset(NodeNo(j)))?;
            }
        }
        pages.changed.clear();
        pages.evicted.clear();
        pages.nodes.retain(|_, node| node.iter().any(|&b| b != 0));
        Ok(self.root(pages))
    }

    /// Clears what the nodes say of pages from `k` on, after the file was cut there. Gives the
    /// boundary node to be written, if one is left that changed.
    pub(super) fn cut_tree(&self, pages: &mut Pages, k: PageNo) -> Result<(), LowerError> {
        let (j, at) = node_of(k).unwrap_or((NodeNo(0), 0));
        pages.nodes.retain(|&node, _| node < j.0 || (node == j.0 && at > 0));
        if let Some(node) = pages.nodes.get_mut(&j.0) {
            node.iter_mut().skip(at * 16).for_each(|b| *b = 0);
            self.io.write_at(&[IoSlice::new(node)], node_offset(j))?;
        }
        Ok(())
    }
}

/// The first node at `from` or later that does not lie before lower offset `data`.
fn first_node_from(data: u64, from: u64) -> u64 {
    let stride = node_offset(NodeNo(1)) - node_offset(NodeNo(0));
    debug_assert!(stride / BLOCK as u64 > NODE_FANOUT);
    let past = data.saturating_sub(node_offset(NodeNo(0)));
    // The node whose page holds `data`, or the one after the super-group that does.
    let j = past / stride;
    let candidate = if past % stride < BLOCK as u64 { j } else { j + 1 };
    candidate.max(from)
}
