//! What single calls of the library cost, without a mount: ciphers, headers, policy decisions,
//! frames. `cargo bench --bench micro [NAME]`; the figures that a mount gives are peers.sh's.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kmsfs::crypto::{Suite, random_nonces};
use kmsfs::format::{BLOCK, BlockNo, FileId, FileKeys};
use kmsfs::kms::caller::Principal;
use kmsfs::kms::policy::{Context, Policy, Query, Verdict, evaluate, key_policy};
use kmsfs::secret::Secret;
use kmsfs::server::frames;
use kmsfs::server::messages::{Ask, Object, OnBehalf, Operation, Place, ToServer, Told, Wrapped};
use zeroize::Zeroizing;

/// A request of 1 MiB: what the kernel sends at most.
const BLOCKS: usize = 256;

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
}

criterion_group!(benches, ciphers, decisions, messages);
criterion_main!(benches);
