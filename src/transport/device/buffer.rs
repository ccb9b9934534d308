//! Memory for one request from the device, laid out so that bulk data starts on a page.
//!
//! A request is read in one piece. The piece begins so far before a page boundary that what
//! follows the fixed part of a READ, READDIR or WRITE, the three that move bulk data, is at the
//! boundary: the volume can then use the same memory below, with O_DIRECT where that suits it.

use super::super::wire::Body;
use super::super::wire::abi::{self, InHeader, op};
use super::super::wire::init::MAX_REQUEST;

/// Alignment of bulk data, bytes.
const PAGE: usize = 4096;

/// Header and fixed part of a request for bulk data.
const BULK: usize = size_of::<InHeader>() + size_of::<abi::WriteIn>();

const LARGEST: usize = 1024 * 1024;
const _: () = assert!(LARGEST == MAX_REQUEST as usize);
const _: () = assert!(size_of::<abi::WriteIn>() == size_of::<abi::ReadIn>());

/// The memory, empty.
pub struct Buffer {
    bytes: Vec<u8>,
    /// Where the request goes.
    start: usize,
}

/// The memory with a request in it.
pub struct Received {
    buffer: Buffer,
    head: InHeader,
    /// Bytes of header and operation's struct.
    fixed: usize,
    /// Bytes of all of it.
    len: usize,
}

impl Buffer {
    /// Memory for the largest request. Pages that no request reaches cost nothing.
    pub fn new() -> Buffer {
        let bytes = vec![0; PAGE + PAGE + LARGEST];
        let start = bytes.as_ptr().align_offset(PAGE) + PAGE - BULK;
        Buffer { bytes, start }
    }

    /// Where to read into.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + BULK + LARGEST).unwrap_or_default()
    }

    /// What `len` bytes read are. `None` if they are not a request, which the kernel never sends.
    pub fn received(self, len: usize) -> Option<Received> {
        let head = super::header(self.bytes.get(self.start..self.start + len)?)?;
        let fixed = (size_of::<InHeader>() + fixed_part(head.opcode, len)).min(len);
        Some(Received { buffer: self, head, fixed, len })
    }
}

impl Received {
    /// The request's header.
    pub fn head(&self) -> InHeader {
        self.head
    }

    /// The operation's struct.
    pub fn args(&self) -> &[u8] {
        let b = &self.buffer;
        b.bytes.get(b.start + size_of::<InHeader>()..b.start + self.fixed).unwrap_or_default()
    }

    /// The operation's struct, and what follows with the memory behind it.
    pub fn parts(&mut self) -> (&[u8], Body<'_>) {
        let b = &mut self.buffer;
        let rest = b.bytes.get_mut(b.start + size_of::<InHeader>()..).unwrap_or_default();
        let args = self.fixed - size_of::<InHeader>();
        match rest.split_at_mut_checked(args) {
            Some((args, rest)) => (args, Body::new(rest, self.len - self.fixed)),
            None => (&[], Body::new(&mut [], 0)),
        }
    }

    /// The memory, to be used again.
    pub fn empty(self) -> Buffer {
        self.buffer
    }
}

/// Bytes of the operation's struct: what a ring delivers apart lies here in one piece with the
/// rest.
fn fixed_part(opcode: u32, len: usize) -> usize {
    match opcode {
        op::GETATTR => size_of::<abi::GetattrIn>(),
        op::SETATTR => size_of::<abi::SetattrIn>(),
        op::MKNOD => size_of::<abi::MknodIn>(),
        op::MKDIR => size_of::<abi::MkdirIn>(),
        op::RENAME | op::LINK | op::FORGET | op::INTERRUPT => size_of::<u64>(),
        op::RENAME2 => size_of::<abi::Rename2In>(),
        op::OPEN | op::OPENDIR => size_of::<abi::OpenIn>(),
        op::CREATE | op::TMPFILE => size_of::<abi::CreateIn>(),
        op::STATX => size_of::<abi::StatxIn>(),
        op::READ | op::READDIR | op::READDIRPLUS => size_of::<abi::ReadIn>(),
        op::WRITE => size_of::<abi::WriteIn>(),
        op::RELEASE | op::RELEASEDIR => size_of::<abi::ReleaseIn>(),
        op::FSYNC | op::FSYNCDIR => size_of::<abi::FsyncIn>(),
        op::SETXATTR => size_of::<abi::SetxattrExtIn>(),
        op::GETXATTR | op::LISTXATTR | op::ACCESS => size_of::<abi::NumberIn>(),
        op::FLUSH => size_of::<abi::FlushIn>(),
        op::BATCH_FORGET => size_of::<abi::BatchForgetIn>(),
        op::FALLOCATE => size_of::<abi::FallocateIn>(),
        op::LSEEK => size_of::<abi::LseekIn>(),
        op::COPY_FILE_RANGE | op::COPY_FILE_RANGE_64 => size_of::<abi::CopyIn>(),
        op::INIT => len.min(size_of::<abi::InitIn>()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    fn receive(opcode: u32, rest: &[u8]) -> Received {
        let mut buffer = Buffer::new();
        let head = InHeader { opcode, ..InHeader::default() };
        let bytes = [head.as_bytes(), rest].concat();
        buffer.room()[..bytes.len()].copy_from_slice(&bytes);
        buffer.received(bytes.len()).unwrap()
    }

    #[test]
    fn bulk_data_starts_on_a_page() {
        let mut write = receive(op::WRITE, &[7; 40 + 4096]);
        let (args, body) = write.parts();
        assert_eq!(args.len(), 40);
        assert_eq!(body.input(), [7; 4096]);
        assert_eq!(body.input().as_ptr().align_offset(PAGE), 0);
    }

    #[test]
    fn what_is_cut_off_stays_inside() {
        for opcode in 0..64 {
            for len in [0, 1, 8, 39, 90] {
                let mut cut = receive(opcode, &vec![1; len]);
                let (args, body) = cut.parts();
                assert_eq!(args.len() + body.input().len(), len, "operation {opcode}");
            }
        }
        assert!(Buffer::new().received(39).is_none());
        assert!(Buffer::new().received(usize::MAX / 2).is_none());
    }
}
