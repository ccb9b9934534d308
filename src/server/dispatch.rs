//! From a message of a local peer to a call of the service, with the peer's true identity.
//!
//! Invariant: the [`CallerContext`] of every call is made here (`callers`), from what the kernel
//! said about the peer. Only a peer that is trusted as a service acts for others, or as the filesystem;
//! everybody else is himself, whatever the message says.

mod answers;
mod callers;
mod volumes;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bincode::serde::Compat;
use parking_lot::Mutex;

use self::answers::{
    done, first, for_once, fresh, key_answer, key_bytes, object, printable, refused, rewrapped,
    text,
};
use self::callers::{Seen, item};
use self::volumes::known;
use super::messages::{Answer, Ask, Epoch, KeyBytes, Kind, MAX_BATCH, OnBehalf, Place, Refusal};
use super::messages::{Told, Wrapped};
use super::process::Processes;
use super::sys::Credentials;
use super::users::{Mapping, Names};
use crate::kms::caller::CallerContext;
use crate::kms::service::{FreshFor, Service};
use crate::secret::Secret;

pub use self::answers::pairs;
/// Where the groups of a caller come from. Whoever remembers decisions must tell callers apart by
/// the same groups.
pub use super::process::Process;

/// Most peers that are warned about.
const MAX_WARNED: usize = 100;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process on this machine.
    Local(Credentials),
    /// The filesystem in this very process.
    Embedded,
}

/// What a listener needs behind it.
pub trait Handler: Send + Sync + 'static {
    /// Whether this peer may act for others.
    fn trusts(&self, peer: Peer) -> bool;

    /// The epoch that holds now.
    fn epoch(&self) -> Epoch;

    /// Waits until the epoch is another than `seen`, for `timeout`, or until it is roused. Returns
    /// the epoch.
    fn wait_epoch(&self, seen: Epoch, timeout: Duration) -> Epoch;

    /// Makes everybody return from [`Handler::wait_epoch`], early if it can.
    fn rouse(&self) {}

    /// Answers messages that arrived together, one answer each, in their order.
    fn answer_many(&self, asks: Vec<(Peer, Ask)>) -> Vec<Answer>;
}
/// Answers messages by calling the service.
pub struct Dispatcher {
    service: Arc<Service>,
    names: Names,
    mapping: Mapping,
    processes: Processes,
    trusted: HashSet<u32>,
    instance: u64,
    /// Peers whose claim to act for others was refused and logged already.
    warned: Mutex<HashSet<u32>>,
}

impl Dispatcher {
    /// A dispatcher in front of `service`; `trusted` are the uids whose word about other users
    /// is believed.
    pub fn new(service: Arc<Service>, trusted: HashSet<u32>) -> Self {
        let instance = u64::from_le_bytes(*Secret::<[u8; 8]>::random().expose());
        Self {
            service,
            names: Names::default(),
            mapping: Mapping::default(),
            processes: Processes::default(),
            trusted,
            instance,
            warned: Mutex::default(),
        }
    }

