//! A thread that works ahead for others, kept off the CPU that they run on.
//!
//! Who goes through files one after the other gives a helper work and goes on at once. A scheduler
//! that packs threads together, as those of virtual machines do, wakes the helper on the same CPU,
//! and what was to be done beside is then done in between, while other CPUs idle.

use rustix::process::Pid;
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::OnceLock;
use super::atomic::{AtomicUsize, Ordering};

/// The helper as those see it who give it work.
pub struct Aside {
    helper: OnceLock<(Pid, CpuSet)>,
    /// The CPU that it keeps off.
    off: AtomicUsize,
}

impl Default for Aside {
    fn default() -> Self {
        Self { helper: OnceLock::new(), off: AtomicUsize::new(usize::MAX) }
    }
}

impl Aside {
    /// Says that this thread is the helper, which may run where it may now.
    pub fn is_me(&self) {
        if let Ok(anywhere) = sched_getaffinity(None) {
            let _ = self.helper.set((gettid(), anywhere)); // a helper says so once
        }
    }

    /// Sends the helper away from this CPU, if there is another for it. To be called before it is
    /// woken, by a thread that will go on. Refused, it stays: slower, and nothing else.
    pub fn step_aside(&self) {
        let Some((helper, anywhere)) = self.helper.get() else { return };
        let here = sched_getcpu();
        if here >= CpuSet::MAX_CPU || self.off.load(Ordering::Relaxed) == here {
            return;
        }
        let mut others = *anywhere;
        others.unset(here);
        if others.count() > 0 && sched_setaffinity(Some(*helper), &others).is_ok() {
            self.off.store(here, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::Arc;
    use super::*;

    #[test]
    fn a_helper_leaves_the_cpu_of_whoever_gives_it_work() {
        let aside = Arc::new(Aside::default());
        aside.step_aside(); // nobody is there yet
        let (work, jobs) = channel::<()>();
        let (tell, told) = channel();
        let helper = Arc::clone(&aside);
        let thread = std::thread::spawn(move || {
            helper.is_me();
            tell.send(gettid()).unwrap();
            while jobs.recv().is_ok() {}
        });
        let helper = told.recv().unwrap();
        let anywhere = sched_getaffinity(Some(helper)).unwrap();
        // Kept here for the test: the scheduler may move a thread at any time.
        let before = sched_getaffinity(None).unwrap();
        let here = sched_getcpu();
        let mut only = CpuSet::new();
        only.set(here);
        sched_setaffinity(None, &only).unwrap();
        aside.step_aside();
        let left = sched_getaffinity(Some(helper)).unwrap();
        sched_setaffinity(None, &before).unwrap();
        if anywhere.count() > 1 {
            assert!(!left.is_set(here), "it may still run on CPU {here}");
            assert_eq!(left.count(), anywhere.count() - 1);
        } else {
            assert_eq!(left, anywhere, "the only CPU is for all");
        }
        drop(work);
        thread.join().unwrap();
    }
}
