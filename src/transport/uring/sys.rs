//! The ring, and the memory that is shared with the kernel through it.

#![expect(unsafe_code, reason = "the kernel writes to memory that is named in ring entries")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use io_uring::squeue::Entry128;
use io_uring::types::{Fd, Fixed, SubmitArgs};
use io_uring::{EnterFlags, IoUring, cqueue, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The header block's share of an entry, bytes: a page, so that the payload starts on one.
const HEAD: usize = 4096;

/// Where in the header block's page the two iovecs of the registration are.
const IOVECS: usize = 1024;

/// Commands on the FUSE descriptor.
const REGISTER: u32 = 1;
const COMMIT_AND_FETCH: u32 = 2;

/// Where the length is in a submission.
const LEN_AT: usize = 24;

/// What the kernel writes a request's fixed parts to, and takes the reply's from.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Block {
    /// The request's header; the reply's takes its place.
    pub in_out: [u8; 128],
    /// The operation's struct.
    pub op_in: [u8; 128],
    flags: u64,
    commit_id: u64,
    /// Bytes in the payload, both ways.
    pub payload_sz: u32,
    pad: u32,
    reserved: u64,
}

const _: () = assert!(size_of::<Block>() == 288);
const _: () = assert!(size_of::<Entry128>() == 128);

/// One mapping with the memory of all entries of a queue.
struct Arena {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the arena alone, and it is only reached through slots, each of
// which has its own part.
unsafe impl Send for Arena {}
// SAFETY: as above; a shared arena does nothing but stay.
unsafe impl Sync for Arena {}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and with the last slot and the ring,
        // which hold the arena, nobody is left who could reach it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The memory of one entry: a header block and a payload. There is one `Slot` for each.
pub struct Slot {
    arena: Arc<Arena>,
    queue: u16,
    index: usize,
    payload: usize,
}

/// Memory for `count` entries of a queue with payloads of `payload` bytes. Pages are there when
/// they are first used.
pub fn slots(queue: u16, count: usize, payload: u32) -> io::Result<Vec<Slot>> {
    let payload = usize::try_from(payload).map_err(io::Error::other)?;
    let payload = payload.next_multiple_of(HEAD);
    let len = count.saturating_mul(payload.saturating_add(HEAD));
    let how = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that
    // exists.
    let start =
        unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, how) }?;
    let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
    let arena = Arc::new(Arena { start, len });
    let slot = |index| Slot { arena: Arc::clone(&arena), queue, index, payload };
    Ok((0..count).map(slot).collect())
}

impl Slot {
    /// The queue whose requests come in it.
    pub fn queue(&self) -> usize {
        usize::from(self.queue)
    }

    /// Its number among the slots of all queues, which have `entries` each.
    pub fn number(&self, entries: usize) -> u64 {
        (usize::from(self.queue) * entries + self.index) as u64
    }

    fn head(&self) -> *mut u8 {
        // SAFETY: `index` is below the count that the mapping was made for.
        unsafe { self.arena.start.as_ptr().add(self.index * (HEAD + self.payload)) }
    }

    /// Header block and payload. Only for a slot that the kernel has given back: it writes to
    /// the others.
    pub fn parts(&mut self) -> (&mut Block, &mut [u8]) {
        let head = self.head();
        // SAFETY: both lie in this slot's part of the mapping, which is initialized (zeros, or
        // what the kernel wrote) and page-aligned; every bit pattern is a `Block`. Nobody else
        // has them: there is one `Slot` per part, it is borrowed for as long as the references
        // live, and the kernel writes only between a command and its completion, during which
        // the queue keeps the slot and does not call this.
        unsafe {
            let block = &mut *head.cast::<Block>();
            (block, std::slice::from_raw_parts_mut(head.add(HEAD), self.payload))
        }
    }

    /// Bytes that came in the payload.
    pub fn payload_len(&mut self) -> u32 {
        self.parts().0.payload_sz
    }

