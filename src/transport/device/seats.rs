//! Where the threads run while one of them lingers.
//!
//! The kernel wakes whichever thread waits longest for a request, and the scheduler chooses its CPU.
//! While one thread lingers on a CPU for a lone caller's sake (see [`hops`](crate::transport::hops)),
//! that caller and the thread that answers it belong on the other one, where each wakes the other
//! without waking a CPU. At all other times everybody runs anywhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::sched_getcpu;

use crate::transport::cpus::pin;

/// What the threads of a mount know of each other's places.
pub struct Seats {
    /// None: not on this machine.
    cpus: Option<[usize; 2]>,
    /// The CPU that is kept awake, and one; or nothing.
    kept: AtomicUsize,
}

impl Seats {
    /// For the two `cpus` of a machine that has two.
    pub fn new(cpus: Option<[usize; 2]>) -> Seats {
        Seats { cpus, kept: AtomicUsize::new(0) }
    }

    /// Whether a CPU is kept.
    pub fn any_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed) != 0
    }

    /// Of this thread.
    pub fn seat(&self) -> Seat<'_> {
        Seat { seats: self, on: None }
    }
}

/// Where one thread may run.
pub struct Seat<'a> {
    seats: &'a Seats,
    /// The only CPU, if it is one.
    on: Option<usize>,
}

impl<'a> Seat<'a> {
    /// Stays on the CPU that it runs on, and tells the others so, until the result is dropped.
    pub fn keep(&mut self) -> Kept<'a> {
        let here = sched_getcpu();
        self.stay_on(here);
        self.seats.kept.store(here + 1, Ordering::Relaxed);
        Kept(self.seats)
    }

    /// Moves off the CPU that another thread keeps, or anywhere if none does.
    pub fn make_way(&mut self) {
        let Some(cpus) = self.seats.cpus else { return };
        match self.seats.kept.load(Ordering::Relaxed).checked_sub(1) {
            Some(kept) => {
                let other = cpus.iter().find(|&&cpu| cpu != kept);
                other.into_iter().for_each(|&cpu| self.stay_on(cpu));
            }
            None if self.on.is_some() => {
                self.on = None;
                pin(&cpus);
            }
            None => {}
        }
    }

    fn stay_on(&mut self, cpu: usize) {
        if self.on != Some(cpu) {
            self.on = Some(cpu);
            pin(&[cpu]);
        }
    }
}

/// A CPU that is kept awake.
pub struct Kept<'a>(&'a Seats);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.kept.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;
    use crate::transport::cpus::pair;

    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
    }

    #[test]
    fn one_keeps_a_cpu_and_the_other_makes_way_until_it_is_free() {
        let all = allowed();
        let Some(&[first, second]) = all.first_chunk() else {
            assert!(pair().is_none());
            return;
        };
        pin(&[first, second]);
        let cpus = [first, second];
        let seats = Seats::new(Some(cpus));
        let mut mine = seats.seat();
        let kept = mine.keep();
        let here = allowed();
        assert_eq!(here.len(), 1);
        std::thread::scope(|threads| {
            let other = threads.spawn(|| {
                let mut other = seats.seat();
                other.make_way();
                assert_eq!(allowed().len(), 1);
                assert_ne!(allowed(), here);
                (other.on, allowed())
            });
            other.join().unwrap();
        });
        drop(kept);
        mine.make_way();
        assert_eq!(allowed(), cpus);
    }
}
