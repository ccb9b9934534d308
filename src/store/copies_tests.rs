//! Several copies: damage of every kind, at the start and on the way, and whole stores.

use std::path::{Path, PathBuf};

use super::embedded::Embedded;
use super::open::{EmbeddedOptions, OpenError, Served, default_key_file, open};
use super::whole;
use crate::custody::unlock::{PassphraseCost, Slot, Unlock};
use crate::kms::api::{CreateKeyRequest, DescribeKeyRequest, Reply, Request};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::store::{Change, Store as _};
use crate::secret::Secret;

fn options(dir: &Path, mirrors: usize) -> EmbeddedOptions {
    let mirrors = (0..mirrors).map(|n| dir.join(format!("mirror{n}"))).collect();
    let options = EmbeddedOptions::new(&dir.join("store"), "admin");
    EmbeddedOptions { mirrors, cost: Some(PassphraseCost::FOR_TESTS), ..options }
}

fn ask(served: &Served, request: Request) -> Option<Reply> {
    let principal = Principal::user(served.service().account(), "admin");
    served.service().handle(&CallerContext::direct(principal, Source::Internal), request).ok()
}

fn create_key(served: &Served) -> String {
    match ask(served, Request::CreateKey(CreateKeyRequest::default())) {
        Some(Reply::CreateKey(reply)) => reply.key_metadata.key_id,
        other => panic!("{other:?}"),
    }
}

fn has_key(served: &Served, key_id: &str) -> bool {
    let request = DescribeKeyRequest { key_id: key_id.to_owned(), grant_tokens: Vec::new() };
    ask(served, Request::DescribeKey(request)).is_some()
}

fn key_file(options: &EmbeddedOptions) -> Unlock {
    Unlock::KeyFile(default_key_file(&options.dir))
}

fn faults(options: &EmbeddedOptions) -> Vec<(PathBuf, Option<String>)> {
    let states = whole::verify(&options.dir, &options.mirrors, &key_file(options)).unwrap();
    states.into_iter().map(|state| (state.dir, state.fault)).collect()
}

#[test]
fn one_copy_of_four_is_enough_to_start_and_to_repair_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), 3);
    let served = open(&options).unwrap();
    let keys: Vec<String> = (0..20).map(|_| create_key(&served)).collect();
    drop(served);
    assert!(faults(&options).iter().all(|(_, fault)| fault.is_none()));

    // Truncated, one bit flipped in a record, deleted; the last mirror stays as it is.
    let file = |dir: &Path| dir.join("kms.db");
    let whole = std::fs::read(file(&options.dir)).unwrap();
    std::fs::write(file(&options.dir), &whole[..whole.len() / 2]).unwrap();
    let mut flipped = whole.clone();
    // Of a key's policy, which every record of a key has.
    let needle = b"key-default-1";
    let at = whole.windows(needle.len()).position(|w| w == needle).unwrap();
    flipped[at] ^= 1;
    std::fs::write(file(&options.mirrors[0]), &flipped).unwrap();
    std::fs::remove_file(file(&options.mirrors[1])).unwrap();
    let bad = faults(&options).into_iter().filter(|(_, fault)| fault.is_some()).count();
    assert_eq!(bad, 3);

    let served = open(&options).unwrap();
    assert_eq!(served.report.lead, options.mirrors[2]);
    assert_eq!(served.report.repaired.len(), 3, "{:?}", served.report);
    assert!(served.report.left_out.is_empty());
    assert!(keys.iter().all(|key| has_key(&served, key)));
    drop(served);
    assert!(faults(&options).iter().all(|(_, fault)| fault.is_none()));
}

fn embedded(dirs: &[PathBuf]) -> Embedded {
    let slot = Unlock::Passphrase(Secret::new(b"x".to_vec()))
        .new_slot(&Secret::new([1; 32]), PassphraseCost::FOR_TESTS);
    let slot: Slot = slot.unwrap();
    Embedded::create(dirs, Secret::new([2; 32]), &slot).unwrap()
}

fn put(store: &Embedded, value: u8) -> Result<u64, crate::kms::store::StoreError> {
    store.commit(&[Change::PutMeta("audit", vec![value])])
}

