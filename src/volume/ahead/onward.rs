//! Directories whose keys are asked for before somebody comes there.

use std::collections::{HashMap, HashSet, VecDeque};

use rustix::fs::FileType;

use super::MOST;
use super::budget::Budget;
use super::head::key_of;
use super::scan::Scan;
use super::walk::Walk;
use super::way::{Step, Stop, Way};
use crate::format::VolumeId;
use crate::lower::Dir;
use crate::sync::{Arc, Mutex};
use crate::volume::keys::{Caller, KeyAhead, Operation};

/// Keys that lie ready ahead of somebody: at least so many, for small directories.
const LEAD: usize = 64;

/// Directories that he was in lately.
const REMEMBERED: usize = 64;

/// Directories that he has not come to yet.
const COVERED: usize = 512;

/// How somebody came into a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is the way that he was thought to take.
    Expected,
    /// He was there lately.
    Back,
    /// Nobody knew.
    Elsewhere,
}

/// What is known of where he goes.
#[derive(Default)]
pub struct Onward {
    covered: HashMap<u64, Scan>,
    been: VecDeque<u64>,
    way: Going,
    /// He goes from the last to the first.
    backwards: bool,
    /// Another turn was taken: a search for the one before is of no use.
    turn: u64,
}

#[derive(Default)]
enum Going {
    /// It has to be found out.
    #[default]
    Anew,
    /// A search is on it.
    Searched,
    On(Way),
}

impl Onward {
    /// For somebody else: what is searched for him is of no use any more.
    pub fn of_another(&self) -> Onward {
        Onward { turn: self.turn + 1, ..Onward::default() }
    }

    /// The way he went when that was last seen.
    pub fn is_backwards(&self) -> bool {
        self.backwards
    }

    /// He comes into a directory. Gives what was asked for there.
    pub fn comes_to(&mut self, ino: u64) -> (Came, Option<Scan>) {
        if self.been.contains(&ino) {
            return (Came::Back, None);
        }
        if self.been.len() >= REMEMBERED {
            self.been.pop_front();
        }
        self.been.push_back(ino);
        match self.covered.remove(&ino) {
            Some(scan) => (Came::Expected, Some(scan)),
            None => (Came::Elsewhere, None),
        }
    }

    /// What to search next for somebody who opens about `before` files in a directory: how many
    /// keys, the way if it is known, and the turn.
    pub fn order(&mut self, came: Came, before: usize) -> Option<(usize, Option<Way>, u64)> {
        match came {
            Came::Back => return None,
            Came::Expected => {}
            Came::Elsewhere => {
                self.turn += 1;
                self.covered.clear();
                self.way = Going::Anew;
            }
        }
        let lead = before.clamp(LEAD, MOST);
        let ready: usize = self.covered.values().map(Scan::ready).sum();
        if ready >= lead || matches!(self.way, Going::Searched) {
            return None;
        }
        let way = match std::mem::replace(&mut self.way, Going::Searched) {
            Going::On(way) if way.is_over() => {
                self.way = Going::On(way);
                return None;
            }
            Going::On(way) => Some(way),
            Going::Anew | Going::Searched => None,
        };
        Some((lead, way, self.turn))
    }
}

/// One search.
pub struct Search {
    pub(super) walk: Arc<Mutex<Walk>>,
    pub(super) turn: u64,
    pub(super) way: Way,
    pub(super) volume: VolumeId,
    /// For whom.
    pub(super) caller: Caller,
    pub(super) uid: u32,
    pub(super) left: usize,
    /// Where to count what is found.
    pub(super) budget: Arc<Budget>,
    /// Found, but not read yet.
    pub(super) names: VecDeque<(Arc<Dir>, Vec<u8>, FileType)>,
}

impl Search {
    /// The keys of at most `most` objects.
    pub(super) fn next(&mut self, most: usize) -> Vec<KeyAhead> {
        let mut found = Vec::with_capacity(most);
        let mut looked = 0;
        while looked < most {
            let Some((dir, name, kind)) = self.names.pop_front() else {
                if self.left == 0 || !self.goes_on() {
                    break;
                }
                continue;
            };
            looked += 1;
            let callers: &[Caller] = match kind {
                FileType::Directory => &[Caller::Service, self.caller.to(Operation::List)],
                _ => &[self.caller.to(Operation::Read)],
            };
            let key = key_of(&dir, &name, kind, self.volume);
            found.extend(key.into_iter().flat_map(|key| key.for_each(callers)));
        }
        found
    }

    /// Takes the next step of the way; `false` if there is none, or he has turned elsewhere.
    fn goes_on(&mut self) -> bool {
        if self.walk.lock().onward.turn != self.turn {
            self.left = 0;
            return false;
        }
        match self.way.next() {
            Step::Over => return false,
            Step::Looked(work) => self.charge(work),
            Step::Stop(stop) => self.stops_at(stop),
        }
        true
    }

