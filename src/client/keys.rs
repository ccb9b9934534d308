//! [`DataKeys`] over a connection, with the decision cache and the pool in front.
//!
//! The epoch is read before a question is asked, and the answer is remembered under that epoch:
//! a change on the way makes the memory void (`decisions`, over `memory`). A thread beside them
//! (`background`) refills the pool, forgets everything when the epoch has moved, and reports once
//! a minute how often each caller's decisions were answered from memory, so that the audit trail
//! counts these uses too.

mod background;
mod decisions;
mod memory;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;

use wire::{bounded, fresh_key, message, on_behalf, place, refusal, told};

use super::ahead::Coming;
use super::cache::Cache;
use super::conn::KmsConn;
use super::pool::{Pool, ShelfId};
use super::wants::Wants;
use super::who::{Callers, Who};
use crate::format::{VolumeId, WrappedKey};
use crate::server::messages::{Answer, Ask, KeyBytes, OnBehalf, Told, VolumeNews, Wrapped};
use crate::sync::aside::Aside;
use crate::volume::keys as volume;
use crate::volume::keys::{
    Caller, DataKey, DataKeys, FreshFor, FreshKey, KeyContext, KeyError, KeysAhead, Resealed,
    Sealed,
};

/// Callers and CMKs whose uses are counted apart before a report is made early.
const MAX_COUNTED: usize = 1000;

/// The data keys of a mounted filesystem.
pub struct KeyClient {
    inner: Arc<Inner>,
    refills: Option<SyncSender<Refill>>,
    early: Option<SyncSender<Early>>,
    helpers: Vec<JoinHandle<()>>,
}

struct Inner {
    conn: Arc<dyn KmsConn>,
    cache: Cache,
    pool: Pool,
    callers: Callers,
    coming: Coming,
    wants: Wants,
    /// Keys that were asked for because memory had no answer.
    asked: AtomicU64,
    uses: Mutex<HashMap<(OnBehalf, String), u64>>,
    stopping: AtomicBool,
    refiller: Aside,
    early_asker: Aside,
}

/// The circumstances that a decision holds for, read before it is asked for.
struct Moment {
    epoch: u64,
    asked: Instant,
    who: Who,
}

/// How long an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Good {
    UntilTheEpochMoves,
    /// For the request that it was asked for: it depends on what program made that.
    Once,
}

struct Refill {
    shelf: ShelfId,
    caller: OnBehalf,
    told: Told,
    count: u16,
}

/// Keys to be found and asked for ahead, each for one of some callers.
struct Early {
    callers: Vec<(Caller, Moment)>,
    next: KeysAhead,
}

impl KeyClient {
    /// Over a connection. Fails only if no thread can be started.
    pub fn new(conn: Arc<dyn KmsConn>) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            conn,
            cache: Cache::default(),
            pool: Pool::default(),
            callers: Callers::default(),
            coming: Coming::default(),
            wants: Wants::default(),
            asked: AtomicU64::new(0),
            uses: Mutex::default(),
            stopping: AtomicBool::new(false),
            refiller: Aside::default(),
            early_asker: Aside::default(),
        });
        let (refills, jobs) = sync_channel(64);
        let (early, wanted) = sync_channel(64);
        let helper = Arc::clone(&inner);
        let asker = Arc::clone(&inner);
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let helpers = vec![
            named("kmsfs-keys").spawn(move || helper.help(&jobs))?,
            named("kmsfs-ahead").spawn(move || asker.ask_early(&wanted))?,
        ];
        Ok(Self { inner, refills: Some(refills), early: Some(early), helpers })
    }
}

/// Reports what was not reported yet; keys and decisions are wiped.
impl Drop for KeyClient {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.refills = None;
        self.early = None;
        for helper in self.helpers.drain(..) {
            if helper.join().is_err() {
                tracing::error!("a thread that keeps keys at hand panicked");
            }
        }
        self.inner.forget();
    }
}

impl DataKeys for KeyClient {
    fn generate(
        &self,
        caller: Caller,
        cmk: &str,
        volume: VolumeId,
        what: FreshFor,
    ) -> Result<FreshKey, KeyError> {
        self.generate_told(caller, cmk, volume, what, Told::Nothing)
    }

