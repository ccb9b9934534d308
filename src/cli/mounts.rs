//! The kernel's mount table, and who holds a lock.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One mount that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What of the filesystem is mounted: `/` for all.
    pub root: PathBuf,
    /// Where.
    pub mountpoint: PathBuf,
    /// `fuse.kmsfs` for ours.
    pub kind: String,
    /// For ours, the lower directory.
    pub source: PathBuf,
    /// Device number.
    pub device: (u32, u32),
    /// Mounted read-only.
    pub read_only: bool,
}

impl Mount {
    /// Whether it is one of ours.
    pub fn is_kmsfs(&self) -> bool {
        self.kind == "fuse.kmsfs"
    }
}

/// What is mounted exactly at `path` (absolute, without symlinks), the topmost one.
pub fn at(path: &Path) -> io::Result<Option<Mount>> {
    Ok(all()?.into_iter().rfind(|m| m.mountpoint == path))
}

/// All mounts of this mount namespace, the later over the earlier.
pub fn all() -> io::Result<Vec<Mount>> {
    Ok(parse(&fs::read("/proc/self/mountinfo")?))
}

fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

/// `id parent major:minor root mountpoint options [tags...] - type source superoptions`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let (major, minor) = std::str::from_utf8(fields.nth(2)?).ok()?.split_once(':')?;
    let root = unescape(fields.next()?);
    let mountpoint = unescape(fields.next()?);
    let options = std::str::from_utf8(fields.next()?).ok()?;
    let mut tail = fields.skip_while(|f| *f != b"-").skip(1);
    let kind = String::from_utf8(tail.next()?.to_vec()).ok()?;
    let source = unescape(tail.next()?);
    Some(Mount {
        root: root.into(),
        mountpoint: mountpoint.into(),
        kind,
        source: source.into(),
        device: (major.parse().ok()?, minor.parse().ok()?),
        read_only: options.split(',').any(|o| o == "ro"),
    })
}

/// Undoes the kernel's `\040` for a space and the like.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\').and_then(octal);
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// The process that holds a flock(2) on `file`, if any, as this pid namespace calls it.
pub fn lock_holder(file: &Path) -> Option<u32> {
    let meta = fs::metadata(file).ok()?;
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let table = fs::read_to_string("/proc/locks").ok()?;
    holder_in(&table, &wanted)
}

/// `1: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE 0 EOF`
fn holder_in(table: &str, wanted: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (kind, pid) = (fields.next()?, fields.nth(2)?);
        let inode = fields.next()?;
        (kind == "FLOCK" && inode == wanted).then(|| pid.parse().ok()).flatten()
    })
}

/// Whether one of two directories is the other, or lies inside it: found by walking up, so that
/// bind mounts and other aliases of a path do not hide it. Says how.
pub fn overlap(lower: &Path, mountpoint: &Path) -> io::Result<Option<&'static str>> {
    let id = |p: &Path| fs::metadata(p).map(|m| (m.dev(), m.ino()));
    let (low, mount) = (id(lower)?, id(mountpoint)?);
    if low == mount {
        return Ok(Some("are the same directory"));
    }
    for above in mountpoint.ancestors().skip(1) {
        if id(above)? == low {
            return Ok(Some("overlap: the mount point is inside the lower directory"));
        }
    }
    for above in lower.ancestors().skip(1) {
        if id(above)? == mount {
            return Ok(Some("overlap: the lower directory is inside the mount point"));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_line_with_everything() {
        let line = b"36 35 98:1 / /mnt/my\\040files rw,noatime shared:1 master:2 - fuse.kmsfs \
            /srv/a\\134b rw,user_id=0\n37 35 0:44 / /x ro - tmpfs tmpfs rw\ngarbage\n";
        let mounts = parse(line);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].mountpoint, PathBuf::from("/mnt/my files"));
        assert_eq!(mounts[0].source, PathBuf::from("/srv/a\\b"));
        assert_eq!(mounts[0].device, (98, 1));
        assert!(mounts[0].is_kmsfs() && !mounts[0].read_only);
        assert!(!mounts[1].is_kmsfs() && mounts[1].read_only);
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(at(Path::new("/")).unwrap().is_some());
        assert!(at(Path::new("/no/such/place")).unwrap().is_none());
    }

    #[test]
    fn who_holds_a_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(lock_holder(file.path()), None);
        rustix::fs::flock(file.as_fd(), rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert_eq!(lock_holder(file.path()), Some(std::process::id()));
        let table = "1: POSIX  ADVISORY  READ 7 00:19:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 99 00:19:42 0 EOF\n";
        assert_eq!(holder_in(table, "00:19:42"), Some(99));
        assert_eq!(holder_in(table, "00:19:43"), None);
    }

    #[test]
    fn overlaps() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("a/b/c"));
        let d = dir.path().join("d");
        fs::create_dir_all(&b).unwrap();
        fs::create_dir(&d).unwrap();
        assert!(overlap(&a, &a).unwrap().is_some());
        assert!(overlap(&a, &b).unwrap().is_some_and(|h| h.contains("mount point is inside")));
        assert!(overlap(&b, &a).unwrap().is_some_and(|h| h.contains("lower directory is inside")));
        assert_eq!(overlap(&a, &d).unwrap(), None);
    }
}
