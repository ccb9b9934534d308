//! Where in its volume something below a mount is, as the mount would tell the key service.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::mounts::{self, Mount};

/// The path from the volume's root on. `None`: there is no mount, or, as for the mount itself, a
/// file has more than one name. What is not there yet has the path that it will have.
pub fn in_volume(path: &Path) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            let path = fs::canonicalize(path)?;
            return Ok(below(&path, &mounts::all()?));
        }
        Ok(found) if found.nlink() != 1 => return Ok(None),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let Some(name) = path.file_name() else { return Ok(None) };
    let path = directory_of(path)?.join(name);
    Ok(below(&path, &mounts::all()?))
}

/// The directory that something is in, without symlinks.
fn directory_of(path: &Path) -> io::Result<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::canonicalize(parent.unwrap_or(Path::new(".")))
}

/// `path` is absolute and without symlinks. The topmost of the deepest mounts counts.
fn below(path: &Path, mounts: &[Mount]) -> Option<String> {
    let over = mounts.iter().filter(|mount| path.starts_with(&mount.mountpoint));
    let mount = over.max_by_key(|mount| mount.mountpoint.components().count())?;
    if !mount.is_kmsfs() {
        return None;
    }
    // A part of a volume can be mounted elsewhere: its root says which.
    let rest = path.strip_prefix(&mount.mountpoint).ok()?;
    let mut place = mount.root.clone();
    place.extend(rest);
    Some(String::from_utf8_lossy(place.as_os_str().as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(root: &str, mountpoint: &str, kind: &str) -> Mount {
        Mount {
            root: root.into(),
            mountpoint: mountpoint.into(),
            kind: kind.into(),
            source: "/lower".into(),
            device: (0, 1),
            read_only: false,
        }
    }

    #[test]
    fn the_deepest_mount_counts_and_its_root_goes_in_front() {
        let mounts = [
            mount("/", "/", "ext4"),
            mount("/", "/mnt", "fuse.kmsfs"),
            mount("/", "/mnt/else", "tmpfs"),
            mount("/sub/dir", "/srv", "fuse.kmsfs"),
        ];
        for (path, place) in [
            ("/mnt", Some("/")),
            ("/mnt/a/b", Some("/a/b")),
            ("/mnt/else/a", None),
            ("/mntx", None),
            ("/srv", Some("/sub/dir")),
            ("/srv/a", Some("/sub/dir/a")),
        ] {
            assert_eq!(below(Path::new(path), &mounts).as_deref(), place, "{path}");
        }
    }

    #[test]
    fn what_is_in_no_mount_of_ours_has_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        for path in [dir.path(), &file, &dir.path().join("not there")] {
            assert_eq!(in_volume(path).unwrap(), None);
        }
        in_volume(&dir.path().join("no/directory")).expect_err("nothing is there");
    }
}
