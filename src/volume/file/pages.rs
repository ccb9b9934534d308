//! Entry pages in memory, and what the tree says of those that are not.

use std::collections::{HashMap, HashSet};
use std::io::{IoSlice, IoSliceMut};

use crate::format::{
    BLOCK, DIR_HEADER_LEN, Entry, NODE_FANOUT, NodeNo, PageNo, entry_page_offset, node_of,
    node_offset,
};

use crate::lower::FileIo;

use super::kept::Kept;
use super::state::{FileError, FileState, Found, Meta, OnDisk};

/// Bytes of entry page `k`.
pub(super) fn page_len(k: PageNo) -> usize {
    if k.0 == 0 { BLOCK - DIR_HEADER_LEN } else { BLOCK }
}

/// The entries of a file, as far as they are in memory.
pub(super) struct Pages {
    /// Each covers 256 KiB of data. Page 0 is always kept.
    cache: Kept,
    /// Pages that differ from what their node says.
    pub changed: HashSet<u64>,
    /// Pages with entries of held blocks, which are not below yet.
    pub unwritten: HashSet<u64>,
    /// MACs of changed pages that had to leave the cache.
    pub evicted: HashMap<u64, [u8; 16]>,
    /// Nodes that hold anything.
    pub nodes: HashMap<u64, Box<[u8]>>,
    /// The ciphertext of block 0, if it came along with the header and nothing touched it.
    pub block0: Option<Box<[u8]>>,
}

impl Pages {
    pub fn empty() -> Pages {
        let mut pages = Pages {
            cache: Kept::default(),
            changed: HashSet::new(),
            unwritten: HashSet::new(),
            evicted: HashMap::new(),
            nodes: HashMap::new(),
            block0: None,
        };
        pages.cache.insert(PageNo(0), vec![0; page_len(PageNo(0))].into());
        pages
    }

    /// From the first page of the lower file, and the second where it was read too.
    pub fn with_first(first: &[u8]) -> Pages {
        let mut pages = Pages::empty();
        if let Some(entries) = first.get(DIR_HEADER_LEN..BLOCK) {
            pages.cache.insert(PageNo(0), entries.into());
        }
        pages.block0 = first.get(BLOCK..2 * BLOCK).map(Into::into);
        pages
    }

    pub fn get(&self, k: PageNo) -> Option<&[u8]> {
        self.cache.get(k)
    }

    pub fn get_mut(&mut self, k: PageNo) -> Option<&mut [u8]> {
        self.cache.get_mut(k)
    }

    /// Forgets everything about pages from `k` on (`k` at least 1).
    pub fn cut(&mut self, k: PageNo) {
        self.cache.cut(k);
        self.changed.retain(|&at| at < k.0);
        self.evicted.retain(|&at, _| at < k.0);
    }
}

impl FileState {
    /// Makes sure that entry page `k` is in the cache, checked against its node where the file
    /// is strict.
    pub(super) fn load_page(
        &self,
        meta: &Meta,
        pages: &mut Pages,
        k: PageNo,
    ) -> Result<(), FileError> {
        if pages.cache.get(k).is_some() {
            return Ok(());
        }
        let mut bytes: Box<[u8]> = vec![0; page_len(k)].into();
        let got = self.io.read_at(&mut [IoSliceMut::new(&mut bytes)], entry_page_offset(k))?;
        bytes.iter_mut().skip(got).for_each(|b| *b = 0);
        // A page that we changed ourselves is known by its own MAC; any other by its node's.
        let known = match pages.evicted.get(&k.0) {
            Some(mac) => Some(*mac),
            None if meta.found == Found::Strict && meta.tree_valid => Some(expected_mac(pages, k)),
            None => None,
        };
        if known.is_some_and(|mac| self.keys.load().index().entry_page_mac(k, &bytes) != mac) {
            return Err(FileError::Tampered("an entry page"));
        }
        pages.cache.insert(k, bytes);
        Ok(())
    }

    /// Bounds the cache. Called before a request loads what it needs, never in between: pages
    /// that were loaded together stay together until the request is done.
    pub(super) fn trim(&self, pages: &mut Pages) {
        // Everything else in the cache is below too (entries are written before they count), so
        // any such page may go; one that differs from its node leaves its MAC behind.
        let may_go = |k: &u64| *k != 0 && !pages.unwritten.contains(k);
        for k in pages.cache.victims(may_go) {
            if let Some(bytes) = pages.cache.remove(k)
                && pages.changed.contains(&k)
            {
                let mac = self.keys.load().index().entry_page_mac(PageNo(k), &bytes);
                pages.evicted.insert(k, mac);
            }
        }
    }

    /// Reads the entry of every block in `blocks`, in order.
    pub(super) fn entries(
        &self,
        meta: &Meta,
        blocks: std::ops::Range<u64>,
    ) -> Result<Vec<Entry>, FileError> {
        let mut pages = self.pages.lock();
        self.trim(&mut pages);
        let mut out = Vec::with_capacity(usize::try_from(blocks.end - blocks.start).unwrap_or(0));
        let mut at = blocks.start;
        while at < blocks.end {
            let k = crate::format::entry_page_of(crate::format::BlockNo(at));
            self.load_page(meta, &mut pages, k)?;
            let range = crate::format::blocks_of(k);
            let page = pages.get(k).unwrap_or_default();
            while at < blocks.end && at < range.end {
                let slot = crate::format::entry_slot(crate::format::BlockNo(at));
                out.push(Entry::read(page, slot));
                at += 1;
            }
        }
        Ok(out)
    }

    /// Writes entry page `k` from the cache to where it belongs, durably or not. A file without
    /// a header keeps page 0 back: the header will bring it along.
    ///
    /// # Crash
    /// Entries lie within sectors; a torn page holds some entries as before and some as after,
    /// and both kinds carry the seal that the data below has.
    pub(super) fn write_page(
        &self,
        meta: &Meta,
        pages: &Pages,
        k: PageNo,
        durable: bool,
    ) -> Result<(), FileError> {
        if k.0 == 0 && meta.on_disk == OnDisk::Fresh {
            return Ok(());
        }
        let bytes = [IoSlice::new(pages.get(k).unwrap_or_default())];
        if durable {
            self.io.write_durable_at(&bytes, entry_page_offset(k))?;
        } else {
            self.io.write_at(&bytes, entry_page_offset(k))?;
        }
        Ok(())
    }

    /// Node `j` as it is below; all zero where there is none.
    pub(super) fn read_node(&self, j: NodeNo) -> Result<Box<[u8]>, FileError> {
        let mut bytes: Box<[u8]> = vec![0; BLOCK].into();
        let got = self.io.read_at(&mut [IoSliceMut::new(&mut bytes)], node_offset(j))?;
        bytes.iter_mut().skip(got).for_each(|b| *b = 0);
        Ok(bytes)
    }
}

/// What the nodes say that page `k` (1 or more) must be.
fn expected_mac(pages: &Pages, k: PageNo) -> [u8; 16] {
    let Some((j, at)) = node_of(k) else { return [0; 16] };
    debug_assert!((at as u64) < NODE_FANOUT);
    let mac = pages.nodes.get(&j.0).and_then(|node| node.get(at * 16..at * 16 + 16));
    mac.and_then(|m| m.try_into().ok()).unwrap_or([0; 16])
}
