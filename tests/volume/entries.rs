//! Files with more entry pages than memory keeps.

use kmsfs::volume::{Ino, WriteFrom};

use super::support::{CX, Fs};

/// Bytes of data that an entry page covers.
const COVERED: u64 = 64 * 4096;

/// More pages than are kept for all files together.
const PAGES: u64 = 8192 + 1500;

/// A few bytes in the reach of page `k`, as they are in `round`.
fn content(k: u64, round: u8) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = k.to_le_bytes();
    [round, a, b, c, d, e, f, g, h]
}

#[test]
fn pages_that_had_to_leave_memory_come_back_as_they_were() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"");
    let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
    let write = |fh, k: u64, round| {
        let data = content(k, round);
        assert_eq!(fs.v().write(ino, fh, k * COVERED, &data, WriteFrom::Program), Ok(9));
    };
    let read = |fh, k: u64| {
        let mut out = [0; 9];
        assert_eq!(fs.v().read(ino, fh, k * COVERED, &mut out), Ok(9), "page {k}");
        out
    };
    (0..PAGES).for_each(|k| write(fh, k, 1));
    // Those that were changed and left are changed once more, those in between are looked at.
    (0..PAGES).step_by(3).for_each(|k| write(fh, k, 2));
    let now = |k: u64| content(k, if k.is_multiple_of(3) { 2 } else { 1 });
    (0..PAGES).rev().for_each(|k| assert_eq!(read(fh, k), now(k)));
    fs.v().fsync(ino, fh, false).unwrap();
    (0..PAGES).step_by(7).for_each(|k| assert_eq!(read(fh, k), now(k)));
    fs.v().release(ino, fh).unwrap();
    // Strict now: every page is checked against its node when it is read.
    let fh = fs.v().open(&CX, ino, libc::O_RDONLY).unwrap().fh;
    (0..PAGES).for_each(|k| assert_eq!(read(fh, k), now(k)));
    fs.v().release(ino, fh).unwrap();
}
