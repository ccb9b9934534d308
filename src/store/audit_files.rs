//! The files of the audit trail: `audit-NNNNNNNNNNNN.jsonl`, named by the first sequence number
//! within, appended to, flushed, and never changed again.
//!
//! Invariant: what [`Files::append`] acknowledged ends with a line feed on disk. A line without
//! one is what a power cut left of a write that nobody was told about; it is cut off at the
//! next start, and the trail says so.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kms::audit::chain::Line;
use crate::kms::audit::verify::{Fault, Verifier};
use crate::kms::audit::{AuditError, AuditLog, ChainState};
use crate::secret::Secret;
use crate::sync::Mutex;

/// A file is closed and the next one begun when it is this long.
pub const ROTATE_AT: u64 = 64 * 1024 * 1024;
/// Longest line that is believed to be one.
const MAX_LINE: u64 = 1024 * 1024;

/// The writing end.
pub struct Files {
    dir: PathBuf,
    rotate_at: u64,
    length: AtomicU64,
    current: Mutex<Current>,
}

struct Current {
    file: File,
    /// After a failed flush nobody knows what is on disk: no more writing until a restart has
    /// looked.
    poisoned: bool,
}

/// What was found at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the trail ends.
    pub end: ChainState,
    /// Bytes of a torn last line that were cut off.
    pub torn: u64,
}

/// Why a trail cannot be continued or read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The system fails.
    #[error("the audit trail in {}: {source}", .dir.display())]
    Io {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The last line is none of the trail's.
    #[error(
        "{} does not end with a line of the audit trail: it was changed; keep it as evidence \
         elsewhere to start a new one", .path.display()
    )]
    BadTail {
        /// The file.
        path: PathBuf,
    },
    /// A line is not what was written.
    #[error("{}, line {number}: {fault}", .path.display())]
    Fault {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        number: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The end is not what the store remembers.
    #[error("{0}")]
    End(Fault),
}

impl Files {
    /// Opens the trail in `dir` for appending; begins one if there is none.
    pub fn open(dir: &Path, rotate_at: u64) -> Result<(Files, Found), FilesError> {
        let io = |source| FilesError::Io { dir: dir.to_path_buf(), source };
        super::copy::make_dir(dir).map_err(io)?;
        let names = names(dir).map_err(io)?;
        let mut found = Found { end: ChainState::START, torn: 0 };
        let mut last = None;
        // A file that was begun and never written to says nothing; the one before it does.
        for path in names.iter().rev() {
            let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(io)?;
            let torn = cut_torn_line(&mut file).map_err(io)?;
            found.torn = found.torn.saturating_add(torn);
            let tail = last_line(&mut file).map_err(io)?;
            if last.is_none() {
                last = Some(file);
            }
            if let Some(tail) = tail {
                let line = Line::parse(&tail);
                found.end = line.ok_or_else(|| FilesError::BadTail { path: path.clone() })?.state();
                break;
            }
        }
        let file = match last {
            Some(file) => file,
            None => begin(dir, found.end.sequence.saturating_add(1)).map_err(io)?,
        };
        let length = file.metadata().map_err(io)?.len();
        let current = Mutex::new(Current { file, poisoned: false });
        let length = AtomicU64::new(length);
        Ok((Files { dir: dir.to_path_buf(), rotate_at, length, current }, found))
    }

    fn write(&self, lines: &[u8], new_file: bool) -> std::io::Result<()> {
        let mut current = self.current.lock();
        if current.poisoned {
            return Err(std::io::Error::other("an earlier flush failed"));
        }
        if new_file && let Some(sequence) = first_sequence(lines) {
            current.file = begin(&self.dir, sequence)?;
            self.length.store(0, Ordering::Release);
        }
        if let Err(error) = current.file.write_all(lines) {
            // Take back what got through, so that the next line does not follow half a line.
            let length = self.length.load(Ordering::Acquire);
            if current.file.set_len(length).and_then(|()| current.file.sync_data()).is_err() {
                current.poisoned = true;
            }
            return Err(error);
        }
        if let Err(error) = current.file.sync_data() {
            current.poisoned = true;
            return Err(error);
        }
        let written = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.length.fetch_add(written, Ordering::AcqRel);
        Ok(())
    }
}

impl AuditLog for Files {
    fn append(&self, lines: &[u8], new_file: bool) -> Result<(), AuditError> {
        self.write(lines, new_file).map_err(|error| {
            tracing::error!(dir = %self.dir.display(), %error, "the audit trail cannot be written");
            AuditError
        })
    }

    fn is_full(&self) -> bool {
        self.length.load(Ordering::Acquire) >= self.rotate_at
    }
}

/// Reads a whole trail back. `key` checks the tags as well; `remembered` is what the store
/// knows of the end. Returns where the trail ends.
pub fn verify(
    dir: &Path,
    key: Option<&Secret<[u8; 32]>>,
    remembered: Option<ChainState>,
) -> Result<ChainState, FilesError> {
    let end = read(dir, key, &mut |_| ())?;
    if let Some(remembered) = remembered {
        Verifier::at(end).end(remembered).map_err(FilesError::End)?;
    }
    Ok(end)
}

