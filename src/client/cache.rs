//! Decisions and data keys that were given before.
//!
//! Invariant: an entry answers only for the same caller, the same everything that the wrapped
//! key commits to (CMK, version, ciphertext, volume, object), and the same epoch. So a hit is
//! the answer that the service would have given; a header that was exchanged below is a miss.
//!
//! A decision is remembered for at most [`LIFE`], because policies may depend on the time of day,
//! which moves no epoch.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::who::Who;
use crate::server::messages::{Kind, Object, Place, Told, Wrapped};
use crate::volume::keys::DataKey;

/// How long a decision is remembered.
pub const LIFE: Duration = Duration::from_secs(60);

/// Decisions remembered, in all.
const DECISIONS: usize = 1 << 16;

/// Data keys remembered. They lie in locked memory, of which processes have little.
const KEYS: usize = 4096;

/// Locks that the decisions are spread over.
const SHARDS: usize = 16;

/// Hash over everything that a wrapped key and its place commit to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// Of a wrapped key where it lies.
    pub fn of(wrapped: &Wrapped, place: &Place) -> Self {
        let (kind, id) = match place.object {
            Object::Volume => (0, [0; 16]),
            Object::Directory(id) => (1, id),
            Object::File(id) => (2, id),
        };
        let mut hash = Sha256::new();
        // Fixed-length parts first, then the length of the one that comes before the rest.
        hash.update(place.volume);
        hash.update([kind]);
        hash.update(id);
        hash.update(wrapped.version.to_le_bytes());
        hash.update(u64::try_from(wrapped.key_id.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(&wrapped.key_id);
        hash.update(&wrapped.blob);
        Self(hash.finalize().into())
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// May unwrap this, for an object there.
    Unwrap(Who, Commitment, At),
    /// May have keys made for objects of this kind, there.
    Generate(Who, String, [u8; 16], Kind, At),
}

/// Where an object is, as far as a decision may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// No policy asks.
    Anywhere,
    /// A policy asks, and it cannot be established.
    Unknown,
    /// At the path with this SHA-256.
    Path([u8; 32]),
}

impl At {
    /// Of what is told to the service.
    pub fn of(told: &Told) -> At {
        match told {
            Told::Nothing => At::Anywhere,
            Told::Unknown => At::Unknown,
            Told::Path(path) => At::Path(Sha256::digest(path).into()),
        }
    }
}

/// Answers that were yes. No is never remembered: it is asked, and audited, again.
pub struct Cache {
    decisions: Vec<Mutex<LruCache<Question, (u64, Instant)>>>,
    keys: Mutex<LruCache<Commitment, (u64, DataKey)>>,
    /// What was decided under an older epoch than this is not taken in any more: it would lie
    /// here unused, and unwiped.
    oldest: AtomicU64,
    hasher: std::hash::RandomState,
}

impl Default for Cache {
    fn default() -> Self {
        Self::with_sizes(DECISIONS, KEYS)
    }
}

impl Cache {
    /// Room for about so many decisions, and exactly so many keys.
    pub fn with_sizes(decisions: usize, keys: usize) -> Self {
        let room = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            decisions: (0..SHARDS)
                .map(|_| Mutex::new(LruCache::new(room(decisions / SHARDS))))
                .collect(),
            keys: Mutex::new(LruCache::new(room(keys))),
            oldest: AtomicU64::new(0),
            hasher: std::hash::RandomState::new(),
        }
    }

    /// Whether this was decided with yes under `epoch`, and not too long ago.
    pub fn allowed(&self, question: &Question, epoch: u64) -> bool {
        let Some(shard) = self.shard(question) else { return false };
        let mut shard = shard.lock();
        let Some((since, at)) = shard.get(question) else { return false };
        *since == epoch && at.elapsed() < LIFE
    }

    /// Remembers a yes that was asked for at `asked`, when `epoch` held. The caller reads both
    /// before it asks, so that a change in between makes the entry void.
    pub fn allow(&self, question: Question, epoch: u64, asked: Instant) {
        if let Some(shard) = self.shard(&question) {
            shard.lock().put(question, (epoch, asked));
        }
    }

    /// A data key that was unwrapped under `epoch`. Asking for it without [`Cache::allowed`]
    /// would skip the decision.
    pub fn key(&self, commitment: &Commitment, epoch: u64) -> Option<DataKey> {
        let mut keys = self.keys.lock();
        let (since, key) = keys.get(commitment)?;
        (*since == epoch).then(|| key.duplicate())
    }

    /// Remembers a data key.
    pub fn keep(&self, commitment: Commitment, epoch: u64, key: DataKey) {
        let mut keys = self.keys.lock();
        if epoch >= self.oldest.load(Ordering::Acquire) {
            keys.put(commitment, (epoch, key));
        }
    }

    /// Forgets everything, wipes the keys, and takes in no more than what is of `epoch`, or comes
    /// after it.
    pub fn clear(&self, epoch: u64) {
        self.oldest.fetch_max(epoch, Ordering::AcqRel);
        self.keys.lock().clear();
        for shard in &self.decisions {
            shard.lock().clear();
        }
    }

    fn shard(&self, question: &Question) -> Option<&Mutex<LruCache<Question, (u64, Instant)>>> {
        use std::hash::BuildHasher;
        let hash = usize::try_from(self.hasher.hash_one(question) >> 48).unwrap_or(0);
        self.decisions.get(hash % SHARDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::server::messages::Operation;

    fn wrapped() -> Wrapped {
        Wrapped { key_id: "k".into(), version: 1, blob: vec![1, 2, 3] }
    }

    fn place() -> Place {
        Place { volume: [7; 16], object: Object::File([9; 16]) }
    }

    #[test]
    fn every_part_of_the_commitment_counts() {
        let base = Commitment::of(&wrapped(), &place());
        assert_eq!(base, Commitment::of(&wrapped(), &place()));
        let with = |change: fn(&mut Wrapped, &mut Place)| {
            let (mut w, mut p) = (wrapped(), place());
            change(&mut w, &mut p);
            Commitment::of(&w, &p)
        };
        let others = [
            with(|w, _| w.key_id = "l".into()),
            with(|w, _| w.version = 2),
            with(|w, _| w.blob = vec![1, 2, 4]),
            with(|w, _| w.blob = vec![1, 2]),
            with(|w, _| {
                w.key_id = "k\u{1}".into();
                w.blob = vec![2, 3];
            }),
            with(|_, p| p.volume = [8; 16]),
            with(|_, p| p.object = Object::File([8; 16])),
            with(|_, p| p.object = Object::Directory([9; 16])),
            with(|_, p| p.object = Object::Volume),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "change {at}");
        }
    }

    #[test]
    fn a_decision_is_for_one_caller_and_one_epoch() {
        let cache = Cache::default();
        let commitment = Commitment::of(&wrapped(), &place());
        let question = |who| Question::Unwrap(who, commitment, At::Anywhere);
        let user =
            |uid, gid, groups| question(Who::User { uid, gid, groups, operation: Operation::Read });
        cache.allow(user(1, 1, None), 5, Instant::now());
        assert!(cache.allowed(&user(1, 1, None), 5));
        assert!(!cache.allowed(&user(1, 1, None), 6));
        assert!(!cache.allowed(&user(2, 1, None), 5));
        assert!(!cache.allowed(&user(1, 2, None), 5));
        assert!(!cache.allowed(&user(1, 1, Some([0; 16])), 5));
        assert!(!cache.allowed(&question(Who::Service), 5));
        cache.clear(5);
        assert!(!cache.allowed(&user(1, 1, None), 5));
    }

    #[test]
    fn a_decision_is_for_a_minute() {
        let cache = Cache::default();
        let question =
            Question::Generate(Who::Service, "k".into(), [0; 16], Kind::File, At::Anywhere);
        let Some(long_ago) = Instant::now().checked_sub(LIFE) else { return };
        cache.allow(question.clone(), 5, long_ago);
        assert!(!cache.allowed(&question, 5));
        cache.allow(question.clone(), 5, long_ago + Duration::from_secs(30));
        assert!(cache.allowed(&question, 5));
    }

    #[test]
    fn keys_are_bounded_and_void_under_another_epoch() {
        let cache = Cache::with_sizes(16, 2);
        let commit = |n| Commitment::of(&Wrapped { version: n, ..wrapped() }, &place());
        for n in 0..3 {
            cache.keep(commit(n), 1, Secret::new([u8::try_from(n).unwrap(); 32]));
        }
        assert!(cache.key(&commit(0), 1).is_none(), "the oldest has gone");
        assert_eq!(cache.key(&commit(2), 1).unwrap().expose(), &[2; 32]);
        assert!(cache.key(&commit(2), 2).is_none());
    }
}
