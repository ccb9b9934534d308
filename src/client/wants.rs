//! For whom, and under which keys, a policy in force asks where in the volume an object is.
//!
//! The service says so when it is asked without that being told. From then on, and until the epoch
//! moves, the filesystem is told without asking: it alone can establish the path, and has reason to
//! do so only where somebody wants to know.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::server::messages::{OnBehalf, Told};
use crate::volume::keys::KeyError;

/// Most that are remembered; past it the memory begins anew.
const MOST: usize = 10_000;

/// What is known.
#[derive(Default)]
pub struct Wants {
    /// Anything at all, to be looked at without the lock.
    any: AtomicBool,
    /// The last epoch in which it was so, by user and key.
    known: Mutex<HashMap<(Option<u32>, String), u64>>,
}

impl Wants {
    /// Whether a question may be asked with what is told.
    ///
    /// # Errors
    /// [`KeyError::PathWanted`]: nothing is told, and it is known that something must be.
    pub fn told(
        &self,
        caller: OnBehalf,
        key_id: &str,
        epoch: u64,
        told: &Told,
    ) -> Result<(), KeyError> {
        if *told != Told::Nothing || !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.known.lock().get(&(user(caller), key_id.to_owned())) {
            Some(since) if *since == epoch => Err(KeyError::PathWanted),
            _ => Ok(()),
        }
    }

    /// Notes that something must be told. Gives what the asker is told.
    pub fn note(&self, caller: OnBehalf, key_id: String, epoch: u64) -> KeyError {
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((user(caller), key_id), epoch);
        self.any.store(true, Ordering::Release);
        KeyError::PathWanted
    }

    /// Notes it if that is what was answered, and passes the answer on.
    pub fn heard<T>(
        &self,
        answer: Result<T, KeyError>,
        caller: OnBehalf,
        key_id: &str,
        epoch: u64,
    ) -> Result<T, KeyError> {
        answer.map_err(|error| match error {
            KeyError::PathWanted => self.note(caller, key_id.to_owned(), epoch),
            other => other,
        })
    }
}

fn user(caller: OnBehalf) -> Option<u32> {
    match caller {
        OnBehalf::Service => None,
        OnBehalf::User { uid, .. } => Some(uid),
    }
}
