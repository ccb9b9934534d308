//! What may be asked for without any use because somebody goes from directory to directory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::scan::CREDIT;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Keys, those of directories among them, that may be asked for for each one of a file that was
/// used.
const WORTH: usize = 6;

/// Whoever wasted what he had gets as much again after this. Short pauses give nothing back.
const PERIOD: Duration = Duration::from_secs(60);

/// One user's, for a while.
#[derive(Debug)]
pub struct Budget {
    since: Instant,
    /// Keys asked for in a directory because it was opened, and beyond it.
    ordered: AtomicUsize,
    /// Those beyond it, which may be half of them: a way that was the wrong one costs nothing of
    /// what the directory is worth where somebody is.
    beyond: AtomicUsize,
    /// Opens whose key was asked for ahead, and there in time.
    useful: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            since: Instant::now(),
            ordered: AtomicUsize::new(0),
            beyond: AtomicUsize::new(0),
            useful: AtomicUsize::new(0),
        }
    }
}

impl Budget {
    /// Whether a directory that is opened may be asked for.
    pub fn allows(&self) -> bool {
        let ordered = self.ordered.load(Ordering::Relaxed);
        ordered <= CREDIT + self.useful.load(Ordering::Relaxed) * WORTH
    }

    /// Whether what lies beyond it may be.
    pub fn allows_beyond(&self) -> bool {
        let beyond = self.beyond.load(Ordering::Relaxed);
        self.allows() && beyond <= (CREDIT + self.useful.load(Ordering::Relaxed) * WORTH) / 2
    }

    /// So many keys are asked for.
    pub fn order(&self, keys: usize) {
        self.ordered.fetch_add(keys, Ordering::Relaxed);
    }

    /// The same, or as much work, beyond the directory.
    pub fn order_beyond(&self, keys: usize) {
        self.order(keys);
        self.beyond.fetch_add(keys, Ordering::Relaxed);
    }

    /// One was used.
    pub fn used(&self) {
        self.useful.fetch_add(1, Ordering::Relaxed);
    }
}

/// Those of all users who were here in the last [`PERIOD`].
#[derive(Default)]
pub struct Budgets(HashMap<u32, Arc<Budget>>);

impl Budgets {
    /// A user's.
    pub fn of(&mut self, uid: u32) -> Arc<Budget> {
        self.forget_old();
        Arc::clone(self.0.entry(uid).or_default())
    }

    /// Forgets those that are over.
    pub fn forget_old(&mut self) {
        self.0.retain(|_, budget| budget.since.elapsed() < PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_use_ends_and_what_is_of_use_goes_on() {
        let budget = Budget::default();
        budget.order(CREDIT);
        assert!(budget.allows());
        budget.order(1);
        assert!(!budget.allows());
        budget.used();
        assert!(budget.allows());
    }

    #[test]
    fn the_wrong_way_leaves_half_for_where_somebody_is() {
        let budget = Budget::default();
        budget.order_beyond(CREDIT / 2 + 1);
        assert!(budget.allows() && !budget.allows_beyond());
        (0..2).for_each(|_| budget.used());
        assert!(budget.allows_beyond());
        budget.order(CREDIT + WORTH);
        assert!(!budget.allows_beyond(), "the whole counts as well");
    }

    #[test]
    fn each_user_has_his_own_and_a_new_one_after_a_while() {
        let mut budgets = Budgets::default();
        budgets.of(7).order(CREDIT + 1);
        assert!(!budgets.of(7).allows() && budgets.of(8).allows());
        let since = Instant::now().checked_sub(PERIOD).unwrap();
        budgets.0.insert(9, Arc::new(Budget { since, ..Budget::default() }));
        budgets.of(9).order(1);
        assert_eq!(budgets.of(9).ordered.load(Ordering::Relaxed), 1);
        assert_eq!(budgets.0.len(), 3);
    }
}
