//! Keeping a lone caller where it is.
//!
//! A queue here is a thread that takes requests: one of the ring's, or one at the device.
//!
//! When a queue's thread has answered, the kernel looks for an idle CPU to wake the caller on, and
//! does not count the one that the thread itself still runs on. Of two CPUs the other is idle, so a
//! lone caller changes CPUs with every request. Where an idle CPU sleeps, as a virtual one does in
//! its hypervisor, each hop costs a wake-up of 20 microseconds and more, several times what the
//! request takes.
//!
//! So a queue whose caller hops away lingers: its thread stays awake for a moment, its CPU is not
//! idle, and the caller stays at the other queue. It lingers only while such a caller asks one
//! thing after the other, gives way to everybody who wants the CPU, and with more CPUs than two
//! not at all: the kernel would find another idle one.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// From a reply to the next request of the same caller on another CPU: with less than the first a
/// hop costs nothing worth saving, with more than the second the caller had other things to do.
const DEAR: u64 = 8_000;
const IDLE: u64 = 200_000;

/// Lingering ends after so long without a request anywhere, after so long with one that is being
/// served, and in any case after so long.
const QUIET: Duration = Duration::from_micros(120);
const SLOW: Duration = Duration::from_micros(250);
const MOST: Duration = Duration::from_millis(10);

/// Who is not alone is seen within this. Then nobody lingers for so many nanoseconds.
const SOON: Duration = Duration::from_micros(200);
const LATER: u64 = 20_000_000;

/// Somebody else had the CPU for more than so long, and for more than this part of the time that
/// was lingered: it would not be idle without us. Less than that are the ticks of a clock, what a
/// hypervisor does, and replies that nobody waits for.
const WANTED: Duration = Duration::from_micros(1000);
const PART: u32 = 2;

/// Who was away for less than this has not been away.
const AWAY: Duration = Duration::from_micros(10);

/// What the queues of one mount know of each other's callers. All of it may be out of date by a
/// request or two, which costs a hop.
pub struct Hops {
    /// None: not on this machine.
    queues: Option<Vec<Queue>>,
    began: Instant,
    /// Process and queue of the last request, as one number.
    last: AtomicU64,
    /// Requests of all queues, to see whether there are any, and how many of them a queue has
    /// answered or handed over.
    count: AtomicU64,
    replies: AtomicU64,
    /// The last of these was a request.
    serving: AtomicBool,
    /// Since the caller's last request nothing has been asked on his behalf.
    alone: AtomicBool,
    /// The queue that answers what is asked on his behalf, counted from 1.
    behalf: AtomicUsize,
    /// One lingers; another one that did so too would keep the caller off both CPUs.
    lingering: AtomicBool,
    /// Nobody lingers before that many nanoseconds from the beginning.
    not_before: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Nanoseconds from the beginning to its last reply.
    replied: AtomicU64,
    /// Its caller hops away from it.
    left: AtomicBool,
}

