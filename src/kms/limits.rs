//! What an account, or a key, may have, and how often an account may ask: so that no tenant can
//! take everything.

use dashmap::DashMap;

use super::api::Action;
use super::error::KmsError;
use super::id::AccountId;
use crate::clock::Millis;
use crate::sync::Mutex;

/// Quotas and rates. The defaults are AWS's quotas, and no rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys of an account in a Region.
    pub keys: u32,
    /// Aliases of a key.
    pub aliases: u32,
    /// Grants on a key.
    pub grants: u32,
    /// Rotations on demand of a key.
    pub rotations: u32,
    /// Requests of an account in a Region.
    pub rates: Rates,
}

/// Requests per second; `None` for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests that use a key.
    pub cryptographic: Option<u32>,
    /// All others.
    pub management: Option<u32>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            keys: 100_000,
            aliases: 50,
            grants: 50_000,
            rotations: 25,
            rates: Rates::default(),
        }
    }
}

/// Counts the requests of each account.
#[derive(Debug, Default)]
pub struct Throttle {
    cryptographic: Buckets,
    management: Buckets,
}

impl Throttle {
    /// Lets a request of `account` pass, or not.
    pub fn pass(
        &self,
        rates: &Rates,
        account: &AccountId,
        action: Action,
        now: Millis,
    ) -> Result<(), KmsError> {
        let (buckets, rate) = if action.cryptographic() {
            (&self.cryptographic, rates.cryptographic)
        } else {
            (&self.management, rates.management)
        };
        match rate {
            Some(rate) if !buckets.take(account, rate, now) => Err(KmsError::Throttling),
            _ => Ok(()),
        }
    }
}

/// One per account; only who is authenticated gets one, so there are no more than accounts.
#[derive(Debug, Default)]
struct Buckets(DashMap<AccountId, Mutex<Bucket>>);

/// What is left, in thousandths of a request, as of a moment.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    at: i64,
}

impl Buckets {
    /// Takes one of the requests that `rate` per second leaves; a second's worth can be saved up.
    fn take(&self, account: &AccountId, rate: u32, now: Millis) -> bool {
        let full = u64::from(rate).saturating_mul(ONE);
        if let Some(bucket) = self.0.get(account) {
            return bucket.lock().take(full, u64::from(rate), now.0);
        }
        let fresh = || Mutex::new(Bucket { left: full, at: now.0 });
        let bucket = self.0.entry(account.clone()).or_insert_with(fresh);
        bucket.lock().take(full, u64::from(rate), now.0)
    }
}

impl Bucket {
    /// `rate` per second is also how many thousandths come back each millisecond.
    fn take(&mut self, full: u64, rate: u64, now: i64) -> bool {
        // A clock that was set back gives nothing.
        let passed = u64::try_from(now.saturating_sub(self.at)).unwrap_or(0);
        self.left = self.left.saturating_add(passed.saturating_mul(rate)).min(full);
        self.at = now;
        let enough = self.left >= ONE;
        if enough {
            self.left -= ONE;
        }
        enough
    }
}

const ONE: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(throttle: &Throttle, account: &str, action: Action, now: i64, tries: u32) -> usize {
        let rates = Rates { cryptographic: Some(10), management: None };
        let account = account.parse().unwrap();
        let once = |_: &u32| throttle.pass(&rates, &account, action, Millis(now)).is_ok();
        (0..tries).filter(once).count()
    }

    #[test]
    fn a_second_has_its_number_and_no_account_takes_from_another() {
        let throttle = Throttle::default();
        assert_eq!(passed(&throttle, "111122223333", Action::Decrypt, 0, 50), 10);
        assert_eq!(passed(&throttle, "444455556666", Action::Encrypt, 0, 50), 10);
        assert_eq!(passed(&throttle, "111122223333", Action::Decrypt, 99, 50), 0);
        assert_eq!(passed(&throttle, "111122223333", Action::Decrypt, 100, 50), 1);
        assert_eq!(passed(&throttle, "111122223333", Action::Decrypt, 600, 50), 5);
        assert_eq!(passed(&throttle, "111122223333", Action::Decrypt, 99_000, 50), 10, "no more");
        assert_eq!(passed(&throttle, "111122223333", Action::ListKeys, 99_000, 50), 50);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_locks_nobody_out() {
        let throttle = Throttle::default();
        assert_eq!(passed(&throttle, "111122223333", Action::Sign, 5_000, 50), 10);
        assert_eq!(passed(&throttle, "111122223333", Action::Sign, 1_000, 50), 0);
        assert_eq!(passed(&throttle, "111122223333", Action::Sign, 2_000, 50), 10);
    }
}
