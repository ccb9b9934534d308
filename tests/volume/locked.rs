//! Keys that nobody who has the file open may use any more do not stay in memory.

use std::io::{Read, Seek, SeekFrom};

use kmsfs::crypto::{Label, Suite, derive};
use kmsfs::format::FileId;
use kmsfs::volume::{Errno, Fh, Ino, WriteFrom};

use super::support::{CX, Fs, OTHER, pattern};

/// Overwrites what calls before have left on this thread's stack: whether a later one happens to do
/// so is not what is tested.
#[inline(never)]
fn sweep_stack() {
    std::hint::black_box(&mut [0u8; 256 * 1024]);
}

/// How often 32 bytes are in the memory that this process can write to. They are given inverted,
/// or the search would find itself.
fn in_memory(inverted: &[u8; 32]) -> usize {
    sweep_stack();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    let mut chunk = vec![0u8; 1 << 20];
    // Copies that this makes itself do not count.
    let own = u64::try_from(chunk.as_ptr().addr()).unwrap();
    let own = own..own + (1 << 20);
    for line in maps.lines().filter(|line| line.contains("rw-p") && !line.contains("[stack]")) {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (number(from), number(to));
        while at < end {
            if own.contains(&at) {
                at = own.end;
                continue;
            }
            let stop = if at < own.start { end.min(own.start) } else { end };
            let want = usize::try_from(stop - at).unwrap().min(chunk.len());
            // Gone meanwhile: other tests come and go.
            if memory.seek(SeekFrom::Start(at)).is_err() {
                break;
            }
            let Ok(got) = memory.read(&mut chunk[..want]) else { break };
            // Keys lie aligned, and so does what is read at once.
            let equal = |window: &[u8]| window.iter().zip(inverted).all(|(a, b)| *a == !*b);
            found += (0..got.saturating_sub(31))
                .step_by(8)
                .filter(|i| equal(&chunk[*i..i + 32]))
                .count();
            at += u64::try_from(got).unwrap();
            if got == 0 {
                break;
            }
        }
        chunk.fill(0);
    }
    found
}

/// The key that authenticates the file's header, inverted. Not inlined, so that its copies are on a
/// part of the stack that is swept.
#[inline(never)]
fn header_key(fs: &Fs, ino: Ino) -> [u8; 32] {
    let id = fs.v().getxattr(&CX, ino, b"kmsfs.file-id").unwrap();
    let id: FileId = String::from_utf8(id).unwrap().parse().unwrap();
    let suite = Suite::Aes256GcmSiv;
    let context = [&[1, suite.number()][..], &id.0].concat();
    let key = derive(&fs.keys.of_file(id), Label::Header, &context);
    key.expose().map(|byte| !byte)
}

fn read(fs: &Fs, ino: Ino, fh: Fh) -> Result<Vec<u8>, Errno> {
    let mut out = vec![0; 10_000];
    let got = fs.v().read(ino, fh, 0, &mut out)?;
    out.truncate(got);
    Ok(out)
}

#[test]
fn keys_are_wiped_when_nobody_who_has_the_file_open_may_use_them() {
    let fs = Fs::new();
    let data = pattern(1, 9000);
    let ino = fs.put(Ino::ROOT, "f", &data);
    let key = header_key(&fs, ino);
    let closed = in_memory(&key);
    let his = fs.v().open(&OTHER, ino, libc::O_RDWR).unwrap().fh;
    let ours = fs.v().open(&CX, ino, libc::O_RDONLY).unwrap().fh;
    let open = in_memory(&key);
    assert!(open > closed, "an open file's key is in memory: {open}, {closed} before");

    // Somebody is left who may use it.
    fs.keys.deny(OTHER.uid);
    assert!(fs.v().contested(ino));
    fs.v().lock_away(ino);
    assert!(in_memory(&key) > closed);
    assert_eq!(read(&fs, ino, his), Err(Errno::EACCES));
    assert_eq!(read(&fs, ino, ours), Ok(data.clone()));

    // And nobody.
    fs.v().release(ino, ours).unwrap();
    fs.v().lock_away(ino);
    let locked = in_memory(&key);
    assert!(locked <= closed, "{locked} after, {closed} before it was opened");
    assert_eq!(read(&fs, ino, his), Err(Errno::EACCES));
    assert_eq!(fs.v().getattr(ino, Some(his)).unwrap().size, 9000);
    fs.v().fsync(ino, his, false).unwrap();

    // The right comes back, and with it the key.
    fs.keys.allow(OTHER.uid);
    assert!(!fs.v().contested(ino));
    assert_eq!(read(&fs, ino, his), Ok(data));
    assert!(in_memory(&key) > closed);
    fs.v().release(ino, his).unwrap();
    assert!(in_memory(&key) <= closed);
}

#[test]
fn what_was_written_before_is_kept_when_the_key_goes() {
    let mut fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"before");
    let first = fs.v().open(&OTHER, ino, libc::O_RDWR).unwrap().fh;
    let second = fs.v().open(&OTHER, ino, libc::O_RDONLY).unwrap().fh;
    let data = pattern(2, 9000);
    assert_eq!(fs.v().write(ino, first, 0, &data, WriteFrom::Program), Ok(9000));
    fs.keys.deny(OTHER.uid);
    assert!(fs.v().contested(ino));
    fs.v().lock_away(ino);
    let more = fs.v().write(ino, first, 0, b"x", WriteFrom::Program);
    assert_eq!(more, Err(Errno::EACCES));
    assert_eq!(fs.get("f"), Ok(data.clone()), "for somebody who comes and may");
    fs.v().flush(ino, first).unwrap();
    fs.keys.allow(OTHER.uid);
    assert_eq!(fs.v().write(ino, first, 0, b"after", WriteFrom::Program), Ok(5));
    assert_eq!(&read(&fs, ino, second).unwrap()[..6], &[&b"after"[..], &data[5..6]].concat());
    fs.v().release(ino, first).unwrap();
    fs.v().release(ino, second).unwrap();
    fs.remount();
    assert_eq!(&fs.get("f").unwrap()[..5], b"after");
    assert_eq!(fs.keys.tampered.lock().unwrap().len(), 0);
}

#[test]
fn a_file_without_a_name_comes_back_too() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"nameless");
    let his = fs.v().open(&OTHER, ino, libc::O_RDWR).unwrap().fh;
    fs.v().unlink(&CX, Ino::ROOT, b"f").unwrap();
    fs.keys.deny(OTHER.uid);
    assert!(fs.v().contested(ino));
    fs.v().lock_away(ino);
    assert_eq!(read(&fs, ino, his), Err(Errno::EACCES));
    fs.keys.allow(OTHER.uid);
    assert_eq!(read(&fs, ino, his), Ok(b"nameless".to_vec()));
    fs.v().release(ino, his).unwrap();
}
