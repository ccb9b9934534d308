//! Which CPUs there are, and keeping a thread on one of them.

use std::fs;
use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread on `cpus`. A container may not let it, and an offline CPU cannot: then the
/// scheduler chooses, which is slower and nothing else.
pub fn pin(cpus: &[usize]) {
    let mut set = CpuSet::new();
    cpus.iter().filter(|&&cpu| cpu < CpuSet::MAX_CPU).for_each(|&cpu| set.set(cpu));
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::debug!(?cpus, %error, "a thread is not pinned");
    }
}

/// The two CPUs of a machine that has two, if this thread may run on both.
pub fn pair() -> Option<[usize; 2]> {
    let set = sched_getaffinity(None).ok()?;
    let allowed: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).take(3).collect();
    let two = <[usize; 2]>::try_from(allowed).ok()?;
    (cpus_that_are("online").ok()? == 2).then_some(two)
}

/// How many CPUs are `possible` or `online` (Linux: Documentation/admin-guide/cputopology.rst).
pub fn cpus_that_are(what: &str) -> io::Result<usize> {
    let text = fs::read_to_string(format!("/sys/devices/system/cpu/{what}"))?;
    count_of(text.trim()).ok_or_else(|| io::Error::other("the list of CPUs cannot be read"))
}

/// Numbers in a list like `0-3,8`.
fn count_of(list: &str) -> Option<usize> {
    let mut count = 0;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(count_of("0"), Some(1));
        assert_eq!(count_of("0-1"), Some(2));
        assert_eq!(count_of("0-3,8,10-11"), Some(7));
        assert_eq!(count_of("3-1"), None);
        assert_eq!(count_of(""), None);
        assert!(cpus_that_are("possible").unwrap() >= cpus_that_are("online").unwrap());
        assert!(cpus_that_are("online").unwrap() >= 1);
    }
}
