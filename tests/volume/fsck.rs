//! Checking a volume: nothing to find in a good one, every change by somebody without the key in
//! a bad one, and what a stopped session left is not taken for damage.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kmsfs::fsck::{Check, FsckError, Options, Report, check};
use kmsfs::volume::keys::{Caller, Operation};
use kmsfs::volume::{Ino, WriteFrom, open_root};

use super::support::{CX, Fs, pattern};

const USER: Caller = Caller::User { uid: 0, gid: 0, pid: 1, operation: Operation::Read };

fn look(fs: &Fs) -> Result<Report, FsckError> {
    let root = open_root(fs.lower()).unwrap();
    check(root, fs.keys.as_ref(), &Options { data: true, caller: USER })
}

/// One of everything.
fn populated() -> Fs {
    let fs = Fs::new();
    fs.put(Ino::ROOT, "empty", b"");
    fs.put(Ino::ROOT, "small", &pattern(1, 5000));
    fs.put(Ino::ROOT, "big", &pattern(2, 200 * 4096 + 7));
    fs.put(Ino::ROOT, &"l".repeat(255), b"long name");
    let dir = fs.v().mkdir(&CX, Ino::ROOT, b"dir", 0o755).unwrap().attr.ino;
    let ino = fs.put(dir, "inside", b"inside");
    fs.v().link(&CX, ino, Ino::ROOT, b"second name").unwrap();
    fs.v().setxattr(&CX, ino, b"user.a", b"value", 0).unwrap();
    fs.v().symlink(&CX, dir, b"link", b"target").unwrap();
    fs.v().symlink(&CX, dir, b"far", &[b't'; 4095]).unwrap();
    let (ino, fh) = fs.create(dir, "sparse");
    fs.v().write(ino, fh, 9 << 30, b"behind a hole", WriteFrom::Program).unwrap();
    fs.v().release(ino, fh).unwrap();
    fs
}

#[test]
fn a_good_volume_has_nothing_to_find_and_all_of_it_is_looked_at() {
    let mut fs = populated();
    fs.unmount();
    let report = look(&fs).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.directories, report.symlinks, report.names), (2, 2, 10));
    assert_eq!((report.files, report.unread, report.unfinished), (7, 0, 0));
    assert!(report.blocks >= 204 && report.entry_pages > 8, "{report:?}");
}

#[test]
fn a_mounted_volume_and_a_place_without_one_are_refused() {
    let fs = populated();
    assert_eq!(look(&fs).unwrap_err(), FsckError::Busy);
    let elsewhere = tempfile::tempdir().unwrap();
    let root = open_root(elsewhere.path()).unwrap();
    let options = Options { data: false, caller: USER };
    assert_eq!(check(root, fs.keys.as_ref(), &options).unwrap_err(), FsckError::NotAVolume);
}

#[test]
fn a_key_that_may_not_be_used_is_no_damage() {
    let mut fs = populated();
    fs.unmount();
    fs.keys.deny(0);
    let report = look(&fs).unwrap();
    assert_eq!((report.findings.len(), report.unread), (0, 7));
}

#[test]
fn what_a_killed_session_left_is_no_damage() {
    let mut fs = populated();
    let (ino, fh) = fs.create(Ino::ROOT, "under way");
    fs.v().write(ino, fh, 0, &pattern(9, 300_000), WriteFrom::Program).unwrap();
    fs.v().fsync(ino, fh, false).unwrap();
    fs.v().write(ino, fh, 8192, &pattern(8, 100_000), WriteFrom::Program).unwrap();
    fs.create(Ino::ROOT, "without a header");
    fs.kill();
    let report = look(&fs).unwrap();
    assert_eq!(report.findings, []);
    assert!(report.unfinished >= 1, "{report:?}");
}

#[track_caller]
fn finds(expected: Check, change: impl FnOnce(&Fs, &dyn Fn(&str) -> std::path::PathBuf)) {
    let mut fs = populated();
    let paths: Vec<_> = ["small", "big", "dir", "dir/inside", "dir/link", "empty"]
        .into_iter()
        .map(|name| (name, fs.below(name)))
        .collect();
    let below = |name: &str| paths.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    fs.unmount();
    change(&fs, &below);
    let found = look(&fs).unwrap().findings;
    assert!(found.iter().any(|f| f.check == expected), "{expected:?}: {found:?}");
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[test]
fn headers() {
    finds(Check::Header, |_, below| flip(&below("small"), 60));
    finds(Check::Header, |_, below| flip(&below("dir").join("kmsfs.dir"), 60));
    finds(Check::Header, |_, below| fs::remove_file(below("dir").join("kmsfs.dir")).unwrap());
    finds(Check::Header, |_, below| fs::write(below("empty"), b"").unwrap());
}

#[test]
fn entries_nodes_lengths_and_data() {
    finds(Check::Entries, |_, below| flip(&below("small"), 1024));
    finds(Check::Entries, |_, below| flip(&below("big"), 49 * 4096));
    finds(Check::Entries, |_, below| flip(&below("big"), 50 * 4096 + 16));
    finds(Check::Entries, |_, below| {
        fs::File::options().write(true).open(below("big")).unwrap().set_len(90 * 4096).unwrap();
    });
    finds(Check::Data, |_, below| flip(&below("small"), 4096 + 17));
    finds(Check::Data, |_, below| flip(&below("big"), 120 * 4096));
}

#[test]
fn names_links_and_attributes() {
    finds(Check::Name, |fs, below| {
        fs::copy(below("small"), fs.lower().join("stray")).map(drop).unwrap()
    });
    finds(Check::Name, |fs, below| {
        fs::rename(below("dir/inside"), fs.lower().join(below("dir/inside").file_name().unwrap()))
            .unwrap()
    });
    finds(Check::LinkTag, |_, below| {
        fs::rename(below("small"), below("empty")).unwrap();
    });
    finds(Check::Link, |_, below| {
        fs::remove_file(below("dir/link")).unwrap();
        std::os::unix::fs::symlink("AAAA", below("dir/link")).unwrap();
    });
    finds(Check::Attribute, |_, below| {
        let path = below("dir/inside");
        let mut names = vec![0; 4096];
        let len = rustix::fs::listxattr(&path, &mut names).unwrap();
        let name = names[..len].split(|&b| b == 0).find(|n| n.starts_with(b"user.")).unwrap();
        rustix::fs::setxattr(&path, name, &[7; 60], rustix::fs::XattrFlags::empty()).unwrap();
    });
    finds(Check::Name, |fs, _| {
        let sidecar = fs::read_dir(fs.lower()).unwrap().map(|e| e.unwrap().path());
        let sidecar = sidecar.into_iter().find(|p| p.to_string_lossy().ends_with(".n")).unwrap();
        fs::remove_file(sidecar).unwrap();
    });
}