impl Hops {
    /// For `queues` queues. It does something only on `two` CPUs.
    pub fn new(queues: usize, two: bool) -> Hops {
        Hops {
            queues: two.then(|| (0..queues).map(|_| Queue::default()).collect()),
            began: Instant::now(),
            last: AtomicU64::new(u64::MAX),
            count: AtomicU64::new(0),
            replies: AtomicU64::new(0),
            serving: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            behalf: AtomicUsize::new(0),
            lingering: AtomicBool::new(false),
            not_before: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A request of process `pid` has come to `queue`.
    pub fn arrived(&self, queue: usize, pid: u32) {
        let Some(queues) = &self.queues else { return };
        // What the kernel asks for names no caller. Who closes or syncs a file waits for its pages
        // all the same; but nobody may be kept awake by the pages that are written in the background.
        if pid == 0 {
            let last = self.last.load(Ordering::Relaxed);
            if last & u64::from(u32::MAX) == queue as u64
                && self.alone.swap(false, Ordering::Relaxed)
            {
                self.behalf.store(queue + 1, Ordering::Relaxed);
                self.count();
            }
            return;
        }
        self.alone.store(true, Ordering::Relaxed);
        self.count();
        let here = u64::from(pid) << 32 | queue as u64;
        let before = self.last.swap(here, Ordering::Relaxed);
        if before == here || before >> 32 != here >> 32 {
            return;
        }
        let there = usize::try_from(before & u64::from(u32::MAX)).ok();
        if let Some(there) = there.and_then(|n| queues.get(n)) {
            let gap = self.now().saturating_sub(there.replied.load(Ordering::Relaxed));
            if (DEAR..IDLE).contains(&gap) {
                there.left.store(true, Ordering::Relaxed);
            }
        }
    }

    fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.serving.store(true, Ordering::Relaxed);
    }

    /// A reply to process `pid` is about to go out from `queue`.
    pub fn replied(&self, queue: usize, pid: u32) {
        let queue_number = queue + 1;
        if let Some(queue) = self.queues.as_ref().and_then(|queues| queues.get(queue)) {
            queue.replied.store(self.now(), Ordering::Relaxed);
        }
        // Not for what `arrived` did not count.
        if pid != 0 || self.behalf.load(Ordering::Relaxed) == queue_number {
            self.behalf.store(0, Ordering::Relaxed);
            self.handed_over();
        }
    }

    /// What has arrived last is not a queue's matter any more: somebody else answers it, who may
    /// have to wait.
    pub fn handed_over(&self) {
        if self.queues.is_some() && self.serving.swap(false, Ordering::Relaxed) {
            self.replies.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether `queue`, which has nothing to do, should linger; until the value is dropped.
    pub fn linger(&self, queue: usize) -> Option<Linger<'_>> {
        let queue = self.queues.as_ref()?.get(queue)?;
        if !queue.left.load(Ordering::Relaxed) {
            return None;
        }
        let now = self.now();
        if now < self.not_before.load(Ordering::Relaxed)
            || self.lingering.swap(true, Ordering::Relaxed)
        {
            return None;
        }
        let now = Instant::now();
        let seen = self.seen();
        let pid = self.pid();
        let away = Duration::ZERO;
        Some(Linger { hops: self, queue, pid, began: now, looked: now, stirred: now, away, seen })
    }

    /// Requests and replies so far.
    fn seen(&self) -> (u64, u64) {
        (self.count.load(Ordering::Relaxed), self.replies.load(Ordering::Relaxed))
    }

    /// The caller of the last request.
    fn pid(&self) -> u64 {
        self.last.load(Ordering::Relaxed) >> 32
    }
}

/// A queue that lingers.
pub struct Linger<'a> {
    hops: &'a Hops,
    queue: &'a Queue,
    /// For this caller's sake.
    pid: u64,
    began: Instant,
    looked: Instant,
    /// When there was a request or a reply last.
    stirred: Instant,
    /// For how long others had the CPU.
    away: Duration,
    seen: (u64, u64),
}

impl Linger<'_> {
    /// Whether it is still worth it at the time `now`. To be asked again and again, with a yield
    /// to others in between.
    pub fn goes_on(&mut self, now: Instant) -> bool {
        let seen = self.hops.seen();
        if seen != self.seen {
            self.seen = seen;
            self.stirred = now;
        }
        let away = now.duration_since(self.looked);
        self.looked = now;
        if away > AWAY {
            self.away += away;
        }
        let lingered = now.duration_since(self.began);
        let wanted = self.away > WANTED && self.away * PART > lingered;
        let serving = self.hops.serving.load(Ordering::Relaxed);
        let quiet = if serving { SLOW } else { QUIET };
        !wanted
            && self.hops.pid() == self.pid
            && now.duration_since(self.stirred) < quiet
            && lingered < MOST
    }

    /// The caller is not alone.
    pub fn not_alone(self) {
        self.give_up();
    }

