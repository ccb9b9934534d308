//! Who asks: from a peer, and what it says about its caller, to the [`CallerContext`] of a call.
//!
//! Invariant: nothing that a peer says is believed but of one that is trusted as a service.

use std::collections::HashMap;

use super::answers::pairs;
use super::{Dispatcher, Handler as _, MAX_WARNED, Peer};
use crate::kms::caller::{self, CallerContext, PlainPath, Principal, Program, Source};
use crate::kms::id::KeyId;
use crate::kms::service;
use crate::server::messages::{
    Answer, MAX_PATH, OnBehalf, Operation, Place, Refusal, Told, Wrapped,
};
use crate::server::process::Process;
use crate::server::users::groups_of;

/// Processes that were looked at for messages that arrived together, and who they are: a mount
/// asks many times for one process.
pub(super) type Seen = HashMap<OnBehalf, (Option<Process>, Principal)>;

impl Dispatcher {
    /// Does `act` as the caller, if the peer may speak for him.
    pub(super) fn with_caller(
        &self,
        peer: Peer,
        caller: OnBehalf,
        key: Option<(&str, Told)>,
        act: impl FnOnce(&CallerContext) -> Answer,
    ) -> Answer {
        match self.forwarded(peer, caller, key, &mut Seen::default()) {
            Ok(context) => act(&context),
            Err(refusal) => Answer::No(refusal),
        }
    }

    /// A wrapped key, and who wants what is to be done with it.
    pub(super) fn item(
        &self,
        peer: Peer,
        caller: OnBehalf,
        wrapped: Wrapped,
        place: Place,
        told: Told,
        seen: &mut Seen,
    ) -> Result<(CallerContext, service::Wrapped), Refusal> {
        item(self.forwarded(peer, caller, Some((&wrapped.key_id, told)), seen)?, wrapped, place)
    }

    /// The context of a request that a peer makes in its own name.
    pub(super) fn direct(&self, peer: Peer) -> CallerContext {
        let (uid, gid, pid, source) = match peer {
            Peer::Local(who) => {
                let source = Source::Unix { uid: who.uid, gid: who.gid, pid: who.pid };
                (who.uid, who.gid, who.pid, source)
            }
            Peer::Embedded => {
                let me = (rustix::process::geteuid(), rustix::process::getegid());
                (me.0.as_raw(), me.1.as_raw(), std::process::id(), Source::Internal)
            }
        };
        let groups = groups_of(pid, uid).unwrap_or_default();
        CallerContext::direct(self.user(uid, gid, &groups), source)
    }

    /// The context of a request of a filesystem about a key, if the peer may make it. Of the object
    /// that the key is for it goes what was told, if a policy asks.
    pub(super) fn forwarded(
        &self,
        peer: Peer,
        caller: OnBehalf,
        key: Option<(&str, Told)>,
        seen: &mut Seen,
    ) -> Result<CallerContext, Refusal> {
        if !self.trusts(peer) {
            return self.own(peer, caller);
        }
        let source = match peer {
            Peer::Local(who) => Source::Unix { uid: who.uid, gid: who.gid, pid: who.pid },
            Peer::Embedded => Source::Internal,
        };
        let (principal, on_behalf) = match caller {
            OnBehalf::Service => (Principal::filesystem(), None),
            OnBehalf::User { uid, gid, pid, operation } => {
                let (process, principal) = seen.entry(caller).or_insert_with(|| {
                    let process = Process::of(pid, uid);
                    let groups = process.as_ref().map(Process::groups).unwrap_or_default();
                    let principal = self.user(uid, gid, groups);
                    (process, principal)
                });
                let (groups, principal) =
                    (process.as_ref().map(|p| p.groups().to_vec()), principal.clone());
                // Looking costs; a policy that asks makes every request pay for itself alone.
                let (asks, told) = match key {
                    Some((key, told)) => (self.service.asks_about(&principal, key), told),
                    None => Default::default(),
                };
                let path = match told {
                    Told::Nothing if asks.paths => return Err(Refusal::PathWanted),
                    Told::Path(path) if path.len() > MAX_PATH => return Err(Refusal::BadRequest),
                    Told::Path(path) => asks.paths.then_some(PlainPath(path)),
                    Told::Nothing | Told::Unknown => None,
                };
                let program = asks.programs.then(|| match process {
                    Some(process) => self.processes.program(process),
                    None => Program::default(),
                });
                let operation = match operation {
                    Operation::Unknown => None,
                    Operation::Read => Some(caller::Operation::Read),
                    Operation::Write => Some(caller::Operation::Write),
                    Operation::Create => Some(caller::Operation::Create),
                    Operation::List => Some(caller::Operation::List),
                };
                let user = caller::OnBehalf { uid, gid, groups, pid, program, operation, path };
                (principal, Some(user))
            }
        };
        Ok(CallerContext::filesystem(principal, self.service.region(), source, on_behalf))
    }

    /// A private mount of an ordinary user: everything that it asks, it asks as that user.
    fn own(&self, peer: Peer, caller: OnBehalf) -> Result<CallerContext, Refusal> {
        match (peer, caller) {
            (Peer::Local(who), OnBehalf::User { uid, .. }) if uid != who.uid => {
                // Once each, or any user could fill the log.
                let mut warned = self.warned.lock();
                if warned.len() < MAX_WARNED && warned.insert(who.uid) {
                    tracing::warn!(
                        peer = who.uid,
                        uid,
                        "a peer that is not listed under services asked for another user"
                    );
                }
                Err(Refusal::Denied)
            }
            _ => Ok(self.direct(peer)),
        }
    }

    fn user(&self, uid: u32, gid: u32, groups: &[u32]) -> Principal {
        let name = self.names.of(uid);
        let all: Vec<u32> = groups.iter().copied().chain([gid]).collect();
        self.mapping
            .of(uid, &all, &name)
            .unwrap_or_else(|| Principal::user(self.service.account(), &name))
    }
}

/// A wrapped key as the service takes it.
pub(super) fn item(
    context: CallerContext,
    wrapped: Wrapped,
    place: Place,
) -> Result<(CallerContext, service::Wrapped), Refusal> {
    // An id that is no key id cannot have wrapped anything: the header is damaged.
    let key_id: KeyId = wrapped.key_id.parse().map_err(|_| Refusal::Corrupt)?;
    Ok((context, service::Wrapped { blob: wrapped.blob, key_id, context: pairs(&place) }))
}