    /// The size field of a READ.
    pub fn read_size(&mut self) -> u32 {
        let (block, _) = self.parts();
        super::super::wire::abi::ReadIn::read_from_prefix(&block.op_in)
            .map_or(0, |(read, _)| read.size)
    }
}

/// One ring on the FUSE descriptor. To be made, used and dropped on one thread.
pub struct Ring {
    ring: IoUring<Entry128, cqueue::Entry>,
    listening: bool,
    /// Kept until after the ring is closed.
    memory: Vec<Arc<Arena>>,
}

impl Ring {
    /// A ring for `entries` entries and a bell.
    pub fn new(entries: usize, device: BorrowedFd<'_>) -> io::Result<Ring> {
        let size = u32::try_from(entries + 2).map_err(io::Error::other)?;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(size.next_power_of_two())?;
        ring.submitter().register_files(&[device.as_raw_fd()])?;
        Ok(Ring { ring, listening: false, memory: Vec::new() })
    }

    /// Whether this process may make one and use it.
    pub fn probe() -> io::Result<()> {
        let mut ring = IoUring::<Entry128, cqueue::Entry>::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(2)?;
        // A seccomp profile may allow the one call and not the other.
        // SAFETY: the entry names no memory.
        let queued = unsafe { ring.submission().push(&Entry128::from(opcode::Nop::new().build())) };
        queued.map_err(io::Error::other)?;
        ring.submit_and_wait(1).map(drop)
    }

    /// Hands an entry to the kernel for the first time.
    pub fn register(&mut self, slot: &mut Slot, number: u64) -> io::Result<()> {
        let head = slot.head();
        let iovecs = [
            libc::iovec { iov_base: head.cast(), iov_len: size_of::<Block>() },
            libc::iovec { iov_base: head.wrapping_add(HEAD).cast(), iov_len: slot.payload },
        ];
        let at = head.wrapping_add(IOVECS).cast::<[libc::iovec; 2]>();
        // SAFETY: `at` is in the header block's page, behind the block, aligned, and ours until
        // the command is submitted.
        unsafe { at.write(iovecs) };
        self.remember(slot);
        let mut entry = command(REGISTER, 0, slot.queue, number);
        set_addr_and_len(&mut entry, at.addr(), 2);
        self.push(&entry)
    }

    /// Gives the kernel the reply in an entry, and the entry for the next request, which comes
    /// to this ring, whichever the entry was with before.
    pub fn commit(&mut self, slot: &mut Slot, number: u64) -> io::Result<()> {
        self.remember(slot);
        let id = slot.parts().0.commit_id;
        self.push(&command(COMMIT_AND_FETCH, id, slot.queue, number))
    }

    fn remember(&mut self, slot: &Slot) {
        if !self.memory.iter().any(|a| Arc::ptr_eq(a, &slot.arena)) {
            self.memory.push(Arc::clone(&slot.arena));
        }
    }

    /// Asks to be told, again and again, when `bell` is readable.
    pub fn listen(&mut self, bell: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        let events = u32::from(libc::POLLIN.cast_unsigned());
        let poll = opcode::PollAdd::new(Fd(bell.as_raw_fd()), events).multi(true).build();
        self.listening = true;
        self.push(&Entry128::from(poll.user_data(number)))
    }

    /// Whether the kernel goes on telling.
    pub fn still_listens(&self) -> bool {
        self.listening
    }

