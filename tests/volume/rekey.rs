//! Files under another data key: content, attributes, names and handles stay; the ciphertext does
//! not; and no stop on the way loses anything.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kmsfs::lower::faulty::{Fault, FaultKind};
use kmsfs::volume::keys::Caller;
use kmsfs::volume::{Errno, Ino, SetAttr, WriteFrom};

use super::support::{CX, Fs, list, pattern};
use kmsfs::crypto::Suite;
use kmsfs::volume::CrashSafety;

fn rekey(fs: &Fs, ino: Ino) -> Result<(), Errno> {
    fs.v().setxattr(&CX, ino, b"kmsfs.data-key", b"new", 0)
}

/// Pages of a lower file that hold anything, but for the header's.
fn pages(fs: &Fs, path: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(fs.below(path)).unwrap();
    let all = bytes.chunks(4096).skip(1).map(<[u8]>::to_vec);
    all.filter(|page| page.iter().any(|&b| b != 0)).collect()
}

fn copies(fs: &Fs) -> usize {
    match std::fs::read_dir(fs.lower().join(".kmsfs/rekey")) {
        Ok(entries) => entries.count(),
        Err(_) => 0,
    }
}

#[test]
fn everything_stays_but_key_and_ciphertext() {
    for suite in [Suite::Aes256GcmSiv, Suite::XChaCha20Poly1305] {
        let mut fs = Fs::with(suite, CrashSafety::Power);
        let d = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
        let sizes = [0, 1, 4096, 5000, 48 * 4096, 48 * 4096 + 1, 3_000_000];
        for size in sizes {
            let ino = fs.put(d, &format!("f{size}"), &pattern(7, size));
            for i in 0..3 {
                let name = format!("user.a{i}");
                fs.v().setxattr(&CX, ino, name.as_bytes(), &pattern(i, 50), 0).unwrap();
            }
            fs.v().link(&CX, ino, Ino::ROOT, format!("also{size}").as_bytes()).unwrap();
        }
        for size in sizes {
            let path = format!("d/f{size}");
            let entry = fs.lookup(&path).unwrap();
            let (ino, mtime) = (entry.attr.ino, entry.attr.mtime);
            let (old, st) = (pages(&fs, &path), fs.below(&path).metadata().unwrap());
            rekey(&fs, ino).unwrap();
            let after = fs.below(&path).metadata().unwrap();
            assert_eq!((st.ino(), st.size(), st.mode()), (after.ino(), after.size(), after.mode()));
            assert!(pages(&fs, &path).iter().all(|page| !old.contains(page)), "{size}");
            assert!(size == 0 || !old.is_empty());
            assert_eq!(fs.lookup(&path).unwrap().attr.mtime, mtime);
            assert!(after.mtime() > st.mtime(), "a backup notices");
            assert_eq!(fs.get(&path).unwrap(), pattern(7, size));
        }
        assert_eq!(copies(&fs), 0);
        fs.remount();
        for size in sizes {
            for path in [format!("d/f{size}"), format!("also{size}")] {
                let tampered = fs.keys.tampered.lock().unwrap().clone();
                assert_eq!(fs.get(&path), Ok(pattern(7, size)), "{path} {tampered:?}");
                let ino = fs.lookup(&path).unwrap().attr.ino;
                for i in 0..3 {
                    let name = format!("user.a{i}");
                    assert_eq!(fs.v().getxattr(&CX, ino, name.as_bytes()).unwrap(), pattern(i, 50));
                }
            }
        }
        assert_eq!(*fs.keys.tampered.lock().unwrap(), Vec::<String>::new());
    }
}

