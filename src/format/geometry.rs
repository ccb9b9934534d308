//! Where things are in a lower file. Pure arithmetic, and the only place that converts between
//! plaintext and lower sizes.
//!
//! A lower file is a row of 4 KiB pages:
//!
//! ```text
//! page 0          header slots A and B, and the entries of blocks 0..48 (entry page 0)
//! pages 1..=48    blocks 0..48
//! then, 256 groups to a super-group:
//!   node page     MACs of the super-group's 256 entry pages
//!   entry page    64 entries     \  256 times
//!   64 blocks                    /
//! ```
//!
//! Offsets of blocks beyond [`MAX_PLAIN`] saturate: no such file can exist.

use core::ops::Range;

/// Bytes of a page, and of a data block.
pub const BLOCK: usize = 4096;
/// Entries in page 0.
pub const HEADER_ENTRIES: u64 = 48;
/// First byte of the entries in page 0: two header slots of 512 bytes lie before them.
pub const HEADER_ENTRIES_OFFSET: usize = 1024;
/// Entries in every other entry page, and blocks in its group.
pub const GROUP: u64 = 64;
/// Entry pages under one node.
pub const NODE_FANOUT: u64 = 256;
/// Longest plaintext in bytes: 4 EiB. What it takes below still fits a signed 64-bit offset.
pub const MAX_PLAIN: u64 = 1 << 62;

const PAGE: u64 = 4096;
/// Pages of an entry page and its blocks.
const GROUP_PAGES: u64 = 1 + GROUP;
/// Pages of a node page and its groups.
const SUPER_PAGES: u64 = 1 + NODE_FANOUT * GROUP_PAGES;
/// Page of the first node: behind page 0 and its blocks.
const FIRST_NODE: u64 = 1 + HEADER_ENTRIES;

/// A size or position in the plaintext, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainLen(pub u64);

/// A size or position in the lower file, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CipherLen(pub u64);

/// Number of a data block: plaintext position / 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNo(pub u64);

/// Number of an entry page, in order of the blocks it describes; 0 is the one in page 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageNo(pub u64);

/// Number of a node page; node `j` holds the MACs of entry pages `1 + 256 j ..= 256 + 256 j`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeNo(pub u64);

impl PlainLen {
    /// Blocks that this many bytes reach into.
    pub fn blocks(self) -> u64 {
        self.0.div_ceil(PAGE)
    }

    /// The block of the last byte; `None` for an empty file.
    pub fn last_block(self) -> Option<BlockNo> {
        self.blocks().checked_sub(1).map(BlockNo)
    }

    /// The highest entry page that describes a block within this size.
    pub fn last_entry_page(self) -> PageNo {
        self.last_block().map_or(PageNo(0), entry_page_of)
    }
}

impl BlockNo {
    /// The block that holds plaintext byte `at`.
    pub fn containing(at: PlainLen) -> BlockNo {
        BlockNo(at.0 / PAGE)
    }

    /// Where the block begins in the plaintext.
    pub fn plain_offset(self) -> PlainLen {
        PlainLen(self.0.saturating_mul(PAGE))
    }
}

/// The entry page that describes a block.
pub fn entry_page_of(b: BlockNo) -> PageNo {
    PageNo(b.0.checked_sub(HEADER_ENTRIES).map_or(0, |rest| 1 + rest / GROUP))
}

/// Index of a block's entry in its entry page.
pub fn entry_slot(b: BlockNo) -> usize {
    let slot = b.0.checked_sub(HEADER_ENTRIES).map_or(b.0, |rest| rest % GROUP);
    usize::try_from(slot).expect("a remainder below 64")
}

/// Numbers of the blocks that an entry page describes.
pub fn blocks_of(k: PageNo) -> Range<u64> {
    match k.0.checked_sub(1) {
        None => 0..HEADER_ENTRIES,
        Some(group) => {
            let first = group.saturating_mul(GROUP).saturating_add(HEADER_ENTRIES);
            first..first.saturating_add(GROUP)
        }
    }
}

/// Lower offset of an entry page's bytes.
pub fn entry_page_offset(k: PageNo) -> u64 {
    match k.0.checked_sub(1) {
        None => HEADER_ENTRIES_OFFSET as u64,
        Some(group) => group_page(group).saturating_mul(PAGE),
    }
}

