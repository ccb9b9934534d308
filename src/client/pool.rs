//! Data keys made ahead of the files that will use them.
//!
//! Invariant: a key leaves the pool once, only under the epoch it was made in, and only for the
//! CMK, volume and kind it was made for. The pool decides nothing: whether this caller may have
//! a key is asked before one is taken. A key that nobody takes is wiped and has sealed nothing.
//!
//! A shelf is filled with [`FIRST`] keys; whenever it runs dry between two refills, or needs the
//! next one within four milliseconds, that is twice as large, up to [`MOST`]. It is refilled when
//! half of the last batch has gone. Each refill wakes a thread, on another CPU if there is one,
//! which a guest of a hypervisor pays for with tens of microseconds of the caller's own.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::server::messages::{Fresh, Kind, MAX_BATCH};

/// Keys of the first batch.
pub const FIRST: u16 = 16;

/// Keys of the largest batch.
pub const MOST: u16 = MAX_BATCH;

/// From one refill to the next: who takes keys faster gets more at once.
const SOON: Duration = Duration::from_millis(4);

/// Most shelves; beyond it the pool starts afresh. One per CMK and kind of a mounted volume.
const SHELVES: usize = 64;

/// What the keys of a shelf are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShelfId {
    /// Id of the CMK.
    pub key_id: String,
    /// Volume.
    pub volume: [u8; 16],
    /// Kind of object.
    pub kind: Kind,
}

struct Shelf {
    epoch: u64,
    keys: VecDeque<Fresh>,
    batch: u16,
    refilling: bool,
    ran_dry: bool,
    /// When the last refill was asked for, unless it failed.
    refilled: Option<Instant>,
}

impl Shelf {
    /// How many keys should be made now, if half of the last batch has gone.
    fn refill(&mut self) -> Option<u16> {
        if self.refilling || self.keys.len() > usize::from(self.batch / 2) {
            return None;
        }
        let now = Instant::now();
        let soon = self.refilled.replace(now).is_some_and(|last| now.duration_since(last) < SOON);
        if std::mem::take(&mut self.ran_dry) || soon {
            self.batch = (self.batch * 2).min(MOST);
        }
        self.refilling = true;
        Some(self.batch)
    }
}

/// What [`Pool::take`] found.
#[derive(Debug, Default)]
pub struct Taken {
    /// A key, if there was one.
    pub fresh: Option<Fresh>,
    /// So many keys should be made now, by whoever got this; nobody else is told until
    /// [`Pool::put`] or [`Pool::give_up`].
    pub refill: Option<u16>,
}

/// The shelves.
#[derive(Default)]
pub struct Pool {
    shelves: Mutex<HashMap<ShelfId, Shelf>>,
}

impl Pool {
    /// Takes a key that was made under `epoch`.
    pub fn take(&self, id: &ShelfId, epoch: u64) -> Taken {
        let mut shelves = self.shelves.lock();
        let Some(shelf) = shelves.get_mut(id).filter(|shelf| shelf.epoch == epoch) else {
            return Taken::default();
        };
        let fresh = shelf.keys.pop_front();
        shelf.ran_dry |= fresh.is_none();
        let refill = shelf.refill();
        Taken { fresh, refill }
    }

    /// Puts new keys on the shelf. Keys of another epoch than the shelf's replace it if they are
    /// newer, and are dropped if they are older.
    pub fn put(&self, id: &ShelfId, epoch: u64, keys: Vec<Fresh>) {
        let mut shelves = self.shelves.lock();
        if shelves.len() >= SHELVES && !shelves.contains_key(id) {
            shelves.clear();
        }
        let new = || Shelf {
            epoch,
            keys: VecDeque::new(),
            batch: FIRST,
            refilling: false,
            ran_dry: false,
            refilled: None,
        };
        let shelf = shelves.entry(id.clone()).or_insert_with(new);
        if shelf.epoch > epoch {
            return;
        }
        if shelf.epoch < epoch {
            *shelf = Shelf { batch: shelf.batch, ..new() };
        }
        shelf.refilling = false;
        let room = usize::from(MOST) * 2;
        shelf.keys.extend(keys.into_iter().take(room.saturating_sub(shelf.keys.len())));
    }

