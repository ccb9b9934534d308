//! Local users: login names of user ids, and the groups of a running process.
//!
//! Invariant: nothing here is taken from the peer. Names come from the user database, groups
//! from the kernel; what cannot be established is absent, never guessed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::sys;
use crate::kms::caller::Principal;
use crate::kms::id::AccountId;

/// How long a name is believed before the database is asked again.
const NAME_LIFE: Duration = Duration::from_secs(60);

/// Most names remembered; reaching it forgets all of them.
const MAX_NAMES: usize = 10_000;

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

/// Who local users are, where they are somebody else than `user/LOGIN` of the service's account.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// By user id.
    pub users: HashMap<u32, Principal>,
    /// By group: a member acts in this role, with his name as the session. The first that fits.
    pub roles: Vec<(u32, AccountId, String)>,
}

impl Mapping {
    /// The identity of a user with these groups, if the mapping has one. `name` is his name in
    /// ARNs.
    pub fn of(&self, uid: u32, groups: &[u32], name: &str) -> Option<Principal> {
        if let Some(user) = self.users.get(&uid) {
            return Some(user.clone());
        }
        let (_, account, role) = self.roles.iter().find(|(gid, _, _)| groups.contains(gid))?;
        let (account, role, session) = (account.clone(), role.clone(), name.to_owned());
        Some(Principal::AssumedRole { account, role, session })
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
    super::process::Process::of(pid, uid).map(|process| process.groups().to_vec())
}

/// Supplementary groups in the text of `/proc/PID/status`, if it is of a process of `uid`.
pub(super) fn groups_in(status: &str, uid: u32) -> Option<Vec<u32>> {
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
    fn a_user_of_the_mapping_is_whom_it_says() {
        let account: AccountId = "444455556666".parse().unwrap();
        let anna = Principal::user(&account, "anna");
        let mapping = Mapping {
            users: HashMap::from([(7, anna.clone())]),
            roles: vec![(50, account.clone(), "Dba".into()), (51, account, "Reader".into())],
        };
        assert_eq!(mapping.of(7, &[50], "x"), Some(anna));
        let arn = |groups| mapping.of(8, groups, "bob").map(|p| p.to_string());
        let dba = "arn:aws:sts::444455556666:assumed-role/Dba/bob";
        assert_eq!(arn(&[51, 50]).as_deref(), Some(dba));
        assert_eq!(arn(&[1]), None);
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
