//! The client against a key service of a few lines that counts what it is asked.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::*;
use crate::client::conn::Unreachable;
use crate::format::FileId;
use crate::secret::Secret;
use crate::server::messages::{CachedUse, Fresh, Refusal};
use crate::volume::keys::{KeyAhead, Purpose};

/// Wraps a key by writing it down; denies the uids that it is told to.
#[derive(Default)]
struct Fake {
    epoch: AtomicU64,
    away: AtomicBool,
    denied: Mutex<Vec<u32>>,
    made: AtomicUsize,
    batches: Mutex<Vec<u16>>,
    unwraps: AtomicUsize,
    /// How many keys each question asked ahead was of.
    early: Mutex<Vec<usize>>,
    decisions: AtomicUsize,
    reported: Mutex<Vec<CachedUse>>,
    tampered: Mutex<Vec<String>>,
    /// Moves the epoch in the middle of the next unwrap.
    race: AtomicBool,
}

impl Fake {
    fn refuses(&self, caller: OnBehalf) -> bool {
        matches!(caller, OnBehalf::User { uid, .. } if self.denied.lock().contains(&uid))
    }

    fn bump(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }
}

impl KmsConn for Fake {
    fn ask(&self, ask: Ask) -> Result<Answer, Unreachable> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Unreachable);
        }
        Ok(match ask {
            Ask::Generate { caller, .. } if self.refuses(caller) => Answer::No(Refusal::Denied),
            Ask::Generate { key_id, count, .. } => {
                self.batches.lock().push(count);
                let fresh = |_| {
                    let number = self.made.fetch_add(1, Ordering::SeqCst);
                    let key = [u8::try_from(number % 251).unwrap(); 32];
                    Fresh {
                        id: (number as u128).to_le_bytes(),
                        key: KeyBytes(Secret::new(key)),
                        wrapped: Wrapped { key_id: key_id.clone(), version: 1, blob: key.to_vec() },
                    }
                };
                Answer::Fresh((0..count).map(fresh).collect())
            }
            Ask::Unwrap { caller, wrapped, .. } => {
                self.unwraps.fetch_add(1, Ordering::SeqCst);
                if self.refuses(caller) {
                    return Ok(Answer::No(Refusal::Denied));
                }
                if self.race.swap(false, Ordering::SeqCst) {
                    self.bump();
                }
                match wrapped.blob.try_into() {
                    Ok(key) => Answer::Key(KeyBytes(Secret::<[u8; 32]>::new(key))),
                    Err(_) => Answer::No(Refusal::Corrupt),
                }
            }
            Ask::UnwrapAhead { caller, items } => {
                self.early.lock().push(items.len());
                self.unwraps.fetch_add(items.len(), Ordering::SeqCst);
                let key = |(wrapped, _): (Wrapped, _)| {
                    let key = wrapped.blob.try_into().ok().filter(|_| !self.refuses(caller))?;
                    Some(KeyBytes(Secret::<[u8; 32]>::new(key)))
                };
                Answer::Keys(items.into_iter().map(key).collect())
            }
            Ask::AuthorizeGenerate { caller, .. } | Ask::AuthorizeUnwrap { caller, .. } => {
                self.decisions.fetch_add(1, Ordering::SeqCst);
                if self.refuses(caller) { Answer::No(Refusal::Denied) } else { Answer::Done }
            }
            Ask::CachedUses(uses) => {
                self.reported.lock().extend(uses);
                Answer::Done
            }
            Ask::Tamper { object, .. } => {
                self.tampered.lock().push(object);
                Answer::Done
            }
            _ => Answer::No(Refusal::BadRequest),
        })
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn current(&self) -> bool {
        !self.away.load(Ordering::SeqCst)
    }
}

const ANNA: Caller = Caller::User { uid: 1, gid: 1, pid: 10, operation: volume::Operation::Read };
const BEN: Caller = Caller::User { uid: 2, gid: 1, pid: 11, operation: volume::Operation::Read };
const VOLUME: VolumeId = VolumeId([9; 16]);

fn client() -> (Arc<Fake>, KeyClient) {
    let fake = Arc::new(Fake::default());
    let client = KeyClient::new(fake.clone()).unwrap();
    (fake, client)
}

fn a_file(n: u8) -> (WrappedKey, KeyContext) {
    let wrapped = WrappedKey { key_id: "cmk".into(), version: 1, blob: vec![n; 32] };
    (wrapped, KeyContext { volume: VOLUME, purpose: Purpose::File(FileId([n; 16])) })
}

