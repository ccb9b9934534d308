//! What `init` and `mount` share: is this a volume, and what does the volume's refusal mean.

use std::fs;
use std::io;
use std::path::Path;

use super::error::CliError;
use super::exit::Exit;
use super::mounts;
use crate::format::{DescriptorError, VOLUME_DIR, VOLUME_FILE};
use crate::volume::VolumeError;
use crate::volume::keys::KeyError;

/// What a lower directory is, before a key is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    /// A volume, whole or not.
    Volume,
    /// Nothing yet.
    Empty,
    /// Somebody's files.
    Other,
}

/// Looks at a lower directory.
pub fn look(lower: &Path) -> Result<Lower, CliError> {
    let failed = |source| CliError::Io { action: "read", path: lower.to_owned(), source };
    match fs::symlink_metadata(lower.join(VOLUME_DIR).join(VOLUME_FILE)) {
        Ok(_) => return Ok(Lower::Volume),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(Lower::Other),
        Err(e) => return Err(failed(e)),
    }
    let mut entries = fs::read_dir(lower).map_err(failed)?;
    match entries.next() {
        None => Ok(Lower::Empty),
        Some(entry) => entry.map(|_| Lower::Other).map_err(failed),
    }
}

/// The volume's refusal, with its exit code and advice.
pub fn refused(lower: &Path, e: VolumeError) -> CliError {
    let path = lower.to_owned();
    let exit = match &e {
        VolumeError::NotAVolume => return CliError::NotVolume { path },
        VolumeError::Exists => return CliError::AlreadyVolume { path },
        VolumeError::NotEmpty => return CliError::NotEmpty { path },
        VolumeError::Busy => {
            let pid = mounts::lock_holder(&path.join(VOLUME_DIR).join("lock"));
            return CliError::Mounted { path, pid };
        }
        VolumeError::Lower(errno) => {
            let source = io::Error::from(*errno);
            return CliError::Io { action: "use lower directory", path, source };
        }
        VolumeError::Descriptor(DescriptorError::TooNew { .. }) => Exit::TooNew,
        VolumeError::Descriptor(_) | VolumeError::Root => Exit::Damaged,
        VolumeError::Key(KeyError::Denied | KeyError::PathWanted) => Exit::Denied,
        VolumeError::Key(KeyError::Unusable) => Exit::KeyUnusable,
        VolumeError::Key(KeyError::Unreachable | KeyError::Interrupted) => Exit::Unreachable,
        VolumeError::Key(KeyError::Corrupt) => Exit::Damaged,
        VolumeError::Unclean(_) => Exit::Failed,
    };
    CliError::Volume { path, what: e.to_string(), exit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let lower = dir.path();
        assert_eq!(look(lower).unwrap(), Lower::Empty);
        fs::write(lower.join("x"), "").unwrap();
        assert_eq!(look(lower).unwrap(), Lower::Other);
        fs::create_dir(lower.join(VOLUME_DIR)).unwrap();
        assert_eq!(look(lower).unwrap(), Lower::Other);
        fs::write(lower.join(VOLUME_DIR).join(VOLUME_FILE), "").unwrap();
        assert_eq!(look(lower).unwrap(), Lower::Volume);
        assert!(look(&lower.join("none")).is_err());
    }

    #[test]
    fn every_key_trouble_has_its_code() {
        let exit = |e| refused(Path::new("/l"), VolumeError::Key(e)).exit();
        assert_eq!(exit(KeyError::Denied), Exit::Denied);
        assert_eq!(exit(KeyError::Unusable), Exit::KeyUnusable);
        assert_eq!(exit(KeyError::Unreachable), Exit::Unreachable);
        assert_eq!(exit(KeyError::Corrupt), Exit::Damaged);
    }
}