/// Reads a trail from its beginning, checks each line like [`verify`], and hands it out.
pub fn read(
    dir: &Path,
    key: Option<&Secret<[u8; 32]>>,
    each: &mut dyn FnMut(&str),
) -> Result<ChainState, FilesError> {
    let io = |source| FilesError::Io { dir: dir.to_path_buf(), source };
    let mut verifier = Verifier::new(key);
    for path in names(dir).map_err(io)? {
        let mut reader = BufReader::new(File::open(&path).map_err(io)?);
        let mut number = 0u64;
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(io)?;
            if read == 0 {
                break;
            }
            number = number.saturating_add(1);
            let after = verifier.state().sequence;
            let text = line.strip_suffix(b"\n").and_then(|l| std::str::from_utf8(l).ok());
            let checked = match text {
                Some(text) => verifier.line(text).map(|()| each(text)),
                None => Err(Fault::Garbled { after }),
            };
            checked.map_err(|fault| FilesError::Fault { path: path.clone(), number, fault })?;
        }
    }
    Ok(verifier.state())
}

/// The files of a trail, oldest first.
fn names(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let ours = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl"))
            .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()));
        if ours {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

/// Makes the file that starts with `sequence`; its name is durable when it returns.
fn begin(dir: &Path, sequence: u64) -> std::io::Result<File> {
    let path = dir.join(format!("audit-{sequence:020}.jsonl"));
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

fn first_sequence(lines: &[u8]) -> Option<u64> {
    let first = lines.split(|b| *b == b'\n').next()?;
    Line::parse(std::str::from_utf8(first).ok()?).map(|line| line.sequence)
}

/// Cuts off what follows the last line feed; returns how many bytes that was.
fn cut_torn_line(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(MAX_LINE).read_to_end(&mut tail)?;
    let torn = tail.iter().rev().take_while(|b| **b != b'\n').count();
    let torn = u64::try_from(torn).unwrap_or(u64::MAX).min(length);
    if torn > 0 {
        file.set_len(length - torn)?;
        file.sync_data()?;
    }
    Ok(torn)
}

/// The last line, without its line feed; `None` of an empty file.
fn last_line(file: &mut File) -> std::io::Result<Option<String>> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LINE)))?;
    let mut tail = Vec::new();
    file.take(MAX_LINE).read_to_end(&mut tail)?;
    let body = tail.strip_suffix(b"\n").unwrap_or(&tail);
    let line = body.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::audit::{Record, Trail};

    fn trail(dir: &Path, rotate_at: u64) -> Trail {
        let (files, found) = Files::open(dir, rotate_at).unwrap();
        Trail::new(Box::new(files), key(), found.end)
    }

    fn key() -> Secret<[u8; 32]> {
        Secret::new([3; 32])
    }

    fn write(trail: &Trail, count: usize) {
        for _ in 0..count {
            trail.record(&[Record::event("Test")]).unwrap();
        }
    }

    #[test]
    fn a_trail_goes_on_over_restarts_and_files() {
        let dir = tempfile::tempdir().unwrap();
        write(&trail(dir.path(), 400), 5);
        let second = trail(dir.path(), 400);
        write(&second, 5);
        let end = verify(dir.path(), Some(&key()), None).unwrap();
        assert_eq!(end, second.position());
        let files = names(dir.path()).unwrap();
        assert!(files.len() > 2, "no rotation in {files:?}");
        // Without its oldest file the rest still verifies; without a middle one it does not.
        std::fs::remove_file(&files[0]).unwrap();
        assert_eq!(verify(dir.path(), Some(&key()), Some(end)).unwrap(), end);
        std::fs::remove_file(&files[2]).unwrap();
        let fault = verify(dir.path(), Some(&key()), None).unwrap_err();
        assert!(matches!(fault, FilesError::Fault { fault: Fault::Missing { .. }, .. }), "{fault}");
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_chain_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        write(&trail(dir.path(), ROTATE_AT), 3);
        let path = names(dir.path()).unwrap().remove(0);
        let whole = std::fs::read(&path).unwrap();
        for torn in [1, 20, 150] {
            let mut bytes = whole.clone();
            let line = bytes[..torn].to_vec();
            bytes.extend_from_slice(&line);
            std::fs::write(&path, &bytes).unwrap();
            let (_, found) = Files::open(dir.path(), ROTATE_AT).unwrap();
            assert_eq!(found.torn, u64::try_from(torn).unwrap());
            assert_eq!(found.end.sequence, 3);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
        write(&trail(dir.path(), ROTATE_AT), 1);
        assert_eq!(verify(dir.path(), Some(&key()), None).unwrap().sequence, 4);
    }

    #[test]
    fn a_changed_last_line_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        write(&trail(dir.path(), ROTATE_AT), 2);
        let path = names(dir.path()).unwrap().remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{}\n");
        std::fs::write(&path, &bytes).unwrap();
        let got = Files::open(dir.path(), ROTATE_AT).map(drop);
        assert!(matches!(got, Err(FilesError::BadTail { .. })));
    }

    #[test]
    fn a_full_disk_fails_the_record_and_leaves_the_trail_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit-00000000000000000001.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        let current = Mutex::new(Current { file, poisoned: false });
        let length = AtomicU64::new(0);
        let files = Files { dir: dir.path().into(), rotate_at: ROTATE_AT, length, current };
        let trail = Trail::new(Box::new(files), key(), ChainState::START);
        assert_eq!(trail.record(&[Record::event("Test")]), Err(AuditError));
        assert_eq!(trail.position(), ChainState::START);
    }

    #[test]
    fn a_line_removed_from_the_end_is_missed_by_the_store_alone() {
        let dir = tempfile::tempdir().unwrap();
        let trail = trail(dir.path(), ROTATE_AT);
        write(&trail, 3);
        let path = names(dir.path()).unwrap().remove(0);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        std::fs::write(&path, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
        assert_eq!(verify(dir.path(), Some(&key()), None).unwrap().sequence, 2);
        let got = verify(dir.path(), Some(&key()), Some(trail.position())).unwrap_err();
        assert!(matches!(got, FilesError::End(Fault::Cut { end: 2, expected: 3 })));
    }
}
