//! Local users: login names of user ids, and the groups of a running process.
//!
//! Invariant: nothing here is taken from the peer. Names come from the user database, groups
//! from the kernel; what cannot be established is absent, never guessed.

use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::sys;

/// How long a name is believed before the database is asked again.
const NAME_LIFE: Duration = Duration::from_secs(60);

/// Most names remembered; reaching it forgets all of them.
const MAX_NAMES: usize = 10_000;

/// Most bytes of `/proc/PID/status` that are read.
const MAX_STATUS: u64 = 1 << 20;

/// Login names by user id, remembered for a minute: the database may be a server far away.
#[derive(Debug, Default)]
pub struct Names {
    known: DashMap<u32, (String, Instant)>,
}

impl Names {
    /// The user's name in ARNs: the login name, or `uid-1234` for a user that has none, whose
    /// name no ARN can hold, or whose name the database could not tell just now.
    pub fn of(&self, uid: u32) -> String {
        if let Some(entry) = self.known.get(&uid)
            && entry.1.elapsed() < NAME_LIFE
        {
            return entry.0.clone();
        }
        let name = match sys::login_name(uid) {
            Ok(Some(login)) if fits_arn(&login) => login,
            Ok(_) => format!("uid-{uid}"),
            Err(error) => {
                tracing::warn!(uid, %error, "the user database does not answer");
                // Not remembered, so that the right name is there when the database is back.
                return format!("uid-{uid}");
            }
        };
        if self.known.len() >= MAX_NAMES {
            self.known.clear();
        }
        self.known.insert(uid, (name.clone(), Instant::now()));
        name
    }
}

/// User id of a login name; `None` if there is no such user, or no answer.
pub fn uid_of(login: &str) -> Option<u32> {
    told(sys::uid_of(login))
}

/// Group id of a group name; `None` if there is no such group, or no answer.
pub fn gid_of(group: &str) -> Option<u32> {
    told(sys::gid_of(group))
}

fn told(answer: std::io::Result<Option<u32>>) -> Option<u32> {
    answer
        .inspect_err(|error| tracing::warn!(%error, "the user database does not answer"))
        .ok()
        .flatten()
}

/// What IAM allows in user names. A login name that looks like another user's number is no name.
fn fits_arn(login: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    (1..=64).contains(&login.len()) && login.bytes().all(usual) && !login.starts_with("uid-")
}

/// Supplementary groups of the process or thread `pid`, if it exists and runs as `uid`.
pub fn groups_of(pid: u32, uid: u32) -> Option<Vec<u32>> {
    use std::io::Read;
    if pid == 0 {
        return None;
    }
    // Room for the whole text, which the kernel then hands over in one piece.
    let mut status = String::with_capacity(4096);
    std::fs::File::open(format!("/proc/{pid}/status"))
        .ok()?
        .take(MAX_STATUS)
        .read_to_string(&mut status)
        .ok()?;
    groups_in(&status, uid)
}

fn groups_in(status: &str, uid: u32) -> Option<Vec<u32>> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Real, effective, saved, filesystem: FUSE and SO_PEERCRED tell the last and the second.
    let mut uids = field("Uid:")?.split_ascii_whitespace().skip(1).step_by(2);
    if !uids.any(|text| text.parse() == Ok(uid)) {
        return None;
    }
    field("Groups:")?.split_ascii_whitespace().map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_logins_or_numbers() {
        let names = Names::default();
        assert_eq!(names.of(0), "root");
        assert_eq!(names.of(0), "root");
        assert_eq!(names.of(4_000_000_123), "uid-4000000123");
        for bad in ["", "uid-0", "a/b", "a b", "a:b", "ä"] {
            assert!(!fits_arn(bad), "{bad:?}");
        }
        assert!(fits_arn("anna.b+c@example-1"));
    }

    #[test]
    fn groups_only_of_a_process_of_that_user() {
        let me = rustix::process::geteuid().as_raw();
        assert!(groups_of(std::process::id(), me).is_some());
        assert_eq!(groups_of(std::process::id(), me + 1), None);
        assert_eq!(groups_of(0, me), None);
        let status = "Name:\tx\nUid:\t7\t8\t9\t10\nGid:\t1 1 1 1\nGroups:\t4 24 100 \n";
        assert_eq!(groups_in(status, 8), Some(vec![4, 24, 100]));
        assert_eq!(groups_in(status, 10), Some(vec![4, 24, 100]));
        assert_eq!(groups_in(status, 7), None);
        assert_eq!(groups_in("Uid:\t7\t7\t7\t7\nGroups:\t\n", 7), Some(vec![]));
        assert_eq!(groups_in("Uid:\t7\t7\t7\t7\nGroups:\tx\n", 7), None);
        assert_eq!(groups_in("Groups:\t1\n", 7), None);
    }
}
