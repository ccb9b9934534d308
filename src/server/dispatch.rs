//! From a message of a local peer to a call of the service, with the peer's true identity.
//!
//! Invariant: the [`CallerContext`] of every call is made here, from what the kernel said about
//! the peer. Only a peer that is trusted as a service acts for others, or as the filesystem;
//! everybody else is himself, whatever the message says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bincode::serde::Compat;
use parking_lot::Mutex;

use super::messages::{Answer, Ask, CachedUse, Epoch, Fresh, KeyBytes, Kind, MAX_BATCH, Object};
use super::messages::{KnownVolume, VolumeNews};
use super::messages::{MAX_PATH, OnBehalf, Operation, Place, Refusal, Told, Wrapped};
use super::process::Processes;
use super::sys::Credentials;
use super::users::{Mapping, Names};
use crate::kms::api::types::{EncryptionContext, Plaintext};
use crate::kms::caller::{self, CallerContext, PlainPath, Principal, Program, Source};
use crate::kms::error::{FailureClass, KmsError};
use crate::kms::id::KeyId;
use crate::kms::service::{
    self, FreshDataKey, FreshFor, HeaderOf, Resealed, Service, VolumeRecord, VolumeReport,
};
use crate::secret::Secret;

/// Where the groups of a caller come from. Whoever remembers decisions must tell callers apart by
/// the same groups.
pub use super::process::Process;
use super::users::groups_of;

/// Longest text of a tamper report that goes into the audit trail, bytes.
const MAX_REPORT: usize = 512;

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

