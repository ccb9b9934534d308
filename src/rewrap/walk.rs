//! One walk over the lower tree.
//!
//! Files of a directory are looked at as they are listed; then its directories, in the order of
//! their names. So the path of the directory that a walk has come to tells what is behind it: all
//! that comes before it in this order. A walk that goes on there looks at that directory again,
//! and leaves out what is behind.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use super::Ended;
use super::batch::{BATCH, Item, Place};
use super::site::Site;
use super::state::{Progress, Tally, Targets};
use crate::format::{DIR_HEADER, LowerName, classify};
use crate::lower::{Dir, FileIo, LowerError};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::volume::keys::Sealed;
use crate::volume::reseal::{Found, Trouble};

/// How often the place is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A walk under way.
pub(super) struct Walk<'a> {
    pub site: &'a dyn Site,
    pub progress: &'a Progress,
    pub tally: &'a Tally,
    /// What headers are to be under.
    pub targets: &'a dyn Fn(&str) -> Result<Option<u32>, Ended>,
    /// Takes a full batch.
    pub send: &'a mut dyn FnMut(Vec<Item>) -> Result<(), Ended>,
    /// Is told where the walk has come to.
    pub tell: &'a mut dyn FnMut(&str),
    batch: Vec<Item>,
    /// Files of several names that were seen.
    seen: HashSet<u64>,
    told: Instant,
    drained: Instant,
    /// Versions asked for in this walk.
    known: Targets,
    /// All that moved was told.
    whole: bool,
}