    /// Puts back a key that was taken and not used.
    pub fn put_back(&self, id: &ShelfId, epoch: u64, fresh: Fresh) {
        if let Some(shelf) = self.shelves.lock().get_mut(id).filter(|shelf| shelf.epoch == epoch) {
            shelf.keys.push_back(fresh);
        }
    }

    /// The refill that [`Pool::take`] asked for failed; the next taker may be asked again.
    pub fn give_up(&self, id: &ShelfId) {
        if let Some(shelf) = self.shelves.lock().get_mut(id) {
            shelf.refilling = false;
            shelf.refilled = None;
        }
    }

    /// Wipes all keys.
    pub fn clear(&self) {
        self.shelves.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::server::messages::{KeyBytes, Wrapped};

    fn id() -> ShelfId {
        ShelfId { key_id: "k".into(), volume: [1; 16], kind: Kind::File }
    }

    fn keys(count: u16) -> Vec<Fresh> {
        (0..count)
            .map(|n| Fresh {
                id: u128::from(n).to_le_bytes(),
                key: KeyBytes(Secret::random()),
                wrapped: Wrapped { key_id: "k".into(), version: 1, blob: vec![] },
            })
            .collect()
    }

    #[test]
    fn every_key_leaves_once() {
        let pool = Pool::default();
        pool.put(&id(), 1, keys(16));
        let mut seen = std::collections::HashSet::new();
        while let Some(fresh) = pool.take(&id(), 1).fresh {
            assert!(seen.insert(fresh.id));
        }
        assert_eq!(seen.len(), 16);
    }

    #[test]
    fn refill_is_asked_for_once_at_half() {
        let pool = Pool::default();
        pool.put(&id(), 1, keys(FIRST));
        let asked: Vec<_> = (0..12).map(|_| pool.take(&id(), 1).refill).collect();
        assert_eq!(asked.iter().flatten().count(), 1);
        assert_eq!(asked[7], Some(FIRST));
        pool.give_up(&id());
        assert_eq!(pool.take(&id(), 1).refill, Some(FIRST));
    }

    #[test]
    fn a_dry_shelf_grows_to_its_bound() {
        let pool = Pool::default();
        pool.put(&id(), 1, keys(1));
        let mut batch = 0;
        for _ in 0..10 {
            while pool.take(&id(), 1).fresh.is_some() {}
            pool.give_up(&id());
            batch = pool.take(&id(), 1).refill.unwrap();
            pool.put(&id(), 1, keys(1));
        }
        assert_eq!(batch, MOST);
    }

    #[test]
    fn who_takes_keys_fast_gets_more_at_once() {
        let pool = Pool::default();
        pool.put(&id(), 1, keys(FIRST));
        let next = || loop {
            if let Some(count) = pool.take(&id(), 1).refill {
                return count;
            }
        };
        assert_eq!(next(), FIRST, "nothing is known yet");
        pool.put(&id(), 1, keys(FIRST));
        let age = |by: Duration| {
            let mut shelves = pool.shelves.lock();
            let shelf = shelves.get_mut(&id()).unwrap();
            shelf.refilled = shelf.refilled.and_then(|at| at.checked_sub(by));
        };
        age(SOON);
        assert_eq!(next(), FIRST, "slowly");
        pool.put(&id(), 1, keys(FIRST));
        pool.shelves.lock().get_mut(&id()).unwrap().refilled = Some(Instant::now() + SOON);
        assert_eq!(next(), FIRST * 2, "fast");
        pool.give_up(&id());
        assert_eq!(next(), FIRST * 2, "a refill that failed says nothing");
    }

    #[test]
    fn keys_of_another_epoch_are_never_given_out() {
        let pool = Pool::default();
        pool.put(&id(), 1, keys(4));
        assert!(pool.take(&id(), 2).fresh.is_none());
        pool.put(&id(), 2, keys(4));
        assert!(pool.take(&id(), 1).fresh.is_none());
        pool.put(&id(), 1, keys(4));
        assert!(pool.take(&id(), 2).fresh.is_some());
        assert!(pool.take(&ShelfId { kind: Kind::Directory, ..id() }, 2).fresh.is_none());
        assert!(pool.take(&ShelfId { volume: [2; 16], ..id() }, 2).fresh.is_none());
        assert!(pool.take(&ShelfId { key_id: "l".into(), ..id() }, 2).fresh.is_none());
    }
}
