//! A caller as far as decisions can depend on it: user, group and supplementary groups.
//!
//! Policies see the groups of the calling process, so a remembered decision must be of a caller
//! with the same ones. The service establishes them by itself when it decides; here they only
//! choose what is remembered. Reading them costs several microseconds, so they are believed for
//! [`GROUPS_LIFE`]: a process that changes its groups is noticed within a second. They are believed
//! of the process that they were read from, which is held by a descriptor, and not of its number:
//! when it has ended, whoever has the number now is looked at anew.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::server::dispatch::Process;
use crate::server::messages::{OnBehalf, Operation};

/// How long the groups of a process are believed.
pub const GROUPS_LIFE: Duration = Duration::from_secs(1);

/// For how long a process that was there is not looked for again. The kernel gives out numbers in
/// turn (pid_max is 301 at least), so nobody else can have its number by then.
const STILL_THERE: Duration = Duration::from_millis(1);

/// Processes remembered, each with a descriptor.
const PROCESSES: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// Hash of a set of groups; `None` if they could not be established.
type Groups = Option<[u8; 16]>;

/// Who is in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The filesystem.
    Service,
    /// A process of a user.
    User {
        /// Effective user id.
        uid: u32,
        /// Effective group id.
        gid: u32,
        /// Its supplementary groups.
        groups: Groups,
        /// What it is about to do.
        operation: Operation,
    },
}

/// Looks callers up.
pub struct Callers {
    seen: Mutex<LruCache<(u32, u32), Known>>,
}

/// A process that was looked at.
struct Known {
    at: Instant,
    /// When it was last found to be there.
    there: Instant,
    groups: Groups,
    process: Process,
}

impl Known {
    fn holds(&mut self) -> bool {
        let now = Instant::now();
        if now - self.at >= GROUPS_LIFE {
            return false;
        }
        if now - self.there >= STILL_THERE {
            if !self.process.lives() {
                return false;
            }
            self.there = now;
        }
        true
    }
}

impl Default for Callers {
    fn default() -> Self {
        Self { seen: Mutex::new(LruCache::new(PROCESSES)) }
    }
}

impl Callers {
    /// The caller, with groups that were true within the last second.
    pub fn recent(&self, caller: OnBehalf) -> Who {
        let OnBehalf::User { uid, gid, pid, operation } = caller else { return Who::Service };
        if pid == 0 {
            return Who::User { uid, gid, groups: None, operation };
        }
        if let Some(known) = self.seen.lock().get_mut(&(pid, uid))
            && known.holds()
        {
            return Who::User { uid, gid, groups: known.groups, operation };
        }
        self.now(caller)
    }

    /// Lets go of processes whose groups are not believed any more. To be called now and then.
    pub fn forget_old(&self) {
        let mut seen = self.seen.lock();
        let old = |known: &Known| known.at.elapsed() >= GROUPS_LIFE;
        let gone: Vec<_> =
            seen.iter().filter(|(_, known)| old(known)).map(|(who, _)| *who).collect();
        for who in gone {
            seen.pop(&who);
        }
    }

    /// The caller as it is now.
    pub fn now(&self, caller: OnBehalf) -> Who {
        let OnBehalf::User { uid, gid, pid, operation } = caller else { return Who::Service };
        let process = Process::of(pid, uid);
        let groups = process.as_ref().map(|process| hash(process.groups().to_vec()));
        let mut seen = self.seen.lock();
        match process {
            Some(process) => {
                let now = Instant::now();
                seen.put((pid, uid), Known { at: now, there: now, groups, process });
            }
            // Nothing is known of it, and that takes no time to find out again.
            None => drop(seen.pop(&(pid, uid))),
        }
        Who::User { uid, gid, groups, operation }
    }
}

fn hash(mut groups: Vec<u32>) -> [u8; 16] {
    groups.sort_unstable();
    let mut hash = Sha256::new();
    for group in groups {
        hash.update(group.to_le_bytes());
    }
    let whole: [u8; 32] = hash.finalize().into();
    *whole.first_chunk().expect("32 bytes have a first 16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_part_of_the_caller() {
        let callers = Callers::default();
        let (uid, operation) = (rustix::process::geteuid().as_raw(), Operation::Read);
        let me = OnBehalf::User { uid, gid: 5, pid: std::process::id(), operation };
        let known = callers.now(me);
        assert!(matches!(known, Who::User { groups: Some(_), .. }));
        assert_eq!(callers.recent(me), known);
        let unknown = callers.now(OnBehalf::User { uid, gid: 5, pid: 0, operation });
        assert_ne!(known, unknown);
        assert_eq!(unknown, Who::User { uid, gid: 5, groups: None, operation });
        // The process of another user says nothing about this one.
        let other = OnBehalf::User { uid: uid + 1, gid: 5, pid: std::process::id(), operation };
        assert_eq!(callers.now(other), Who::User { uid: uid + 1, gid: 5, groups: None, operation });
        assert_eq!(callers.now(OnBehalf::Service), Who::Service);
    }

    #[test]
    fn a_process_that_has_ended_is_not_believed_in() {
        let callers = Callers::default();
        let (uid, operation) = (rustix::process::geteuid().as_raw(), Operation::Read);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let its = OnBehalf::User { uid, gid: 5, pid: child.id(), operation };
        let known = callers.now(its);
        assert!(matches!(known, Who::User { groups: Some(_), .. }));
        assert_eq!(callers.recent(its), known);
        child.kill().unwrap();
        child.wait().unwrap();
        std::thread::sleep(STILL_THERE);
        // Its number is free now; whoever gets it has nothing of its.
        assert_eq!(callers.recent(its), Who::User { uid, gid: 5, groups: None, operation });
    }

    #[test]
    fn no_descriptor_is_held_for_longer_than_groups_are_believed() {
        let callers = Callers::default();
        let (uid, operation) = (rustix::process::geteuid().as_raw(), Operation::Read);
        callers.now(OnBehalf::User { uid, gid: 5, pid: std::process::id(), operation });
        callers.forget_old();
        assert_eq!(callers.seen.lock().len(), 1);
        std::thread::sleep(GROUPS_LIFE);
        callers.forget_old();
        assert_eq!(callers.seen.lock().len(), 0);
    }

    #[test]
    fn the_hash_is_of_the_set() {
        assert_eq!(hash(vec![1, 2]), hash(vec![2, 1]));
        assert_ne!(hash(vec![1, 2]), hash(vec![1]));
        assert_ne!(hash(vec![]), hash(vec![0]));
    }
}
