//! Somebody who goes from directory to directory.

use std::time::Instant;

use super::PAUSE;
use super::budget::{Budget, Budgets};
use super::onward::{Came, Onward};
use super::scan::Scan;
use super::way::Way;
use crate::format::FileId;
use crate::sync::Arc;
use crate::volume::inode::Alias;

/// Directories that somebody may open without opening a file in them, until he is no longer
/// believed to go through the files.
const LISTED: usize = 4;

/// Files whose keys are in memory already, until no directory's are asked for any more.
const WARM: usize = 4;

/// Directories in which somebody must have opened files, until it is believed that he goes on to
/// others.
const HABIT: usize = 3;

/// Files one after the other that were asked for ahead and whose keys are not there after all:
/// decisions expire, and are void once anything changed in the key service.
pub(super) const LOST: usize = 16;

/// Where the last user was: whoever goes on to the next directory goes through that one too.
#[derive(Default)]
pub struct Walk {
    uid: u32,
    last: Option<Instant>,
    directory: Option<FileId>,
    opened: usize,
    before: usize,
    /// Directories in which files were opened.
    directories: usize,
    /// Directories opened since.
    listed: usize,
    /// How many more opens without a question there may be.
    cold: usize,
    /// Files lost one after the other.
    lost: usize,
    budgets: Budgets,
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
    pub budget: Arc<Budget>,
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
            let budgets = std::mem::take(&mut self.budgets);
            *self = Walk { uid, onward, budgets, ..Walk::default() };
        }
        if self.directory != Some(directory) {
            self.before = std::mem::take(&mut self.opened);
            self.directory = Some(directory);
            self.directories += 1;
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
        self.budgets.forget_old();
    }

    /// He comes into a directory that has this lower inode number. Gives how, and what was asked
    /// for there.
    pub(super) fn comes_to(&mut self, ino: u64) -> (Came, Option<Scan>) {
        self.onward.comes_to(ino)
    }

    /// To be called after [`Walk::comes_to`], with the name of that directory. Gives what to ask
    /// for beyond it, if `uid` goes through files whose keys have to be asked for.
    pub(super) fn beyond(&mut self, uid: u32, came: Came, place: Option<Alias>) -> Option<Beyond> {
        if self.uid != uid {
            return None;
        }
        let from = std::mem::replace(&mut self.place, place);
        let budget = self.budgets.of(uid);
        if self.directories < HABIT || self.cold == 0 || !budget.allows_beyond() {
            return None;
        }
        let order = self.onward.order(came, self.opened.max(self.before))?;
        let beside = |from: &Alias| self.place.as_ref().is_some_and(|at| at.parent == from.parent);
        let came = from.filter(beside).map(|from| from.lower);
        Some(Beyond { order, budget, came })
    }

    /// Notes whether the key of the file just opened had to be asked for, and whether it had been
    /// asked for ahead, `known`.
    pub(super) fn asked(&mut self, missed: bool, known: bool) {
        self.cold = if missed || known { WARM } else { self.cold.saturating_sub(1) };
        if known && !missed {
            self.budgets.of(self.uid).used();
        }
        self.lost = if known && missed { self.lost + 1 } else { 0 };
        if self.lost >= LOST {
            self.lost = 0;
            self.onward = self.onward.of_another();
        }
    }

    /// Notes that a directory was opened. If whoever did that is going through files whose keys
    /// have to be asked for, gives how many there were in the directory that he comes from, and
    /// where to count the keys that are asked for.
    pub(super) fn lists(&mut self, uid: u32) -> Option<(usize, Arc<Budget>)> {
        if self.uid != uid || self.last.is_none_or(|t| t.elapsed() >= PAUSE) {
            return None;
        }
        self.listed += 1;
        let goes_through = self.opened + self.before >= 2 && self.listed <= LISTED;
        let budget = self.budgets.of(uid);
        (goes_through && self.cold > 0 && budget.allows())
            .then(|| (self.opened.max(self.before), budget))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::{CREDIT, FIRST};
    use super::*;

    #[test]
    fn who_has_gone_is_forgotten() {
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
        let (mut walk, mut ordered) = (Walk::default(), 0);
        for n in 0..10_000_u128 {
            if let Some((_, budget)) = walk.lists(7) {
                // Eight files and eight directories.
                budget.order(2 * FIRST);
                ordered += 2 * FIRST;
            }
            walk.note(7, FileId(n.to_be_bytes()));
            walk.asked(n % 8 != 0, n % 4 == 0);
        }
        // What was asked for and was not there when it was wanted is of no use.
        assert!(ordered <= CREDIT + 10_000 / 8 * 6 + 2 * FIRST, "{ordered}");
        assert!(ordered > CREDIT, "{ordered}");
    }

    #[test]
    fn a_pause_gives_nothing_back() {
        let mut walk = Walk::default();
        for n in 0..2 {
            walk.note(7, FileId([n; 16]));
            walk.asked(true, false);
        }
        walk.lists(7).unwrap().1.order(CREDIT + 1);
        assert!(walk.lists(7).is_none());
        walk.last = Instant::now().checked_sub(PAUSE);
        for n in 0..2 {
            walk.note(7, FileId([n; 16]));
            walk.asked(true, false);
        }
        assert!(walk.lists(7).is_none());
    }

    #[test]
    fn nothing_is_asked_for_beyond_until_somebody_has_the_habit() {
        let mut walk = Walk::default();
        for n in 1..=3 {
            assert!(walk.beyond(7, Came::Elsewhere, None).is_none());
            walk.note(7, FileId([n; 16]));
            walk.asked(true, false);
        }
        assert!(walk.beyond(8, Came::Elsewhere, None).is_none(), "another user");
        let beyond = walk.beyond(7, Came::Elsewhere, None).unwrap();
        assert!(walk.beyond(7, Came::Expected, None).is_none(), "it is being searched");
        beyond.budget.order_beyond(CREDIT);
        assert!(walk.beyond(7, Came::Elsewhere, None).is_none(), "of no use so far");
    }

    #[test]
    fn who_finds_nothing_of_what_was_asked_for_has_it_asked_for_anew() {
        let mut walk = Walk::default();
        walk.note(7, FileId([1; 16]));
        walk.comes_to(1);
        (1..LOST).for_each(|_| walk.asked(true, true));
        assert_eq!(walk.comes_to(1).0, Came::Back);
        walk.asked(true, true);
        assert_eq!(walk.comes_to(1).0, Came::Elsewhere);
    }
}
