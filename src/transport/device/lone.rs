//! A lone caller, and the threads at the device.
//!
//! The kernel wakes whichever thread waits longest for a request, on whichever CPU the scheduler
//! likes: on two CPUs a lone caller and its server wake each other across them, at each request and
//! at each reply. So a thread whose caller [hops](crate::transport::hops) away lingers instead of
//! waiting for a request, the other one takes them all, and both it and the caller stay on the CPU
//! that is left to them. As soon as there is more to do than one thread can, everybody waits again.

use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::sched_yield;

use super::Device;
use super::seats::{Seat, Seats};
use crate::transport::cpus::pair;
use crate::transport::hops::Hops;

/// Requests that lie there for so long while another one is served are a crowd: a lone caller's
/// RELEASE, for which it does not wait, is served sooner.
const CROWD: Duration = Duration::from_micros(20);

/// What the threads of one mount know of callers and of each other.
pub struct Lone {
    hops: Hops,
    seats: Seats,
    /// Requests that are being served.
    busy: AtomicUsize,
}

impl Lone {
    /// For so many threads. To be called on a thread that is not pinned.
    pub fn new(threads: usize) -> Lone {
        let cpus = pair();
        let two = cpus.is_some();
        Lone { hops: Hops::new(threads, two), seats: Seats::new(cpus), busy: AtomicUsize::new(0) }
    }

    /// What thread `number` has of it.
    pub fn thread(&self, number: usize) -> Thread<'_> {
        Thread { lone: self, number, seat: self.seats.seat() }
    }
}

/// One thread.
pub struct Thread<'a> {
    lone: &'a Lone,
    number: usize,
    seat: Seat<'a>,
}

impl<'a> Thread<'a> {
    /// Stays awake for a moment, if that keeps a caller where it is.
    pub fn linger(&mut self, device: &Device) {
        let Some(mut linger) = self.lone.hops.linger(self.number) else { return };
        let _kept = self.seat.keep();
        let mut alone = Instant::now();
        loop {
            let now = Instant::now();
            if self.lone.busy.load(Ordering::Acquire) == 0 || !device.ready() {
                alone = now;
            } else if now.duration_since(alone) >= CROWD {
                return linger.not_alone();
            }
            if !linger.goes_on(now) {
                return;
            }
            // A pause is some 40 nanoseconds; a yield costs ten times that.
            (0..20).for_each(|_| hint::spin_loop());
            sched_yield();
        }
    }

    /// A request of process `pid` has come. The result is to be dropped right before the reply, or
    /// when another thread takes it over.
    pub fn arrived(&mut self, pid: u32) -> Serving<'a> {
        self.seat.make_way();
        let others = self.lone.busy.fetch_add(1, Ordering::AcqRel);
        // A caller whose last request is not answered yet has not hopped anywhere.
        if others == 0 {
            self.lone.hops.arrived(self.number, pid);
        }
        Serving { lone: self.lone, number: self.number }
    }
}

/// A request that is being served.
pub struct Serving<'a> {
    lone: &'a Lone,
    number: usize,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.lone.hops.replied(self.number);
        self.lone.busy.fetch_sub(1, Ordering::AcqRel);
    }
}
