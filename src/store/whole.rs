//! A store as a whole, while nobody serves it: look at its copies, take one away, bring one back.
//!
//! A backup is a copy like any other, under the same root key; what unlocks it is not part of it,
//! but for the slots. Nothing is written before everything that is to be written was checked.

use std::path::{Path, PathBuf};

use super::copy::{Copy, make_dir};
use super::embedded::{Embedded, EmbeddedError, directories};
use super::locked::Locked;
use super::open::{OpenError, lock, records_key};
use crate::custody::unlock::{Slot, Unlock};
use crate::secret::Secret;

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyState {
    /// The directory.
    pub dir: PathBuf,
    /// How many commits the copy has seen, if that can be told.
    pub generation: Option<u64>,
    /// What is wrong with it; `None` if nothing is.
    pub fault: Option<String>,
}

/// Checks every row of every copy, and that all copies are equal. Changes nothing.
pub fn verify(dir: &Path, mirrors: &[PathBuf], way: &Unlock) -> Result<Vec<CopyState>, OpenError> {
    let _lock = lock(dir)?;
    let locked = Locked::find(&directories(dir, mirrors))?;
    let key = key_of(&locked, way)?;
    let mut states = Vec::new();
    let mut wanted: Option<(u64, [u8; 32])> = None;
    // Newest first: the first that is whole is what the others must be.
    for copy in &locked.copies {
        let fault = match (copy.verify(&key), wanted) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(content), None) => {
                wanted = Some((copy.generation, content));
                None
            }
            (Ok(_), Some((newest, _))) if copy.generation < newest => {
                Some(format!("{} commits behind", newest.saturating_sub(copy.generation)))
            }
            (Ok(content), Some((_, wanted))) => {
                (content != wanted).then(|| "records are missing".to_owned())
            }
        };
        let generation = Some(copy.generation);
        states.push(CopyState { dir: copy.dir.clone(), generation, fault });
    }
    for (dir, error) in &locked.broken {
        let fault = Some(error.to_string());
        states.push(CopyState { dir: dir.clone(), generation: None, fault });
    }
    Ok(states)
}

/// Writes the newest good copy to `to`, where no store may be. Returns how many commits it has
/// seen.
///
/// # Crash
/// The copy has its name in `to` when all of it is there.
pub fn backup(dir: &Path, mirrors: &[PathBuf], way: &Unlock, to: &Path) -> Result<u64, OpenError> {
    let _lock = lock(dir)?;
    let copy = newest(Locked::find(&directories(dir, mirrors))?, way)?;
    vacant(&[to.to_path_buf()])?;
    write(&copy, to)?;
    Ok(copy.generation)
}

/// Makes a store of a backup: in `dir` and in every mirror. Where a store is already, it is only
/// replaced if `replace` says so. Returns how many commits the backup has seen.
///
/// # Crash
/// Each copy takes its place as a whole; of several, some may be the new ones.
pub fn restore(
    from: &Path,
    dir: &Path,
    mirrors: &[PathBuf],
    way: &Unlock,
    replace: bool,
) -> Result<u64, OpenError> {
    let copy = newest(Locked::find(&[from.to_path_buf()])?, way)?;
    make_dir(dir).map_err(|source| OpenError::Directory { dir: dir.to_path_buf(), source })?;
    let _lock = lock(dir)?;
    let dirs = directories(dir, mirrors);
    if !replace {
        vacant(&dirs)?;
    }
    dirs.iter().try_for_each(|dir| write(&copy, dir))?;
    Ok(copy.generation)
}

fn key_of(locked: &Locked, way: &Unlock) -> Result<Secret<[u8; 32]>, OpenError> {
    let slots: Vec<Slot> = locked.slots()?.into_iter().map(|(_, slot)| slot).collect();
    Ok(records_key(&way.open(&slots)?))
}

/// The newest copy whose every row is authentic.
fn newest(locked: Locked, way: &Unlock) -> Result<Copy, OpenError> {
    let key = key_of(&locked, way)?;
    let good = locked.copies.into_iter().find(|copy| copy.verify(&key).is_ok());
    good.ok_or_else(|| EmbeddedError::Damaged.into())
}

fn vacant(dirs: &[PathBuf]) -> Result<(), OpenError> {
    match dirs.iter().find(|dir| Embedded::exists(&[(*dir).clone()])) {
        Some(dir) => Err(OpenError::Occupied { dir: dir.clone() }),
        None => Ok(()),
    }
}

fn write(copy: &Copy, dir: &Path) -> Result<(), OpenError> {
    let failed = |cause| EmbeddedError::Write { dir: dir.to_path_buf(), cause };
    copy.replicate(dir).map_err(failed)?;
    Ok(())
}
