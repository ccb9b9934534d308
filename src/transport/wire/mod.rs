//! The kernel's FUSE protocol: bytes in, [`Calls`](super::calls::Calls), bytes out.
//!
//! Whichever way a request came, over the FUSE device or over a ring, it arrives here in three
//! parts: the header, the operation's own struct, and whatever has no fixed size. The third part
//! lies in a [`Body`], which is also where the reply goes: what is read is decrypted into the
//! memory that the kernel takes it from, and what is written is encrypted in the memory that the
//! kernel put it in where it fills whole blocks, and out of it elsewhere.
//!
//! The bytes come from the kernel and are checked all the same: a struct that is too short or a
//! name without an end is that request's EINVAL.
//!
//! | file | is |
//! |---|---|
//! | `abi` | structs and numbers |
//! | `init` | what is agreed on when the mount begins |
//! | `decode` | from bytes to `Op` |
//! | `answer` | from `Op` to a call and its `Reply` |
//! | `encode`, `dirents` | from the volume's values to bytes |

pub mod abi;
mod answer;
mod decode;
mod dirents;
mod encode;
pub mod init;

pub use answer::answer;
pub use decode::forgotten;

/// Memory of one request: what came behind its fixed part, and room for the reply.
pub struct Body<'a> {
    bytes: &'a mut [u8],
    input: usize,
}

impl<'a> Body<'a> {
    /// `bytes`, of which the first `input` came with the request. More than there is counts as
    /// all there is.
    pub fn new(bytes: &'a mut [u8], input: usize) -> Body<'a> {
        let input = input.min(bytes.len());
        Body { bytes, input }
    }

    /// What came with the request.
    pub fn input(&self) -> &[u8] {
        self.bytes.get(..self.input).unwrap_or_default()
    }

    /// The first `len` bytes of what came with the request, to be used up: the input is gone then.
    /// `None`: it was less.
    fn given(&mut self, len: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(..self.input)?.get_mut(..len)
    }

    /// Room for a reply of up to `len` bytes; less if there is less. The input is gone then.
    fn room(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.bytes.len());
        self.bytes.get_mut(..len).unwrap_or_default()
    }
}