/// Such a file has its header and the tag of its name in memory alone.
#[test]
fn a_file_that_was_just_made_keeps_its_name() {
    let mut fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "young");
    rekey(&fs, ino).unwrap();
    fs.v().write(ino, fh, 0, b"content", WriteFrom::Program).unwrap();
    rekey(&fs, ino).unwrap();
    fs.v().flush(ino, fh).unwrap();
    fs.v().release(ino, fh).unwrap();
    fs.remount();
    assert_eq!(fs.get("young").unwrap(), b"content");
    assert_eq!(*fs.keys.tampered.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn holes_stay_holes() {
    let mut fs = Fs::new();
    let (ino, fh) = fs.create(Ino::ROOT, "sparse");
    for at in [0, 1 << 20, 200 << 20, (1 << 30) + 5] {
        fs.v().write(ino, fh, at, b"island", WriteFrom::Program).unwrap();
    }
    let set = SetAttr { size: Some(3 << 30), ..SetAttr::default() };
    fs.v().setattr(&CX, ino, Some(fh), &set).unwrap();
    fs.v().flush(ino, fh).unwrap();
    let before = fs.below("sparse").metadata().unwrap().blocks();
    rekey(&fs, ino).unwrap();
    assert!(fs.below("sparse").metadata().unwrap().blocks() <= before + 16);
    let mut buf = [1u8; 16];
    for at in [0, 1 << 20, 200 << 20, (1 << 30) + 5] {
        assert_eq!(fs.v().read(ino, fh, at, &mut buf), Ok(16));
        assert_eq!(&buf[..6], b"island");
        assert_eq!(buf[6..], [0; 10]);
    }
    fs.v().release(ino, fh).unwrap();
    fs.remount();
    let ino = fs.lookup("sparse").unwrap().attr.ino;
    assert_eq!(fs.v().getattr(ino, None).unwrap().size, 3 << 30);
}

/// A handle that was open before goes on, for reading and writing, and sees no seam.
#[test]
fn a_writer_goes_on_meanwhile() {
    for crash in [CrashSafety::Process, CrashSafety::Power] {
        let mut fs = Fs::with(Suite::Aes256GcmSiv, crash);
        let size = 2_000_000;
        let ino = fs.put(Ino::ROOT, "busy", &pattern(1, size));
        let done = AtomicBool::new(false);
        let mut model = pattern(1, size);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
                let end = Instant::now() + Duration::from_secs(60);
                for n in 0u64.. {
                    if done.load(Ordering::SeqCst) || Instant::now() > end {
                        break;
                    }
                    let at = usize::try_from(n.wrapping_mul(7919 * 4099)).unwrap() % (size - 9000);
                    let data = pattern(n, 1 + usize::try_from(n % 9000).unwrap());
                    let offset = at as u64;
                    fs.v().write(ino, fh, offset, &data, WriteFrom::Program).unwrap();
                    model[at..at + data.len()].copy_from_slice(&data);
                    let mut found = vec![0; data.len()];
                    fs.v().read(ino, fh, offset, &mut found).unwrap();
                    assert_eq!(found, data);
                    if n % 16 == 0 {
                        fs.v().fsync(ino, fh, false).unwrap();
                    }
                }
                fs.v().flush(ino, fh).unwrap();
                fs.v().release(ino, fh).unwrap();
            });
            for _ in 0..20 {
                rekey(&fs, ino).unwrap();
                fs.v().setxattr(&CX, ino, b"user.x", b"y", 0).unwrap();
            }
            done.store(true, Ordering::SeqCst);
            writer.join().unwrap();
        });
        assert_eq!(fs.get("busy").unwrap(), model);
        fs.remount();
        assert_eq!(fs.get("busy").unwrap(), model);
        assert_eq!(*fs.keys.tampered.lock().unwrap(), Vec::<String>::new());
    }
}

/// A fault at every changing call, of every kind: the content is there after the next mount, and
/// under a key that nothing else has.
#[test]
fn no_stop_loses_anything() {
    for crash in [CrashSafety::Process, CrashSafety::Power] {
        for kind in [FaultKind::Crash, FaultKind::Fail, FaultKind::Tear] {
            for at in 0.. {
                let mut fs = Fs::with(Suite::Aes256GcmSiv, crash);
                let content = pattern(3, 300_000);
                let d = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
                let ino = fs.put(d, "f", &content);
                fs.v().setxattr(&CX, ino, b"user.a", b"value", 0).unwrap();
                fs.unmount();
                let fault = Fault::new(at, kind);
                fs.mount(Some(fault.clone()));
                let ino = fs.lookup("d/f").unwrap().attr.ino;
                let done = rekey(&fs, ino);
                let hit = fault.calls() > at;
                if kind == FaultKind::Fail && done.is_err() {
                    // Nothing was changed, or it is left to the next mount.
                    let left = copies(&fs) > 0;
                    assert_eq!(fs.get("d/f").is_ok_and(|found| found == content), !left, "{at}");
                }
                fs.kill();
                fs.mount(None);
                assert_eq!(copies(&fs), 0);
                assert_eq!(fs.get("d/f").unwrap(), content, "{kind:?} at {at}, {crash:?}");
                let ino = fs.lookup("d/f").unwrap().attr.ino;
                assert_eq!(fs.v().getxattr(&CX, ino, b"user.a").unwrap(), b"value", "at {at}");
                assert_eq!(list(fs.v(), fs.lookup("d").unwrap().attr.ino), [b"f"]);
                rekey(&fs, ino).unwrap();
                assert_eq!(fs.get("d/f").unwrap(), content);
                if !hit {
                    assert_eq!(done, Ok(()));
                    break;
                }
            }
        }
    }
}

