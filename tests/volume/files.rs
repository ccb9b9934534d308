//! Content of files: sizes, holes, times, rights.

use kmsfs::crypto::Suite;
use kmsfs::volume::WriteFrom;
use kmsfs::volume::{CrashSafety, Errno, Ino, SetAttr, SetTime};

use super::support::{CX, Fs, OTHER, pattern};

#[test]
fn what_is_written_is_read_after_a_remount_in_both_suites() {
    for suite in Suite::ALL {
        let mut fs = Fs::with(suite, CrashSafety::Power);
        for len in [0, 1, 4095, 4096, 4097, 48 * 4096, 48 * 4096 + 1, 3_000_000] {
            fs.put(Ino::ROOT, &format!("f{len}"), &pattern(len as u64, len));
        }
        fs.remount();
        for len in [0, 1, 4095, 4096, 4097, 48 * 4096, 48 * 4096 + 1, 3_000_000] {
            assert_eq!(fs.get(&format!("f{len}")).unwrap(), pattern(len as u64, len), "{len}");
        }
    }
}

#[test]
fn a_small_file_costs_two_pages_below_and_a_big_one_two_percent() {
    let fs = Fs::new();
    fs.put(Ino::ROOT, "small", &[7; 4096]);
    assert_eq!(std::fs::metadata(fs.below("small")).unwrap().len(), 8192);
    let len = 64 << 20;
    fs.put(Ino::ROOT, "big", &pattern(3, len));
    let below = std::fs::metadata(fs.below("big")).unwrap().len();
    assert!(below <= (len as u64) * 102 / 100, "{below}");
}

#[test]
fn stat_tells_the_plaintext_size_without_opening() {
    let mut fs = Fs::new();
    for len in [0, 1, 4096, 5000, 70 * 4096 + 9] {
        fs.put(Ino::ROOT, &format!("f{len}"), &pattern(1, len));
    }
    fs.remount();
    fs.keys.disable(true);
    for len in [0, 1, 4096, 5000, 70 * 4096 + 9] {
        assert_eq!(fs.lookup(&format!("f{len}")).unwrap().attr.size, len as u64);
    }
}

#[test]
fn holes_stay_holes_and_read_as_zeros() {
    let mut fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "sparse");
    let far = 1u64 << 40;
    fs.v().write(ino, fh, far, b"end", WriteFrom::Program).unwrap();
    fs.v().write(ino, fh, 8192, b"x", WriteFrom::Program).unwrap();
    fs.v().flush(ino, fh).unwrap();
    assert_eq!(fs.v().lseek(ino, fh, 0, libc::SEEK_DATA), Ok(8192));
    assert_eq!(fs.v().lseek(ino, fh, 8192, libc::SEEK_HOLE), Ok(12288));
    assert_eq!(fs.v().lseek(ino, fh, 12288, libc::SEEK_DATA), Ok(far));
    assert_eq!(fs.v().lseek(ino, fh, far + 3, libc::SEEK_DATA), Err(Errno::ENXIO));
    fs.v().release(ino, fh).unwrap();
    let below = fs.v().getattr(ino, None).unwrap();
    assert_eq!(below.size, far + 3);
    assert!(below.blocks * 512 < 100_000, "{}", below.blocks);
    fs.remount();
    let ino = fs.lookup("sparse").unwrap().attr.ino;
    let fh = fs.v().open(&CX, ino, libc::O_RDONLY).unwrap().fh;
    let mut out = [1u8; 9000];
    assert_eq!(fs.v().read(ino, fh, far - 5000, &mut out), Ok(5003));
    assert!(out[..5000].iter().all(|&b| b == 0));
    assert_eq!(&out[5000..5003], b"end");
    fs.v().release(ino, fh).unwrap();
}

#[test]
fn a_punched_hole_gives_its_space_back() {
    let mut fs = Fs::new();
    let data = pattern(5, 100 * 4096);
    let ino = fs.put(Ino::ROOT, "f", &data);
    let before = fs.v().getattr(ino, None).unwrap().blocks;
    let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    fs.v().fallocate(ino, fh, 4096 + 100, 90 * 4096, mode).unwrap();
    fs.v().release(ino, fh).unwrap();
    assert!(fs.v().getattr(ino, None).unwrap().blocks <= before - 88 * 8);
    let mut expected = data;
    expected[4196..4196 + 90 * 4096].fill(0);
    assert_eq!(fs.get("f").unwrap(), expected);
    fs.remount();
    assert_eq!(fs.get("f").unwrap(), expected);
}

#[test]
fn a_cut_tail_does_not_come_back() {
    let mut fs = Fs::new();
    fs.put(Ino::ROOT, "f", &[0xEE; 4000]);
    for size in [100, 4000] {
        let ino = fs.lookup("f").unwrap().attr.ino;
        let set = SetAttr { size: Some(size), ..SetAttr::default() };
        fs.v().setattr(&CX, ino, None, &set).unwrap();
        fs.remount();
    }
    let mut expected = vec![0xEE; 100];
    expected.resize(4000, 0);
    assert_eq!(fs.get("f").unwrap(), expected);
}