/// The entry page whose group of pages a lower offset is in; for a node's page the first one that
/// the node speaks of.
pub fn entry_page_at(offset: u64) -> PageNo {
    let Some(page) = (offset / PAGE).checked_sub(1 + HEADER_ENTRIES) else { return PageNo(0) };
    let super_pages = 1 + NODE_FANOUT * GROUP_PAGES;
    let group = (page % super_pages).saturating_sub(1) / GROUP_PAGES;
    PageNo(1 + page / super_pages * NODE_FANOUT + group)
}

/// Bytes of an entry page: 3072 for the one in page 0, 4096 for all others.
pub fn entry_page_len(k: PageNo) -> usize {
    if k.0 == 0 { BLOCK - HEADER_ENTRIES_OFFSET } else { BLOCK }
}

/// Lower offset of a block.
pub fn block_offset(b: BlockNo) -> u64 {
    let page = match b.0.checked_sub(HEADER_ENTRIES) {
        None => 1 + b.0,
        Some(rest) => group_page(rest / GROUP).saturating_add(1 + rest % GROUP),
    };
    page.saturating_mul(PAGE)
}

/// The node that holds an entry page's MAC, and the index there; `None` for entry page 0, whose
/// MAC goes into the header's root directly.
pub fn node_of(k: PageNo) -> Option<(NodeNo, usize)> {
    let group = k.0.checked_sub(1)?;
    let index = usize::try_from(group % NODE_FANOUT).ok()?;
    Some((NodeNo(group / NODE_FANOUT), index))
}

/// Lower offset of a node page.
pub fn node_offset(j: NodeNo) -> u64 {
    node_page(j.0).saturating_mul(PAGE)
}

/// Lower size of a file with `len` plaintext bytes, header included. F-12.
///
/// Blocks are stored whole, so the size alone would be known to 4 KiB only; the odd bytes of the
/// plaintext size are added as a hole at the end. `None` beyond [`MAX_PLAIN`].
pub fn cipher_len(len: PlainLen) -> Option<CipherLen> {
    if len.0 > MAX_PLAIN {
        return None;
    }
    Some(CipherLen(match len.last_block() {
        None => PAGE,
        Some(last) => block_offset(last) + PAGE + len.0 % PAGE,
    }))
}

/// The plaintext size that [`cipher_len`] turns into `len`; `None` if there is none.
pub fn plain_len(len: CipherLen) -> Option<PlainLen> {
    let (pages, odd) = (len.0 / PAGE, len.0 % PAGE);
    if pages == 1 && odd == 0 {
        return Some(PlainLen(0));
    }
    let last = block_at_page(pages.checked_sub(1)?)?;
    let plain = if odd == 0 {
        last.0.checked_add(1)?.checked_mul(PAGE)?
    } else {
        last.0.checked_mul(PAGE)?.checked_add(odd)?
    };
    (plain <= MAX_PLAIN).then_some(PlainLen(plain))
}

/// The block that lies at a page of the lower file, if it is not a header, node or entry page.
fn block_at_page(page: u64) -> Option<BlockNo> {
    let Some(rest) = page.checked_sub(FIRST_NODE) else {
        return page.checked_sub(1).map(BlockNo);
    };
    let (node, within) = (rest / SUPER_PAGES, rest % SUPER_PAGES);
    let within = within.checked_sub(1)?;
    let (group, within) = (within / GROUP_PAGES, within % GROUP_PAGES);
    let within = within.checked_sub(1)?;
    Some(BlockNo(HEADER_ENTRIES + (node * NODE_FANOUT + group) * GROUP + within))
}

fn node_page(node: u64) -> u64 {
    node.saturating_mul(SUPER_PAGES).saturating_add(FIRST_NODE)
}

