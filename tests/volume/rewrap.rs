//! A rotation is carried through, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kmsfs::format::{MTIME_MARK, VolumeId, WrappedKey};
use kmsfs::lower::faulty::{Fault, FaultKind};
use kmsfs::lower::{Dir, LowerError, LowerFile};
use kmsfs::rewrap::{Ended, Offline, Pace, Progress, Round, Site, State, run};
use kmsfs::volume::keys::{Caller, Resealed, Sealed};
use kmsfs::volume::reseal::{Moved, Trouble};
use kmsfs::volume::{Ino, SetAttr, SetTime, Volume, WriteFrom, open_root};
use proptest::prelude::*;

use super::support::{CX, Fs, pattern};

/// A mounted volume; `meddle` is called before every header that is written.
struct Live<'a> {
    volume: &'a Volume,
    written: AtomicU64,
    meddle: &'a (dyn Fn(u64) + Sync),
}

impl Live<'_> {
    fn turn(&self) {
        (self.meddle)(self.written.fetch_add(1, Ordering::SeqCst));
    }
}

impl Site for Live<'_> {
    fn volume(&self) -> VolumeId {
        self.volume.id()
    }
    fn root(&self) -> Result<Dir, LowerError> {
        self.volume.walk_root()
    }
    fn own_dir(&self) -> &Dir {
        self.volume.own_dir()
    }
    fn begin(&self) {
        self.volume.walk_begins();
    }
    fn moved(&self, end: bool) -> Moved {
        self.volume.walk_moved(end)
    }
    fn in_memory(&self, lower_ino: u64) -> Option<Sealed> {
        self.volume.sealed_in_memory(lower_ino)
    }
    fn file(&self, file: LowerFile, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        self.turn();
        self.volume.reseal_file(file, asked, new)
    }
    fn dir(&self, dir: &Dir, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        self.turn();
        self.volume.reseal_dir(dir, asked, new)
    }
    fn descriptor(&self) -> Result<Sealed, Trouble> {
        Ok(self.volume.sealed_descriptor())
    }
    fn put_descriptor(&self, asked: &WrappedKey, new: Resealed) -> Result<bool, Trouble> {
        self.volume.reseal_descriptor(asked, new)
    }
    fn stop(&self) -> bool {
        false
    }
    fn activity(&self) -> u64 {
        0
    }
}

fn round(fs: &Fs, site: &dyn Site, state: &mut State) -> Result<bool, Ended> {
    let (pace, progress) = (Pace::default(), Progress::default());
    let round = Round {
        site,
        keys: fs.keys.as_ref(),
        caller: Caller::Service,
        pace: &pace,
        progress: &progress,
        workers: 1,
        patience: Duration::ZERO,
        count_only: false,
        save: &|_| {},
    };
    run(&round, state)
}

fn rewrap(fs: &Fs, meddle: &(dyn Fn(u64) + Sync)) -> Result<bool, Ended> {
    let site = Live { volume: fs.v(), written: AtomicU64::new(0), meddle };
    round(fs, &site, &mut State::default())
}

/// The versions that headers are under, by walking once more.
fn versions(fs: &Fs) -> Vec<u32> {
    let site = Live { volume: fs.v(), written: AtomicU64::new(0), meddle: &|_| {} };
    let mut state = State::default();
    assert_eq!(round(fs, &site, &mut state), Ok(true));
    state.counts.iter().map(|count| count.version).collect()
}

fn tree(fs: &Fs) {
    let d = fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap().attr.ino;
    for i in 0..20 {
        fs.put(Ino::ROOT, &format!("f{i}"), &pattern(i, 100 + 1000 * usize::try_from(i).unwrap()));
        fs.put(d, &format!("g{i}"), &pattern(100 + i, 5000));
    }
    let f0 = fs.lookup("f0").unwrap().attr.ino;
    for name in ["again", "and-again", "thrice"] {
        fs.v().link(&CX, f0, d, name.as_bytes()).unwrap();
    }
}