#[test]
fn the_modification_time_survives_our_own_writes() {
    let mut fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "f");
    fs.v().write(ino, fh, 0, b"abc", WriteFrom::Program).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    let set = SetAttr { mtime: Some(SetTime::At(then)), ..SetAttr::default() };
    fs.v().setattr(&CX, ino, Some(fh), &set).unwrap();
    fs.v().flush(ino, fh).unwrap();
    fs.v().release(ino, fh).unwrap();
    assert_eq!(fs.v().getattr(ino, None).unwrap().mtime, then);
    fs.v().rename(&CX, Ino::ROOT, b"f", Ino::ROOT, b"g", 0).unwrap();
    fs.remount();
    assert_eq!(fs.lookup("g").unwrap().attr.mtime, then);
}

#[test]
fn an_open_shows_all_of_a_small_file_that_nobody_else_has_open() {
    let mut fs = Fs::new();
    let opened = |fs: &Fs, ino, flags| {
        let mut shown = None;
        let show = |whole: &[u8]| shown = Some(whole.to_vec());
        (fs.v().open_showing(&CX, ino, flags, show).unwrap().fh, shown)
    };
    for (len, comes) in [(0, false), (1, true), (4095, true), (4096, true), (4097, false)] {
        let name = format!("f{len}");
        let content = pattern(3, len);
        let ino = fs.put(Ino::ROOT, &name, &content);
        let shown = opened(&fs, ino, libc::O_RDONLY).1;
        assert_eq!(shown, comes.then_some(content.clone()), "{len}");
        assert_eq!(opened(&fs, ino, libc::O_RDONLY).1, None, "somebody else has it open");
        assert_eq!(fs.read_all(ino).unwrap(), content, "what was shown is there to be read");
        fs.remount();
        let ino = fs.lookup(&name).unwrap().attr.ino;
        for flags in [libc::O_RDWR, libc::O_WRONLY, libc::O_RDONLY | libc::O_DIRECT] {
            let (fh, shown) = opened(&fs, ino, flags);
            assert_eq!(shown, None, "{len} {flags:#o}");
            fs.v().release(ino, fh).unwrap();
        }
        let (_, shown) = opened(&fs, ino, libc::O_RDONLY | libc::O_TRUNC);
        assert_eq!(shown, None, "it is empty now");
    }
}

#[test]
fn who_loses_the_right_while_a_file_is_opened_for_him_has_no_handle() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"secret");
    fs.keys.deny_after_the_next(OTHER.uid);
    assert_eq!(fs.v().open(&OTHER, ino, libc::O_RDONLY).unwrap_err(), Errno::EACCES);
    assert!(fs.v().open_inodes().is_empty());
    let mut out = [0u8; 6];
    let mine = fs.v().open(&CX, ino, libc::O_RDONLY).unwrap().fh;
    assert_eq!(fs.v().read(ino, mine, 0, &mut out), Ok(6));
}

#[test]
fn denied_means_denied_on_an_open_handle_too() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"secret");
    let mine = fs.v().open(&CX, ino, libc::O_RDONLY).unwrap().fh;
    let theirs = fs.v().open(&OTHER, ino, libc::O_RDWR).unwrap().fh;
    let mut out = [0u8; 6];
    assert_eq!(fs.v().read(ino, theirs, 0, &mut out), Ok(6));
    fs.keys.deny(OTHER.uid);
    assert_eq!(fs.v().read(ino, theirs, 0, &mut out), Err(Errno::EACCES));
    assert_eq!(fs.v().write(ino, theirs, 0, b"x", WriteFrom::Program), Err(Errno::EACCES));
    assert_eq!(fs.v().open(&OTHER, ino, libc::O_RDONLY).unwrap_err(), Errno::EACCES);
    assert_eq!(fs.v().read(ino, mine, 0, &mut out), Ok(6));
    let create = fs.v().create(&OTHER, Ino::ROOT, b"new", 0o644, libc::O_RDWR);
    assert_eq!(create.unwrap_err(), Errno::EACCES);
    assert_eq!(fs.lookup("new").unwrap_err(), Errno::ENOENT);
    fs.keys.disable(true);
    assert_eq!(fs.v().read(ino, mine, 0, &mut out), Err(Errno::ENOKEY));
    fs.keys.disable(false);
    assert_eq!(fs.v().read(ino, mine, 0, &mut out), Ok(6));
}

#[test]
fn a_full_disk_harms_nothing_that_was_written() {
    use kmsfs::lower::faulty::{Fault, FaultKind};
    let old = pattern(1, 300_000);
    for at in 0..40 {
        let mut fs = Fs::new();
        fs.put(Ino::ROOT, "f", &old);
        fs.unmount();
        let fault = Fault::new(at, FaultKind::Fail);
        fs.mount(Some(fault.clone()));
        let ino = fs.lookup("f").unwrap().attr.ino;
        let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
        let new = pattern(2, 250_000);
        let wrote = fs.v().write(ino, fh, 5_000, &new, WriteFrom::Program);
        let flushed = fs.v().flush(ino, fh);
        if fault.calls() <= at {
            assert!(wrote.is_ok() && flushed.is_ok());
            break;
        }
        // Whatever failed, every byte is as before or as written.
        let mut out = vec![0; old.len()];
        assert_eq!(fs.v().read(ino, fh, 0, &mut out), Ok(old.len()), "fault {at}");
        for (i, &byte) in out.iter().enumerate() {
            let after = i.checked_sub(5_000).and_then(|i| new.get(i));
            assert!(byte == old[i] || Some(&byte) == after, "fault {at}, byte {i}");
        }
        let _ = fs.v().release(ino, fh);
        fs.unmount();
        fs.mount(None);
        assert_eq!(fs.get("f").unwrap(), out, "fault {at}");
    }
}
