//! The embedded service on a real directory: restarts, mirrors, damage, locks, wrong secrets.

use std::path::{Path, PathBuf};

use super::audit_files::FilesError;
use super::embedded::EmbeddedError;
use super::lock::LockError;
use super::open::{
    EmbeddedOptions, Offline, OpenError, Served, default_key_file, open, slot_kinds,
};
use crate::custody::unlock::{PassphraseCost, SlotKind, Unlock, UnlockError};
use crate::kms::api::{CreateKeyRequest, DescribeKeyRequest, Reply, Request};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::service::FreshFor;
use crate::secret::Secret;

fn options(dir: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        cost: Some(PassphraseCost::FOR_TESTS),
        ..EmbeddedOptions::new(&dir.join("store"), "admin")
    }
}

fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(Secret::new(text.as_bytes().to_vec()))
}

fn admin(served: &Served) -> CallerContext {
    let principal = Principal::user(served.service().account(), "admin");
    CallerContext::direct(principal, Source::Internal)
}

fn create_key(served: &Served) -> String {
    let request = Request::CreateKey(CreateKeyRequest::default());
    match served.service().handle(&admin(served), request).unwrap() {
        Reply::CreateKey(reply) => reply.key_metadata.key_id,
        other => panic!("{other:?}"),
    }
}

fn has_key(served: &Served, key_id: &str) -> bool {
    let request = DescribeKeyRequest { key_id: key_id.to_owned(), grant_tokens: Vec::new() };
    served.service().handle(&admin(served), Request::DescribeKey(request)).is_ok()
}

fn flip(path: &Path, marker: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(marker.len()).rposition(|w| w == marker).expect("marker not found");
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_acknowledged_key_is_there_after_a_stop_without_warning() {
    let dir = tempfile::tempdir().unwrap();
    let served = open(&options(dir.path())).unwrap();
    assert!(served.created);
    let key = create_key(&served);
    let made =
        served.service().generate_batch(&admin(&served), &key, [1; 16], FreshFor::File, 1).unwrap();
    // What a power cut at this moment would leave, log and all.
    let copy = dir.path().join("copy");
    let status = std::process::Command::new("cp")
        .args(["-a".as_ref(), dir.path().join("store").as_os_str(), copy.as_os_str()])
        .status();
    assert!(status.unwrap().success());
    let after = open(&EmbeddedOptions { dir: copy, ..options(dir.path()) }).unwrap();
    assert!(!after.created && has_key(&after, &key));
    let wrapped = crate::kms::service::Wrapped {
        blob: made[0].wrapped.clone(),
        key_id: made[0].key_id,
        context: FreshFor::File.context([1; 16], made[0].id),
    };
    let opened = after.service().unwrap_batch(&[(admin(&after), wrapped)]).remove(0).unwrap();
    assert_eq!(opened.expose(), made[0].key.expose());
}

#[test]
fn a_restart_moves_the_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&options(dir.path())).unwrap();
    let epoch = first.service().epoch();
    drop(first);
    assert!(open(&options(dir.path())).unwrap().service().epoch() > epoch);
}

#[test]
fn two_services_never_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let served = open(&options(dir.path())).unwrap();
    let second = open(&options(dir.path())).err().unwrap();
    assert!(matches!(second, OpenError::Lock { lock: LockError::Busy { pid: Some(_) }, .. }));
    // The service alone keeps the lock.
    let service = served.service().clone();
    drop(served);
    assert!(matches!(open(&options(dir.path())).err().unwrap(), OpenError::Lock { .. }));
    drop(service);
    assert!(open(&options(dir.path())).is_ok());
}

#[test]
fn a_wrong_passphrase_is_named_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let with =
        |text: &str| EmbeddedOptions { unlock: Some(passphrase(text)), ..options(dir.path()) };
    let served = open(&with("right")).unwrap();
    let key = create_key(&served);
    drop(served);
    let store = dir.path().join("store");
    let before = std::fs::read(store.join("kms.db")).unwrap();
    let wrong = open(&with("wrong")).err().unwrap();
    assert!(matches!(wrong, OpenError::Unlock(UnlockError::Wrong { .. })), "{wrong}");
    let by_file = open(&options(dir.path())).err().unwrap();
    assert!(matches!(by_file, OpenError::Unlock(UnlockError::NoSlot { .. })), "{by_file}");
    assert_eq!(std::fs::read(store.join("kms.db")).unwrap(), before);
    assert!(has_key(&open(&with("right")).unwrap(), &key));
}