fn check_tree(fs: &Fs) {
    for i in 0..20 {
        let f = fs.get(&format!("f{i}")).unwrap();
        assert_eq!(f, pattern(i, 100 + 1000 * usize::try_from(i).unwrap()), "f{i}");
        assert_eq!(fs.get(&format!("d/g{i}")).unwrap(), pattern(100 + i, 5000), "g{i}");
    }
    assert_eq!(fs.get("d/thrice").unwrap(), fs.get("f0").unwrap());
    assert_eq!(*fs.keys.tampered.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_mounted_volume_is_rewrapped_with_open_files_and_without() {
    let mut fs = Fs::new();
    tree(&fs);
    let (open, fh) = fs.create(Ino::ROOT, "open");
    fs.v().write(open, fh, 0, b"held", WriteFrom::Program).unwrap();
    let (fresh, fresh_fh) = fs.create(Ino::ROOT, "fresh");
    fs.keys.rotate();
    assert_eq!(rewrap(&fs, &|_| {}), Ok(true));
    assert_eq!(versions(&fs), [2]);
    fs.v().write(fresh, fresh_fh, 0, b"new", WriteFrom::Program).unwrap();
    fs.v().write(open, fh, 4, b" on", WriteFrom::Program).unwrap();
    for (ino, fh) in [(open, fh), (fresh, fresh_fh)] {
        fs.v().flush(ino, fh).unwrap();
        fs.v().release(ino, fh).unwrap();
    }
    fs.remount();
    assert_eq!(fs.get("open").unwrap(), b"held on");
    assert_eq!(fs.get("fresh").unwrap(), b"new");
    check_tree(&fs);
    assert_eq!(versions(&fs), [2]);
}

#[test]
fn an_unmounted_volume_is_rewrapped() {
    let mut fs = Fs::new();
    tree(&fs);
    fs.unmount();
    fs.keys.rotate();
    fs.keys.rotate();
    {
        let lower = open_root(fs.lower()).unwrap();
        let site = Offline::open(lower, fs.keys.as_ref(), Caller::Service).unwrap();
        let mut state = State::default();
        assert_eq!(round(&fs, &site, &mut state), Ok(true));
        let headers = state.counts.iter().map(|c| (c.version, c.headers)).collect::<Vec<_>>();
        // 40 files, two directories, the descriptor.
        assert_eq!(headers, [(3, 43)]);
    }
    fs.mount(None);
    check_tree(&fs);
}

/// F-42: who takes the newest slot away finds it taken away, and not made good.
#[test]
fn a_rolled_back_header_is_not_made_good() {
    let mut fs = Fs::new();
    fs.put(Ino::ROOT, "f", b"content");
    let below = fs.below("f");
    fs.unmount();
    let page = std::fs::read(&below).unwrap();
    fs.mount(None);
    fs.keys.rotate();
    assert_eq!(rewrap(&fs, &|_| {}), Ok(true));
    fs.unmount();
    let mut bytes = std::fs::read(&below).unwrap();
    let newest = if bytes[..480] == page[..480] { 512 } else { 0 };
    bytes[newest..newest + 480].fill(0);
    std::fs::write(&below, &bytes).unwrap();
    fs.keys.rotate();
    fs.mount(None);
    assert_eq!(rewrap(&fs, &|_| {}), Ok(false));
    assert_eq!(std::fs::read(&below).unwrap(), bytes);
    assert_eq!(fs.get("f"), Err(kmsfs::volume::Errno::EIO));
}

/// F-43: users see the old time, backups a later one; and a time that a user sets counts.
#[test]
fn times_stay_above_and_move_below() {
    let mut fs = Fs::new();
    let ino = fs.put(Ino::ROOT, "f", b"content");
    let long_ago = std::time::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let set = |time| SetAttr { mtime: Some(SetTime::At(time)), ..SetAttr::default() };
    fs.v().setattr(&CX, ino, None, &set(long_ago)).unwrap();
    let below = fs.below("f");
    let mut last = below.metadata().unwrap().mtime();
    for open in [false, true, false] {
        fs.keys.rotate();
        let fh = open.then(|| fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh);
        assert_eq!(rewrap(&fs, &|_| {}), Ok(true));
        assert_eq!(fs.lookup("f").unwrap().attr.mtime, long_ago);
        if let Some(fh) = fh {
            fs.v().flush(ino, fh).unwrap();
            fs.v().release(ino, fh).unwrap();
        }
        assert_eq!(fs.lookup("f").unwrap().attr.mtime, long_ago);
        let now = below.metadata().unwrap().mtime();
        assert!(now > last, "{now} after {last}");
        last = now;
    }
    fs.remount();
    let ino = fs.lookup("f").unwrap().attr.ino;
    assert_eq!(fs.lookup("f").unwrap().attr.mtime, long_ago);
    let other = long_ago + Duration::from_secs(5);
    fs.v().setattr(&CX, ino, None, &set(other)).unwrap();
    assert_eq!(fs.lookup("f").unwrap().attr.mtime, other);
    let marked = std::time::UNIX_EPOCH + Duration::new(1_000_000_000, MTIME_MARK);
    fs.v().setattr(&CX, ino, None, &set(marked)).unwrap();
    assert_eq!(fs.lookup("f").unwrap().attr.mtime, marked + Duration::from_nanos(1));
}

#[test]
fn a_rotation_during_the_walk_is_carried_through_too() {
    let fs = Fs::new();
    tree(&fs);
    fs.keys.rotate();
    let meddle = |n| {
        if n == 10 {
            fs.keys.rotate();
        }
    };
    assert_eq!(rewrap(&fs, &meddle), Ok(true));
    assert_eq!(versions(&fs), [3]);
    check_tree(&fs);
}

/// What a walk has behind it and what it has not change places while it goes on.
#[test]
fn what_moves_during_the_walk_is_not_missed() {
    for at in 0..25 {
        let fs = Fs::new();
        for dir in ["a", "z"] {
            let ino = fs.v().mkdir(&CX, Ino::ROOT, dir.as_bytes(), 0o755).unwrap().attr.ino;
            let sub = fs.v().mkdir(&CX, ino, b"sub", 0o755).unwrap().attr.ino;
            for i in 0..5 {
                fs.put(ino, &format!("f{i}"), b"x");
                fs.put(sub, &format!("g{i}"), b"y");
            }
        }
        fs.keys.rotate();
        let meddle = |n| {
            if n == at {
                let [a, z] = ["a", "z"].map(|d| fs.lookup(d).unwrap().attr.ino);
                let v = fs.v();
                v.rename(&CX, z, b"f1", a, b"moved", 0).unwrap();
                v.rename(&CX, a, b"f2", z, b"moved", 0).unwrap();
                v.rename(&CX, z, b"sub", a, b"sub-z", 0).unwrap();
                v.rename(&CX, a, b"sub", z, b"sub-a", 0).unwrap();
                fs.put(a, "made", b"meanwhile");
                v.unlink(&CX, z, b"f3").unwrap();
            }
        };
        assert_eq!(rewrap(&fs, &meddle), Ok(true), "{at}");
        assert_eq!(versions(&fs), [2], "{at}");
        assert_eq!(fs.get("a/made").unwrap(), b"meanwhile");
        assert_eq!(fs.get("z/sub-a/g4").unwrap(), b"y");
    }
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Write(u8, u16, u16),
    Truncate(u8, u16),
    Rename(u8, u8),
    Remove(u8),
    Rotate,
    Rewrap,
    Rekey(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..4u8;
    prop_oneof![
        (file.clone(), 0..20_000u16, 1..9_000u16).prop_map(|(f, at, len)| Step::Write(f, at, len)),
        (file.clone(), 0..20_000u16).prop_map(|(f, size)| Step::Truncate(f, size)),
        (file.clone(), file.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        file.clone().prop_map(Step::Remove),
        file.prop_map(Step::Rekey),
        Just(Step::Rotate),
        Just(Step::Rewrap),
        Just(Step::Crash),
    ]
}

/// Runs a step; `false` if it failed below.
fn take(fs: &Fs, step: &Step, seed: u64, model: &mut BTreeMap<u8, Vec<u8>>) -> bool {
    let name = |f: u8| format!("f{f}");
    let v = fs.v();
    let with_file = |f: u8, work: &dyn Fn(Ino, kmsfs::volume::Fh) -> bool| {
        let (ino, fh) = match fs.lookup(&name(f)) {
            Ok(entry) => match v.open(&CX, entry.attr.ino, libc::O_RDWR) {
                Ok(opened) => (entry.attr.ino, opened.fh),
                Err(_) => return false,
            },
            Err(_) => fs.create(Ino::ROOT, &name(f)),
        };
        let synced = work(ino, fh) && v.fsync(ino, fh, false).is_ok();
        let flushed = v.flush(ino, fh).is_ok();
        let _ = v.release(ino, fh);
        synced && flushed
    };
    match *step {
        Step::Write(f, at, len) => {
            let data = pattern(seed, usize::from(len));
            let content = model.entry(f).or_default();
            let end = usize::from(at) + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[usize::from(at)..end].copy_from_slice(&data);
            with_file(f, &|ino, fh| {
                v.write(ino, fh, u64::from(at), &data, WriteFrom::Program).is_ok()
            })
        }
        Step::Truncate(f, size) => {
            model.entry(f).or_default().resize(usize::from(size), 0);
            let set = SetAttr { size: Some(u64::from(size)), ..SetAttr::default() };
            with_file(f, &|ino, fh| v.setattr(&CX, ino, Some(fh), &set).is_ok())
        }
        Step::Rename(a, b) => {
            if a == b || !model.contains_key(&a) {
                return true;
            }
            let moved = model.remove(&a).unwrap();
            model.insert(b, moved);
            v.rename(&CX, Ino::ROOT, name(a).as_bytes(), Ino::ROOT, name(b).as_bytes(), 0).is_ok()
        }
        Step::Remove(f) => {
            model.remove(&f).is_none() || v.unlink(&CX, Ino::ROOT, name(f).as_bytes()).is_ok()
        }
        Step::Rotate => fs.keys.rotate() > 0,
        Step::Rewrap => rewrap(fs, &|_| {}).is_ok_and(|complete| complete),
        Step::Rekey(f) => match fs.lookup(&name(f)) {
            Ok(entry) => v.setxattr(&CX, entry.attr.ino, b"kmsfs.data-key", b"new", 0).is_ok(),
            Err(_) => !model.contains_key(&f),
        },
        Step::Crash => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever is written, renamed, cut and rotated in whatever order, and wherever in the last
    /// step a kill comes: every file has the content from before that step or after it, and in
    /// the end everything is under the newest version.
    #[test]
    fn no_interleaving_loses_content(
        history in prop::collection::vec(step(), 1..14), last in step(), at in 0..24u64,
    ) {
        let mut fs = Fs::new();
        let mut model = BTreeMap::new();
        for (seed, step) in (1u64..).zip(&history) {
            if matches!(step, Step::Crash) {
                fs.kill();
                fs.mount(None);
            }
            prop_assert!(take(&fs, step, seed, &mut model), "{step:?}");
        }
        let before = model.clone();
        fs.unmount();
        fs.mount(Some(Fault::new(at, FaultKind::Crash)));
        let whole = take(&fs, &last, 99, &mut model);
        fs.kill();
        fs.mount(None);
        for f in 0..4u8 {
            let found = fs.get(&format!("f{f}"));
            let (old, new) = (before.get(&f), model.get(&f));
            match found {
                Ok(found) => {
                    let zero = |c: Option<&Vec<u8>>, i: usize| {
                        c.and_then(|c| c.get(i)).copied().unwrap_or(0)
                    };
                    prop_assert!(old.is_some() || new.is_some(), "f{f} is there");
                    for (i, byte) in found.iter().enumerate() {
                        let known = zero(old, i) == *byte || zero(new, i) == *byte;
                        prop_assert!(known, "f{f} byte {i} after {last:?} of {history:?}");
                    }
                    if whole {
                        prop_assert_eq!(Some(&found), new, "f{}", f);
                    }
                }
                Err(e) => prop_assert!(
                    old.is_none() || new.is_none(),
                    "f{f}: {e:?} {:?} after {last:?}", fs.keys.tampered.lock().unwrap()
                ),
            }
        }
        fs.keys.rotate();
        prop_assert_eq!(rewrap(&fs, &|_| {}), Ok(true));
        prop_assert_eq!(versions(&fs).len(), 1);
        prop_assert!(fs.keys.tampered.lock().unwrap().is_empty());
    }
}
