//! One request in the memory that it shares with the kernel.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zerocopy::{FromBytes, IntoBytes};

use super::sys::Slot;
use crate::transport::calls::Calls;
use crate::transport::wire::abi::{InHeader, OutHeader};
use crate::transport::wire::{Body, answer};
use crate::volume::Errno;

/// What the kernel asks.
pub fn head(slot: &mut Slot) -> InHeader {
    let (block, _) = slot.parts();
    InHeader::read_from_prefix(&block.in_out).map_or_else(|_| InHeader::default(), |(head, _)| head)
}

/// Answers it in place.
pub fn respond(calls: &Calls, slot: &mut Slot) {
    let head = head(slot);
    let (block, payload) = slot.parts();
    // A copy: a handler must not find it changed under its hands.
    let args = block.op_in;
    let mut body = Body::new(payload, usize::try_from(block.payload_sz).unwrap_or(usize::MAX));
    // The calls have a net of their own; this one is for the few lines around them. An entry
    // that is not given back is lost for the life of the mount.
    let result = catch_unwind(AssertUnwindSafe(|| {
        answer(calls, &head, &args, &mut body).and_then(|reply| reply.settle(&mut body))
    }));
    let (error, len) = match result.unwrap_or(Err(Errno::EIO)) {
        Ok(len) => (0, len),
        Err(Errno(e)) if (1..512).contains(&e) => (-e, 0),
        Err(_) => (-libc::EIO, 0),
    };
    let len = u32::try_from(len).unwrap_or_default();
    let out = OutHeader { len: len.saturating_add(16), error, unique: head.unique };
    block.payload_sz = len;
    if let Some(to) = block.in_out.get_mut(..size_of::<OutHeader>()) {
        to.copy_from_slice(out.as_bytes());
    }
}
