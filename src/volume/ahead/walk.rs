//! Somebody who goes from directory to directory.

use std::time::Instant;

use super::PAUSE;
use super::onward::{Came, Onward};
use super::scan::{CREDIT, Scan};
use super::way::Way;
use crate::format::FileId;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::volume::inode::Alias;

/// Directories that somebody may open without opening a file in them, until he is no longer
/// believed to go through the files.
const LISTED: usize = 4;

/// Keys, those of directories among them, that may be asked for in this way for each one of a file
/// that was used.
const WORTH: usize = 6;

/// Files whose keys are in memory already, until no directory's are asked for any more.
const WARM: usize = 4;

/// Where each user was last: whoever goes on to the next directory goes through that one too.
#[derive(Default)]
pub struct Walk {
    uid: u32,
    last: Option<Instant>,
    directory: Option<FileId>,
    opened: usize,
    before: usize,
    /// Directories opened since.
    listed: usize,
    /// How many more opens without a question there may be.
    cold: usize,
    /// Opens whose key was asked for ahead.
    useful: usize,
    /// Keys asked for because a directory was opened.
    ordered: Arc<AtomicUsize>,
    /// The directory that he came to last: where its name is, and the name.
    place: Option<Alias>,
    /// Where he goes from there.
    pub(super) onward: Onward,
}

/// What is to be asked for beyond the directory that somebody has come to.
pub struct Beyond {
    /// How many keys, the way if it is known, and the turn.
    pub order: (usize, Option<Way>, u64),
    /// Where to count them.
    pub count: Arc<AtomicUsize>,
    /// The name of the directory beside it that he came from.
    pub came: Option<Box<[u8]>>,
}

impl Walk {
    /// Notes an open. Gives how many there were in the directory before, and whether it is another
    /// directory than the last one.
    pub(super) fn note(&mut self, uid: u32, directory: FileId) -> (usize, bool) {
        let now = Instant::now();
        let other = self.directory != Some(directory) || self.uid != uid;
        if self.uid != uid || self.last.is_none_or(|t| now - t >= PAUSE) {
            let onward = self.onward.of_another();
            *self = Walk { uid, directory: Some(directory), onward, ..Walk::default() };
        } else if self.directory != Some(directory) {
            self.before = std::mem::take(&mut self.opened);
            self.directory = Some(directory);
        }
        self.last = Some(now);
        self.opened += 1;
        self.listed = 0;
        (self.before, other)
    }

    /// Lets go of directories that nobody has come to for long: their descriptors would keep what
    /// is removed below.
    pub(super) fn rest(&mut self) {
        if self.last.is_none_or(|t| t.elapsed() >= PAUSE) {
            self.onward = self.onward.of_another();
        }
    }

    /// He comes into a directory that has this lower inode number. Gives how, and what was asked
    /// for there.
    pub(super) fn comes_to(&mut self, ino: u64) -> (Came, Option<Scan>) {
        self.onward.comes_to(ino)
    }

    /// To be called after [`Walk::comes_to`], with the name of that directory. Gives what to ask
    /// for beyond it, if he goes through files whose keys have to be asked for.
    pub(super) fn beyond(&mut self, came: Came, place: Option<Alias>) -> Option<Beyond> {
        let from = std::mem::replace(&mut self.place, place);
        let worth = self.opened + self.before >= 2 && self.cold > 0 && self.is_worth();
        if !worth {
            return None;
        }
        let order = self.onward.order(came, self.opened.max(self.before))?;
        let beside = |from: &Alias| self.place.as_ref().is_some_and(|at| at.parent == from.parent);
        let came = from.filter(beside).map(|from| from.lower);
        Some(Beyond { order, count: Arc::clone(&self.ordered), came })
    }

    fn is_worth(&self) -> bool {
        self.ordered.load(Ordering::Relaxed) <= CREDIT + self.useful * WORTH
    }

    /// Notes whether the key of the file just opened had to be asked for, or had been, `ahead`.
    pub(super) fn asked(&mut self, missed: bool, ahead: bool) {
        self.cold = if missed || ahead { WARM } else { self.cold.saturating_sub(1) };
        self.useful += usize::from(ahead);
    }

    /// Notes that a directory was opened. If whoever did that is going through files whose keys
    /// have to be asked for, gives how many there were in the directory that he comes from, and
    /// where to count the keys that are asked for.
    pub(super) fn lists(&mut self, uid: u32) -> Option<(usize, Arc<AtomicUsize>)> {
        if self.uid != uid || self.last.is_none_or(|t| t.elapsed() >= PAUSE) {
            return None;
        }
        self.listed += 1;
        let goes_through = self.opened + self.before >= 2 && self.listed <= LISTED;
        (goes_through && self.is_worth() && self.cold > 0)
            .then(|| (self.opened.max(self.before), Arc::clone(&self.ordered)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::FIRST;
    use super::*;

    #[test]
    fn who_has_gone_leaves_nothing_open() {
        let mut walk = Walk::default();
        walk.note(7, FileId([1; 16]));
        assert_eq!(walk.comes_to(1).0, Came::Elsewhere);
        walk.rest();
        assert_eq!(walk.comes_to(1).0, Came::Back, "he is still there");
        walk.last = Instant::now().checked_sub(PAUSE);
        walk.rest();
        assert_eq!(walk.comes_to(1).0, Came::Elsewhere);
    }

    #[test]
    fn a_walk_tells_how_many_were_opened_where_one_comes_from() {
        let mut walk = Walk::default();
        let (here, there) = (FileId([1; 16]), FileId([2; 16]));
        assert_eq!(walk.note(7, here), (0, true));
        assert_eq!(walk.note(7, here), (0, false));
        assert_eq!(walk.note(7, there), (2, true));
        assert_eq!(walk.note(7, here), (1, true));
        assert_eq!(walk.note(8, here), (0, true), "another user");
    }

    #[test]
    fn a_directory_is_asked_for_when_it_is_opened_by_who_had_to_ask_in_the_last() {
        let mut walk = Walk::default();
        assert!(walk.lists(7).is_none(), "nothing was opened");
        walk.note(7, FileId([1; 16]));
        walk.asked(true, false);
        assert!(walk.lists(7).is_none(), "one file is no habit");
        walk.note(7, FileId([2; 16]));
        walk.asked(true, false);
        assert!(walk.lists(8).is_none(), "another user");
        assert!(matches!(walk.lists(7), Some((1, _))));
        let listed = (1..LISTED).filter(|_| walk.lists(7).is_some()).count();
        assert_eq!(listed, LISTED - 1);
        assert!(walk.lists(7).is_none(), "he opens nothing any more");
        walk.note(7, FileId([3; 16]));
        assert!(walk.lists(7).is_some());
        (0..WARM).for_each(|_| walk.asked(false, false));
        assert!(walk.lists(7).is_none(), "memory has what he opens");
    }

    #[test]
    fn who_opens_one_file_in_each_of_many_directories_is_noticed() {
        let mut walk = Walk::default();
        for n in 0..10_000_u128 {
            if let Some((_, count)) = walk.lists(7) {
                // Eight files and eight directories.
                count.fetch_add(2 * FIRST, Ordering::Relaxed);
            }
            walk.note(7, FileId(n.to_be_bytes()));
            walk.asked(false, n % 4 == 0);
        }
        let ordered = walk.ordered.load(Ordering::Relaxed);
        assert!(ordered <= CREDIT + 10_000 / 4 * WORTH + 2 * FIRST, "{ordered}");
        assert!(ordered > CREDIT, "{ordered}");
    }
}