/// A copy that counts finds its file wherever that was moved to since.
#[test]
fn a_copy_finds_a_file_that_was_renamed() {
    let mut fs = Fs::new();
    let content = pattern(3, 300_000);
    let d = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
    fs.put(d, "f", &content);
    fs.unmount();
    // So late that the copy is ready, and the file half of each.
    let mut at = 200;
    loop {
        fs.mount(Some(Fault::new(at, FaultKind::Crash)));
        let ino = fs.lookup("d/f").unwrap().attr.ino;
        let failed = rekey(&fs, ino).is_err();
        fs.kill();
        if failed && copies(&fs) > 0 {
            break;
        }
        assert!(at > 0, "no fault hit it half way");
        at -= 1;
    }
    let root = fs.lower().to_owned();
    let mut names = std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().path());
    let below = names.find(|p| p.is_dir() && !p.ends_with(".kmsfs")).unwrap();
    let mut files = std::fs::read_dir(&below).unwrap().map(|e| e.unwrap().path());
    let file = files.find(|p| !p.ends_with("kmsfs.dir")).unwrap();
    for entry in std::fs::read_dir(root.join(".kmsfs/rekey")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "at") {
            std::fs::write(path, "somewhere/else").unwrap();
        }
    }
    assert!(file.exists());
    fs.mount(None);
    assert_eq!(fs.get("d/f").unwrap(), content);
    assert_eq!(copies(&fs), 0);
}

#[test]
fn only_those_who_may() {
    let fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"content");
    let other = kmsfs::volume::ReqCtx { uid: 4711, gid: 4711, ..CX };
    let asked = |cx| fs.v().setxattr(cx, ino, b"kmsfs.data-key", b"new", 0);
    assert_eq!(asked(&other), Err(Errno::EPERM));
    assert_eq!(fs.v().setxattr(&CX, ino, b"kmsfs.data-key", b"old", 0), Err(Errno::EINVAL));
    fs.keys.disable(true);
    assert_eq!(asked(&CX), Err(Errno::ENOKEY));
    fs.keys.disable(false);
    assert_eq!(asked(&CX), Ok(()));
    assert_eq!(asked(&CX), Ok(()));
    assert_eq!(fs.get("f").unwrap(), b"content");
}

/// A check of a volume that was stopped half way says so, and calls nothing damaged.
#[test]
fn a_check_knows_what_the_next_mount_finishes() {
    let mut fs = Fs::new();
    fs.put(Ino::ROOT, "f", &pattern(3, 300_000));
    fs.unmount();
    let mut seen = 0;
    for at in 0.. {
        let fault = Fault::new(at, FaultKind::Crash);
        fs.mount(Some(fault.clone()));
        let ino = fs.lookup("f").unwrap().attr.ino;
        let done = rekey(&fs, ino);
        fs.kill();
        let lower = kmsfs::volume::open_root(fs.lower()).unwrap();
        let options = kmsfs::fsck::Options { data: true, caller: Caller::Service };
        let report = kmsfs::fsck::check(lower, fs.keys.as_ref(), &options).unwrap();
        assert_eq!(report.findings, [], "at {at}");
        if copies(&fs) > 1 {
            assert_eq!(report.unfinished, 1);
            seen += 1;
        }
        fs.mount(None);
        assert_eq!(fs.get("f").unwrap(), pattern(3, 300_000));
        fs.unmount();
        if done.is_ok() && fault.calls() <= at {
            break;
        }
    }
    assert!(seen > 3, "{seen} of them were stopped half way");
}
