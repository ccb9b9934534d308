//! Names: long ones, odd ones, links, and what stands below.

use std::sync::atomic::{AtomicBool, Ordering};

use kmsfs::volume::WriteFrom;
use kmsfs::volume::{Errno, FileKind, Ino};

use super::support::{CX, Fs, list};

#[test]
fn any_255_bytes_but_slash_and_nul_are_a_name() {
    let mut fs = Fs::new();
    let names: Vec<Vec<u8>> = vec![
        vec![b'a'; 255],
        vec![0xFF; 255],
        "名".repeat(85).into_bytes(),
        b"with space\n\t\x01".to_vec(),
        b"kmsfs.dir".to_vec(),
        b".kmsfs".to_vec(),
        vec![b'b'; 175],
        vec![b'b'; 176],
    ];
    for name in &names {
        let flags = libc::O_RDWR | libc::O_EXCL;
        let (e, o) = fs.v().create(&CX, Ino::ROOT, name, 0o600, flags).unwrap();
        fs.v().release(e.attr.ino, o.fh).unwrap();
    }
    fs.remount();
    let mut expected = names.clone();
    expected.sort();
    assert_eq!(list(fs.v(), Ino::ROOT), expected);
    let too_long = fs.v().lookup(&CX, Ino::ROOT, &[b'x'; 256]);
    assert_eq!(too_long.unwrap_err(), Errno::ENAMETOOLONG);
    for (i, name) in names.iter().enumerate() {
        let new = format!("{i}").into_bytes();
        fs.v().rename(&CX, Ino::ROOT, name, Ino::ROOT, &new, 0).unwrap();
        fs.v().rename(&CX, Ino::ROOT, &new, Ino::ROOT, name, 0).unwrap();
        fs.v().unlink(&CX, Ino::ROOT, name).unwrap();
    }
    assert!(list(fs.v(), Ino::ROOT).is_empty());
    let left: Vec<_> = std::fs::read_dir(fs.lower()).unwrap().collect();
    assert_eq!(left.len(), 2, "only the volume's own files are left below: {left:?}");
}

#[test]
fn equal_names_in_two_directories_differ_below() {
    let fs = Fs::new();
    for dir in ["a", "b"] {
        let ino = fs.v().mkdir(&CX, Ino::ROOT, dir.as_bytes(), 0o755).unwrap().attr.ino;
        fs.put(ino, "same", b"");
    }
    assert_ne!(fs.below("a/same").file_name(), fs.below("b/same").file_name());
}

#[test]
fn symlinks_of_every_length_survive_moves_and_links() {
    let mut fs = Fs::new();
    let dir = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
    for len in [1, 100, 3000, 3040, 4095] {
        let target = vec![b't'; len];
        let name = format!("l{len}");
        let made = fs.v().symlink(&CX, Ino::ROOT, name.as_bytes(), &target).unwrap();
        assert_eq!(made.attr.size, len as u64);
        assert_eq!(made.attr.kind, FileKind::Symlink);
        fs.v().rename(&CX, Ino::ROOT, name.as_bytes(), dir, b"moved", 0).unwrap();
        let moved = fs.lookup("d/moved").unwrap();
        assert_eq!(moved.attr.ino, made.attr.ino, "a rename keeps the inode");
        assert_eq!(fs.v().readlink(&CX, moved.attr.ino).unwrap(), target);
        fs.v().link(&CX, moved.attr.ino, Ino::ROOT, name.as_bytes()).unwrap();
        fs.remount();
        for path in ["d/moved".to_owned(), name] {
            let ino = fs.lookup(&path).unwrap().attr.ino;
            assert_eq!(fs.v().readlink(&CX, ino).unwrap(), target, "{path}");
        }
        fs.v().unlink(&CX, fs.lookup("d").unwrap().attr.ino, b"moved").unwrap();
    }
}

/// An open that comes by inode, as through /proc/self/fd, waits for no rename.
#[test]
fn nobody_meets_an_object_between_two_names() {
    let fs = Fs::new();
    let (file, dir) =
        (fs.put(Ino::ROOT, "f", b"content"), fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap());
    let link = fs.v().symlink(&CX, Ino::ROOT, b"l", b"target").unwrap().attr.ino;
    let (dir, v) = (dir.attr.ino, fs.v());
    let going = AtomicBool::new(true);
    /// Also when the test fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let reach = || {
            while going.load(Ordering::Relaxed) {
                let opened = v.open(&CX, file, libc::O_RDONLY).unwrap();
                v.release(file, opened.fh).unwrap();
                for ino in [file, dir, link] {
                    v.getattr(ino, None).unwrap();
                }
                assert_eq!(v.readlink(&CX, link).unwrap(), b"target");
            }
        };
        for _ in 0..3 {
            scope.spawn(reach);
        }
        let _stop = Stop(&going);
        for _ in 0..200 {
            for (from, to) in
                [("f", "g"), ("g", "f"), ("l", "m"), ("m", "l"), ("d", "e"), ("e", "d")]
            {
                v.rename(&CX, Ino::ROOT, from.as_bytes(), Ino::ROOT, to.as_bytes(), 0).unwrap();
            }
            v.rename(&CX, Ino::ROOT, b"f", Ino::ROOT, b"l", libc::RENAME_EXCHANGE).unwrap();
            v.rename(&CX, Ino::ROOT, b"f", Ino::ROOT, b"l", libc::RENAME_EXCHANGE).unwrap();
            v.link(&CX, file, dir, b"second").unwrap();
            v.unlink(&CX, dir, b"second").unwrap();
        }
    });
}

