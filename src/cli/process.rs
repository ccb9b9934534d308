//! What the process does to itself before it handles a secret.

use std::cmp::{max, min};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors wanted: every open file of the mount has one below.
const DESCRIPTORS: u64 = 1 << 20;

/// Gives up the right to exceed quotas and reserves, for this thread and those it starts: what a
/// mount writes it writes for its users, who have no such right.
pub fn obey_quotas() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    if let Ok(mut mine) = capabilities(None) {
        mine.effective.remove(CapabilitySet::SYS_RESOURCE);
        if let Err(error) = set_capabilities(None, mine) {
            tracing::warn!(%error, "quotas of the lower filesystem may not bind this mount");
        }
    }
}

/// No core dumps, no ptrace by others of the same user, no reading of `/proc/PID/mem`, and
/// enough descriptors. What the system refuses stays as it was: none of it changes what a
/// command does.
pub fn harden() {
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    let raised =
        |most, hard| setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: hard });
    if files.current.is_none_or(|now| now >= DESCRIPTORS) {
        return;
    }
    // Root may go beyond the limit that it was started with: all users' files count here.
    let hard = files.maximum.map(|hard| max(hard, DESCRIPTORS));
    if raised(DESCRIPTORS, hard).is_err() {
        let most = files.maximum.map_or(DESCRIPTORS, |hard| min(hard, DESCRIPTORS));
        let _ = raised(most, files.maximum);
    }
}

/// Whether a process is there and not a zombie.
pub fn lives(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name, in parentheses, may hold anything; the state follows the last one.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardened() {
        harden();
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }

    #[test]
    fn the_living_and_the_dead() {
        assert!(lives(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!lives(pid));
    }
}