    fn push(&mut self, entry: &Entry128) -> io::Result<()> {
        // SAFETY: what the entry names stays valid until its completion: the header block and
        // payload of a slot are in an arena that `memory` keeps until the ring is closed.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?; // full
        }
        Ok(())
    }

    /// Submits what is queued; what the kernel refuses at once is then among the completions.
    pub fn submit(&mut self) -> io::Result<()> {
        self.ring.submit().map(drop)
    }

    /// Submits what is queued and waits for a completion.
    pub fn wait(&mut self) -> io::Result<()> {
        self.enter(1)
    }

    /// Submits what is queued, without waiting; what cannot be now is at the next wait.
    pub fn push_out(&mut self) -> io::Result<()> {
        self.enter(0)
    }

    /// Whether waiting would end at once.
    pub fn ready(&mut self) -> bool {
        self.ring.submission().taskrun() || !self.ring.completion().is_empty()
    }

    fn enter(&mut self, want: usize) -> io::Result<()> {
        // A thread that has nothing to do waits for requests, not for a disk: CPUs that are idle
        // meanwhile are to be counted so (6.15 and later).
        let idle = EnterFlags::NO_IOWAIT;
        let known = self.ring.params().is_feature_no_iowait();
        let flags = if known { idle } else { EnterFlags::empty() };
        loop {
            let args = SubmitArgs::new();
            match self.ring.submitter().submit_with_args_and_flags(want, &args, flags) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // BUSY, AGAIN: completions are to be taken first.
                Err(e) if matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN)) => {
                    return Ok(());
                }
                other => return other.map(drop),
            }
        }
    }

    /// The next completion: its number and result.
    pub fn next(&mut self) -> Option<(u64, i32)> {
        let done = self.ring.completion().next()?;
        if done.user_data() == u64::MAX && !cqueue::more(done.flags()) {
            self.listening = false;
        }
        Some((done.user_data(), done.result()))
    }
}

fn command(what: u32, commit_id: u64, qid: u16, number: u64) -> Entry128 {
    let mut area = [0; 80];
    let fields = 0u64.as_bytes().iter().chain(commit_id.as_bytes()).chain(qid.as_bytes());
    area.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
    opcode::UringCmd80::new(Fixed(0), what).cmd(area).build().user_data(number)
}

/// What the builder has no setter for.
fn set_addr_and_len(entry: &mut Entry128, addr: usize, len: u32) {
    let at = ptr::from_mut(entry).cast::<u8>();
    // SAFETY: a submission is 128 plain bytes (asserted above); the address is the eight bytes
    // before the length, which is four, aligned.
    unsafe {
        at.add(LEN_AT - size_of::<u64>()).cast::<u64>().write(addr as u64);
        at.add(LEN_AT).cast::<u32>().write(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(entry: &Entry128) -> [u8; 128] {
        // SAFETY: 128 plain bytes, as above.
        unsafe { ptr::from_ref(entry).cast::<[u8; 128]>().read() }
    }

    #[test]
    fn submissions_are_laid_out_as_the_kernel_reads_them() {
        let mut entry = command(REGISTER, 0x0102_0304_0506_0708, 0x0a0b, 5);
        set_addr_and_len(&mut entry, 0x1122_3344, 2);
        let b = bytes(&entry);
        assert_eq!(b[0], 46, "IORING_OP_URING_CMD");
        assert_eq!(b[1] & 1, 1, "IOSQE_FIXED_FILE");
        assert_eq!(b[4..8], 0u32.to_le_bytes(), "the first registered file");
        assert_eq!(b[8..12], 1u32.to_le_bytes(), "cmd_op");
        assert_eq!(b[16..24], 0x1122_3344u64.to_le_bytes(), "addr");
        assert_eq!(b[24..28], 2u32.to_le_bytes(), "len");
        assert_eq!(b[32..40], 5u64.to_le_bytes(), "user_data");
        assert_eq!(b[48..56], [0; 8], "flags");
        assert_eq!(b[56..64], 0x0102_0304_0506_0708u64.to_le_bytes(), "commit id");
        assert_eq!(b[64..66], 0x0a0bu16.to_le_bytes(), "queue");
        assert_eq!(b[66..], [0; 62]);
    }

    #[test]
    fn slots_do_not_overlap() {
        let mut slots = slots(0, 3, 8192).unwrap();
        for (n, slot) in (1..).zip(&mut slots) {
            let (block, payload) = slot.parts();
            assert_eq!(payload.as_ptr().align_offset(4096), 0);
            block.as_mut_bytes().fill(n);
            payload.fill(n);
        }
        for (n, slot) in (1..).zip(&mut slots) {
            let (block, payload) = slot.parts();
            assert!(block.as_bytes().iter().chain(payload.iter()).all(|&b| b == n));
        }
    }
}
