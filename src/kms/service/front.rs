//! The front: the way that every request goes, whatever it asks for.
//!
//! Invariant: an answer or a refusal is given after its audit record is durable, and a change is
//! made after it as well.

use super::Service;
use super::call::Call;
use super::{dispatch, users};
use crate::kms::api::{IamReply, IamRequest, Reply, Request};
use crate::kms::audit::Queued;
use crate::kms::caller::CallerContext;
use crate::kms::error::{InternalFault, KmsError};
use crate::kms::id::Region;
use crate::kms::store::Change;

/// What a call comes to before it is recorded.
#[derive(Debug)]
pub(super) struct Done<R> {
    /// The answer.
    pub reply: R,
    /// Changes in this Region.
    pub changes: Vec<Change>,
    /// Changes in other Regions.
    pub elsewhere: Vec<(Region, Change)>,
}

impl<R> Done<R> {
    /// Of a call that changes nothing.
    pub fn read(reply: R) -> Result<Done<R>, KmsError> {
        Ok(Done { reply, changes: Vec::new(), elsewhere: Vec::new() })
    }

    fn changes_something(&self) -> bool {
        !self.changes.is_empty() || !self.elsewhere.is_empty()
    }

    /// Of a call that changes something in this Region.
    pub fn change(reply: R, changes: Vec<Change>) -> Result<Done<R>, KmsError> {
        Ok(Done { reply, changes, elsewhere: Vec::new() })
    }
}

/// A request that is decided, and whose reply waits for its audit record.
#[must_use]
#[derive(Debug)]
pub struct Begun(Half);

#[derive(Debug)]
enum Half {
    Over(Box<Result<Reply, KmsError>>),
    Recorded(Box<Result<Reply, KmsError>>, Queued),
}

impl Service {
    /// Validates, resolves the key once, decides, executes, records. The reply (or refusal) is
    /// given only after its audit record is durable.
    ///
    /// # Crash
    /// A stop after the record and before the change leaves a record of something that did not
    /// happen, never the other way round.
    pub fn handle(&self, caller: &CallerContext, request: Request) -> Result<Reply, KmsError> {
        let action = request.action();
        let _writer = (!action.read_only()).then(|| self.writer.lock());
        let mut call = Call::new(self, caller, action.name(), action.read_only());
        let outcome = self.run(&mut call, request);
        self.finish(call, outcome)
    }

    /// The first half of [`Service::handle`], for one who has more requests to begin: everything
    /// but waiting for the audit record. A request that changes something is handled to its end.
    pub fn begin(&self, caller: &CallerContext, request: Request) -> Begun {
        let action = request.action();
        if !action.read_only() {
            return Begun(Half::Over(Box::new(self.handle(caller, request))));
        }
        let mut call = Call::new(self, caller, action.name(), true);
        let outcome = self.run(&mut call, request);
        if outcome.as_ref().is_ok_and(Done::changes_something) {
            return Begun(Half::Over(Box::new(self.finish(call, outcome))));
        }
        let record = call.into_record(outcome.as_ref().err());
        let queued = self.trail.queue(&[record]);
        Begun(Half::Recorded(Box::new(outcome.map(|done| done.reply)), queued))
    }

    /// The second half: gives the reply once its record is durable.
    pub fn complete(&self, begun: Begun) -> Result<Reply, KmsError> {
        match begun.0 {
            Half::Over(outcome) => *outcome,
            Half::Recorded(outcome, queued) => {
                self.trail.wait(&queued).map_err(|_| unrecorded())?;
                *outcome
            }
        }
    }

    /// Administration of users; decided by the caller's identity policies.
    pub fn handle_iam(
        &self,
        caller: &CallerContext,
        request: IamRequest,
    ) -> Result<IamReply, KmsError> {
        let (name, read_only) = users::name_of(&request);
        let _writer = (!read_only).then(|| self.writer.lock());
        let mut call = Call::new(self, caller, name, read_only);
        call.source = "iam.amazonaws.com";
        let outcome = self.administer(&mut call, request);
        self.finish(call, outcome)
    }

    fn run(&self, call: &mut Call<'_>, request: Request) -> Result<Done<Reply>, KmsError> {
        self.throttle.pass(&self.limits.rates, call.account(), request.action(), self.now())?;
        request.validate()?;
        self.known_tokens(dispatch::grant_tokens(&request))?;
        self.dispatch(call, request)
    }

    /// Records the outcome, then makes its changes, then gives it.
    pub(super) fn finish<R>(
        &self,
        call: Call<'_>,
        outcome: Result<Done<R>, KmsError>,
    ) -> Result<R, KmsError> {
        let changes = outcome.as_ref().is_ok_and(Done::changes_something);
        let again = changes.then(|| call.clone_head());
        let record = call.into_record(outcome.as_ref().err());
        self.trail.record(&[record]).map_err(|_| unrecorded())?;
        let done = outcome?;
        let Some(again) = again else { return Ok(done.reply) };
        if let Err(error) = self.commit_all(done.changes, done.elsewhere) {
            // The record said that it would happen; say that it did not.
            let record = again.into_record(Some(&error));
            if self.trail.record(&[record]).is_err() {
                tracing::error!("neither the key store nor the audit trail can be written");
            }
            return Err(error);
        }
        Ok(done.reply)
    }
}

/// The refusal of a request whose record cannot be written.
pub(super) fn unrecorded() -> KmsError {
    tracing::error!("the audit trail cannot be written: a request was refused");
    InternalFault::Audit.into()
}
