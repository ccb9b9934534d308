//! What single calls of the library cost, without a mount: ciphers, headers, entry pages, names,
//! policy decisions, frames. `cargo bench --bench micro [NAME]`; the figures that a mount gives are peers.sh's.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kmsfs::crypto::{Suite, random_nonces};
use kmsfs::format::{
    BLOCK, BlockNo, DirKeys, Entry, FileId, FileKeys, GROUP, Header, Kind, PageNo, VERSION,
    WrappedKey, parse_slot,
};
use kmsfs::kms::caller::Principal;
use kmsfs::kms::policy::{Context, Policy, Query, Verdict, evaluate, key_policy};
use kmsfs::secret::Secret;
use kmsfs::server::frames;
use kmsfs::server::messages::{
    Ask, Epoch, Object, OnBehalf, Operation, Place, ToClient, ToServer, Told, Wrapped,
};
use zeroize::Zeroizing;

/// A request of 1 MiB: what the kernel sends at most.
const BLOCKS: usize = 256;

/// One block: what a random read or write of 4 KiB takes.
fn blocks(c: &mut Criterion) {
    let mut group = c.benchmark_group("block");
    group.throughput(Throughput::Bytes(BLOCK as u64));
    for suite in [Suite::Aes256GcmSiv, Suite::XChaCha20Poly1305] {
        let keys = FileKeys::new(&Secret::new([1; 32]), suite, &FileId([2; 16]));
        let cipher = keys.block();
        let mut block = [7u8; BLOCK];
        group.bench_function(format!("seal 4 KiB, {suite}"), |b| {
            b.iter(|| {
                let nonce = random_nonces(1).into_iter().next().unwrap_or_default();
                black_box(cipher.seal(BlockNo(5), &mut block, nonce))
            });
        });
        let mut sealed = [7u8; BLOCK];
        let seal = cipher.seal(BlockNo(5), &mut sealed, [9; 16]);
        group.bench_function(format!("open 4 KiB, {suite}"), |b| {
            b.iter(|| {
                block = sealed;
                cipher.open(BlockNo(5), &seal, &mut block).expect("it was sealed just so");
            });
        });
    }
}

fn ciphers(c: &mut Criterion) {
    let mut group = c.benchmark_group("block");
    group.throughput(Throughput::Bytes((BLOCKS * BLOCK) as u64));
    for suite in [Suite::Aes256GcmSiv, Suite::XChaCha20Poly1305] {
        let keys = FileKeys::new(&Secret::new([1; 32]), suite, &FileId([2; 16]));
        let cipher = keys.block();
        let mut blocks = vec![[7u8; BLOCK]; BLOCKS];
        group.bench_function(format!("seal 1 MiB, {suite}"), |b| {
            b.iter(|| {
                let nonces = random_nonces(BLOCKS);
                for ((n, block), nonce) in (0..).zip(&mut blocks).zip(nonces) {
                    black_box(cipher.seal(BlockNo(n), block, nonce));
                }
            });
        });
        let nonces = random_nonces(BLOCKS);
        let mut sealed = vec![[7u8; BLOCK]; BLOCKS];
        let seals: Vec<_> = (0..)
            .zip(&mut sealed)
            .zip(nonces)
            .map(|((n, block), nonce)| cipher.seal(BlockNo(n), block, nonce))
            .collect();
        group.bench_function(format!("open 1 MiB, {suite}"), |b| {
            b.iter(|| {
                blocks.copy_from_slice(&sealed);
                for ((n, block), seal) in (0..).zip(&mut blocks).zip(&seals) {
                    cipher.open(BlockNo(n), seal, block).expect("it was sealed just so");
                }
            });
        });
    }
}

/// What opening one small file takes besides its data: keys, header, entry page, name.
fn format(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("format {VERSION}"));
    let data_key = Secret::new([1; 32]);
    let id = FileId([2; 16]);
    group.bench_function("keys of a file", |b| {
        b.iter(|| FileKeys::new(black_box(&data_key), Suite::Aes256GcmSiv, &id));
    });
    group.bench_function("keys of a directory", |b| {
        b.iter(|| DirKeys::new(black_box(&data_key), &id));
    });
    let keys = FileKeys::new(&data_key, Suite::Aes256GcmSiv, &id);
    let header = Header {
        kind: Kind::File,
        suite: Suite::Aes256GcmSiv,
        clean: true,
        multi_link: false,
        generation: 3,
        session: 1,
        id,
        size: 4096,
        root: [7; 16],
        writes: 1,
        wrapped: WrappedKey {
            key_id: "1234abcd-12ab-34cd-56ef-1234567890ab".into(),
            version: 1,
            blob: vec![5; 150],
        },
        mtime: None,
    };
    let slot = header.encode(keys.header()).expect("it is canonical");
    group.bench_function("header, encode and sign", |b| {
        b.iter(|| black_box(&header).encode(keys.header()).expect("it is canonical"));
    });
    group.bench_function("header, parse", |b| {
        b.iter(|| parse_slot(black_box(&slot)).expect("as encoded"));
    });
    group.bench_function("header, parse and verify", |b| {
        b.iter(|| {
            let found = parse_slot(black_box(&slot)).expect("as encoded");
            found.verify(keys.header()).expect("it was signed just so")
        });
    });
    entry_pages(&mut group, &keys);
    names(&mut group, &DirKeys::new(&data_key, &id));
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn entry_pages(group: &mut Group<'_>, keys: &FileKeys) {
    let mut page = [0u8; BLOCK];
    let group_len = usize::try_from(GROUP).expect("64");
    for (index, nonce) in random_nonces(group_len).into_iter().enumerate() {
        Entry::HOLE.replaced_by(kmsfs::format::Seal { nonce, tag: nonce }).write(&mut page, index);
    }
    group.bench_function("entry page, read all", |b| {
        b.iter(|| {
            (0..group_len)
                .map(|n| Entry::read(black_box(&page), n))
                .filter(|e| e.cur.is_hole())
                .count()
        });
    });
    group.bench_function("entry page, write all", |b| {
        let entry = Entry::read(&page, 0);
        let mut page = page;
        b.iter(|| (0..group_len).for_each(|n| black_box(entry).write(&mut page, n)));
    });
    group.bench_function("entry page, authenticate", |b| {
        b.iter(|| keys.index().entry_page_mac(PageNo(1), black_box(&page)));
    });
}

