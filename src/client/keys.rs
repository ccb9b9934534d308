//! [`DataKeys`] over a connection, with the decision cache and the pool in front.
//!
//! The epoch is read before a question is asked, and the answer is remembered under that epoch:
//! a change on the way makes the memory void. A background thread refills the pool, forgets
//! everything when the epoch has moved, and reports once a minute how often each caller's
//! decisions were answered from memory, so that the audit trail counts these uses too.

mod background;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;

use wire::{bounded, fresh_key, message, on_behalf, place, refusal, told};

use super::ahead::Coming;
use super::cache::{At, Cache, Commitment, Question};
use super::conn::KmsConn;
use super::pool::{FIRST, Pool, ShelfId};
use super::wants::Wants;
use super::who::{Callers, Who};
use crate::format::{VolumeId, WrappedKey};
use crate::server::messages::{Answer, Ask, Fresh, Kind, Object, OnBehalf, Operation};
use crate::server::messages::{KeyBytes, Place, Refusal, Told, VolumeNews, Wrapped};
use crate::sync::interrupt;
use crate::volume::keys as volume;
use crate::volume::keys::{
    Caller, DataKey, DataKeys, FreshFor, FreshKey, KeyContext, KeyError, Resealed, Sealed,
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

/// Keys to be asked for ahead; all of one caller.
struct Early {
    caller: OnBehalf,
    moment: Moment,
    wanted: Vec<(Question, (Wrapped, Place))>,
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

    fn unwrap_ahead(&self, caller: Caller, wanted: &[(WrappedKey, KeyContext)]) {
        let (Some(early), inner) = (&self.early, &*self.inner) else { return };
        let caller = on_behalf(caller);
        let moment = inner.moment(caller);
        let mut unknown = Vec::with_capacity(wanted.len());
        for (wrapped, context) in wanted {
            let item = (message(wrapped), place(context));
            let question =
                Question::Unwrap(moment.who, Commitment::of(&item.0, &item.1), At::Anywhere);
            if !inner.remembers(&moment, &question) && inner.coming.begin(question.clone()) {
                unknown.push((question, item));
            }
        }
        if unknown.is_empty() {
            return;
        }
        // Who is asked for too much asks when it is wanted.
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
            early.try_send(Early { caller, moment, wanted: unknown })
        {
            inner.coming.end(job.wanted.iter().map(|(question, _)| question));
        }
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

impl KeyClient {
    fn generate_told(
        &self,
        caller: Caller,
        cmk: &str,
        volume: VolumeId,
        what: FreshFor,
        told: Told,
    ) -> Result<FreshKey, KeyError> {
        let inner = &*self.inner;
        let on_behalf = on_behalf(caller);
        inner.wants.told(on_behalf, cmk, inner.conn.epoch(), &told)?;
        let (kind, pooled) = match what {
            FreshFor::Volume => (Kind::Volume, false),
            FreshFor::Directory => (Kind::Directory, true),
            FreshFor::File => (Kind::File, true),
        };
        let shelf = ShelfId { key_id: cmk.to_owned(), volume: volume.0, kind };
        if !pooled {
            let (mut made, _) = inner.make(on_behalf, &shelf, &told, 1)?;
            return made.pop().map(fresh_key).ok_or(KeyError::Unusable);
        }
        let moment = inner.moment(on_behalf);
        let epoch = moment.epoch;
        let question =
            Question::Generate(moment.who, shelf.key_id.clone(), shelf.volume, kind, At::of(&told));
        let taken = inner.pool.take(&shelf, epoch);
        if let Some(fresh) = taken.fresh {
            if let Err(error) = self.decide(on_behalf, &moment, question, &fresh, &shelf, &told) {
                inner.pool.put_back(&shelf, epoch, fresh);
                if taken.refill.is_some() {
                    inner.pool.give_up(&shelf);
                }
                return Err(error);
            }
            if let Some(count) = taken.refill {
                self.order(Refill { shelf, caller: on_behalf, told, count });
            }
            return Ok(fresh_key(fresh));
        }
        // Nothing made ahead: one round trip decides, records and makes a first batch.
        let count = taken.refill.unwrap_or(FIRST);
        let (mut made, good) = inner.make(on_behalf, &shelf, &told, count).inspect_err(|_| {
            if taken.refill.is_some() {
                inner.pool.give_up(&shelf);
            }
        })?;
        let mine = made.pop().ok_or(KeyError::Unusable)?;
        if good == Good::UntilTheEpochMoves {
            inner.remember(on_behalf, &moment, question);
        }
        inner.pool.put(&shelf, epoch, made);
        Ok(fresh_key(mine))
    }

    fn unwrap_told(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        told: &Told,
    ) -> Result<DataKey, KeyError> {
        self.write_too(caller, wrapped, context, told)?;
        let inner = &*self.inner;
        let (caller, wrapped, place) = (on_behalf(caller), message(wrapped), place(context));
        let moment = inner.moment(caller);
        inner.wants.told(caller, &wrapped.key_id, moment.epoch, told)?;
        let commitment = Commitment::of(&wrapped, &place);
        let question = Question::Unwrap(moment.who, commitment, At::of(told));
        // What is on its way has a record that says so; the use of it counts like any other.
        inner.coming.wait(&question);
        if let Some(key) = inner.known(&moment, &question, &commitment) {
            inner.count(caller, &wrapped.key_id);
            return Ok(key);
        }
        inner.asked.fetch_add(1, Ordering::Relaxed);
        let (key_id, told) = (wrapped.key_id.clone(), told.clone());
        match inner.ask(Ask::Unwrap { caller, wrapped, place, told })? {
            Answer::Once(answer) => match *answer {
                Answer::Key(key) => Ok(key.0),
                other => Err(refusal(&other)),
            },
            Answer::No(Refusal::PathWanted) => Err(inner.wants.note(caller, key_id, moment.epoch)),
            Answer::Key(key) => {
                inner.remember(caller, &moment, question);
                inner.cache.keep(commitment, moment.epoch, key.0.duplicate());
                Ok(key.0)
            }
            other => Err(refusal(&other)),
        }
    }

    fn authorize_told(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        told: &Told,
    ) -> Result<(), KeyError> {
        self.write_too(caller, wrapped, context, told)?;
        let inner = &*self.inner;
        let (caller, wrapped, place) = (on_behalf(caller), message(wrapped), place(context));
        let moment = inner.moment(caller);
        inner.wants.told(caller, &wrapped.key_id, moment.epoch, told)?;
        let question = Question::Unwrap(moment.who, Commitment::of(&wrapped, &place), At::of(told));
        if inner.remembers(&moment, &question) {
            inner.count(caller, &wrapped.key_id);
            return Ok(());
        }
        let (key_id, told) = (wrapped.key_id.clone(), told.clone());
        let asked = inner.done(Ask::AuthorizeUnwrap { caller, wrapped, place, told });
        if inner.wants.heard(asked, caller, &key_id, moment.epoch)? == Good::UntilTheEpochMoves {
            inner.remember(caller, &moment, question);
        }
        Ok(())
    }

    /// Whether a caller who is about to read and to write may write.
    fn write_too(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        told: &Told,
    ) -> Result<(), KeyError> {
        match caller {
            Caller::User { operation: volume::Operation::ReadWrite, .. } => {
                self.authorize_told(caller.to(volume::Operation::Write), wrapped, context, told)
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller may have this key of the pool: from memory, or by asking.
    fn decide(
        &self,
        caller: OnBehalf,
        moment: &Moment,
        question: Question,
        fresh: &Fresh,
        shelf: &ShelfId,
        told: &Told,
    ) -> Result<(), KeyError> {
        let inner = &*self.inner;
        if inner.remembers(moment, &question) {
            inner.count(caller, &shelf.key_id);
            return Ok(());
        }
        let object = match shelf.kind {
            Kind::Volume => Object::Volume,
            Kind::Directory => Object::Directory(fresh.id),
            Kind::File => Object::File(fresh.id),
        };
        let (key_id, place) = (shelf.key_id.clone(), Place { volume: shelf.volume, object });
        let ask = Ask::AuthorizeGenerate { caller, key_id, place, told: told.clone() };
        let asked = inner.wants.heard(inner.done(ask), caller, &shelf.key_id, moment.epoch);
        if asked? == Good::UntilTheEpochMoves {
            inner.remember(caller, moment, question);
        }
        Ok(())
    }

    /// Orders a refill; a helper that is busy means the shelf waits for its next taker.
    fn order(&self, refill: Refill) {
        let Some(refills) = &self.refills else { return };
        if let Err(error) = refills.try_send(refill) {
            let (TrySendError::Full(refill) | TrySendError::Disconnected(refill)) = error;
            self.inner.pool.give_up(&refill.shelf);
        }
    }
}

impl Inner {
    fn ask(&self, ask: Ask) -> Result<Answer, KeyError> {
        self.conn.ask(ask).map_err(|_| match interrupt::interrupted() {
            true => KeyError::Interrupted,
            false => KeyError::Unreachable,
        })
    }

    fn done(&self, ask: Ask) -> Result<Good, KeyError> {
        match self.once(ask)? {
            (Answer::Done, good) => Ok(good),
            (other, _) => Err(refusal(&other)),
        }
    }

    fn once(&self, ask: Ask) -> Result<(Answer, Good), KeyError> {
        Ok(match self.ask(ask)? {
            Answer::Once(answer) => (*answer, Good::Once),
            answer => (answer, Good::UntilTheEpochMoves),
        })
    }

    fn make(
        &self,
        caller: OnBehalf,
        shelf: &ShelfId,
        told: &Told,
        count: u16,
    ) -> Result<(Vec<Fresh>, Good), KeyError> {
        let (epoch, told) = (self.conn.epoch(), told.clone());
        let (key_id, volume, kind) = (shelf.key_id.clone(), shelf.volume, shelf.kind);
        match self.once(Ask::Generate { caller, key_id, volume, kind, count, told })? {
            (Answer::Fresh(keys), good) => Ok((keys, good)),
            (Answer::No(Refusal::PathWanted), _) => {
                Err(self.wants.note(caller, shelf.key_id.clone(), epoch))
            }
            (other, _) => Err(refusal(&other)),
        }
    }

    /// What a decision that is asked for now will hold for.
    fn moment(&self, caller: OnBehalf) -> Moment {
        let (epoch, asked) = (self.conn.epoch(), Instant::now());
        Moment { epoch, asked, who: self.callers.recent(caller) }
    }

    /// Whether the answer is known to be yes.
    fn remembers(&self, moment: &Moment, question: &Question) -> bool {
        self.conn.current() && self.cache.allowed(question, moment.epoch)
    }

    /// The key, if it is at hand and the answer is known to be yes.
    fn known(&self, moment: &Moment, question: &Question, of: &Commitment) -> Option<DataKey> {
        if !self.remembers(moment, question) {
            return None;
        }
        self.cache.key(of, moment.epoch)
    }

    /// Whether the caller's groups are what they were before it was asked for: if not, the
    /// service may have seen the others.
    fn same_caller(&self, caller: OnBehalf, moment: &Moment) -> bool {
        self.callers.now(caller) == moment.who
    }

    /// Remembers a yes, if it is certain whom it was given to.
    fn remember(&self, caller: OnBehalf, moment: &Moment, question: Question) {
        if self.same_caller(caller, moment) {
            self.cache.allow(question, moment.epoch, moment.asked);
        }
    }

    /// Counts a use that no question was asked for.
    fn count(&self, caller: OnBehalf, key_id: &str) {
        // Processes come and go; the report is per user.
        let caller = match caller {
            OnBehalf::Service => caller,
            OnBehalf::User { uid, gid, .. } => {
                OnBehalf::User { uid, gid, pid: 0, operation: Operation::Unknown }
            }
        };
        let mut uses = self.uses.lock();
        let place = (caller, key_id.to_owned());
        if uses.len() >= MAX_COUNTED && !uses.contains_key(&place) {
            // Reported before more is counted: a use must not be lost.
            let full = std::mem::take(&mut *uses);
            drop(uses);
            self.report(full);
            uses = self.uses.lock();
        }
        *uses.entry(place).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests;
