//! Whether a caller may have a key, and the key: from memory, from the pool, or by asking.

use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;

use super::wire::{fresh_key, message, on_behalf, place, refusal};
use super::{Good, KeyClient, Moment, Refill};
use crate::client::cache::{At, Commitment, Question};
use crate::client::pool::{FIRST, ShelfId};
use crate::format::{VolumeId, WrappedKey};
use crate::server::messages::{Answer, Ask, Fresh, Kind, Object, OnBehalf, Place, Refusal, Told};
use crate::volume::keys as volume;
use crate::volume::keys::{Caller, DataKey, FreshFor, FreshKey, KeyContext, KeyError};

impl KeyClient {
    /// A fresh key: of the pool, if the decision is remembered or given; else the service makes a
    /// first batch with the decision.
    pub(super) fn generate_told(
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

    /// The data key in `wrapped`: from memory while the decision holds, else by asking.
    pub(super) fn unwrap_told(
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
        // Whoever wants the same meanwhile waits for this answer.
        let _asking = inner.coming.asking(&question);
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

    /// The decision alone, without the key.
    pub(super) fn authorize_told(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        told: &Told,
    ) -> Result<(), KeyError> {
        let key_id = &wrapped.key_id;
        self.write_too(caller, wrapped, context, told)?;
        let inner = &*self.inner;
        let (caller, wrapped, place) = (on_behalf(caller), message(wrapped), place(context));
        let moment = inner.moment(caller);
        inner.wants.told(caller, key_id, moment.epoch, told)?;
        let question = Question::Unwrap(moment.who, Commitment::of(&wrapped, &place), At::of(told));
        let ask = || Ask::AuthorizeUnwrap { caller, wrapped, place, told: told.clone() };
        self.permitted(caller, key_id, &moment, question, ask)
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

    /// Whether the caller may have this key of the pool.
    fn decide(
        &self,
        caller: OnBehalf,
        moment: &Moment,
        question: Question,
        fresh: &Fresh,
        shelf: &ShelfId,
        told: &Told,
    ) -> Result<(), KeyError> {
        let object = match shelf.kind {
            Kind::Volume => Object::Volume,
            Kind::Directory => Object::Directory(fresh.id),
            Kind::File => Object::File(fresh.id),
        };
        let place = Place { volume: shelf.volume, object };
        let ask = || {
            let (key_id, told) = (shelf.key_id.clone(), told.clone());
            Ask::AuthorizeGenerate { caller, key_id, place, told }
        };
        self.permitted(caller, &shelf.key_id, moment, question, ask)
    }

    /// Whether the caller may: from memory, which counts the use, or by asking.
    fn permitted(
        &self,
        caller: OnBehalf,
        key_id: &str,
        moment: &Moment,
        question: Question,
        ask: impl FnOnce() -> Ask,
    ) -> Result<(), KeyError> {
        let inner = &*self.inner;
        inner.coming.wait(&question);
        if inner.remembers(moment, &question) {
            inner.count(caller, key_id);
            return Ok(());
        }
        // Not for what is to be made: many make things at once, and one answer may not do for all.
        let unwrap = matches!(question, Question::Unwrap(..));
        let _asking = if unwrap { inner.coming.asking(&question) } else { None };
        let answer = inner.wants.heard(inner.done(ask()), caller, key_id, moment.epoch)?;
        if answer == Good::UntilTheEpochMoves {
            inner.remember(caller, moment, question);
        }
        Ok(())
    }

    /// Orders a refill; a helper that is busy means the shelf waits for its next taker.
    fn order(&self, refill: Refill) {
        let Some(refills) = &self.refills else { return };
        self.inner.refiller.step_aside();
        if let Err(error) = refills.try_send(refill) {
            let (TrySendError::Full(refill) | TrySendError::Disconnected(refill)) = error;
            self.inner.pool.give_up(&refill.shelf);
        }
    }
}