#[test]
fn a_repeated_unwrap_is_answered_from_memory_and_counted() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    for _ in 0..5 {
        let key = client.unwrap(ANNA, &wrapped, &context).unwrap();
        assert_eq!(key.expose(), &[1; 32]);
        client.authorize(ANNA, &wrapped, &context).unwrap();
    }
    assert_eq!(Fake::count(&fake.unwraps), 1);
    assert_eq!(Fake::count(&fake.decisions), 0);
    drop(client);
    let reported = fake.reported.lock();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].hits, 9, "every use is in the audit trail, asked or counted");
}

#[test]
fn memory_is_for_the_same_caller_and_the_same_everything() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    client.unwrap(ANNA, &wrapped, &context).unwrap();
    client.unwrap(BEN, &wrapped, &context).unwrap();
    client.unwrap(Caller::Service, &wrapped, &context).unwrap();
    let elsewhere = KeyContext { purpose: Purpose::File(FileId([2; 16])), ..context };
    client.unwrap(ANNA, &wrapped, &elsewhere).unwrap();
    let changed = WrappedKey { version: 2, ..wrapped.clone() };
    client.unwrap(ANNA, &changed, &context).unwrap();
    assert_eq!(Fake::count(&fake.unwraps), 5);
    let cut = WrappedKey { blob: vec![1; 31], ..wrapped };
    assert_eq!(client.unwrap(ANNA, &cut, &context).unwrap_err(), KeyError::Corrupt);
}

#[test]
fn reading_and_writing_are_asked_for_each() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    client.unwrap(ANNA, &wrapped, &context).unwrap();
    let both = ANNA.to(volume::Operation::ReadWrite);
    client.unwrap(both, &wrapped, &context).unwrap();
    assert_eq!(Fake::count(&fake.unwraps), 1, "reading was asked for before");
    assert_eq!(Fake::count(&fake.decisions), 1, "writing was not");
    client.authorize(ANNA.to(volume::Operation::Write), &wrapped, &context).unwrap();
    client.authorize(both, &wrapped, &context).unwrap();
    assert_eq!(Fake::count(&fake.decisions), 1);
}

#[test]
fn a_new_epoch_voids_every_decision() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    client.unwrap(ANNA, &wrapped, &context).unwrap();
    client.generate(ANNA, "cmk", VOLUME, FreshFor::File).unwrap();
    fake.denied.lock().push(1);
    fake.bump();
    assert_eq!(client.unwrap(ANNA, &wrapped, &context).unwrap_err(), KeyError::Denied);
    assert_eq!(client.authorize(ANNA, &wrapped, &context), Err(KeyError::Denied));
    let refused = client.generate(ANNA, "cmk", VOLUME, FreshFor::File);
    assert_eq!(refused.unwrap_err(), KeyError::Denied);
}

#[test]
fn a_change_on_the_way_voids_the_answer() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    fake.race.store(true, Ordering::SeqCst);
    client.unwrap(ANNA, &wrapped, &context).unwrap();
    client.unwrap(ANNA, &wrapped, &context).unwrap();
    assert_eq!(Fake::count(&fake.unwraps), 2, "the first answer was of the epoch before");
}

#[test]
fn no_is_asked_again_every_time() {
    let (fake, client) = client();
    fake.denied.lock().push(1);
    let (wrapped, context) = a_file(1);
    for _ in 0..3 {
        assert_eq!(client.unwrap(ANNA, &wrapped, &context).unwrap_err(), KeyError::Denied);
    }
    assert_eq!(Fake::count(&fake.unwraps), 3);
    fake.denied.lock().clear();
    assert!(client.unwrap(ANNA, &wrapped, &context).is_ok());
}

#[test]
fn memory_rests_while_the_service_is_away() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    client.unwrap(ANNA, &wrapped, &context).unwrap();
    fake.away.store(true, Ordering::SeqCst);
    assert_eq!(client.unwrap(ANNA, &wrapped, &context).unwrap_err(), KeyError::Unreachable);
    assert_eq!(client.authorize(ANNA, &wrapped, &context), Err(KeyError::Unreachable));
    fake.away.store(false, Ordering::SeqCst);
    assert!(client.authorize(ANNA, &wrapped, &context).is_ok());
}

#[test]
fn fresh_keys_come_in_batches_and_never_twice() {
    let (fake, client) = client();
    let mut seen = std::collections::HashSet::new();
    std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..250)
                        .map(|_| {
                            let made = client.generate(ANNA, "cmk", VOLUME, FreshFor::File);
                            made.unwrap().id
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for id in takers.into_iter().flat_map(|taker| taker.join().unwrap()) {
            assert!(seen.insert(id), "{id} was given out twice");
        }
    });
    assert_eq!(seen.len(), 1000);
    let batches = fake.batches.lock().len();
    assert!(batches * 3 < 1000, "{batches} round trips for 1000 keys");
    assert!(fake.batches.lock().iter().all(|&count| count <= 256));
}

