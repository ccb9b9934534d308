//! Whether a caller is in a group. The kernel tells a request's user and first group alone.

use std::fs;

use crate::volume::ReqCtx;

/// Whether the caller has `gid` among its groups, or needs none: root, and the kernel itself. A
/// caller that is gone by now has no groups.
pub fn is_member(cx: &ReqCtx, gid: u32) -> bool {
    cx.uid == 0 || cx.gid == gid || cx.pid == 0 || supplementary(cx.pid, gid)
}

fn supplementary(pid: u32, gid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    groups.split_ascii_whitespace().any(|g| g.parse() == Ok(gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_group_it_is() {
        let own = std::process::id();
        let cx = |uid, gid, pid| ReqCtx { uid, gid, pid, umask: 0 };
        assert!(is_member(&cx(0, 0, own), 12345));
        assert!(is_member(&cx(7, 8, own), 8));
        assert!(!is_member(&cx(7, 8, own), 4_000_000_000));
        assert!(!is_member(&cx(7, 8, u32::MAX), 9));
        let of_own = rustix::process::getgroups().unwrap_or_default();
        assert!(of_own.iter().all(|g| is_member(&cx(7, 8, own), g.as_raw())));
    }
}