struct Level {
    dir: Arc<Dir>,
    path: String,
    /// Directories still to come, the next one last.
    below: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    pub fn new(
        site: &'a dyn Site,
        progress: &'a Progress,
        tally: &'a Tally,
        targets: &'a dyn Fn(&str) -> Result<Option<u32>, Ended>,
        send: &'a mut dyn FnMut(Vec<Item>) -> Result<(), Ended>,
        tell: &'a mut dyn FnMut(&str),
    ) -> Walk<'a> {
        Walk {
            site,
            progress,
            tally,
            targets,
            send,
            tell,
            batch: Vec::new(),
            seen: HashSet::new(),
            told: Instant::now(),
            drained: Instant::now(),
            known: Targets::new(),
            whole: true,
        }
    }

    /// Goes through everything, from `cursor` on if there is one, then through what moved.
    /// `Ok(false)`: more moved than was remembered.
    pub fn run(mut self, cursor: Option<&str>) -> Result<bool, Ended> {
        match self.site.descriptor() {
            Ok(sealed) => {
                self.consider(sealed, String::from(".kmsfs/volume"), Place::Descriptor)?
            }
            Err(e) => self.trouble(".kmsfs/volume", &e),
        }
        let root = Arc::new(self.site.root()?);
        let from: Vec<&str> = cursor.into_iter().flat_map(|path| path.split('/')).collect();
        self.tree(root, String::new(), &from)?;
        while !self.moved(true)? {}
        Ok(self.whole)
    }

    /// Looks at what moved. `Ok(true)`: nothing did.
    fn moved(&mut self, end: bool) -> Result<bool, Ended> {
        self.flush()?;
        let moved = self.site.moved(end);
        self.whole &= !moved.overflow;
        let nothing = moved.names.is_empty();
        for (dir, name) in moved.names {
            let path = String::from_utf8_lossy(&name).into_owned();
            match dir.stat(&name).map(|st| st.file_type()) {
                Ok(FileType::Directory) => match dir.open_dir(&name) {
                    Ok(below) => self.tree(Arc::new(below), path, &[])?,
                    Err(LowerError::NOENT | LowerError::NOTDIR) => {}
                    Err(e) => self.trouble(&path, &e.into()),
                },
                Ok(FileType::RegularFile) => self.file(&dir, &name, path)?,
                Ok(_) | Err(LowerError::NOENT) => {}
                Err(e) => self.trouble(&path, &e.into()),
            }
        }
        Ok(nothing)
    }

    fn tree(&mut self, top: Arc<Dir>, path: String, from: &[&str]) -> Result<(), Ended> {
        let mut levels = Vec::new();
        levels.extend(self.directory(top, path, from)?);
        while let Some(level) = levels.last_mut() {
            if self.site.stop() {
                return Err(Ended::Stopped);
            }
            // Not left to grow until the end.
            if self.drained.elapsed() >= TELL_EVERY {
                self.drained = Instant::now();
                self.moved(false)?;
            }
            let Some(name) = level.below.pop() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, &name);
            let opened = level.dir.open_dir(&name);
            let depth = levels.len();
            // Of the way to the cursor, what is still before us.
            let on_way = from.get(depth - 1).is_some_and(|next| next.as_bytes() == name)
                && path.split('/').eq(from.iter().take(depth).copied());
            let rest = if on_way { from.get(depth..).unwrap_or_default() } else { &[] };
            match opened {
                Ok(dir) => levels.extend(self.directory(Arc::new(dir), path, rest)?),
                Err(LowerError::NOENT | LowerError::NOTDIR) => {}
                Err(e) => self.trouble(&path, &e.into()),
            }
        }
        Ok(())
    }

    /// Looks at a directory's header and files. `from`: on the way there, only where to go on.
    fn directory(
        &mut self,
        dir: Arc<Dir>,
        path: String,
        from: &[&str],
    ) -> Result<Option<Level>, Ended> {
        let passing = from.first().filter(|next| !next.is_empty());
        if passing.is_none() {
            if self.told.elapsed() >= TELL_EVERY {
                self.told = Instant::now();
                self.flush()?;
                (self.tell)(&path);
            }
            self.header(&dir, &path)?;
        }
        let mut below = Vec::new();
        let reading = match dir.open_for_reading() {
            Ok(reading) => reading,
            Err(LowerError::NOENT) => return Ok(None),
            Err(e) => {
                self.trouble(&path, &e.into());
                return Ok(None);
            }
        };
        let listed = reading.read(0, |entry| {
            if !matches!(classify(entry.name), LowerName::Short | LowerName::Long) {
                return Ok(true);
            }
            let kind = match entry.kind {
                FileType::Unknown => match dir.stat(entry.name) {
                    Ok(st) => st.file_type(),
                    Err(LowerError::NOENT) => return Ok(true),
                    Err(e) => return Err(Broken::Lower(e)),
                },
                known => known,
            };
            match kind {
                FileType::Directory => below.push(entry.name.to_vec()),
                FileType::RegularFile if passing.is_none() => {
                    let path = join(&path, entry.name);
                    self.file(&dir, entry.name, path).map_err(Broken::Ended)?;
                }
                _ => {}
            }
            Ok(!self.site.stop())
        });
        match listed {
            Ok(()) => {}
            Err(Broken::Ended(e)) => return Err(e),
            Err(Broken::Lower(e)) => self.trouble(&path, &e.into()),
        }
        below.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(next) = passing {
            below.retain(|name| name.as_slice() >= next.as_bytes());
        }
        Ok(Some(Level { dir, path, below }))
    }

    fn header(&mut self, dir: &Arc<Dir>, path: &str) -> Result<(), Ended> {
        let found = dir
            .open_file(DIR_HEADER.as_bytes(), false)
            .map_err(Trouble::Lower)
            .and_then(|(file, _)| Found::read(&file));
        let path = join(path, DIR_HEADER.as_bytes());
        match found {
            Ok(Some(found)) => {
                let sealed = found.sealed(self.site.volume());
                self.consider(sealed, path, Place::Dir(Arc::clone(dir)))
            }
            // Made this instant, or never finished: it gets a new key at its next use.
            Ok(None) | Err(Trouble::Lower(LowerError::NOENT)) => Ok(()),
            Err(e) => {
                self.trouble(&path, &e);
                Ok(())
            }
        }
    }

    fn file(&mut self, dir: &Dir, name: &[u8], path: String) -> Result<(), Ended> {
        let looked = || -> Result<_, Trouble> {
            let (file, writable) = dir.open_file(name, true)?;
            let st = file.stat()?;
            Ok((Found::read(&file)?, file, writable, st))
        };
        let (found, file, writable, st) = match looked() {
            Ok(looked) => looked,
            Err(Trouble::Lower(LowerError::NOENT)) => return Ok(()),
            Err(e) => {
                self.trouble(&path, &e);
                return Ok(());
            }
        };
        if st.nlink > 1 && !self.seen.insert(st.ino) {
            return Ok(());
        }
        let sealed = match found {
            Some(found) => found.sealed(self.site.volume()),
            None => match self.site.in_memory(st.ino) {
                Some(sealed) => sealed,
                None => return Ok(()),
            },
        };
        if !writable && self.is_stale(&sealed)? {
            self.tally.add(&sealed.wrapped.key_id, sealed.wrapped.version);
            self.trouble(&path, &Trouble::Lower(LowerError::ROFS));
            return Ok(());
        }
        self.consider(sealed, path, Place::File(file))
    }

    fn is_stale(&mut self, sealed: &Sealed) -> Result<bool, Ended> {
        let key = &sealed.wrapped.key_id;
        let target = match self.known.get(key) {
            Some(target) => *target,
            None => {
                let target = (self.targets)(key)?.unwrap_or(0);
                self.known.insert(key.clone(), target);
                target
            }
        };
        Ok(sealed.wrapped.version < target)
    }

    fn consider(&mut self, sealed: Sealed, path: String, place: Place) -> Result<(), Ended> {
        self.progress.seen.fetch_add(1, Ordering::Relaxed);
        if !self.is_stale(&sealed)? {
            self.tally.add(&sealed.wrapped.key_id, sealed.wrapped.version);
            return Ok(());
        }
        self.batch.push(Item { sealed, place, path });
        if self.batch.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Ended> {
        if self.batch.is_empty() {
            return Ok(());
        }
        (self.send)(std::mem::take(&mut self.batch))
    }

    fn trouble(&mut self, path: &str, trouble: &Trouble) {
        self.progress.trouble(path, &trouble.to_string());
    }
}

enum Broken {
    Lower(LowerError),
    Ended(Ended),
}

impl From<LowerError> for Broken {
    fn from(e: LowerError) -> Broken {
        Broken::Lower(e)
    }
}

fn join(path: &str, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") }
}
