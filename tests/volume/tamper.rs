//! Changes below by somebody without the key. A file that was closed cleanly gives EIO and a
//! report, never other bytes. The same is done to real mounts by `tests/mount/tamper.py`.

use kmsfs::volume::WriteFrom;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kmsfs::volume::{Errno, Ino};

use super::support::{CX, Fs, pattern};

/// A file of `len` bytes closed cleanly, changed below by `change`, and read after a remount.
fn after(len: usize, change: impl Fn(&Path)) -> (Result<Vec<u8>, Errno>, bool) {
    let mut fs = Fs::new();
    fs.put(Ino::ROOT, "f", &pattern(1, len));
    let below = fs.below("f");
    fs.unmount();
    change(&below);
    fs.mount(None);
    let read = fs.get("f");
    let reported = !fs.keys.tampered.lock().unwrap().is_empty();
    (read, reported)
}

fn must_fail(len: usize, what: &str, change: impl Fn(&Path)) {
    let (read, reported) = after(len, change);
    assert_eq!(read, Err(Errno::EIO), "{what}");
    assert!(reported, "{what} is reported");
}

fn patch(path: &Path, at: u64, bytes: &[u8]) {
    fs::File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn one_bit_anywhere() {
    let len = 3 * 4096;
    for at in (0..4 * 4096u64).step_by(61) {
        let (read, _) = after(len, |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[usize::try_from(at).unwrap()] ^= 0x10;
            fs::write(path, bytes).unwrap();
        });
        // Entries of blocks that the file does not have, and padding, are covered too; only the
        // second link's place says nothing about the file while it is no link tag.
        let second_tag = (992..1024).contains(&at);
        let same = read == Ok(pattern(1, len));
        assert!(read == Err(Errno::EIO) || (second_tag && same), "byte {at}: {:?}", read.is_ok());
    }
}

#[test]
fn what_does_not_open_is_not_shown_with_an_open_either() {
    let mut fs = Fs::new();
    fs.put(Ino::ROOT, "f", &pattern(1, 1000));
    let below = fs.below("f");
    fs.unmount();
    patch(&below, 4096 + 500, &[0xA5; 3]);
    fs.mount(None);
    let ino = fs.lookup("f").unwrap().attr.ino;
    let show = |_: &[u8]| panic!("something was shown");
    let fh = fs.v().open_showing(&CX, ino, libc::O_RDONLY, show).unwrap().fh;
    assert_eq!(fs.v().read(ino, fh, 0, &mut [0; 1000]), Err(Errno::EIO));
    assert!(!fs.keys.tampered.lock().unwrap().is_empty());
}

#[test]
fn every_length() {
    let len = 5 * 4096 + 100;
    for cut in [0, 1, 511, 512, 1024, 4095, 4096, 4097, 8192, 5 * 4096, 7 * 4096, 7 * 4096 + 99] {
        must_fail(len, &format!("cut to {cut}"), |path| {
            fs::File::options().write(true).open(path).unwrap().set_len(cut).unwrap();
        });
    }
    for more in [1, 4096, 1 << 20] {
        must_fail(len, &format!("{more} bytes longer"), |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() + more).unwrap();
        });
    }
}

#[test]
fn blocks_and_entries_zeroed_swapped_and_copied() {
    let len = 60 * 4096;
    must_fail(len, "a zeroed block", |p| patch(p, 4096, &[0; 4096]));
    must_fail(len, "a forged hole", |p| {
        patch(p, 1024, &[0; 64]);
        patch(p, 4096, &[0; 4096]);
    });
    must_fail(len, "a forged hole in a group", |p| patch(p, 50 * 4096, &[0; 64]));
    must_fail(len, "a zeroed node", |p| patch(p, 49 * 4096, &[0; 4096]));
    must_fail(len, "a zeroed header", |p| patch(p, 0, &[0; 1024]));
    must_fail(len, "a zeroed first page", |p| patch(p, 0, &[0; 4096]));
    must_fail(len, "two blocks swapped", |p| {
        let bytes = fs::read(p).unwrap();
        patch(p, 4096, &bytes[8192..12288]);
        patch(p, 8192, &bytes[4096..8192]);
    });
    must_fail(len, "two blocks swapped with their entries", |p| {
        let bytes = fs::read(p).unwrap();
        patch(p, 4096, &bytes[8192..12288]);
        patch(p, 8192, &bytes[4096..8192]);
        patch(p, 1024, &bytes[1088..1152]);
        patch(p, 1088, &bytes[1024..1088]);
    });
}