    /// With users who are somebody else than their login name in the service's account.
    pub fn with_mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// The service behind it.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Answers one message.
    pub fn answer(&self, peer: Peer, ask: Ask) -> Answer {
        match ask {
            Ask::Unwrap { caller, wrapped, place, told } => {
                match self.item(peer, caller, wrapped, place, told, &mut Seen::default()) {
                    Ok(item) => {
                        let once = for_once(&item.0);
                        once(first(self.service.unwrap_batch(&[item]), key_answer))
                    }
                    Err(refusal) => Answer::No(refusal),
                }
            }
            Ask::UnwrapAhead { caller, items } => self.unwrap_ahead(peer, caller, items),
            Ask::AuthorizeUnwrap { caller, wrapped, place, told } => {
                match self.item(peer, caller, wrapped, place, told, &mut Seen::default()) {
                    Ok(item) => {
                        let once = for_once(&item.0);
                        once(first(self.service.authorize_batch(&[item]), done))
                    }
                    Err(refusal) => Answer::No(refusal),
                }
            }
            Ask::AuthorizeGenerate { caller, key_id, place, told } => {
                self.with_caller(peer, caller, Some((&key_id, told)), |context| {
                    let decided = self.service.authorize_generate(context, &key_id, &pairs(&place));
                    for_once(context)(done(decided))
                })
            }
            Ask::Generate { caller, key_id, volume, kind, count, told } => {
                self.with_caller(peer, caller, Some((&key_id, told)), |context| {
                    for_once(context)(self.generate(context, &key_id, volume, kind, count))
                })
            }
            Ask::GenerateAgain { caller, key_id, place } => {
                self.with_caller(peer, caller, Some((&key_id, Told::Unknown)), |context| {
                    let (what, id) = object(&place.object);
                    let made =
                        self.service.generate_again(context, &key_id, place.volume, what, id);
                    for_once(context)(fresh(made.map(|made| vec![made])))
                })
            }
            Ask::CachedUses(uses) => self.cached_uses(peer, uses),
            Ask::Tamper { caller, place, object, what } => {
                self.with_caller(peer, caller, None, |context| {
                    let (object, what) = (printable(&object), printable(&what));
                    done(self.service.report_tamper(context, &pairs(&place), &object, &what))
                })
            }
            Ask::Rewrap { caller, wrapped, place, to } => {
                match self.item(peer, caller, wrapped, place, Told::Unknown, &mut Seen::default()) {
                    Ok((context, sealed)) => {
                        rewrapped(self.service.rewrap(&context, &sealed, Some(&to)))
                    }
                    Err(refusal) => Answer::No(refusal),
                }
            }
            Ask::Reseal { caller, items, to } => self.reseal(peer, caller, items, to.as_deref()),
            Ask::Volume(news) => self.volume(peer, news),
            Ask::KeyUsage(key) => match self.service.key_usage(&self.direct(peer), &key) {
                Ok((id, current, volumes)) => Answer::Usage {
                    key_id: id.to_string(),
                    current,
                    volumes: volumes.into_iter().map(known).collect(),
                },
                Err(error) => Answer::Failed(Compat(error)),
            },
            Ask::RetireVersion { key, version } => {
                match self.service.retire_version(&self.direct(peer), &key, version) {
                    Ok(Ok(())) => Answer::InTheWay(Vec::new()),
                    Ok(Err(volumes)) => Answer::InTheWay(volumes.into_iter().map(known).collect()),
                    Err(error) => Answer::Failed(Compat(error)),
                }
            }
            Ask::CompromiseVersion { key, version } => {
                match self.service.compromise_version(&self.direct(peer), &key, version) {
                    Ok(current) => Answer::Version(current),
                    Err(error) => Answer::Failed(Compat(error)),
                }
            }
            Ask::ForgetVolume(place) => {
                match self.service.forget_volume(&self.direct(peer), &place) {
                    Ok(count) => Answer::Version(u32::try_from(count).unwrap_or(u32::MAX)),
                    Err(error) => Answer::Failed(Compat(error)),
                }
            }
            Ask::CurrentVersion(key) => match key.parse() {
                Ok(id) => match self.service.current_version(id) {
                    Ok(version) => Answer::Version(version),
                    Err(error) => refused(&error),
                },
                Err(_) => Answer::No(Refusal::BadRequest),
            },
            Ask::ManagedKey => text(self.service.managed_key()),
            Ask::Resolve(key) => text(self.service.resolve(&self.direct(peer), &key)),
            Ask::Api(Compat(request)) => match self.service.handle(&self.direct(peer), *request) {
                Ok(reply) => Answer::Api(Compat(Box::new(reply))),
                Err(error) => Answer::Failed(Compat(error)),
            },
            Ask::Iam(Compat(request)) => {
                match self.service.handle_iam(&self.direct(peer), request) {
                    Ok(reply) => Answer::Iam(Compat(reply)),
                    Err(error) => Answer::Failed(Compat(error)),
                }
            }
        }
    }

