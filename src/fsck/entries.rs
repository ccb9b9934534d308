//! The index of a file: length, nodes, entry pages, and the blocks that they speak of.

use std::io::IoSliceMut;

use crate::format::{
    BLOCK, BlockNo, Entry, FileKeys, Header, NodeNo, PageNo, PlainLen, Root, block_offset,
    blocks_of, cipher_len, entry_page_len, entry_page_of, entry_page_offset, node_of, node_offset,
    xor_mac,
};
use crate::lower::{FileIo, LowerError};

use super::report::Check;

/// What is counted on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub entry_pages: u64,
    pub blocks: u64,
}

/// Why the index of a file does not hold.
pub(super) enum Wrong {
    /// It does not fit its header.
    Tampered(Check, String),
    /// It could not be read.
    Lower(LowerError),
}

impl From<LowerError> for Wrong {
    fn from(e: LowerError) -> Wrong {
        Wrong::Lower(e)
    }
}

/// Checks a closed file against its header: the index first, and if it holds and `data` is set,
/// the blocks that it speaks of.
pub(super) fn check(
    io: &dyn FileIo,
    header: &Header,
    keys: &FileKeys,
    data: bool,
) -> Result<Counts, Wrong> {
    let counts = pass(io, header, keys, false)?;
    if data { pass(io, header, keys, true) } else { Ok(counts) }
}

fn pass(io: &dyn FileIo, header: &Header, keys: &FileKeys, data: bool) -> Result<Counts, Wrong> {
    let wrong = |what: &str| Wrong::Tampered(Check::Entries, what.to_owned());
    let expected = cipher_len(PlainLen(header.size)).ok_or_else(|| wrong("the size is too big"))?;
    let length = io.stat()?.size;
    if length != expected.0 {
        return Err(wrong(&format!("{length} bytes long, not {}", expected.0)));
    }
    let mut index = Index {
        io,
        keys,
        data,
        end: header.size.div_ceil(BLOCK as u64),
        counts: Counts::default(),
    };
    let mut root: Root = [0; 16];
    xor_mac(&mut root, &index.entry_page(PageNo(0))?);
    let last = entry_page_of(BlockNo(index.end.saturating_sub(1)));
    let mut node = None;
    let mut k = 1;
    while k <= last.0 {
        let Some((j, at)) = node_of(PageNo(k)) else { break };
        if at == 0 || node.is_none() {
            // Where nothing lies below there is nothing: a long hole is stepped over.
            let Some(next) = io.next_data(node_offset(j))? else { break };
            let stride = node_offset(NodeNo(1)) - node_offset(NodeNo(0));
            let skipped = (next - node_offset(j).min(next)) / stride;
            if skipped > 0 {
                k += skipped * crate::format::NODE_FANOUT;
                node = None;
                continue;
            }
            let bytes = read(io, node_offset(j), BLOCK)?;
            xor_mac(&mut root, &keys.index().node_mac(j, &bytes));
            node = Some(bytes);
        }
        let told = node.as_ref().and_then(|n| n.get(at * 16..at * 16 + 16)).unwrap_or_default();
        if index.entry_page(PageNo(k))? != told {
            return Err(wrong(&format!("entry page {k} is not the one that its node knows")));
        }
        k += 1;
    }
    if root != header.root {
        return Err(wrong("nodes and entries do not give the header's root"));
    }
    Ok(index.counts)
}

struct Index<'a> {
    io: &'a dyn FileIo,
    keys: &'a FileKeys,
    data: bool,
    /// One past the last block.
    end: u64,
    counts: Counts,
}

impl Index<'_> {
    /// Reads an entry page, checks its blocks if asked to, and gives its MAC.
    fn entry_page(&mut self, k: PageNo) -> Result<Root, Wrong> {
        let bytes = read(self.io, entry_page_offset(k), entry_page_len(k))?;
        self.counts.entry_pages += 1;
        if self.data {
            let end = self.end;
            for (i, b) in blocks_of(k).take_while(|b| *b < end).enumerate() {
                self.block(BlockNo(b), &Entry::read(&bytes, i))?;
            }
        }
        Ok(self.keys.index().entry_page_mac(k, &bytes))
    }

    fn block(&mut self, b: BlockNo, entry: &Entry) -> Result<(), Wrong> {
        if entry.cur.is_hole() {
            return Ok(());
        }
        let mut block = [0u8; BLOCK];
        self.io.read_at(&mut [IoSliceMut::new(&mut block)], block_offset(b))?;
        self.counts.blocks += 1;
        self.keys.block().open(b, &entry.cur, &mut block).map_err(|_| {
            Wrong::Tampered(Check::Data, format!("block {} does not authenticate", b.0))
        })
    }
}

/// Bytes at an offset; what lies past the end is zero.
fn read(io: &dyn FileIo, offset: u64, length: usize) -> Result<Vec<u8>, Wrong> {
    let mut bytes = vec![0u8; length];
    io.read_at(&mut [IoSliceMut::new(&mut bytes)], offset)?;
    Ok(bytes)
}
