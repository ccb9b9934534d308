//! A stop at every call that changes something below.
//!
//! A script runs over a lower layer that stops at its n-th changing call, for every n until the
//! script gets through. After that the volume is mounted again, and everything that was synced
//! before the stop must be there, and every block must read as it was before or after the step
//! in progress: never as something else, never as an error.

use kmsfs::lower::faulty::{Fault, FaultKind};
use kmsfs::volume::WriteFrom;
use kmsfs::volume::{CrashSafety, Fh, Ino, SetAttr};

use super::support::{CX, Fs, pattern};

const BLOCK: usize = 4096;

/// One step of a script.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Truncate(u64),
    Punch(u64, u64),
    Sync,
    Flush,
}

fn apply(content: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(at, data) => {
            let at = usize::try_from(*at).unwrap();
            if content.len() < at + data.len() {
                content.resize(at + data.len(), 0);
            }
            content[at..at + data.len()].copy_from_slice(data);
        }
        Step::Truncate(size) => content.resize(usize::try_from(*size).unwrap(), 0),
        Step::Punch(at, len) => {
            let (at, end) = (usize::try_from(*at).unwrap(), usize::try_from(at + len).unwrap());
            let end = end.min(content.len());
            if at < end {
                content[at..end].fill(0);
            }
        }
        Step::Sync | Step::Flush => {}
    }
}

fn run(fs: &Fs, ino: Ino, fh: Fh, step: &Step) -> bool {
    let v = fs.v();
    match step {
        Step::Write(at, data) => v.write(ino, fh, *at, data, WriteFrom::Program).is_ok(),
        Step::Truncate(size) => {
            let set = SetAttr { size: Some(*size), ..SetAttr::default() };
            v.setattr(&CX, ino, Some(fh), &set).is_ok()
        }
        Step::Punch(at, len) => {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            v.fallocate(ino, fh, *at, *len, mode).is_ok()
        }
        Step::Sync => v.fsync(ino, fh, false).is_ok(),
        Step::Flush => v.flush(ino, fh).is_ok(),
    }
}

/// Every byte is one that some state since the last sync had at that place.
fn check(found: &[u8], states: &[Vec<u8>], what: &str) {
    assert!(
        states.iter().any(|s| s.len() == found.len()),
        "{what}: size {} is none of {:?}",
        found.len(),
        states.iter().map(Vec::len).collect::<Vec<_>>()
    );
    for (i, &byte) in found.iter().enumerate() {
        // A byte that a state in between did not have yet may be the zero of a hole, if no sync
        // has promised it.
        let known = states.iter().any(|s| s.get(i).copied().unwrap_or(0) == byte);
        assert!(known, "{what}: byte {i} is {byte:#x}, which it never was");
    }
}

fn stop_everywhere(script: &[Step], kind: FaultKind, crash: CrashSafety) {
    for at in 0.. {
        let mut fs = Fs::with(kmsfs::crypto::Suite::Aes256GcmSiv, crash);
        let base = pattern(9, 5 * BLOCK + 77);
        fs.put(Ino::ROOT, "f", &base);
        fs.unmount();
        let fault = Fault::new(at, kind);
        fs.mount(Some(fault.clone()));
        let ino = fs.lookup("f").unwrap().attr.ino;
        let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
        let mut content = base.clone();
        let mut states = vec![base.clone()];
        let mut stopped = None;
        for (i, step) in script.iter().enumerate() {
            apply(&mut content, step);
            let done = run(&fs, ino, fh, step);
            states.push(content.clone());
            if !done {
                stopped = Some(i);
                break;
            }
            if matches!(step, Step::Sync) {
                states = vec![content.clone()];
            }
        }
        fs.kill();
        fs.mount(None);
        let what = format!("{kind:?} at call {at}, step {stopped:?}");
        let found = match fs.get("f") {
            // Half a block is neither the old nor the new one: an error, and no bytes.
            Err(_) if kind == FaultKind::TearSector && stopped.is_some() => continue,
            other => other.unwrap_or_else(|e| {
                panic!("{what}: {e:?} {:?} {script:?}", fs.keys.tampered.lock().unwrap())
            }),
        };
        check(&found, &states, &what);
        // And the file can be worked with.
        let ino = fs.lookup("f").unwrap().attr.ino;
        let fh = fs.v().open(&CX, ino, libc::O_RDWR).unwrap().fh;
        fs.v().write(ino, fh, 100, b"after", WriteFrom::Program).unwrap();
        fs.v().flush(ino, fh).unwrap();
        fs.v().release(ino, fh).unwrap();
        let mut expected = found;
        apply(&mut expected, &Step::Write(100, b"after".to_vec()));
        assert_eq!(fs.get("f").unwrap(), expected, "{what}");
        fs.remount();
        assert_eq!(fs.get("f").unwrap(), expected, "{what}, after a clean close");
        assert!(fs.keys.tampered.lock().unwrap().is_empty(), "{what}");
        if stopped.is_none() && fault.calls() <= at {
            assert!(at > 3, "the script makes calls");
            return;
        }
    }
}

