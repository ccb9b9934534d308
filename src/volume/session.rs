//! Mount sessions: which sudden stops a volume has seen, and what they excuse.
//!
//! Every mount that may write is a session with a number. It is recorded in the descriptor as
//! live, durably, before anything else is written, and the record goes away at a clean unmount.
//! A record that is still there at the next mount is of a session that was stopped: killed, if
//! boot and lower mount are the same, so that everything it wrote is still in the page cache; or
//! else without power, so that anything not synced may be lost.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::format::{Descriptor, MAX_RECORDS, SessionKind, SessionRecord};
use crate::lower::LowerIdentity;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Seconds by which a lower filesystem's idea of "now" may lag behind the clock: timestamps come
/// from the last tick.
const SLACK: i64 = 2;

/// The sessions that stopped suddenly, and ours.
#[derive(Debug)]
pub(super) struct Sessions {
    stopped: Vec<SessionRecord>,
    /// Number of this mount; 0 for a read-only one.
    pub current: u64,
    /// When this one began, in seconds.
    start: i64,
    /// Whether something of this one was left between two steps: see [`Sessions::spoil`].
    spoiled: AtomicBool,
}

/// What is known of the session that wrote a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It ended well, or so long ago that nothing of it is open.
    Well,
    /// It was killed.
    Killed,
    /// Power was lost in it.
    PowerLost,
    /// It is this mount.
    Current,
}

impl Sessions {
    /// The sessions of a descriptor as found, for a mount that is about to begin.
    pub fn judge(descriptor: &Descriptor, identity: &LowerIdentity) -> Sessions {
        let now = seconds_now();
        let stopped = descriptor.unclean.iter().map(|record| {
            let mut record = *record;
            if record.kind == SessionKind::Live {
                let same = record.boot_id == identity.boot_id
                    && record.lower_mount == identity.mount_id
                    && identity.boot_id != [0; 16];
                record.kind = if same { SessionKind::Killed } else { SessionKind::PowerLost };
                record.end = now;
            }
            record
        });
        Sessions {
            stopped: stopped.collect(),
            current: 0,
            start: now,
            spoiled: AtomicBool::new(false),
        }
    }

    /// Begins a session: the records to write, with ours as the last.
    pub fn begin(&mut self, descriptor: &mut Descriptor, identity: &LowerIdentity) {
        self.make_room();
        self.current = descriptor.session + 1;
        descriptor.session = self.current;
        descriptor.unclean = self.stopped.clone();
        descriptor.unclean.push(SessionRecord {
            first: self.current,
            last: self.current,
            start: self.start,
            end: 0,
            boot_id: identity.boot_id,
            lower_mount: identity.mount_id,
            kind: SessionKind::Live,
        });
    }

    /// The lower filesystem failed in the middle of something that could not be undone: from here
    /// on this session excuses what a killed one would, and its record stays when it ends.
    pub fn spoil(&self) {
        if !self.spoiled.swap(true, Ordering::AcqRel) {
            tracing::error!("the lower filesystem failed half-way: this session counts as stopped");
        }
    }

    fn spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Acquire)
    }

    /// The records to write at a clean end: ours goes, unless it was spoiled.
    pub fn end(&self, descriptor: &mut Descriptor) {
        let ours = descriptor.unclean.iter().find(|r| self.spoiled() && r.covers(self.current));
        let ours =
            ours.map(|r| SessionRecord { kind: SessionKind::Killed, end: seconds_now(), ..*r });
        descriptor.unclean = self.stopped.clone();
        descriptor.unclean.extend(ours);
    }

    /// Two neighbours become one when the list is full: it then excuses what either did, and
    /// loses whichever distinction the two do not share.
    fn make_room(&mut self) {
        while self.stopped.len() >= MAX_RECORDS {
            let (Some(&a), Some(&b)) = (self.stopped.first(), self.stopped.get(1)) else { return };
            let lost = [a, b].iter().any(|r| r.kind == SessionKind::PowerLost);
            let kind = if lost { SessionKind::PowerLost } else { SessionKind::Killed };
            let merged = SessionRecord { first: a.first, start: a.start.min(b.start), kind, ..b };
            self.stopped.splice(0..2, [merged]);
        }
    }

    /// How session `number` ended.
    pub fn ended(&self, number: u64) -> Ended {
        if self.current != 0 && number == self.current {
            return Ended::Current;
        }
        match self.stopped.iter().find(|r| r.covers(number)).map(|r| r.kind) {
            Some(SessionKind::PowerLost) => Ended::PowerLost,
            Some(_) => Ended::Killed,
            None => Ended::Well,
        }
    }

    /// Whether any session stopped suddenly.
    pub fn any_stopped(&self) -> bool {
        !self.stopped.is_empty() || self.spoiled()
    }

    /// Whether power was ever lost.
    pub fn any_lost_power(&self) -> bool {
        self.stopped.iter().any(|r| r.kind == SessionKind::PowerLost)
    }

    /// Whether an object that last changed below at `ctime` (seconds) may be in a state between
    /// two steps, because a session was stopped around then.
    pub fn excuses(&self, ctime: i64) -> bool {
        self.stopped.iter().any(|r| (r.start - SLACK..=r.end + SLACK).contains(&ctime))
            || (self.spoiled() && ctime >= self.start - SLACK)
    }
}

fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
