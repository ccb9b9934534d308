//! One reply buffer per thread, page-aligned, grown once and used again.
//!
//! A read of the volume decrypts straight into it and the reply is written from it. Alignment
//! lets the volume read below with O_DIRECT into the same pages where that suits it.

use std::cell::RefCell;

/// Alignment of a lent buffer in bytes; the size of a page.
const ALIGN: usize = 4096;

/// Largest buffer kept between requests, bytes. The largest read the kernel makes is 1 MiB.
const KEEP: usize = 1024 * 1024 + ALIGN;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends `body` a buffer of exactly `len` bytes. What is in it is left over from before: `body`
/// returns how much of it, from the start, it has filled.
pub fn buffer<R>(len: usize, body: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buf| {
        let want = len.saturating_add(ALIGN);
        if buf.len() < want {
            buf.resize(want, 0);
        }
        let skip = buf.as_ptr().align_offset(ALIGN);
        let lent = buf.get_mut(skip..).and_then(|b| b.get_mut(..len));
        // `skip` is below ALIGN, and the buffer is longer than `len` by that much.
        let result = body(lent.unwrap_or_default());
        if buf.len() > KEEP {
            *buf = Vec::new();
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_and_of_the_length_asked_for() {
        for len in [0, 1, 4096, 131_072, 1_048_576, 3_000_000, 5] {
            buffer(len, |b| {
                assert_eq!(b.len(), len);
                assert_eq!(b.as_ptr().align_offset(ALIGN), 0);
            });
        }
        BUFFER.with_borrow(|b| assert!(b.len() <= KEEP, "a giant request's buffer was kept"));
    }
}