/// Two states of one file, closed cleanly in two sessions, and a mixture of them put below.
fn mixture(len: usize, what: &str, mix: impl Fn(&mut Vec<u8>, &[u8])) {
    let mut fs_ = Fs::new();
    fs_.put(Ino::ROOT, "f", &pattern(1, len));
    let below = fs_.below("f");
    fs_.unmount();
    let old = fs::read(&below).unwrap();
    fs_.mount(None);
    let ino = fs_.lookup("f").unwrap().attr.ino;
    let fh = fs_.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
    fs_.v().write(ino, fh, 0, &pattern(2, len), WriteFrom::Program).unwrap();
    fs_.v().flush(ino, fh).unwrap();
    fs_.v().release(ino, fh).unwrap();
    fs_.unmount();
    let mut new = fs::read(&below).unwrap();
    mix(&mut new, &old);
    fs::write(&below, new).unwrap();
    fs_.mount(None);
    assert_eq!(fs_.get("f"), Err(Errno::EIO), "{what}");
    assert!(!fs_.keys.tampered.lock().unwrap().is_empty(), "{what} is reported");
}

#[test]
fn parts_rolled_back() {
    let len = 60 * 4096;
    let block = 4096..8192;
    let entry = 1024..1088;
    mixture(len, "one block", |new, old| new[block.clone()].copy_from_slice(&old[block.clone()]));
    mixture(len, "one entry", |new, old| new[entry.clone()].copy_from_slice(&old[entry.clone()]));
    mixture(len, "block and entry", |new, old| {
        new[block.clone()].copy_from_slice(&old[block.clone()]);
        new[entry.clone()].copy_from_slice(&old[entry.clone()]);
    });
    mixture(len, "both header slots", |new, old| new[..1024].copy_from_slice(&old[..1024]));
    mixture(len, "the first page", |new, old| new[..4096].copy_from_slice(&old[..4096]));
    mixture(len, "a group with its entries", |new, old| {
        new[50 * 4096..].copy_from_slice(&old[50 * 4096..]);
    });
    mixture(len, "the node and its groups", |new, old| {
        new[49 * 4096..].copy_from_slice(&old[49 * 4096..]);
    });
    mixture(len, "the newest slot taken away", |new, _| {
        // Clean, dirty, clean: generation 3 lies in slot A.
        new[..480].fill(0);
    });
}

#[test]
fn objects_in_each_others_place() {
    let set_up = || {
        let fs_ = Fs::new();
        fs_.put(Ino::ROOT, "a", b"content of a");
        fs_.put(Ino::ROOT, "b", b"content of b");
        let d = fs_.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
        let e = fs_.v().mkdir(&CX, Ino::ROOT, b"e", 0o755).unwrap().attr.ino;
        fs_.put(d, "x", b"x in d");
        fs_.put(e, "x", b"x in e");
        fs_.v().symlink(&CX, Ino::ROOT, b"l", b"target of l").unwrap();
        fs_.v().symlink(&CX, Ino::ROOT, b"m", b"target of m").unwrap();
        fs_
    };
    let swap = |x: &Path, y: &Path| {
        let spare = x.with_extension("spare");
        fs::rename(x, &spare).unwrap();
        fs::rename(y, x).unwrap();
        fs::rename(&spare, y).unwrap();
    };
    for (what, one, two) in [("files", "a", "b"), ("directories", "d", "e"), ("links", "l", "m")] {
        let mut fs_ = set_up();
        let (x, y) = (fs_.below(one), fs_.below(two));
        fs_.unmount();
        swap(&x, &y);
        fs_.mount(None);
        let read = match what {
            "files" => fs_.get("a").map(|_| ()),
            "directories" => fs_.get("d/x").map(|_| ()),
            _ => fs_.v().readlink(&CX, fs_.lookup("l").unwrap().attr.ino).map(|_| ()),
        };
        assert_eq!(read, Err(Errno::EIO), "{what} swapped");
        assert!(!fs_.keys.tampered.lock().unwrap().is_empty(), "{what} swapped is reported");
    }
    let mut fs_ = set_up();
    let (a, b) = (fs_.below("a"), fs_.below("b"));
    fs_.unmount();
    fs::copy(&a, &b).unwrap();
    fs_.mount(None);
    assert_eq!(fs_.get("b"), Err(Errno::EIO), "one file copied over another");
    assert_eq!(fs_.get("a").unwrap(), b"content of a");
}

/// S-11: a change of name must not make good what somebody else exchanged.
#[test]
fn a_rename_or_a_link_does_not_launder_an_exchange() {
    let mut fs_ = Fs::new();
    fs_.put(Ino::ROOT, "a", b"content of a");
    fs_.put(Ino::ROOT, "b", b"content of b");
    let (x, y) = (fs_.below("a"), fs_.below("b"));
    fs_.unmount();
    let spare = x.with_extension("spare");
    fs::rename(&x, &spare).unwrap();
    fs::rename(&y, &x).unwrap();
    fs::rename(&spare, &y).unwrap();
    fs_.mount(None);
    fs_.v().rename(&CX, Ino::ROOT, b"a", Ino::ROOT, b"c", 0).unwrap();
    assert_eq!(fs_.get("c"), Err(Errno::EIO), "renamed");
    let b = fs_.lookup("b").unwrap().attr.ino;
    fs_.v().link(&CX, b, Ino::ROOT, b"k").unwrap();
    assert_eq!(fs_.get("k"), Err(Errno::EIO), "linked");
    assert_eq!(fs_.get("b"), Err(Errno::EIO), "and the other one");
}
