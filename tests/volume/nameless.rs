//! Files without a name, and large holes.

use kmsfs::lower::faulty::{Fault, FaultKind};
use kmsfs::volume::{Errno, Ino, SetAttr, WriteFrom};

use super::support::{CX, Fs, pattern};

/// As through an O_PATH descriptor, after every other is closed.
#[test]
fn a_file_that_lost_its_name_can_be_opened_again_until_it_is_forgotten() {
    let fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "f");
    fs.v().write(ino, fh, 0, b"kept", WriteFrom::Program).unwrap();
    fs.v().unlink(&CX, Ino::ROOT, b"f").unwrap();
    fs.v().release(ino, fh).unwrap();
    for _ in 0..2 {
        let opened = fs.v().open(&CX, ino, libc::O_RDONLY).unwrap();
        let mut out = [0u8; 8];
        assert_eq!(fs.v().read(ino, opened.fh, 0, &mut out).unwrap(), 4);
        assert_eq!(&out[..4], b"kept");
        fs.v().release(ino, opened.fh).unwrap();
    }
    fs.v().forget(ino, 1);
    assert_eq!(fs.v().open(&CX, ino, libc::O_RDONLY).unwrap_err(), Errno::ESTALE);
}

#[test]
fn a_file_without_a_name_gets_one_and_keeps_it_over_a_remount() {
    let mut fs = Fs::new();
    for written in [false, true] {
        let flags = libc::O_RDWR;
        let (entry, opened) = fs.v().tmpfile(&CX, Ino::ROOT, 0o640, flags).unwrap();
        let (ino, fh) = (entry.attr.ino, opened.fh);
        assert_eq!(entry.attr.nlink, 0);
        let data = pattern(3, 10_000);
        fs.v().write(ino, fh, 0, &data, WriteFrom::Program).unwrap();
        if written {
            // Its header is below before the name is given.
            fs.v().fsync(ino, fh, false).unwrap();
        }
        let name = format!("named-{written}");
        let linked = fs.v().link(&CX, ino, Ino::ROOT, name.as_bytes()).unwrap();
        assert_eq!((linked.attr.ino, linked.attr.nlink, linked.attr.perm), (ino, 1, 0o640));
        fs.v().release(ino, fh).unwrap();
        fs.remount();
        assert_eq!(fs.get(&name).unwrap(), data);
        fs.v().rename(&CX, Ino::ROOT, name.as_bytes(), Ino::ROOT, b"moved", 0).unwrap();
        fs.remount();
        assert_eq!(fs.get("moved").unwrap(), data);
    }
}

#[test]
fn a_file_that_was_unlinked_gets_no_name_again() {
    let fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "file");
    fs.v().unlink(&CX, Ino::ROOT, b"file").unwrap();
    assert_eq!(fs.v().link(&CX, ino, Ino::ROOT, b"back").err(), Some(Errno::ENOENT));
    fs.v().release(ino, fh).unwrap();
}

#[test]
fn data_behind_a_hole_of_many_gigabytes_is_found() {
    // A node page lies between every 4 GiB of data.
    for far in [5u64 << 30, 9 << 30, 33 << 30, 1 << 40] {
        let fs = Fs::new();
        let (ino, fh) = fs.create(Ino::ROOT, "sparse");
        fs.v().write(ino, fh, far, b"x", WriteFrom::Program).unwrap();
        fs.v().write(ino, fh, far + (40 << 30), b"y", WriteFrom::Program).unwrap();
        assert_eq!(fs.v().lseek(ino, fh, 0, libc::SEEK_DATA), Ok(far));
        assert_eq!(fs.v().lseek(ino, fh, far + 4096, libc::SEEK_DATA), Ok(far + (40 << 30)));
        fs.v().release(ino, fh).unwrap();
    }
}

#[test]
fn a_stopped_writer_behind_a_large_hole_is_put_in_order() {
    let mut fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "sparse");
    let far = 33u64 << 30;
    for at in [far, far + (1 << 20)] {
        fs.v().write(ino, fh, at, &pattern(4, 9000), WriteFrom::Program).unwrap();
    }
    fs.v().fsync(ino, fh, false).unwrap();
    fs.kill();
    for _ in 0..2 {
        fs.mount(None);
        let ino = fs.lookup("sparse").unwrap().attr.ino;
        let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
        fs.v().write(ino, fh, 0, b"start", WriteFrom::Program).unwrap();
        for at in [far, far + (1 << 20)] {
            let mut out = vec![0; 9000];
            assert_eq!(fs.v().read(ino, fh, at, &mut out), Ok(9000));
            assert!(out == pattern(4, 9000), "{at}");
        }
        fs.v().release(ino, fh).unwrap();
        fs.unmount();
    }
}