/// Page of a group's entry page.
fn group_page(group: u64) -> u64 {
    node_page(group / NODE_FANOUT).saturating_add(1 + (group % NODE_FANOUT) * GROUP_PAGES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_lead_back_to_their_entry_page() {
        for k in [0, 1, 2, 255, 256, 257, 512, 513, 16_640, 16_641, 4_194_304, 1 << 40] {
            let k = PageNo(k);
            let blocks = blocks_of(k);
            let last = block_offset(BlockNo(blocks.end - 1)) + PAGE - 1;
            for offset in [entry_page_offset(k), block_offset(BlockNo(blocks.start)), last] {
                assert_eq!(entry_page_at(offset), k, "{offset}");
            }
        }
        for j in [0, 1, 2, 65, 1 << 20] {
            assert_eq!(entry_page_at(node_offset(NodeNo(j))), PageNo(1 + j * NODE_FANOUT));
        }
    }

    /// What lies at each page, told by walking instead of by arithmetic. F-10, F-11.
    #[derive(Debug, PartialEq)]
    enum Page {
        Block(u64),
        Entries(u64),
        Node(u64),
    }

    fn walk(pages: usize) -> Vec<Page> {
        let mut out = vec![Page::Entries(0)];
        out.extend((0..HEADER_ENTRIES).map(Page::Block));
        let (mut block, mut entries, mut node) = (HEADER_ENTRIES, 1, 0);
        while out.len() < pages {
            out.push(Page::Node(node));
            node += 1;
            for _ in 0..NODE_FANOUT {
                out.push(Page::Entries(entries));
                entries += 1;
                out.extend((block..block + GROUP).map(Page::Block));
                block += GROUP;
            }
        }
        out
    }

    #[test]
    fn arithmetic_finds_what_a_walk_finds() {
        let mut described = 0;
        for (number, page) in walk(40_000).into_iter().enumerate() {
            let offset = number as u64 * 4096;
            match page {
                Page::Block(b) => {
                    assert_eq!(block_offset(BlockNo(b)), offset);
                    assert_eq!(plain_len(CipherLen(offset + 4096)), Some(PlainLen((b + 1) * 4096)));
                    assert_eq!(plain_len(CipherLen(offset + 4097)), Some(PlainLen(b * 4096 + 1)));
                    assert!(blocks_of(entry_page_of(BlockNo(b))).contains(&b));
                    let first = blocks_of(entry_page_of(BlockNo(b))).start;
                    assert_eq!(entry_slot(BlockNo(b)) as u64, b - first);
                }
                Page::Entries(k) => {
                    let at = if k == 0 { 1024 } else { offset };
                    assert_eq!(entry_page_offset(PageNo(k)), at);
                    assert_eq!(at + entry_page_len(PageNo(k)) as u64, offset + 4096);
                    assert_eq!(blocks_of(PageNo(k)).start, described);
                    described = blocks_of(PageNo(k)).end;
                    let node = node_of(PageNo(k)).map(|(j, i)| j.0 * 256 + i as u64 + 1);
                    assert_eq!(node.unwrap_or(0), k);
                    assert_eq!(plain_len(CipherLen(offset + 4097)), None, "F-13");
                }
                Page::Node(j) => {
                    assert_eq!(node_offset(NodeNo(j)), offset);
                    assert_eq!(plain_len(CipherLen(offset + 4096)), None, "F-13");
                    assert_eq!(plain_len(CipherLen(offset + 4097)), None, "F-13");
                }
            }
        }
    }

    #[test]
    fn the_largest_file_fits_below() {
        let lower = cipher_len(PlainLen(MAX_PLAIN)).unwrap();
        assert!(i64::try_from(lower.0).is_ok());
        assert_eq!(cipher_len(PlainLen(MAX_PLAIN + 1)), None);
        assert_eq!(block_offset(BlockNo(u64::MAX)), u64::MAX, "saturated, and not wrapped around");
    }

    #[test]
    fn a_small_file_takes_two_pages_and_a_large_one_two_percent() {
        assert_eq!(cipher_len(PlainLen(4096)), Some(CipherLen(8192)));
        for size in [515 * 4096, 3 << 20, 1 << 26, 1 << 30, 1 << 40] {
            let lower = cipher_len(PlainLen(size)).unwrap().0;
            assert!((lower - size) as f64 / (size as f64) < 0.02, "{size}");
        }
    }

    proptest! {
        #[test]
        fn every_size_comes_back(size in prop_oneof![0..=MAX_PLAIN, 0..200_000u64]) {
            let lower = cipher_len(PlainLen(size)).unwrap();
            prop_assert_eq!(plain_len(lower), Some(PlainLen(size)));
        }

        #[test]
        fn a_lower_length_is_of_one_size_or_none(lower: u64) {
            if let Some(plain) = plain_len(CipherLen(lower)) {
                prop_assert_eq!(cipher_len(plain), Some(CipherLen(lower)));
            }
        }
    }
}