/// Processes that were looked at for messages that arrived together, and who they are: a mount
/// asks many times for one process.
type Seen = HashMap<OnBehalf, (Option<Process>, Principal)>;

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

    fn reseal(
        &self,
        peer: Peer,
        caller: OnBehalf,
        wanted: Vec<(Wrapped, Place, u8)>,
        to: Option<&str>,
    ) -> Answer {
        if wanted.is_empty() || wanted.len() > usize::from(MAX_BATCH) {
            return Answer::No(Refusal::BadRequest);
        }
        let to_key = to.map(|key| (key, Told::Unknown));
        let context = match self.forwarded(peer, caller, to_key, &mut Seen::default()) {
            Ok(context) => context,
            Err(refusal) => return Answer::No(refusal),
        };
        let mut answers: Vec<Result<(Wrapped, KeyBytes), Refusal>> = Vec::new();
        let (mut places, mut items) = (Vec::new(), Vec::new());
        for (at, (wrapped, place, suite)) in wanted.into_iter().enumerate() {
            answers.push(Err(Refusal::Corrupt));
            let header = match place.object {
                Object::Volume => HeaderOf::Volume(place.volume),
                Object::Directory(id) => HeaderOf::Directory(id),
                Object::File(id) => HeaderOf::File(id, suite),
            };
            if let Ok((_, sealed)) = item(context.clone(), wrapped, place) {
                places.push(at);
                items.push((sealed, header));
            }
        }
        if items.is_empty() {
            return Answer::Resealed(answers);
        }
        let outcomes = match self.service.reseal_batch(&context, &items, to) {
            Ok(outcomes) => outcomes,
            Err(error) => return refused(&error),
        };
        for (at, outcome) in places.into_iter().zip(outcomes) {
            if let Some(answer) = answers.get_mut(at) {
                *answer = match outcome {
                    Ok(Resealed { rewrapped, tag_key }) => {
                        let service::Rewrapped { key_id, version, blob } = rewrapped;
                        let wrapped = Wrapped { key_id: key_id.to_string(), version, blob };
                        Ok((wrapped, KeyBytes(tag_key)))
                    }
                    Err(error) => Err(refusal(&error)),
                };
            }
        }
        Answer::Resealed(answers)
    }

    /// Notes a volume. Of one that is no service the user is noted too, so that nobody speaks for
    /// somebody else's volume.
    fn volume(&self, peer: Peer, news: VolumeNews) -> Answer {
        let place = match peer {
            Peer::Local(who) if !self.trusts(peer) => format!("user {}: {}", who.uid, news.place),
            _ => news.place,
        };
        let report = VolumeReport {
            volume: news.volume,
            place,
            floors: news.floors.into_iter().collect(),
            counted: news.counted,
            counts: news.counts,
        };
        match self.service.report_volume(report) {
            Ok(floors) => Answer::Floors(floors.into_iter().collect()),
            Err(error) => refused(&error),
        }
    }

    fn cached_uses(&self, peer: Peer, uses: Vec<CachedUse>) -> Answer {
        for one in uses {
            let answer =
                self.with_caller(peer, one.caller, None, |context| match one.key_id.parse() {
                    Ok(key_id) => done(self.service.report_cached(context, key_id, one.hits)),
                    Err(_) => Answer::No(Refusal::BadRequest),
                });
            if !matches!(answer, Answer::Done) {
                return answer;
            }
        }
        Answer::Done
    }

    fn with_caller(
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

    fn item(
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
    fn direct(&self, peer: Peer) -> CallerContext {
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
    fn forwarded(
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

/// A wrapped key as the service takes it.
fn item(
    context: CallerContext,
    wrapped: Wrapped,
    place: Place,
) -> Result<(CallerContext, service::Wrapped), Refusal> {
    // An id that is no key id cannot have wrapped anything: the header is damaged.
    let key_id: KeyId = wrapped.key_id.parse().map_err(|_| Refusal::Corrupt)?;
    Ok((context, service::Wrapped { blob: wrapped.blob, key_id, context: pairs(&place) }))
}

/// The encryption context of an object.
pub fn pairs(place: &Place) -> EncryptionContext {
    let mut context = EncryptionContext::new();
    context.insert("kmsfs:volume".to_owned(), super::sigv4::hex(&place.volume));
    match &place.object {
        Object::Volume => None,
        Object::Directory(id) => {
            context.insert("kmsfs:directory".to_owned(), super::sigv4::hex(id))
        }
        Object::File(id) => context.insert("kmsfs:file".to_owned(), super::sigv4::hex(id)),
    };
    context
}

fn known(record: VolumeRecord) -> KnownVolume {
    KnownVolume {
        volume: record.volume,
        place: record.place,
        floors: record.floors.into_iter().collect(),
        counts: record.counts,
        counted: record.counted,
    }
}

fn refused(error: &KmsError) -> Answer {
    Answer::No(refusal(error))
}

fn refusal(error: &KmsError) -> Refusal {
    match error.class() {
        FailureClass::Denied => Refusal::Denied,
        FailureClass::Unusable => Refusal::Unusable,
        FailureClass::Corrupt => Refusal::Corrupt,
        FailureClass::Invalid => Refusal::BadRequest,
    }
}

fn done(result: Result<(), KmsError>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => refused(&error),
    }
}

fn text(result: Result<KeyId, KmsError>) -> Answer {
    match result {
        Ok(key) => Answer::Text(key.to_string()),
        Err(error) => Answer::Failed(Compat(error)),
    }
}

fn first<T>(
    results: Vec<Result<T, KmsError>>,
    answer: impl FnOnce(Result<T, KmsError>) -> Answer,
) -> Answer {
    results.into_iter().next().map_or(Answer::No(Refusal::Unavailable), answer)
}

fn key_answer(result: Result<Plaintext, KmsError>) -> Answer {
    match result {
        // Of another length than data keys have: it was not made for this purpose.
        Ok(key) => key_bytes(&key).map_or(Answer::No(Refusal::Corrupt), Answer::Key),
        Err(error) => refused(&error),
    }
}

fn rewrapped(result: Result<service::Rewrapped, KmsError>) -> Answer {
    match result {
        Ok(service::Rewrapped { key_id, version, blob }) => {
            Answer::Rewrapped(Wrapped { key_id: key_id.to_string(), version, blob })
        }
        Err(error) => refused(&error),
    }
}

/// What marks an answer to this caller: good for once, if it depends on the program that asks.
fn for_once(context: &CallerContext) -> impl Fn(Answer) -> Answer + use<> {
    let once = looked_at_program(context);
    move |answer| match answer {
        // A refusal is not remembered anyway.
        Answer::No(_) => answer,
        answer if once => Answer::Once(Box::new(answer)),
        answer => answer,
    }
}

fn looked_at_program(context: &CallerContext) -> bool {
    context.on_behalf.as_ref().is_some_and(|user| user.program.is_some())
}

/// Data keys that were made, or why not.
fn fresh(made: Result<Vec<FreshDataKey>, KmsError>) -> Answer {
    let keys = match made {
        Ok(keys) => keys,
        Err(error) => return refused(&error),
    };
    let fresh: Option<Vec<Fresh>> = keys
        .into_iter()
        .map(|made| {
            let (key_id, version) = (made.key_id.to_string(), made.version);
            let key = key_bytes(&made.key)?;
            Some(Fresh {
                id: made.id,
                key,
                wrapped: Wrapped { key_id, version, blob: made.wrapped },
            })
        })
        .collect();
    fresh.map_or(Answer::No(Refusal::Unavailable), Answer::Fresh)
}

/// What an object's data key is for, and the object's id.
fn object(object: &Object) -> (FreshFor, [u8; 16]) {
    match object {
        Object::Volume => (FreshFor::Volume, [0; 16]),
        Object::Directory(id) => (FreshFor::Directory, *id),
        Object::File(id) => (FreshFor::File, *id),
    }
}

fn key_bytes(key: &Plaintext) -> Option<KeyBytes> {
    let bytes: &[u8; 32] = key.expose().try_into().ok()?;
    Some(KeyBytes(Secret::new_with(|place| place.copy_from_slice(bytes))))
}

/// What a peer writes about an object goes into the audit trail: bounded, without controls.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if out.len() + c.len_utf8() > MAX_REPORT {
            break;
        }
        out.push(c);
    }
    out
}