    fn generate(
        &self,
        context: &CallerContext,
        key: &str,
        volume: [u8; 16],
        kind: Kind,
        count: u16,
    ) -> Answer {
        if count == 0 || count > MAX_BATCH {
            return Answer::No(Refusal::BadRequest);
        }
        let what = match kind {
            Kind::Volume => FreshFor::Volume,
            Kind::Directory => FreshFor::Directory,
            Kind::File => FreshFor::File,
        };
        fresh(self.service.generate_batch(context, key, volume, what, usize::from(count)))
    }

    fn unwrap_ahead(&self, peer: Peer, caller: OnBehalf, wanted: Vec<(Wrapped, Place)>) -> Answer {
        if wanted.is_empty() || wanted.len() > usize::from(MAX_BATCH) {
            return Answer::No(Refusal::BadRequest);
        }
        // One caller, whose groups are looked up once.
        let context = match self.forwarded(peer, caller, None, &mut Seen::default()) {
            Ok(context) => context,
            Err(refusal) => return Answer::No(refusal),
        };
        let mut keys: Vec<Option<KeyBytes>> = wanted.iter().map(|_| None).collect();
        let (mut places, mut items) = (Vec::new(), Vec::new());
        for (at, (wrapped, place)) in wanted.into_iter().enumerate() {
            // Whoever opens it may be another program by then; and where it is, he must tell.
            let user = context.on_behalf.is_some();
            let asks = self.service.asks_about(&context.principal, &wrapped.key_id);
            if user && (asks.programs || asks.paths) {
                continue;
            }
            // A damaged header is for its own open to find.
            if let Ok(item) = item(context.clone(), wrapped, place) {
                places.push(at);
                items.push(item);
            }
        }
        for (at, result) in places.into_iter().zip(self.service.unwrap_ahead(&items)) {
            if let Some(place) = keys.get_mut(at) {
                *place = result.ok().as_ref().and_then(key_bytes);
            }
        }
        Answer::Keys(keys)
    }
}

impl Handler for Dispatcher {
    fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Embedded => true,
            Peer::Local(who) => self.trusted.contains(&who.uid),
        }
    }

    fn epoch(&self) -> Epoch {
        Epoch { instance: self.instance, count: self.service.epoch() }
    }

    fn wait_epoch(&self, seen: Epoch, timeout: Duration) -> Epoch {
        Epoch { instance: self.instance, count: self.service.wait_epoch(seen.count, timeout) }
    }

    fn rouse(&self) {
        self.service.rouse();
    }

    /// All unwraps among them share one flush of the audit trail.
    fn answer_many(&self, asks: Vec<(Peer, Ask)>) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(asks.len());
        let (mut places, mut items) = (Vec::new(), Vec::new());
        let mut once = Vec::new();
        let mut seen = Seen::default();
        for (at, (peer, ask)) in asks.into_iter().enumerate() {
            answers.push(match ask {
                Ask::Unwrap { caller, wrapped, place, told } => {
                    match self.item(peer, caller, wrapped, place, told, &mut seen) {
                        Ok(item) => {
                            places.push(at);
                            once.push(for_once(&item.0));
                            items.push(item);
                            None
                        }
                        Err(refusal) => Some(Answer::No(refusal)),
                    }
                }
                other => Some(self.answer(peer, other)),
            });
        }
        if !items.is_empty() {
            let results = places.into_iter().zip(once).zip(self.service.unwrap_batch(&items));
            for ((at, once), result) in results {
                if let Some(answer) = answers.get_mut(at) {
                    *answer = Some(once(key_answer(result)));
                }
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or(Answer::No(Refusal::Unavailable)))
            .collect()
    }
}
