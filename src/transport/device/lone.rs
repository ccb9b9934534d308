//! A lone caller, and the threads at the device.
//!
//! The kernel wakes whichever thread waits longest for a request, on whichever CPU the scheduler
//! likes: on two CPUs a lone caller and its server wake each other across them, at each request and
//! at each reply. So a thread whose caller [hops](crate::transport::hops) away lingers instead of
//! waiting for a request, the other one takes them all, and both it and the caller stay on the CPU
//! that is left to them. As soon as there is more to do than one thread can, everybody waits again.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::sched_yield;

use super::Device;
use super::seats::{Seat, Seats};
use crate::transport::cpus::pair;
use crate::transport::hops::{Hops, Linger};
use crate::transport::sys::switches;

/// If requests lay there all the time while one was served that took so long, there is a crowd, or
/// a slow request that others are not to wait for. A lone caller's RELEASE or FORGET, for which it
/// does not wait, lies there next to what it asks, but is served sooner.
const CROWD: Duration = Duration::from_micros(20);

/// Between two requests of a lone caller lie two switches between tasks. Whoever takes so many in a
/// row with fewer switches than that has more to do than one thread should.
const ROW: i64 = 16;
const SWITCHES: i64 = 4;

/// What the threads of one mount know of callers and of each other.
pub struct Lone {
    hops: Hops,
    seats: Seats,
    /// Requests that are being served.
    busy: AtomicUsize,
    /// There are more of them than one thread should have.
    crowd: AtomicBool,
}

impl Lone {
    /// For so many threads. To be called on a thread that is not pinned.
    pub fn new(threads: usize) -> Lone {
        let cpus = pair();
        let two = cpus.is_some();
        Lone {
            hops: Hops::new(threads, two),
            seats: Seats::new(cpus),
            busy: AtomicUsize::new(0),
            crowd: AtomicBool::new(false),
        }
    }

    /// What thread `number` has of it.
    pub fn thread(&self, number: usize) -> Thread<'_> {
        Thread { lone: self, number, seat: self.seats.seat(), row: 0, switches: 0 }
    }
}

/// One thread.
pub struct Thread<'a> {
    lone: &'a Lone,
    number: usize,
    seat: Seat<'a>,
    /// Requests in a row while another one lingers, and the thread's switches before them.
    row: i64,
    switches: i64,
}

impl<'a> Thread<'a> {
    /// Stays awake for a moment, if that keeps a caller where it is. To be called before each wait
    /// for a request.
    pub fn linger(&mut self, device: &Device) {
        if let Some(linger) = self.lone.hops.linger(self.number) {
            let _kept = self.seat.keep();
            self.stay_awake(linger, device);
        }
        // Not asleep on one CPU for longer than that is of use.
        self.seat.make_way();
    }

    fn stay_awake(&self, mut linger: Linger<'_>, device: &Device) {
        self.lone.crowd.store(false, Ordering::Relaxed);
        let mut alone = Instant::now();
        loop {
            let now = Instant::now();
            if self.lone.busy.load(Ordering::Acquire) == 0 || !device.ready() {
                alone = now;
            } else if now.duration_since(alone) >= CROWD {
                return linger.not_alone();
            }
            if self.lone.crowd.load(Ordering::Relaxed) {
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

    /// A request of process `pid` has come. The result is to be dropped right before the reply.
    pub fn arrived(&mut self, pid: u32) -> Serving<'a> {
        self.seat.make_way();
        self.count();
        let others = self.lone.busy.fetch_add(1, Ordering::AcqRel);
        // A caller whose last request is not answered yet has not hopped anywhere.
        if others == 0 {
            self.lone.hops.arrived(self.number, pid);
        }
        let pid = if others == 0 { pid } else { 0 };
        Serving { lone: self.lone, number: self.number, pid, here: true }
    }
}

impl Thread<'_> {
    /// Notes a request, and a crowd when there is one.
    fn count(&mut self) {
        if !self.lone.seats.any_kept() {
            self.row = 0;
            return;
        }
        if self.row == 0 {
            self.switches = switches();
        }
        self.row += 1;
        if self.row == ROW {
            if switches() - self.switches < SWITCHES {
                self.lone.crowd.store(true, Ordering::Relaxed);
            }
            self.row = 0;
        }
    }
}

impl Serving<'_> {
    /// Another thread takes it over: it is not answered yet, and no matter of this one any more.
    pub fn handed_over(mut self) {
        self.here = false;
    }
}

/// A request that is being served.
pub struct Serving<'a> {
    lone: &'a Lone,
    number: usize,
    /// 0: nobody's that counts.
    pid: u32,
    here: bool,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if self.here {
            self.lone.hops.replied(self.number, self.pid);
        } else if self.pid != 0 {
            self.lone.hops.handed_over();
        }
        self.lone.busy.fetch_sub(1, Ordering::AcqRel);
    }
}