#[test]
fn the_leading_copy_may_fail_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = [dir.path().join("a"), dir.path().join("b")];
    let store = embedded(&dirs);
    put(&store, 1).unwrap();
    store.copies.lock().lead.db.execute_batch("DROP TABLE meta").unwrap();
    assert_eq!(store.meta("audit").unwrap(), Some(vec![1]), "the other copy answers");
    assert_eq!(store.directories(), [dirs[1].clone()]);
    put(&store, 2).unwrap();
    store.scrub().unwrap();
    assert_eq!(store.directories(), [dirs[1].clone(), dirs[0].clone()], "it is back");
    put(&store, 3).unwrap();
    store.copies.lock().lead.db.execute_batch("DROP TABLE meta").unwrap();
    assert_eq!(store.meta("audit").unwrap(), Some(vec![3]));
}

#[test]
fn a_commit_that_the_leading_copy_refuses_is_in_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = [dir.path().join("a"), dir.path().join("b")];
    let store = embedded(&dirs);
    store.copies.lock().lead.db.execute_batch("DROP TABLE generation").unwrap();
    put(&store, 7).unwrap();
    assert_eq!(store.directories(), [dirs[1].clone()]);
    assert_eq!(store.meta("audit").unwrap(), Some(vec![7]));
    // The last one has nobody to go on for it.
    store.copies.lock().lead.db.execute_batch("DROP TABLE generation").unwrap();
    assert!(put(&store, 8).is_err());
}

#[test]
fn the_scrub_finds_what_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = [dir.path().join("a"), dir.path().join("b"), dir.path().join("c")];
    let store = embedded(&dirs);
    put(&store, 1).unwrap();
    store.scrub().unwrap();
    assert_eq!(store.directories().len(), 3);
    {
        let copies = store.copies.lock();
        copies.lead.db.execute_batch("UPDATE meta SET row = x'00'").unwrap();
        copies.mirrors[0].db.execute_batch("DELETE FROM meta").unwrap();
    }
    store.scrub().unwrap();
    let after = store.directories();
    assert_eq!(after.len(), 3);
    assert_eq!(after[0], dirs[2], "the only good one leads");
    let copies = store.copies.lock();
    let content = copies.lead.verify(&store.key).unwrap();
    assert!(copies.mirrors.iter().all(|mirror| mirror.verify(&store.key) == Ok(content)));
}

#[test]
fn a_row_that_is_missing_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), 1);
    let served = open(&options).unwrap();
    let first = create_key(&served);
    drop(served);
    // A mirror that lost one row of a table with two key columns.
    let db = rusqlite::Connection::open(options.mirrors[0].join("kms.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM versions WHERE key = ?1", [&first]).unwrap(), 1);
    drop(db);
    let fault = faults(&options).into_iter().find_map(|(_, fault)| fault);
    assert_eq!(fault.as_deref(), Some("records are missing"));
    let served = open(&options).unwrap();
    assert_eq!(served.report.repaired.len(), 1);
}

#[test]
fn a_backup_brings_back_what_it_holds_and_replaces_nothing_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), 1);
    let served = open(&options).unwrap();
    let kept = create_key(&served);
    let busy = whole::backup(&options.dir, &[], &key_file(&options), &dir.path().join("no"));
    assert!(matches!(busy, Err(OpenError::Lock { .. })));
    drop(served);
    let backup = dir.path().join("backup");
    let commits = whole::backup(&options.dir, &options.mirrors, &key_file(&options), &backup);
    let commits = commits.unwrap();
    let again = whole::backup(&options.dir, &options.mirrors, &key_file(&options), &backup);
    assert!(matches!(again, Err(OpenError::Occupied { .. })), "{again:?}");

    let served = open(&options).unwrap();
    let lost = create_key(&served);
    drop(served);
    let restore = |replace| {
        let (dir, mirrors) = (&options.dir, &options.mirrors);
        whole::restore(&backup, dir, mirrors, &key_file(&options), replace)
    };
    assert!(matches!(restore(false), Err(OpenError::Occupied { .. })));
    assert_eq!(restore(true).unwrap(), commits);
    let served = open(&options).unwrap();
    assert!(has_key(&served, &kept) && !has_key(&served, &lost));
    assert!(served.report.repaired.is_empty(), "the mirror was restored too");
}
