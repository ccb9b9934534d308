//! What is remembered of a volume's headers in `.kmsfs/rewrap`, and what is counted on the way.
//!
//! The file is a cache: without it a walk begins at the root, and the counts are unknown until one
//! is done. Nothing is concluded from it that matters; a walk that proves something counts anew.

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};

use serde::{Deserialize, Serialize};

use crate::lower::{Dir, FileIo, LowerError};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Its name in `.kmsfs`.
const FILE: &[u8] = b"rewrap";
const NEXT: &[u8] = b"rewrap.next";
/// Longest file that is read: a cursor of PATH_MAX and some thousand counts.
const MOST: usize = 1 << 20;

/// Troubles that are remembered with their path; others are counted.
const TROUBLES: usize = 100;

/// CMK id and the version that its headers are to be under.
pub type Targets = BTreeMap<String, u32>;

/// How many headers are under one version of one CMK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// CMK id.
    pub key: String,
    /// Version.
    pub version: u32,
    /// Headers: files, directories, and the descriptor.
    pub headers: u64,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Nothing is done until somebody says so.
    pub paused: bool,
    /// Headers per second; 0 for no limit.
    pub limit: u32,
    /// The directory that an unfinished walk had come to, as lower names.
    pub cursor: Option<String>,
    /// The versions that all headers were under when a walk last found no other.
    pub done: Targets,
    /// What that walk counted.
    pub counts: Vec<Count>,
    /// When that was: seconds since 1970.
    pub at: u64,
}

impl State {
    /// Reads it; what is not there or not readable is as good as new.
    pub fn load(own: &Dir) -> State {
        let read = || -> Result<State, LowerError> {
            let (file, _) = own.open_file(FILE, false)?;
            let mut bytes = vec![0; MOST];
            let got = file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
            bytes.truncate(got);
            Ok(serde_json::from_slice(&bytes).unwrap_or_default())
        };
        read().unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Crash
    /// The old one or the new one is there, or after a power cut perhaps neither.
    pub fn save(&self, own: &Dir) -> Result<(), LowerError> {
        let bytes = serde_json::to_vec(self).map_err(|_| LowerError::INVAL)?;
        match own.unlink(NEXT) {
            Ok(()) | Err(LowerError::NOENT) => {}
            Err(e) => return Err(e),
        }
        let file = own.create_file(NEXT, 0o600)?;
        file.write_at(&[IoSlice::new(&bytes)], 0)?;
        own.rename(NEXT, own, FILE, rustix::fs::RenameFlags::empty())
    }

    /// Of each CMK, the version that no header is older than, as the last finished walk found it.
    /// `before` has the versions that sealed when it began: of a CMK that it found nothing under,
    /// only what is newer can be there.
    pub fn floors(&self, before: &Targets) -> Targets {
        let mut oldest = Targets::new();
        for count in &self.counts {
            let known = oldest.entry(count.key.clone()).or_insert(count.version);
            *known = (*known).min(count.version);
        }
        let mut floors = before.clone();
        floors.extend(oldest);
        floors
    }

    /// What it counted, as the key service is told of it.
    pub fn told(&self) -> Vec<(String, u32, u64)> {
        self.counts.iter().map(|c| (c.key.clone(), c.version, c.headers)).collect()
    }

    /// Headers that the last finished walk counted.
    pub fn headers(&self) -> u64 {
        self.counts.iter().map(|count| count.headers).sum()
    }
}

/// Headers by CMK and version, as a walk counts them.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<(String, u32), u64>>);

impl Tally {
    pub(super) fn add(&self, key: &str, version: u32) {
        let mut counts = self.0.lock();
        match counts.get_mut(&(key.to_owned(), version)) {
            Some(count) => *count += 1,
            None => {
                counts.insert((key.to_owned(), version), 1);
            }
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Vec<Count> {
        let counts = self.0.lock();
        counts
            .iter()
            .map(|((key, version), headers)| Count {
                key: key.clone(),
                version: *version,
                headers: *headers,
            })
            .collect()
    }
}

/// How far a round has come, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Headers looked at in this walk.
    pub seen: AtomicU64,
    /// Headers re-wrapped in this round.
    pub rewrapped: AtomicU64,
    /// Headers that could not be re-wrapped in this walk.
    pub failed: AtomicU64,
    /// A round is under way.
    pub running: AtomicBool,
    troubles: Mutex<Vec<(String, String)>>,
}

impl Progress {
    pub(super) fn walk_begins(&self) {
        self.seen.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
        self.troubles.lock().clear();
    }

    pub(super) fn trouble(&self, path: &str, what: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(object = path, what, "a header could not be re-wrapped; it is tried again");
        let mut troubles = self.troubles.lock();
        if troubles.len() < TROUBLES {
            troubles.push((path.to_owned(), what.to_owned()));
        }
    }

    /// Lower paths, and what was wrong there.
    pub fn troubles(&self) -> Vec<(String, String)> {
        self.troubles.lock().clone()
    }
}