    /// Not before another hop, and not soon if it was clear so soon.
    fn give_up(&self) {
        self.queue.left.store(false, Ordering::Relaxed);
        if self.looked.duration_since(self.began) < SOON {
            let later = self.hops.now().saturating_add(LATER);
            self.hops.not_before.store(later, Ordering::Relaxed);
        }
    }
}

impl Drop for Linger<'_> {
    fn drop(&mut self) {
        let long = self.looked.duration_since(self.began) >= MOST;
        if self.hops.pid() != self.pid {
            self.give_up();
        } else if long || self.stirred == self.began {
            // Another hop has to show that it is still of use; or the caller has gone.
            self.queue.left.store(false, Ordering::Relaxed);
        }
        self.hops.lingering.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller that has hopped from queue 0 to queue 1, after `gap`.
    fn hopped(hops: &Hops, pids: (u32, u32), gap: Duration) {
        hops.arrived(0, pids.0);
        hops.replied(0, pids.0);
        let began = Instant::now();
        while began.elapsed() < gap {
            std::hint::spin_loop();
        }
        hops.arrived(1, pids.1);
    }

    const DEARLY: Duration = Duration::from_micros(20);

    #[test]
    fn who_is_left_lingers_and_nobody_else() {
        let hops = Hops::new(2, true);
        assert!(hops.linger(0).is_none(), "nobody came");
        // A test's thread may be put off for longer than a caller may think: until it was not.
        while hops.linger(0).is_none() {
            hopped(&hops, (7, 7), DEARLY);
        }
        assert!(hops.linger(1).is_none(), "the caller is there");
    }

    #[test]
    fn one_at_a_time() {
        let hops = Hops::new(2, true);
        while hops.linger(0).is_none() || hops.linger(1).is_none() {
            hopped(&hops, (7, 7), DEARLY);
            hops.replied(1, 7);
            let began = Instant::now();
            while began.elapsed() < DEARLY {
                std::hint::spin_loop();
            }
            hops.arrived(0, 7);
        }
        hops.queues.iter().flatten().for_each(|queue| queue.left.store(true, Ordering::Relaxed));
        let first = hops.linger(0);
        assert!(first.is_some() && hops.linger(1).is_none());
        drop(first);
        assert!(hops.linger(1).is_some());
    }

    #[test]
    fn a_caller_with_other_things_to_do_and_two_callers_keep_nobody_awake() {
        let hops = Hops::new(2, true);
        hopped(&hops, (7, 7), Duration::from_millis(1));
        assert!(hops.linger(0).is_none(), "it thinks between its requests");
        hopped(&hops, (7, 8), DEARLY);
        assert!(hops.linger(0).is_none(), "two callers, each at home");
    }

    #[test]
    fn with_more_cpus_or_one_it_is_no_use() {
        let hops = Hops::new(64, false);
        hopped(&hops, (7, 7), DEARLY);
        assert!(hops.linger(0).is_none());
    }

    #[test]
    fn who_is_not_alone_is_left_alone_for_a_while() {
        let hops = Hops::new(2, true);
        let hop_again = |pid: u32| hopped(&hops, (pid, pid), DEARLY);
        // A crowd, and another caller, each seen at once.
        for crowd in [true, false] {
            while hops.not_before.load(Ordering::Relaxed) == 0 {
                hop_again(7);
                let Some(mut linger) = hops.linger(0) else { continue };
                if crowd {
                    linger.not_alone();
                } else {
                    hops.arrived(1, 8);
                    assert!(!linger.goes_on(linger.began));
                }
            }
            let until = hops.not_before.load(Ordering::Relaxed);
            hop_again(7);
            assert!(hops.linger(0).is_none() || hops.now() >= until);
            hops.not_before.store(0, Ordering::Relaxed);
        }
    }

    /// The queue 0 of `hops`, lingering for caller 7, who is to ask at queue 1.
    fn lingers(hops: &Hops) -> Linger<'_> {
        hops.arrived(1, 7);
        hops.replied(1, 7);
        hops.queues.iter().flatten().for_each(|q| q.left.store(true, Ordering::Relaxed));
        hops.linger(0).unwrap()
    }

    #[test]
    fn it_ends_when_nothing_comes_or_at_last() {
        let hops = Hops::new(2, true);
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        assert!((0..120).step_by(10).all(|t| linger.goes_on(at(t))));
        assert!(!linger.goes_on(at(120)), "nothing came");
        drop(linger);
        assert!(hops.linger(0).is_none(), "and it does not try again");

        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        for t in (0..10_000).step_by(10) {
            hops.arrived(1, 7);
            assert!(linger.goes_on(at(t)), "{t}");
        }
        hops.arrived(1, 7);
        assert!(!linger.goes_on(at(10_000)), "not for ever");
        drop(linger);
        assert!(hops.linger(0).is_none(), "and not before another hop");
    }

    #[test]
    fn a_request_that_is_being_served_is_waited_for_longer() {
        let hops = Hops::new(2, true);
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        hops.arrived(1, 7);
        assert!((0..=200).step_by(10).all(|t| linger.goes_on(at(t))));
        hops.replied(1, 7);
        assert!((210..330).step_by(10).all(|t| linger.goes_on(at(t))), "its caller has a moment");
        assert!(!linger.goes_on(at(330)), "nothing came");
        drop(linger);
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        hops.arrived(1, 7);
        assert!((0..250).step_by(10).all(|t| linger.goes_on(at(t))));
        assert!(!linger.goes_on(at(250)), "it waits for something");
    }

    #[test]
    fn what_is_handed_over_is_not_waited_for() {
        let hops = Hops::new(2, true);
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        hops.arrived(1, 7);
        hops.handed_over();
        assert!((0..120).step_by(10).all(|t| linger.goes_on(at(t))));
        assert!(!linger.goes_on(at(120)), "as if nothing had come");
    }

    #[test]
    fn of_what_names_no_caller_one_is_waited_for_where_the_caller_is() {
        let hops = Hops::new(2, true);
        let page_written = |queue: usize| {
            hops.arrived(queue, 0);
            hops.replied(queue, 0);
        };
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        // Closing a file: its page, for which the caller waits.
        hops.arrived(1, 0);
        assert!((0..200).step_by(10).all(|t| linger.goes_on(at(t))), "it is being served");
        hops.replied(1, 0);
        assert!((200..320).step_by(10).all(|t| linger.goes_on(at(t))), "its caller has a moment");
        assert!(!linger.goes_on(at(320)), "nothing came");
        drop(linger);
        // Pages written in the background, without end.
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        let mut goes_on = |queue: usize, t: u64| {
            page_written(queue);
            linger.goes_on(at(t))
        };
        assert!((0..120).step_by(10).all(|t| goes_on(0, t)));
        assert!(!goes_on(0, 120), "at the other queue nobody waits for that");
        drop(linger);
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        let mut goes_on = |t: u64| {
            page_written(1);
            linger.goes_on(at(t))
        };
        assert!((0..120).step_by(10).all(&mut goes_on));
        assert!(!goes_on(121), "nor for the second and all after it");
    }

    #[test]
    fn it_ends_when_somebody_wants_the_cpu() {
        let hops = Hops::new(2, true);
        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        hops.arrived(1, 7);
        assert!(linger.goes_on(at(900)), "a batch of somebody's work");
        drop(linger);

        let mut linger = lingers(&hops);
        let began = linger.began;
        let at = |micros: u64| began + Duration::from_micros(micros);
        let mut now = 0;
        while now < 5000 {
            hops.arrived(1, 7);
            now += if now % 100 == 90 { 15 } else { 5 };
            assert!(linger.goes_on(at(now)), "a blink of 15 in 100 at {now}");
        }
        hops.arrived(1, 7);
        assert!(!linger.goes_on(at(9000)), "somebody who has things to do");
        drop(linger);

        let mut linger = lingers(&hops);
        let began = linger.began;
        hops.arrived(1, 7);
        assert!(!linger.goes_on(began + Duration::from_micros(1001)), "and that at once");
    }
}
