//! The entry pages that a file keeps in memory, under a bound for all files together.
//!
//! A lone file may use the whole of it, which covers 2 GiB of data: random reads of a large file
//! would otherwise read and authenticate an entry page each. When the bound is reached, every file
//! gives pages back with its next request until few are left, so that all memory for pages stays
//! within the bound and a few pages for each open file.

use std::collections::HashMap;

use crate::format::PageNo;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Pages of all files together that are kept without question; 32 MiB.
const BUDGET: usize = 8192;

/// Pages that a file keeps in any case.
const SHARE: usize = 64;

/// Pages of all files.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Pages of one file, by their numbers.
#[derive(Default)]
pub(super) struct Kept(HashMap<u64, Box<[u8]>>);

impl Kept {
    /// The bytes of a page.
    pub fn get(&self, k: PageNo) -> Option<&[u8]> {
        self.0.get(&k.0).map(AsRef::as_ref)
    }

    /// The bytes of a page, to be changed.
    pub fn get_mut(&mut self, k: PageNo) -> Option<&mut [u8]> {
        self.0.get_mut(&k.0).map(AsMut::as_mut)
    }

    /// Takes a page in.
    pub fn insert(&mut self, k: PageNo, bytes: Box<[u8]>) {
        if self.0.insert(k.0, bytes).is_none() {
            TOTAL.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives a page out.
    pub fn remove(&mut self, k: u64) -> Option<Box<[u8]>> {
        let bytes = self.0.remove(&k)?;
        TOTAL.fetch_sub(1, Ordering::Relaxed);
        Some(bytes)
    }

    /// Forgets all pages from `k` on.
    pub fn cut(&mut self, k: PageNo) {
        let before = self.0.len();
        self.0.retain(|&at, _| at < k.0);
        TOTAL.fetch_sub(before - self.0.len(), Ordering::Relaxed);
    }

    /// Pages that have to go now, of those that may.
    pub fn victims(&self, may_go: impl Fn(&u64) -> bool) -> Vec<u64> {
        self.victims_at(TOTAL.load(Ordering::Relaxed), may_go)
    }

    fn victims_at(&self, total: usize, may_go: impl Fn(&u64) -> bool) -> Vec<u64> {
        if total < BUDGET || self.0.len() <= SHARE {
            return Vec::new();
        }
        self.0.keys().copied().filter(may_go).take(self.0.len() / 8).collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        TOTAL.fetch_sub(self.0.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pages: u64) -> Kept {
        let mut kept = Kept::default();
        (0..pages).for_each(|k| kept.insert(PageNo(k), Box::default()));
        kept
    }

    #[test]
    fn nothing_goes_while_there_is_room_and_the_share_never_does() {
        let kept = with(1000);
        assert!(kept.victims_at(BUDGET - 1, |_| true).is_empty());
        assert_eq!(kept.victims_at(BUDGET, |_| true).len(), 125);
        assert_eq!(kept.victims_at(BUDGET, |&k| k == 7), [7]);
        assert!(with(SHARE as u64).victims_at(10 * BUDGET, |_| true).is_empty());
    }

    #[test]
    fn pages_are_counted_in_and_out() {
        // Other tests count as well: what is looked at is what a file has by itself.
        let mut kept = with(10);
        kept.insert(PageNo(3), Box::default());
        assert_eq!(kept.0.len(), 10, "the same page again");
        assert!(kept.remove(3).is_some() && kept.remove(3).is_none());
        kept.cut(PageNo(5));
        assert_eq!(kept.0.len(), 4);
        assert!(kept.get(PageNo(4)).is_some() && kept.get_mut(PageNo(5)).is_none());
    }
}
