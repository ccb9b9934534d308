//! What a mounted filesystem tells of its volume, and asks for all of it: headers sealed anew, what
//! it holds, uses that it answered from memory.

use super::answers::{done, refusal, refused};
use super::callers::{Seen, item};
use super::{Dispatcher, Handler as _, Peer};
use crate::kms::service::{self, HeaderOf, Resealed, VolumeRecord, VolumeReport};
use crate::server::messages::{
    Answer, CachedUse, KeyBytes, KnownVolume, MAX_BATCH, Object, OnBehalf, Place, Refusal, Told,
    VolumeNews, Wrapped,
};

impl Dispatcher {
    pub(super) fn reseal(
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
    pub(super) fn volume(&self, peer: Peer, news: VolumeNews) -> Answer {
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

    pub(super) fn cached_uses(&self, peer: Peer, uses: Vec<CachedUse>) -> Answer {
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
}

/// A volume as a client is told of it.
pub(super) fn known(record: VolumeRecord) -> KnownVolume {
    KnownVolume {
        volume: record.volume,
        place: record.place,
        floors: record.floors.into_iter().collect(),
        counts: record.counts,
        counted: record.counted,
    }
}
