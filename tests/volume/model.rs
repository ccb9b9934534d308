//! Random operations against a model that fits on one screen: a map from path to bytes.

use kmsfs::volume::WriteFrom;
use std::collections::BTreeMap;

use kmsfs::crypto::Suite;
use kmsfs::volume::{CrashSafety, Errno, Ino, Plain, SetAttr};
use proptest::prelude::*;

use super::support::{CX, Fs, list, pattern};

/// The model: what a directory tree of depth one holds.
type Model = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Create(u8),
    Write(u8, u32, u16, u64),
    Truncate(u8, u32),
    Punch(u8, u32, u32),
    Rename(u8, u8),
    Unlink(u8),
    Read(u8),
    Seek(u8, u32),
    Remount,
    Kill,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let at = 0..400_000u32;
    let op = prop_oneof![
        2 => (0..5u8).prop_map(Op::Create),
        6 => (0..5u8, at.clone(), 1..20_000u16, any::<u64>())
            .prop_map(|(f, at, len, seed)| Op::Write(f, at, len, seed)),
        // Whole blocks.
        2 => (0..5u8, 0..90u32, 1..6u16, any::<u64>())
            .prop_map(|(f, at, len, seed)| Op::Write(f, at * 4096, len * 4096, seed)),
        2 => (0..5u8, at.clone()).prop_map(|(f, size)| Op::Truncate(f, size)),
        1 => (0..5u8, at.clone(), 1..100_000u32).prop_map(|(f, at, len)| Op::Punch(f, at, len)),
        1 => (0..5u8, 0..5u8).prop_map(|(a, b)| Op::Rename(a, b)),
        1 => (0..5u8).prop_map(Op::Unlink),
        2 => (0..5u8).prop_map(Op::Read),
        1 => (0..5u8, at).prop_map(|(f, at)| Op::Seek(f, at)),
        1 => Just(Op::Remount),
        1 => Just(Op::Kill),
    ];
    proptest::collection::vec(op, 1..60)
}

fn name(n: u8) -> String {
    format!("file-{n}")
}

/// Runs `work` on an open handle of a file, and closes it.
fn on<T>(fs: &Fs, file: &str, work: impl FnOnce(Ino, kmsfs::volume::Fh) -> T) -> T {
    let ino = fs.lookup(file).unwrap().attr.ino;
    let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
    let result = work(ino, fh);
    fs.v().flush(ino, fh).unwrap();
    fs.v().release(ino, fh).unwrap();
    result
}

fn step(fs: &mut Fs, model: &mut Model, op: &Op) {
    match *op {
        Op::Create(n) => {
            let made = fs.v().create(&CX, Ino::ROOT, name(n).as_bytes(), 0o644, libc::O_EXCL);
            match model.entry(name(n)) {
                std::collections::btree_map::Entry::Occupied(_) => {
                    assert_eq!(made.unwrap_err(), Errno::EEXIST);
                }
                std::collections::btree_map::Entry::Vacant(place) => {
                    let (entry, opened) = made.unwrap();
                    fs.v().release(entry.attr.ino, opened.fh).unwrap();
                    place.insert(Vec::new());
                }
            }
        }
        Op::Write(n, at, len, seed) => {
            let Some(content) = model.get_mut(&name(n)) else { return };
            let data = pattern(seed, len.into());
            let mut given = data.clone();
            let plain = if seed % 2 == 0 { Plain::Lent(&data) } else { Plain::Given(&mut given) };
            on(fs, &name(n), |ino, fh| {
                fs.v().write(ino, fh, at.into(), plain, WriteFrom::Program).unwrap()
            });
            let (at, end) = (at as usize, at as usize + data.len());
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(&data);
        }
        Op::Truncate(n, size) => {
            let Some(content) = model.get_mut(&name(n)) else { return };
            let ino = fs.lookup(&name(n)).unwrap().attr.ino;
            let set = SetAttr { size: Some(size.into()), ..SetAttr::default() };
            assert_eq!(fs.v().setattr(&CX, ino, None, &set).unwrap().size, u64::from(size));
            content.resize(size as usize, 0);
        }
        Op::Punch(n, at, len) => {
            let Some(content) = model.get_mut(&name(n)) else { return };
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            on(fs, &name(n), |ino, fh| {
                fs.v().fallocate(ino, fh, at.into(), len.into(), mode).unwrap();
            });
            let end = content.len().min(at as usize + len as usize);
            if (at as usize) < end {
                content[at as usize..end].fill(0);
            }
        }
        Op::Rename(a, b) => {
            let moved =
                fs.v().rename(&CX, Ino::ROOT, name(a).as_bytes(), Ino::ROOT, name(b).as_bytes(), 0);
            match model.get(&name(a)).cloned() {
                None => assert_eq!(moved, Err(Errno::ENOENT)),
                Some(content) => {
                    moved.unwrap();
                    model.remove(&name(a));
                    model.insert(name(b), content);
                }
            }
        }
        Op::Unlink(n) => {
            let gone = fs.v().unlink(&CX, Ino::ROOT, name(n).as_bytes());
            assert_eq!(gone.is_ok(), model.remove(&name(n)).is_some());
        }
        Op::Read(n) => {
            let found = fs.get(&name(n));
            assert_eq!(found.ok(), model.get(&name(n)).cloned());
        }
        Op::Seek(n, at) => {
            let Some(content) = model.get(&name(n)) else { return };
            let data =
                on(fs, &name(n), |ino, fh| fs.v().lseek(ino, fh, at.into(), libc::SEEK_DATA));
            // Nothing but zeros lies before the data that was found.
            let stop = data.map_or(content.len(), |d| usize::try_from(d).unwrap());
            let skipped = content.get(at as usize..stop.max(at as usize)).unwrap_or_default();
            assert!(skipped.iter().all(|&b| b == 0));
        }
        Op::Remount => fs.remount(),
        // Everything was flushed, and the page cache below lives on.
        Op::Kill => {
            fs.kill();
            fs.mount(None);
        }
    }
}

fn check(fs: &Fs, model: &Model) {
    let names: Vec<Vec<u8>> = model.keys().map(|n| n.clone().into_bytes()).collect();
    assert_eq!(list(fs.v(), Ino::ROOT), names);
    for (name, content) in model {
        assert_eq!(fs.lookup(name).unwrap().attr.size, content.len() as u64);
        assert!(fs.get(name).unwrap() == *content, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_volume_does_what_the_model_does(ops in ops(), suite in 0..2usize, power in any::<bool>()) {
        let crash = if power { CrashSafety::Power } else { CrashSafety::Process };
        let mut fs = Fs::with(Suite::ALL[suite], crash);
        let mut model = Model::new();
        for op in &ops {
            step(&mut fs, &mut model, op);
        }
        check(&fs, &model);
        fs.remount();
        check(&fs, &model);
        prop_assert!(fs.keys.tampered.lock().unwrap().is_empty());
    }
}