    /// What was looked at costs as well, whatever is found there.
    fn charge(&mut self, keys: usize) {
        self.budget.order_beyond(keys);
        self.left = self.left.saturating_sub(keys);
    }

    fn stops_at(&mut self, stop: Stop) {
        let mut walk = self.walk.lock();
        let onward = &mut walk.onward;
        if onward.turn != self.turn || onward.been.contains(&stop.ino) {
            drop(walk);
            return self.charge(1);
        }
        if onward.covered.len() >= COVERED {
            onward.covered.clear();
        }
        let asked: HashSet<u64> = stop.files.iter().map(|(ino, _)| *ino).collect();
        onward.covered.insert(stop.ino, Scan::covered(self.uid, asked, stop.position));
        drop(walk);
        self.charge(stop.files.len() + 1);
        self.names.push_back((stop.parent, stop.name, FileType::Directory));
        let dir = stop.dir;
        let files = stop.files.into_iter();
        self.names.extend(files.map(|(_, name)| (Arc::clone(&dir), name, FileType::RegularFile)));
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        let onward = &mut self.walk.lock().onward;
        onward.backwards = self.way.is_backwards();
        if onward.turn == self.turn {
            onward.way = Going::On(self.way.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::way::Walker;
    use super::*;

    fn cover(onward: &mut Onward, ino: u64, files: u64) {
        let asked = (0..files).map(|n| ino * 1000 + n).collect();
        onward.covered.insert(ino, Scan::covered(7, asked, 0));
    }

    /// The search that was ordered has ended, with a way that goes on.
    fn searched(onward: &mut Onward) -> Arc<Dir> {
        let mut way = Way::of(Walker { uid: 7, gid: 7 }, false);
        let here = Arc::new(Dir::new(std::fs::File::open("/").unwrap().into()));
        way.begin(Arc::clone(&here), None, None);
        onward.way = Going::On(way);
        here
    }

    #[test]
    fn who_has_gone_leaves_nothing_open() {
        let mut walk = Walk::default();
        let open = searched(&mut walk.onward);
        assert_eq!(Arc::strong_count(&open), 2);
        walk.rest();
        assert_eq!(Arc::strong_count(&open), 1);
    }

    #[test]
    fn the_lead_is_kept_up_for_as_long_as_the_way_is_the_right_one() {
        let mut onward = Onward::default();
        let (came, scan) = onward.comes_to(1);
        assert!(came == Came::Elsewhere && scan.is_none());
        let (left, way, turn) = onward.order(came, 3).unwrap();
        assert!(left == LEAD && way.is_none());
        assert!(onward.order(Came::Expected, 3).is_none(), "one search at a time");
        cover(&mut onward, 2, 40);
        cover(&mut onward, 3, 40);
        searched(&mut onward);
        assert!(onward.order(Came::Expected, 3).is_none(), "enough lies ready");
        let (came, scan) = onward.comes_to(2);
        assert!(came == Came::Expected && scan.is_some_and(|scan| scan.ready() == 40));
        let again = onward.order(came, 3);
        assert!(again.is_some_and(|(_, way, same)| way.is_some() && same == turn));
        assert_eq!(onward.comes_to(2).0, Came::Back);
        assert!(onward.order(Came::Back, 3).is_none());
    }

    #[test]
    fn who_turns_elsewhere_has_a_new_way_looked_for() {
        let mut onward = Onward::default();
        let (_, _, turn) = onward.order(Came::Elsewhere, 3).unwrap();
        cover(&mut onward, 2, 40);
        let (came, _) = onward.comes_to(9);
        let (_, way, next) = onward.order(came, 3).unwrap();
        assert!(way.is_none() && next != turn);
        assert!(onward.covered.is_empty());
        assert!(onward.of_another().turn != next);
    }

    #[test]
    fn at_the_end_of_the_way_nothing_is_searched() {
        let mut onward = Onward::default();
        onward.order(Came::Elsewhere, 3).unwrap();
        onward.way = Going::On(Way::of(Walker { uid: 7, gid: 7 }, false));
        assert!(onward.order(Came::Expected, 3).is_none());
        assert!(onward.order(Came::Elsewhere, 3).is_some());
    }

    #[test]
    fn a_scan_that_was_covered_knows_its_files_and_asks_for_the_rest() {
        let asked = |n: u64| (0..n).collect::<HashSet<_>>();
        let mut all = Scan::covered(7, asked(20), 0);
        assert!((0..20).all(|file| all.note(7, file, false, 3) == (true, None)));
        let mut some = Scan::covered(7, asked(20), 99);
        let orders = (0..20).filter_map(|file| some.note(7, file, false, 3).1).count();
        assert_eq!((orders, some.position()), (1, 99));
    }
}
