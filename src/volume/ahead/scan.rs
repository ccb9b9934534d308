//! One directory whose files somebody opens one after the other.

use std::collections::HashSet;
use std::time::Instant;

use super::walk::LOST;
use super::{MOST, PAUSE};

/// Keys searched at once: few at first, more as they prove useful.
pub(super) const FIRST: usize = 8;

/// Files remembered as asked for; past it the memory begins anew.
const REMEMBERED: usize = 8192;

/// What may be asked for without any use: so many, and so many more for each open.
pub(super) const CREDIT: usize = 2 * MOST;
const CREDIT_PER_OPEN: usize = 32;

/// After so many opens, one in four must have been asked for ahead, or it is not worth it.
const TRIAL: usize = 512;

/// How far somebody is in going through a directory.
#[derive(Default)]
pub struct Scan {
    uid: u32,
    last: Option<Instant>,
    opened: usize,
    /// Opens whose key was asked for ahead, and there.
    useful: usize,
    /// Opens one after the other whose key was asked for ahead and was not there.
    lost: usize,
    /// Keys asked for ahead.
    ordered: usize,
    batch: usize,
    /// A batch is being searched.
    searching: bool,
    /// Position in the lower directory where the next batch begins.
    position: u64,
    /// The end was reached: what comes from now on is new, or was forgotten.
    through: bool,
    /// Lower inode numbers of those whose keys were asked for ahead and not used yet.
    asked: HashSet<u64>,
}

impl Scan {
    /// Of a directory that was asked for before `uid` came there: these files, and more from `next`
    /// on; 0: there are none.
    pub(super) fn covered(uid: u32, asked: HashSet<u64>, next: u64) -> Scan {
        Scan {
            uid,
            last: Some(Instant::now()),
            ordered: asked.len(),
            batch: asked.len().clamp(FIRST, MOST),
            position: next,
            through: next == 0,
            asked,
            ..Scan::default()
        }
    }

    /// Takes over what was asked for before.
    pub(super) fn take_over(&mut self, covered: Scan) {
        if !self.searching {
            *self = covered;
        }
    }

    /// How many keys lie ready.
    pub(super) fn ready(&self) -> usize {
        self.asked.len()
    }

    /// Begins before anything was opened. Gives the size of the batch to ask for, if any.
    pub(super) fn begin(&mut self, uid: u32, before: usize) -> Option<usize> {
        let now = Instant::now();
        let begun = self.uid == uid && self.last.is_some_and(|t| now - t < PAUSE);
        if self.searching || begun {
            return None;
        }
        let batch = before.clamp(FIRST, MOST);
        *self = Scan { uid, last: Some(now), searching: true, batch, ..Scan::default() };
        Some(batch)
    }

    /// Where the next names are in the lower directory.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Notes that `inos` come next in the lower directory, and that more do from `next` on; 0: none.
    /// Gives for each whether it is new.
    pub(super) fn found(&mut self, inos: impl Iterator<Item = u64>, next: u64) -> Vec<bool> {
        self.position = next;
        self.through |= next == 0;
        let new: Vec<bool> = inos.map(|ino| self.asked.insert(ino)).collect();
        self.ordered += new.iter().filter(|&&new| new).count();
        new
    }

    /// The batch has been searched.
    pub(super) fn searched(&mut self) {
        self.searching = false;
    }