#[test]
fn slots_are_added_and_removed_but_never_the_last() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&options(dir.path())).unwrap());
    let store = dir.path().join("store");
    let file = Unlock::KeyFile(default_key_file(&store));
    let mut offline = Offline::open(&store, &[], &file).unwrap();
    let number = offline.add_slot(&passphrase("second"), PassphraseCost::FOR_TESTS).unwrap();
    assert_eq!(number, 2);
    offline.remove_slot(1).unwrap();
    let last = offline.remove_slot(2).unwrap_err();
    assert!(matches!(last, OpenError::Unlock(UnlockError::LastSlot)));
    assert!(offline.remove_slot(7).is_err());
    drop(offline);
    assert!(matches!(slot_kinds(&store, &[]).unwrap()[..], [SlotKind::Passphrase(_)]));
    assert!(Offline::open(&store, &[], &file).is_err());
    assert!(Offline::open(&store, &[], &passphrase("second")).is_ok());
}

#[test]
fn a_key_file_without_its_store_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&options(dir.path())).unwrap());
    let store = dir.path().join("store");
    std::fs::remove_file(store.join("kms.db")).unwrap();
    let got = open(&options(dir.path())).err().unwrap();
    assert!(matches!(got, OpenError::KeyFileWithoutStore { .. }), "{got}");
    let never = EmbeddedOptions { create: false, ..options(dir.path()) };
    let got = open(&never).err().unwrap();
    assert!(matches!(got, OpenError::Store(EmbeddedError::Missing { .. })), "{got}");
}

fn mirrored(dir: &Path) -> (EmbeddedOptions, Vec<PathBuf>) {
    let mirrors = vec![dir.join("mirror1"), dir.join("mirror2")];
    let options = EmbeddedOptions { mirrors: mirrors.clone(), ..options(dir) };
    let mut all = vec![options.dir.clone()];
    all.extend(mirrors);
    (options, all)
}

#[test]
fn any_one_copy_is_enough_and_the_others_are_repaired() {
    for spoil in ["delete", "truncate", "flip"] {
        for victims in [[0, 1], [1, 2], [0, 2]] {
            let dir = tempfile::tempdir().unwrap();
            let (options, all) = mirrored(dir.path());
            let served = open(&options).unwrap();
            let key = create_key(&served);
            drop(served);
            for victim in victims {
                let path = all[victim].join("kms.db");
                match spoil {
                    "delete" => std::fs::remove_file(&path).unwrap(),
                    "truncate" => {
                        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                        file.set_len(file.metadata().unwrap().len() / 2 + 100).unwrap();
                    }
                    _ => flip(&path, b"key-default-1"),
                }
            }
            let again = open(&options).unwrap();
            assert!(has_key(&again, &key), "{spoil} {victims:?}");
            assert_eq!(again.report.repaired.len(), 2, "{spoil} {victims:?}: {:?}", again.report);
            drop(again);
            let whole = open(&options).unwrap();
            assert!(whole.report.repaired.is_empty(), "{:?}", whole.report);
            assert!(has_key(&whole, &key));
        }
    }
}

#[test]
fn the_newest_copy_leads() {
    let dir = tempfile::tempdir().unwrap();
    let (options, all) = mirrored(dir.path());
    drop(open(&options).unwrap());
    let old = std::fs::read(all[0].join("kms.db")).unwrap();
    let served = open(&options).unwrap();
    let key = create_key(&served);
    drop(served);
    std::fs::write(all[0].join("kms.db"), old).unwrap();
    let again = open(&options).unwrap();
    assert!(has_key(&again, &key));
    assert_eq!(again.report.lead, all[1]);
    assert_eq!(again.report.repaired.len(), 1);
}