#[test]
fn each_user_is_decided_about_before_a_key_of_the_pool() {
    let (fake, client) = client();
    fake.denied.lock().push(2);
    client.generate(ANNA, "cmk", VOLUME, FreshFor::File).unwrap();
    let refused = client.generate(BEN, "cmk", VOLUME, FreshFor::File);
    assert_eq!(refused.unwrap_err(), KeyError::Denied);
    assert_eq!(Fake::count(&fake.decisions), 1);
    client.generate(ANNA, "cmk", VOLUME, FreshFor::File).unwrap();
    assert_eq!(Fake::count(&fake.decisions), 1, "the first batch was a decision for its caller");
    // Another kind and another CMK are other questions.
    client.generate(ANNA, "cmk", VOLUME, FreshFor::Directory).unwrap();
    client.generate(ANNA, "other", VOLUME, FreshFor::File).unwrap();
    assert_eq!(fake.batches.lock().iter().filter(|&&count| count == 16).count(), 3);
}

#[test]
fn the_volume_key_is_made_alone() {
    let (fake, client) = client();
    client.generate(Caller::Service, "cmk", VOLUME, FreshFor::Volume).unwrap();
    assert_eq!(*fake.batches.lock(), [1]);
}

#[test]
fn tampering_reaches_the_audit_trail() {
    let (fake, client) = client();
    let (_, context) = a_file(1);
    client.report_tamper(ANNA, &context, "object", "block 3");
    assert_eq!(*fake.tampered.lock(), ["object"]);
}

/// Finds these for a caller, a few at a time.
fn ahead(caller: Caller, keys: &[(WrappedKey, KeyContext)]) -> KeysAhead {
    let key = |(wrapped, context): &(WrappedKey, KeyContext)| KeyAhead {
        caller,
        wrapped: wrapped.clone(),
        context: *context,
    };
    let mut keys: Vec<_> = keys.iter().map(key).collect();
    Box::new(move |most| keys.drain(..most.min(keys.len())).collect())
}

#[test]
fn keys_asked_for_ahead_are_decided_about_once_and_only_for_their_caller() {
    let (fake, client) = client();
    let wanted: Vec<_> = (0..100).map(a_file).collect();
    client.unwrap_ahead(&[ANNA], ahead(ANNA, &wanted));
    client.unwrap_ahead(&[ANNA], ahead(ANNA, &wanted));
    while Fake::count(&fake.unwraps) < 64 {
        std::thread::yield_now();
    }
    for (n, (wrapped, context)) in wanted.iter().enumerate() {
        let key = client.unwrap(ANNA, wrapped, context).unwrap();
        assert_eq!(key.expose(), &[u8::try_from(n).unwrap(); 32]);
    }
    assert_eq!(Fake::count(&fake.unwraps), 100, "each was asked for once");
    let alone = client.questions();
    assert!(alone < 100, "{alone} were not on their way yet when they were wanted");
    client.unwrap(BEN, &wanted[0].0, &wanted[0].1).unwrap();
    assert_eq!(client.questions(), alone + 1);
    fake.denied.lock().push(1);
    let writing = ANNA.to(volume::Operation::Write);
    client.unwrap_ahead(&[ANNA, writing], ahead(writing, &wanted[..1]));
    let (wrapped, context) = &wanted[0];
    let refused = client.unwrap(ANNA.to(volume::Operation::Write), wrapped, context);
    assert_eq!(refused.unwrap_err(), KeyError::Denied);
    fake.bump();
    assert_eq!(client.unwrap(ANNA, wrapped, context).unwrap_err(), KeyError::Denied);
}

#[test]
fn a_question_of_which_nothing_is_granted_is_the_last() {
    let (fake, client) = client();
    let wanted: Vec<_> = (0..100).map(a_file).collect();
    fake.denied.lock().push(1);
    client.unwrap_ahead(&[ANNA], ahead(ANNA, &wanted));
    // The one that asks does one thing after the other: this is answered after that.
    let bens: Vec<_> = (200..208).map(a_file).collect();
    client.unwrap_ahead(&[BEN], ahead(BEN, &bens));
    while Fake::count(&fake.unwraps) < 16 {
        std::thread::yield_now();
    }
    assert_eq!(*fake.early.lock(), [8, 8]);
}

#[test]
fn what_cannot_be_asked_for_ahead_is_asked_for_when_it_is_wanted() {
    let (fake, client) = client();
    let (wrapped, context) = a_file(1);
    fake.away.store(true, Ordering::SeqCst);
    client.unwrap_ahead(&[ANNA], ahead(ANNA, &[(wrapped.clone(), context)]));
    let unreachable = client.unwrap(ANNA, &wrapped, &context);
    assert_eq!(unreachable.unwrap_err(), KeyError::Unreachable);
    fake.away.store(false, Ordering::SeqCst);
    assert!(client.unwrap(ANNA, &wrapped, &context).is_ok());
}