fn scripts() -> Vec<Vec<Step>> {
    use Step::{Flush, Punch, Sync, Truncate, Write};
    let w = |at, seed, len| Write(at, pattern(seed, len));
    vec![
        // Appends.
        vec![w(20557, 1, 300), Sync, w(20857, 2, 9000), Flush, w(29857, 3, 10), Sync],
        // Overwrites of synced blocks, the same ones again before the next sync.
        vec![w(0, 4, 8192), Sync, w(4096, 5, 4096), w(4096, 6, 4096), w(4000, 7, 200), Sync],
        // Truncations, down, within a block, and up again.
        vec![Truncate(9000), Sync, Truncate(100), Truncate(5000), Sync, Truncate(0), w(0, 8, 50)],
        // Holes.
        vec![Punch(0, 8192), Sync, w(0, 9, 4096), Punch(100, 9000), Flush],
        // Past the header's entries, into a group with a node.
        vec![w(47 * 4096, 10, 4 * 4096), Sync, w(48 * 4096 + 5, 11, 4096), Flush, w(0, 12, 10)],
        // Everything goes and something else comes.
        vec![Truncate(0), w(0, 13, 30_000), Flush, Sync, w(10_000, 14, 10_000), Flush],
    ]
}

#[test]
fn a_kill_at_any_call_loses_nothing_that_was_synced() {
    for script in scripts() {
        stop_everywhere(&script, FaultKind::Crash, CrashSafety::Process);
        stop_everywhere(&script, FaultKind::Crash, CrashSafety::Power);
    }
}

#[test]
fn a_torn_call_loses_nothing_that_was_synced() {
    for script in scripts() {
        stop_everywhere(&script, FaultKind::Tear, CrashSafety::Process);
        stop_everywhere(&script, FaultKind::Tear, CrashSafety::Power);
        stop_everywhere(&script, FaultKind::TearSector, CrashSafety::Process);
    }
}

#[test]
fn a_file_made_just_before_a_kill_is_empty_or_whole() {
    for at in 0..12 {
        let mut fs = Fs::new();
        fs.unmount();
        let fault = Fault::new(at, FaultKind::Crash);
        fs.mount(Some(fault));
        let (ino, fh) = fs.create(Ino::ROOT, "new");
        let data = pattern(1, 10_000);
        let done = fs.v().write(ino, fh, 0, &data, WriteFrom::Program).is_ok()
            && fs.v().flush(ino, fh).is_ok();
        fs.kill();
        fs.mount(None);
        let found = fs.get("new").unwrap();
        assert!(found == data || (!done && found.is_empty()), "call {at}: {} bytes", found.len());
        fs.put_over("new", b"again");
        fs.remount();
        assert_eq!(fs.get("new").unwrap(), b"again");
    }
}

impl Fs {
    fn put_over(&self, name: &str, data: &[u8]) {
        let ino = self.lookup(name).unwrap().attr.ino;
        let fh = self.v().open(&CX, ino, libc::O_RDWR | libc::O_TRUNC).unwrap().fh;
        self.v().write(ino, fh, 0, data, WriteFrom::Program).unwrap();
        self.v().flush(ino, fh).unwrap();
        self.v().release(ino, fh).unwrap();
    }
}

#[test]
fn a_directory_made_just_before_a_stop_can_be_used() {
    let mut fs = Fs::new();
    fs.v().mkdir(&CX, Ino::ROOT, b"d", 0o755).unwrap();
    let header = fs.below("d").join("kmsfs.dir");
    fs.kill();
    // What a power cut makes of a header that was never synced.
    std::fs::write(&header, b"").unwrap();
    fs.mount(None);
    let d = fs.lookup("d").unwrap().attr.ino;
    fs.put(d, "f", b"x");
    fs.remount();
    assert_eq!(fs.get("d/f").unwrap(), b"x");
}
