//! Signing keys that were made already: each takes four sums, and is good for a day.
//!
//! The secret of an access key never changes, so its id stands for it here. Whether the access
//! key is still good is for the caller to ask, each time.

use dashmap::DashMap;

use super::{Presented, signing_key};
use crate::secret::Secret;
use crate::sync::Arc;

/// Most keys remembered; reaching it forgets all of them.
const MAX: usize = 10_000;

/// What a signing key is of: access key, day, Region, service.
type Scope = (String, String, String, String);

/// Remembers signing keys.
#[derive(Debug, Default)]
pub struct SigningKeys {
    known: DashMap<Scope, Arc<Secret<[u8; 32]>>>,
}

impl SigningKeys {
    /// The signing key of the scope that was presented. `secret` is that of its access key.
    pub fn of(&self, presented: &Presented, secret: &[u8]) -> Arc<Secret<[u8; 32]>> {
        let Presented { access_key, date, region, service, .. } = presented;
        let scope = (access_key.clone(), date.clone(), region.clone(), service.clone());
        if let Some(known) = self.known.get(&scope) {
            return known.clone();
        }
        let made = signing_key(secret, date, region, service);
        let made = Arc::new(Secret::new_with(|key| key.copy_from_slice(made.as_slice())));
        if self.known.len() >= MAX {
            self.known.clear();
        }
        self.known.insert(scope, made.clone());
        made
    }
}