    /// Notes an open, for which the key service `missed` a question or not. `before` is how many
    /// the same user opened in the directory that he comes from. Gives the size of the batch to
    /// ask for now, if any, and before that whether this one was asked for ahead.
    pub(super) fn note(
        &mut self,
        uid: u32,
        lower_ino: u64,
        missed: bool,
        before: usize,
    ) -> (bool, Option<usize>) {
        let now = Instant::now();
        let goes_on = self.uid == uid && self.last.is_some_and(|t| now - t < PAUSE);
        if !goes_on {
            *self = Scan { uid, searching: self.searching, ..Scan::default() };
        }
        self.last = Some(now);
        self.opened += 1;
        let known = self.asked.remove(&lower_ino);
        self.useful += usize::from(known && !missed);
        self.lost = if known && missed { self.lost + 1 } else { 0 };
        if self.lost >= LOST {
            // They have expired, or something changed in the key service: from the start.
            self.asked.clear();
            (self.lost, self.position, self.through) = (0, 0, false);
        }
        let wanted = match self.batch {
            0 => missed && self.opened.max(before) >= 2,
            _ => missed || known && !self.through && self.asked.len() <= self.batch / 2,
        };
        let spent = self.ordered > CREDIT + self.opened * CREDIT_PER_OPEN;
        let useless = self.opened > TRIAL && self.useful * 4 < self.opened;
        if !wanted || spent || useless || self.searching {
            return (known, None);
        }
        self.searching = true;
        self.batch = (self.batch * 2).max(before).clamp(FIRST, MOST);
        if self.asked.len() > REMEMBERED {
            self.asked.clear();
        }
        (known, Some(self.batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goes through `files` in this order, as if every batch came at once and brought the next
    /// ones in the order of their numbers. Gives the batches and how many opens had to ask.
    fn go(
        scan: &mut Scan,
        files: impl Iterator<Item = u64>,
        of: u64,
        before: usize,
    ) -> (Vec<usize>, usize) {
        let (mut batches, mut missed) = (Vec::new(), 0);
        let mut there = HashSet::new();
        for file in files {
            let miss = !there.contains(&file);
            missed += usize::from(miss);
            if let (_, Some(batch)) = scan.note(7, file, miss, before) {
                batches.push(batch);
                scan.searching = false;
                let next = (scan.position..of).take(batch);
                scan.ordered += batch;
                for ino in next {
                    scan.position = ino + 1;
                    there.insert(ino);
                    scan.asked.insert(ino);
                }
                scan.through |= scan.position == of;
            }
        }
        (batches, missed)
    }

    #[test]
    fn one_file_asks_for_no_other() {
        assert_eq!(go(&mut Scan::default(), 5..6, 100, 0), (vec![], 1));
        assert_eq!(go(&mut Scan::default(), 5..6, 100, 1), (vec![], 1));
    }

    #[test]
    fn who_goes_through_a_directory_waits_for_few_keys() {
        let (batches, missed) = go(&mut Scan::default(), 0..1000, 1000, 0);
        assert_eq!(missed, 2, "{batches:?}");
        assert_eq!(batches[..5], [8, 16, 32, 64, 128]);
        let mixed = (0..1000).map(|n| n * 387 % 1000);
        let (batches, missed) = go(&mut Scan::default(), mixed, 1000, 0);
        assert!(missed < 40, "{missed} of 1000 in another order: {batches:?}");
    }

    #[test]
    fn who_comes_from_another_directory_waits_for_the_first_alone() {
        let (batches, missed) = go(&mut Scan::default(), 0..200, 200, 200);
        assert_eq!((batches, missed), (vec![200], 1));
    }

    #[test]
    fn here_and_there_in_a_large_directory_is_noticed() {
        let far = (0..4000).map(|n| n * 7919 % 1_000_000);
        let (batches, _) = go(&mut Scan::default(), far, 1_000_000, 0);
        let ordered: usize = batches.iter().sum();
        assert!(ordered < CREDIT + (TRIAL + 8) * CREDIT_PER_OPEN, "{ordered}");
    }

    #[test]
    fn what_was_asked_for_and_is_not_there_is_asked_for_again() {
        let mut scan = Scan::covered(7, (0..200).collect(), 0);
        let orders = |scan: &mut Scan, files: std::ops::Range<u64>| {
            files
                .filter_map(|file| scan.note(7, file, true, 200).1.map(|_| file))
                .collect::<Vec<_>>()
        };
        assert_eq!(orders(&mut scan, 0..1), [0], "a question asks for more");
        scan.searching = false;
        scan.position = 5;
        orders(&mut scan, 1..16);
        assert!(scan.asked.is_empty() && scan.position == 0 && scan.useful == 0);
        scan.searching = false;
        assert_eq!(orders(&mut scan, 16..20), [16]);
    }

    #[test]
    fn nothing_is_asked_for_what_memory_has() {
        let mut scan = Scan::default();
        go(&mut scan, 0..200, 200, 0);
        assert!((0..200).all(|file| scan.note(7, file, false, 200).1.is_none()));
    }

    #[test]
    fn a_directory_is_begun_once() {
        let mut scan = Scan::default();
        assert_eq!(scan.begin(7, 0), Some(FIRST));
        assert_eq!(scan.begin(7, 0), None, "it is being searched");
        scan.searching = false;
        assert_eq!(scan.begin(7, 0), None, "it was just searched");
        scan.asked.extend([1, 2]);
        assert_eq!(scan.note(7, 1, false, 1), (true, Some(2 * FIRST)), "and the rest of it");
        assert_eq!(Scan::default().begin(7, 1 << 20), Some(MOST));
    }
}