#[test]
fn cutting_a_file_to_its_size_moves_its_time() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "file", &[1; 100]);
    let early = std::time::UNIX_EPOCH + std::time::Duration::from_secs(5);
    let times = SetAttr { mtime: Some(kmsfs::volume::SetTime::At(early)), ..SetAttr::default() };
    assert_eq!(fs.v().setattr(&CX, ino, None, &times).unwrap().mtime, early);
    let cut = SetAttr { size: Some(100), ..SetAttr::default() };
    assert!(fs.v().setattr(&CX, ino, None, &cut).unwrap().mtime > early);
}

#[test]
fn a_name_space_is_no_attribute() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "file", b"");
    assert_eq!(fs.v().setxattr(&CX, ino, b"user.", b"v", 0), Err(Errno::EINVAL));
    assert_eq!(fs.v().getxattr(&CX, ino, b"user."), Err(Errno::EINVAL));
}

/// What this process holds open of files that have no name any more, below a volume.
fn nameless_descriptors(fs: &Fs) -> Vec<std::path::PathBuf> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter(|to| to.starts_with(fs.lower()) && to.to_string_lossy().ends_with(" (deleted)"))
        .collect()
}

#[test]
fn a_file_that_could_not_be_closed_gives_its_space_back_when_it_is_removed() {
    for (replaced, forgotten_early) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let mut could_not = 0;
        for at in 0.. {
            let mut fs = Fs::new();
            fs.put(Ino::ROOT, "other", b"other");
            fs.unmount();
            let fault = Fault::new(at, FaultKind::Fail);
            fs.mount(Some(fault.clone()));
            let (ino, fh) = fs.create(Ino::ROOT, "file");
            let data = pattern(7, 20_000);
            // Nobody has anything of this but the error.
            let _ = fs.v().write(ino, fh, 0, &data, WriteFrom::Program);
            could_not += usize::from(fs.v().release(ino, fh).is_err());
            if forgotten_early {
                fs.v().forget(ino, 1);
            }
            let remove = || match replaced {
                true => fs.v().rename(&CX, Ino::ROOT, b"other", Ino::ROOT, b"file", 0),
                false => fs.v().unlink(&CX, Ino::ROOT, b"file"),
            };
            // The fault may strike here; it does so once.
            remove().or_else(|_| remove()).unwrap();
            if !forgotten_early {
                fs.v().forget(ino, 1);
            }
            let held = nameless_descriptors(&fs);
            assert!(held.is_empty(), "replaced {replaced}, fault at {at}: {held:?}");
            if fault.calls() <= at {
                break;
            }
        }
        assert!(could_not > 0, "a close fails in some round");
    }
}

#[test]
fn a_rename_that_fails_half_way_loses_neither_name_nor_content() {
    for (replace, exchange) in [(false, false), (true, false), (true, true)] {
        for at in 0.. {
            let mut fs = Fs::new();
            fs.put(Ino::ROOT, "old", b"moving");
            if replace {
                fs.put(Ino::ROOT, "new", b"there before");
            }
            fs.unmount();
            let fault = Fault::new(at, FaultKind::Fail);
            fs.mount(Some(fault.clone()));
            let flags = if exchange { libc::RENAME_EXCHANGE } else { 0 };
            let done = fs.v().rename(&CX, Ino::ROOT, b"old", Ino::ROOT, b"new", flags);
            let moving = Ok(b"moving".to_vec());
            let before = if replace { Ok(b"there before".to_vec()) } else { Err(Errno::ENOENT) };
            let (old, new) = match (done, exchange) {
                (Ok(()), true) => (before, moving),
                (Ok(()), false) => (Err(Errno::ENOENT), moving),
                (Err(_), _) => (moving, before),
            };
            let what = format!("replace {replace}, exchange {exchange}, fault {at}: {done:?}");
            assert_eq!((&fs.get("old"), &fs.get("new")), (&old, &new), "{what}");
            fs.remount();
            assert_eq!((&fs.get("old"), &fs.get("new")), (&old, &new), "{what}, remounted");
            if fault.calls() <= at {
                break;
            }
        }
    }
}