#[test]
fn hard_links_are_one_file_under_any_number_of_names() {
    let mut fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "n0", b"content");
    for i in 1..5 {
        let entry = fs.v().link(&CX, ino, Ino::ROOT, format!("n{i}").as_bytes()).unwrap();
        assert_eq!((entry.attr.ino, entry.attr.nlink), (ino, i + 1));
        assert_eq!(entry.attr.size, 7);
    }
    fs.remount();
    for i in 0..5 {
        assert_eq!(fs.get(&format!("n{i}")).unwrap(), b"content");
        fs.v().unlink(&CX, Ino::ROOT, format!("n{i}").as_bytes()).unwrap();
    }
}

#[test]
fn a_file_with_more_names_than_are_remembered_is_found_by_any_that_is_left() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "first", b"content");
    for n in 0..40 {
        fs.v().link(&CX, ino, Ino::ROOT, format!("link{n}").as_bytes()).unwrap();
    }
    // Those that were made last go; the kernel has not looked the first one up again.
    for n in (0..40).rev() {
        fs.v().unlink(&CX, Ino::ROOT, format!("link{n}").as_bytes()).unwrap();
        assert_eq!(fs.v().getattr(ino, None).unwrap().nlink, n + 1);
    }
    assert_eq!(fs.read_all(ino).unwrap(), b"content");
    fs.v().link(&CX, ino, Ino::ROOT, b"again").unwrap();
    fs.v().unlink(&CX, Ino::ROOT, b"first").unwrap();
    assert_eq!(fs.get("again").unwrap(), b"content");
}

#[test]
fn an_unlinked_file_lives_as_long_as_its_handle() {
    let fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "f");
    fs.v().write(ino, fh, 0, b"still here", WriteFrom::Program).unwrap();
    fs.v().unlink(&CX, Ino::ROOT, b"f").unwrap();
    assert_eq!(fs.v().getattr(ino, Some(fh)).unwrap().nlink, 0);
    let mut out = [0u8; 10];
    assert_eq!(fs.v().read(ino, fh, 0, &mut out), Ok(10));
    assert_eq!(&out, b"still here");
    fs.v().flush(ino, fh).unwrap();
    fs.v().release(ino, fh).unwrap();
}

#[test]
fn rename_flags() {
    let fs = Fs::new();
    fs.put(Ino::ROOT, "a", b"A");
    fs.put(Ino::ROOT, "b", b"B");
    let noreplace = fs.v().rename(&CX, Ino::ROOT, b"a", Ino::ROOT, b"b", libc::RENAME_NOREPLACE);
    assert_eq!(noreplace, Err(Errno::EEXIST));
    fs.v().rename(&CX, Ino::ROOT, b"a", Ino::ROOT, b"b", libc::RENAME_EXCHANGE).unwrap();
    assert_eq!(fs.get("a").unwrap(), b"B");
    assert_eq!(fs.get("b").unwrap(), b"A");
    let d = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
    let e = fs.v().mkdir(&CX, Ino::ROOT, b"e", 0o755).unwrap().attr.ino;
    fs.put(d, "x", b"X");
    assert_eq!(
        fs.v().rename(&CX, Ino::ROOT, b"e", Ino::ROOT, b"d", 0),
        Err(Errno(libc::ENOTEMPTY))
    );
    fs.v().rename(&CX, Ino::ROOT, b"d", Ino::ROOT, b"e", 0).unwrap();
    assert_eq!(fs.get("e/x").unwrap(), b"X");
    assert_ne!(d, e);
    assert_eq!(fs.v().rmdir(&CX, Ino::ROOT, b"e"), Err(Errno(libc::ENOTEMPTY)));
}

#[test]
fn extended_attributes_are_sealed_and_listed() {
    let mut fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"");
    let dir = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
    for ino in [ino, dir] {
        if fs.v().setxattr(&CX, ino, b"user.plant", b"marker-value", 0) == Err(Errno::EOPNOTSUPP) {
            panic!("the temporary directory's filesystem has no user attributes");
        }
        let long = [&b"user."[..], &[b'n'; 250]].concat();
        fs.v().setxattr(&CX, ino, &long, b"", 0).unwrap();
    }
    fs.remount();
    for path in ["f", "d"] {
        let ino = fs.lookup(path).unwrap().attr.ino;
        assert_eq!(fs.v().getxattr(&CX, ino, b"user.plant").unwrap(), b"marker-value");
        assert_eq!(fs.v().getxattr(&CX, ino, b"user.none"), Err(Errno::ENODATA));
        let names = fs.v().listxattr(&CX, ino).unwrap();
        assert_eq!(names.split(|&b| b == 0).filter(|n| n.starts_with(b"user.")).count(), 2);
        fs.v().removexattr(&CX, ino, b"user.plant").unwrap();
        assert_eq!(fs.v().getxattr(&CX, ino, b"user.plant"), Err(Errno::ENODATA));
    }
}