    fn unwrap(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<DataKey, KeyError> {
        self.unwrap_told(caller, wrapped, context, &Told::Nothing)
    }

    fn authorize(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<(), KeyError> {
        self.authorize_told(caller, wrapped, context, &Told::Nothing)
    }

    fn generate_at(
        &self,
        caller: Caller,
        cmk: &str,
        volume: VolumeId,
        what: FreshFor,
        path: Option<&str>,
    ) -> Result<FreshKey, KeyError> {
        self.generate_told(caller, cmk, volume, what, told(path)?)
    }

    fn unwrap_at(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        path: Option<&str>,
    ) -> Result<DataKey, KeyError> {
        self.unwrap_told(caller, wrapped, context, &told(path)?)
    }

    fn authorize_at(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        path: Option<&str>,
    ) -> Result<(), KeyError> {
        self.authorize_told(caller, wrapped, context, &told(path)?)
    }

    fn unwrap_ahead(&self, callers: &[Caller], next: KeysAhead) {
        let Some(early) = &self.early else { return };
        let moment = |&caller: &Caller| (caller, self.inner.moment(on_behalf(caller)));
        let callers = callers.iter().map(moment).collect();
        self.inner.early_asker.step_aside();
        // Who is asked for too much asks when it is wanted.
        let _ = early.try_send(Early { callers, next });
    }

    fn questions(&self) -> u64 {
        self.inner.asked.load(Ordering::Relaxed)
    }

    fn generate_again(
        &self,
        caller: Caller,
        cmk: &str,
        context: &KeyContext,
    ) -> Result<(DataKey, WrappedKey), KeyError> {
        let (caller, place) = (on_behalf(caller), place(context));
        let ask = Ask::GenerateAgain { caller, key_id: cmk.to_owned(), place };
        match self.inner.once(ask)? {
            (Answer::Fresh(mut made), _) => {
                let made = made.pop().map(fresh_key).ok_or(KeyError::Unusable)?;
                Ok((made.key, made.wrapped))
            }
            (other, _) => Err(refusal(&other)),
        }
    }

    fn rewrap(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &str,
    ) -> Result<WrappedKey, KeyError> {
        let (caller, wrapped, place) = (on_behalf(caller), message(wrapped), place(context));
        match self.inner.ask(Ask::Rewrap { caller, wrapped, place, to: to.to_owned() })? {
            Answer::Rewrapped(Wrapped { key_id, version, blob }) => {
                Ok(WrappedKey { key_id, version, blob })
            }
            other => Err(refusal(&other)),
        }
    }

    fn reseal(
        &self,
        caller: Caller,
        keys: &[Sealed],
        to: Option<&str>,
    ) -> Result<Vec<Result<Resealed, KeyError>>, KeyError> {
        let item = |key: &Sealed| (message(&key.wrapped), place(&key.context), key.suite.number());
        let items = keys.iter().map(item).collect();
        let to = to.map(str::to_owned);
        let answers = match self.inner.ask(Ask::Reseal { caller: on_behalf(caller), items, to })? {
            Answer::Resealed(answers) if answers.len() == keys.len() => answers,
            other => return Err(refusal(&other)),
        };
        let outcome = |answer| match answer {
            Ok((Wrapped { key_id, version, blob }, KeyBytes(tag_key))) => {
                Ok(Resealed { wrapped: WrappedKey { key_id, version, blob }, tag_key })
            }
            Err(no) => Err(refusal(&Answer::No(no))),
        };
        Ok(answers.into_iter().map(outcome).collect())
    }

    fn current_version(&self, cmk: &str) -> Result<u32, KeyError> {
        match self.inner.ask(Ask::CurrentVersion(cmk.to_owned()))? {
            Answer::Version(version) => Ok(version),
            other => Err(refusal(&other)),
        }
    }

    fn report_volume(&self, news: &volume::VolumeNews) -> Result<Vec<(String, u32)>, KeyError> {
        let news = VolumeNews {
            volume: news.volume.0,
            place: news.place.clone(),
            floors: news.floors.clone(),
            counted: news.counted,
            counts: news.counts.clone(),
        };
        match self.inner.ask(Ask::Volume(news))? {
            Answer::Floors(floors) => Ok(floors),
            other => Err(refusal(&other)),
        }
    }

    fn epoch(&self) -> u64 {
        self.inner.conn.epoch()
    }

    fn responds(&self) -> bool {
        self.inner.conn.current()
    }

    fn report_tamper(&self, caller: Caller, context: &KeyContext, object: &str, what: &str) {
        let (object, what) = (bounded(object), bounded(what));
        let place = place(context);
        let volume = context.volume;
        tracing::error!(%volume, object, what, "an object failed authentication");
        let report = Ask::Tamper { caller: on_behalf(caller), place, object, what };
        if let Err(error) = self.inner.done(report) {
            tracing::error!(%error, "the key service did not record the failed authentication");
        }
    }
}

#[cfg(test)]
mod tests;