#[test]
fn a_store_whose_only_copy_was_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let served = open(&options).unwrap();
    create_key(&served);
    drop(served);
    flip(&options.dir.join("kms.db"), b"key-default-1");
    let got = open(&options).err().unwrap();
    assert!(matches!(got, OpenError::Store(EmbeddedError::Damaged)), "{got}");
}

#[test]
fn a_newer_or_foreign_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    drop(open(&options).unwrap());
    let path = options.dir.join("kms.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    let got = open(&options).err().unwrap().to_string();
    assert!(got.contains("newer release"), "{got}");
    std::fs::write(&path, b"something else entirely").unwrap();
    let got = open(&options).err().unwrap();
    assert!(matches!(got, OpenError::Store(EmbeddedError::Unusable { .. })), "{got}");
    assert_eq!(std::fs::read(&path).unwrap(), b"something else entirely");
}

#[test]
fn no_secret_lies_in_the_directory_but_in_the_key_file() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        EmbeddedOptions { unlock: Some(passphrase("MARKER-PASSPHRASE")), ..options(dir.path()) };
    let served = open(&options).unwrap();
    create_key(&served);
    drop(served);
    let mut stack = vec![options.dir.clone()];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(17).any(|w| w == b"MARKER-PASSPHRASE"), "{}", path.display());
        }
    }
}

#[test]
fn the_trail_verifies_offline_and_a_removed_end_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let served = open(&options).unwrap();
    create_key(&served);
    drop(served);
    let (store, audit) = (options.dir.clone(), options.dir.join("audit"));
    let file = || Unlock::KeyFile(default_key_file(&store));
    let whole = Offline::open(&store, &[], &file()).unwrap().verify_audit(&audit).unwrap();
    assert!(whole.sequence >= 2);
    let path = std::fs::read_dir(&audit).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&path).unwrap();
    let first = text.lines().next().unwrap();
    std::fs::write(&path, format!("{first}\n")).unwrap();
    let cut = Offline::open(&store, &[], &file()).unwrap().verify_audit(&audit).unwrap_err();
    assert!(matches!(cut, OpenError::Audit(FilesError::End(_))), "{cut}");
    let served = open(&options).unwrap();
    assert_eq!(served.trail_cut, Some((1, whole.sequence)));
    drop(served);
    let gap = Offline::open(&store, &[], &file()).unwrap().verify_audit(&audit).unwrap_err();
    assert!(matches!(gap, OpenError::Audit(FilesError::Fault { .. })), "{gap}");
}

#[test]
fn a_store_of_before_gets_its_tables_and_keeps_a_key_store() {
    use crate::kms::keystore::{Behind, Connection, KeyStoreRecord};
    use crate::kms::store::{Change, Store as _};

    let dir = tempfile::tempdir().unwrap();
    drop(open(&options(dir.path())).unwrap());
    // As schema 2 had it.
    let path = dir.path().join("store/kms.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("DROP TABLE key_stores; PRAGMA user_version = 2;").unwrap();
    drop(db);
    let served = open(&options(dir.path())).unwrap();
    let key = create_key(&served);
    drop(served);
    assert!(has_key(&open(&options(dir.path())).unwrap(), &key));

    let record = KeyStoreRecord {
        account: "111122223333".parse().unwrap(),
        id: "cks-1".into(),
        name: "one".into(),
        created: 1,
        behind: Behind::Cluster { id: "cluster-a".into(), trust_anchor: "PEM".into() },
        sealed: vec![1, 2, 3],
        connection: Connection::Connected,
    };
    let store = super::embedded::Embedded::in_memory(Secret::new([1; 32])).unwrap();
    store.commit(&[Change::PutKeyStore(record.clone())]).unwrap();
    assert_eq!(store.key_stores(&record.account).unwrap(), std::slice::from_ref(&record));
    assert!(store.key_stores(&"444455556666".parse().unwrap()).unwrap().is_empty());
    store.commit(&[Change::DeleteKeyStore(record.account.clone(), record.id)]).unwrap();
    assert!(store.key_stores(&record.account).unwrap().is_empty());
}
