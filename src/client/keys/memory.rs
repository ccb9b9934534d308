//! Questions put to the service, what is remembered of the answers, and the uses that memory
//! answered, which the audit trail counts too.

use std::time::Instant;

use super::wire::refusal;
use super::{Good, Inner, MAX_COUNTED, Moment};
use crate::client::cache::{Commitment, Question};
use crate::client::pool::ShelfId;
use crate::server::messages::{Answer, Ask, Fresh, OnBehalf, Operation, Refusal, Told};
use crate::sync::interrupt;
use crate::volume::keys::{DataKey, KeyError};

impl Inner {
    /// One question; an answer that does not come is told apart from a caller who was interrupted.
    pub(super) fn ask(&self, ask: Ask) -> Result<Answer, KeyError> {
        self.conn.ask(ask).map_err(|_| match interrupt::interrupted() {
            true => KeyError::Interrupted,
            false => KeyError::Unreachable,
        })
    }

    /// A question whose answer is yes or no.
    pub(super) fn done(&self, ask: Ask) -> Result<Good, KeyError> {
        match self.once(ask)? {
            (Answer::Done, good) => Ok(good),
            (other, _) => Err(refusal(&other)),
        }
    }

    /// The answer, and how long it counts.
    pub(super) fn once(&self, ask: Ask) -> Result<(Answer, Good), KeyError> {
        Ok(match self.ask(ask)? {
            Answer::Once(answer) => (*answer, Good::Once),
            answer => (answer, Good::UntilTheEpochMoves),
        })
    }

    /// Keys made by the service, for one caller's decision.
    pub(super) fn make(
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
    pub(super) fn moment(&self, caller: OnBehalf) -> Moment {
        let (epoch, asked) = (self.conn.epoch(), Instant::now());
        Moment { epoch, asked, who: self.callers.recent(caller) }
    }

    /// Whether the answer is known to be yes.
    pub(super) fn remembers(&self, moment: &Moment, question: &Question) -> bool {
        self.conn.current() && self.cache.allowed(question, moment.epoch)
    }

    /// The key, if it is at hand and the answer is known to be yes.
    pub(super) fn known(
        &self,
        moment: &Moment,
        question: &Question,
        of: &Commitment,
    ) -> Option<DataKey> {
        if !self.remembers(moment, question) {
            return None;
        }
        self.cache.key(of, moment.epoch)
    }

    /// Whether the caller's groups are what they were before it was asked for: if not, the
    /// service may have seen the others.
    pub(super) fn same_caller(&self, caller: OnBehalf, moment: &Moment) -> bool {
        self.callers.now(caller) == moment.who
    }

    /// Remembers a yes, if it is certain whom it was given to.
    pub(super) fn remember(&self, caller: OnBehalf, moment: &Moment, question: Question) {
        if self.same_caller(caller, moment) {
            self.cache.allow(question, moment.epoch, moment.asked);
        }
    }

    /// Counts a use that no question was asked for.
    pub(super) fn count(&self, caller: OnBehalf, key_id: &str) {
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
