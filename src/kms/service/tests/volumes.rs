//! Sealing again in batches, and the end of versions.

use serde_json::json;

use super::{World, account};
use crate::crypto::{self, Suite};
use crate::format::{FileId, HeaderKey, Kind};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::error::{FailureClass, KmsError};
use crate::kms::service::{FreshFor, HeaderOf, VolumeReport, Wrapped};
use crate::secret::Secret;

const VOLUME: [u8; 16] = [7; 16];

fn service() -> CallerContext {
    let region = "local-1".parse().unwrap();
    CallerContext::filesystem(Principal::filesystem(), &region, Source::Internal, None)
}

/// A file's data key under version 1 of `key`, and the key itself.
fn fresh(world: &World, key: &str) -> (Wrapped, [u8; 16], Vec<u8>) {
    let made = world
        .service
        .generate_batch(&World::user("admin"), key, VOLUME, FreshFor::File, 1)
        .unwrap()
        .remove(0);
    let context = FreshFor::File.context(VOLUME, made.id);
    let wrapped = Wrapped { blob: made.wrapped.clone(), key_id: made.key_id, context };
    (wrapped, made.id, made.key.expose().to_vec())
}

fn told(world: &World, place: &str, key: &str, floor: u32) {
    let report = VolumeReport {
        volume: VOLUME,
        place: place.to_owned(),
        floors: [(key.to_owned(), floor)].into(),
        counted: 0,
        counts: Vec::new(),
    };
    world.service.report_volume(report).unwrap();
}

#[test]
fn a_batch_is_sealed_again_with_one_record_and_the_tag_key_alone() {
    let world = World::new();
    let key = world.key();
    let items: Vec<_> = (0..3).map(|_| fresh(&world, &key)).collect();
    world.admin("RotateKeyOnDemand", &json!({"KeyId": key}));
    let before = world.records().len();
    let mut asked: Vec<_> =
        items.iter().map(|(w, id, _)| (w.clone(), HeaderOf::File(*id, 1))).collect();
    let mut damaged = asked[0].0.clone();
    *damaged.blob.last_mut().unwrap() ^= 1;
    asked.push((damaged, HeaderOf::File([0; 16], 1)));
    let mut outcomes = world.service.reseal_batch(&service(), &asked, None).unwrap();
    assert_eq!(world.records().len(), before + 1);
    let record = world.last_record();
    assert_eq!(record["eventName"], "ReEncrypt");
    assert_eq!(record["additionalEventData"]["count"], 4);
    assert_eq!(record["additionalEventData"]["failed"], 1);
    let damaged = outcomes.pop().unwrap().unwrap_err();
    assert_eq!(damaged.class(), FailureClass::Corrupt);
    for ((_, id, data_key), outcome) in items.iter().zip(outcomes) {
        let new = outcome.unwrap();
        assert_eq!(new.rewrapped.version, 2);
        // The format's own derivation gives the same key.
        let data_key = Secret::new(<[u8; 32]>::try_from(&data_key[..]).unwrap());
        let of_format = HeaderKey::new(Kind::File, &data_key, Suite::Aes256GcmSiv, &FileId(*id));
        let signed = crypto::mac(&new.tag_key, &[b"x"]);
        assert!(of_format.would_sign(b"x", &signed));
    }
}

#[test]
fn the_filesystem_seals_files_again_under_their_own_key_only() {
    let world = World::new();
    let (key, other) = (world.key(), world.key());
    let (wrapped, id, _) = fresh(&world, &key);
    let asked = [(wrapped, HeaderOf::File(id, 1))];
    let one = |to| world.service.reseal_batch(&service(), &asked, to).unwrap().remove(0);
    assert!(one(None).is_ok());
    assert_eq!(one(Some(other.as_str())).unwrap_err().class(), FailureClass::Denied);
}

#[test]
fn a_version_goes_when_no_volume_needs_it_and_opens_nothing_after() {
    let world = World::new();
    let key = world.key();
    let admin = World::user("admin");
    let (old, ..) = fresh(&world, &key);
    told(&world, "/here", &key, 0);
    told(&world, "/there", &key, 1);
    world.admin("RotateKeyOnDemand", &json!({"KeyId": key}));
    let retire = |version| world.service.retire_version(&admin, &key, version);
    let names = |outcome: Result<Result<(), Vec<_>>, KmsError>| -> Vec<String> {
        let volumes: Vec<crate::kms::service::VolumeRecord> = outcome.unwrap().unwrap_err();
        volumes.into_iter().map(|volume| volume.place).collect()
    };
    assert_eq!(names(retire(1)), ["/here", "/there"]);
    told(&world, "/here", &key, 2);
    assert_eq!(names(retire(1)), ["/there"]);
    // What is known does not become unknown.
    told(&world, "/here", &key, 0);
    told(&world, "/there", &key, 2);
    assert!(retire(2).is_err(), "it seals");
    assert!(retire(7).is_err(), "it is not there");
    let stranger = CallerContext::direct(
        Principal::user(&account(), "user1"),
        Source::Unix { uid: 5, gid: 5, pid: 5 },
    );
    assert!(world.service.retire_version(&stranger, &key, 1).is_err());
    let open = || world.service.unwrap_batch(&[(admin.clone(), old.clone())]).remove(0);
    assert!(open().is_ok());
    assert_eq!(retire(1).unwrap(), Ok(()));
    assert_eq!(world.last_record()["eventName"], "DestroyKeyVersion");
    assert_eq!(open().unwrap_err().class(), FailureClass::Corrupt);
    assert!(retire(1).is_err(), "it is gone");
    let (_, current, volumes) = world.service.key_usage(&admin, &key).unwrap();
    assert_eq!((current, volumes.len()), (2, 2));
    assert_eq!(world.service.forget_volume(&admin, "/there").unwrap(), 1);
    assert_eq!(world.service.key_usage(&admin, &key).unwrap().2.len(), 1);
}