fn names(group: &mut Group<'_>, keys: &DirKeys) {
    let name = b"a name of some length.txt";
    let sealed = keys.encrypt_name(name).expect("it is a name");
    group.bench_function("name, encrypt", |b| {
        b.iter(|| keys.encrypt_name(black_box(name)).expect("it is a name"));
    });
    group.bench_function("name, decrypt", |b| {
        b.iter(|| keys.decrypt_name(black_box(sealed.name().as_bytes())).expect("as encrypted"));
    });
    let long = [b'x'; 255];
    group.bench_function("name of 255 bytes, encrypt", |b| {
        b.iter(|| keys.encrypt_name(black_box(&long)).expect("it is a name"));
    });
}

/// A policy of 100 statements of which the last lets the caller through.
fn long_policy() -> Policy {
    let statement = |n: usize, who: &str| {
        format!(
            r#"{{"Sid":"S{n}","Effect":"Allow","Principal":{{"AWS":"{who}"}},
                "Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey*"],"Resource":"*",
                "Condition":{{"StringEquals":{{"kms:EncryptionContext:kmsfs:volume":"v"}}}}}}"#
        )
    };
    let mut all: Vec<String> = (0..99)
        .map(|n| statement(n, &format!("arn:aws:iam::111122223333:user/other{n}")))
        .collect();
    all.push(statement(99, "arn:aws:iam::111122223333:user/user1"));
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, all.join(","));
    key_policy(&text).expect("it is well formed")
}

fn decisions(c: &mut Criterion) {
    let policy = long_policy();
    let principal = Principal::from_arn("arn:aws:iam::111122223333:user/user1").expect("an ARN");
    let owner = "111122223333".parse().expect("an account");
    let mut context = Context::new();
    context.one("kms:EncryptionContext:kmsfs:volume", "v");
    context.one("kms:CallerAccount", "111122223333");
    let query = Query {
        principal: &principal,
        action: "kms:Decrypt",
        resource: "arn:aws:kms:local-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        owner: &owner,
        context: &context,
    };
    assert_eq!(evaluate(&query, Some(&policy), &[]).verdict, Verdict::Allow);
    c.bench_function("policy/decide, 100 statements", |b| {
        b.iter(|| evaluate(black_box(&query), Some(&policy), &[]));
    });
}

fn messages(c: &mut Criterion) {
    let ask = ToServer::Ask {
        id: 7,
        ask: Ask::Unwrap {
            caller: OnBehalf::User { uid: 1000, gid: 1000, pid: 7, operation: Operation::Read },
            wrapped: Wrapped {
                key_id: "1234abcd-12ab-34cd-56ef-1234567890ab".into(),
                version: 1,
                blob: vec![5; 150],
            },
            place: Place { volume: [1; 16], object: Object::File([2; 16]) },
            told: Told::Nothing,
        },
    };
    let mut bytes = Zeroizing::new(Vec::new());
    c.bench_function("frame/encode an unwrap", |b| {
        b.iter(|| {
            bytes.clear();
            frames::put(black_box(&ask), &mut bytes).expect("it fits");
        });
    });
    // Without the length.
    let body = bytes.get(4..).unwrap_or_default().to_vec();
    c.bench_function("frame/decode it", |b| {
        b.iter(|| frames::decode::<ToServer>(black_box(&body)).expect("as encoded"));
    });
    bytes.clear();
    frames::put(&ToClient::Epoch(Epoch { instance: 7, count: 9 }), &mut bytes).expect("it fits");
    let news = bytes.get(4..).unwrap_or_default().to_vec();
    c.bench_function("frame/decode an epoch", |b| {
        b.iter(|| frames::decode::<ToClient>(black_box(&news)).expect("as encoded"));
    });
}

criterion_group!(benches, blocks, ciphers, format, decisions, messages);
criterion_main!(benches);
