//! Frames there and back, and frames that nobody honest would send.

use proptest::prelude::*;

use super::*;
use crate::kms::api::{Action, IamRequest, Request};
use crate::kms::error::KmsError;
use crate::secret::Secret;
use crate::server::messages::*;
use bincode::serde::Compat;

fn framed<T: Encode>(message: &T) -> Vec<u8> {
    let mut bytes = Zeroizing::new(Vec::new());
    put(message, &mut bytes).unwrap();
    bytes.to_vec()
}

fn there_and_back<T: Encode + Decode<()> + std::fmt::Debug>(message: &T) -> String {
    let bytes = framed(message);
    let back: T = FrameReader::new(bytes.as_slice(), MAX_FRAME).read().unwrap();
    assert_eq!(framed(&back), bytes);
    format!("{back:?}")
}

fn wrapped() -> Wrapped {
    Wrapped { key_id: "k".into(), version: 3, blob: vec![5; 200] }
}

fn asks() -> Vec<Ask> {
    let user = OnBehalf::User { uid: 1000, gid: 100, pid: 77, operation: Operation::Write };
    let place = Place { volume: [1; 16], object: Object::Directory([2; 16]) };
    let json = br#"{"KeyId":"alias/a","EncryptionContext":{"a":"b","c":"d"},"NumberOfBytes":64}"#;
    let api = Request::from_json(Action::GenerateDataKey, json).unwrap();
    let (key_id, volume) = ("k".to_owned(), [1; 16]);
    vec![
        Ask::Generate {
            caller: user,
            key_id: key_id.clone(),
            volume,
            kind: Kind::File,
            count: 9,
            told: Told::Nothing,
        },
        Ask::Unwrap { caller: OnBehalf::Service, wrapped: wrapped(), place, told: Told::Unknown },
        Ask::AuthorizeGenerate {
            caller: user,
            key_id: key_id.clone(),
            place,
            told: Told::Path("/a".into()),
        },
        Ask::AuthorizeUnwrap {
            caller: user,
            wrapped: wrapped(),
            place,
            told: Told::Path("/b".into()),
        },
        Ask::CachedUses(vec![CachedUse { caller: user, key_id, hits: 12 }]),
        Ask::Tamper { caller: user, place, object: "o".into(), what: "w".into() },
        Ask::ManagedKey,
        Ask::Resolve("alias/x".into()),
        Ask::Api(Compat(Box::new(api))),
        Ask::Iam(Compat(IamRequest::CreateAccessKey { user: "anna".into() })),
    ]
}

#[test]
fn every_question_goes_there_and_back() {
    for (id, ask) in asks().into_iter().enumerate() {
        let before = format!("{ask:?}");
        let message = ToServer::Ask { id: id as u64, ask };
        assert!(there_and_back(&message).contains(&before), "{before}");
    }
}

#[test]
fn every_answer_goes_there_and_back() {
    let fresh = Fresh { id: [4; 16], key: KeyBytes(Secret::new([0x5a; 32])), wrapped: wrapped() };
    let answers = [
        Answer::Done,
        Answer::Key(KeyBytes(Secret::new([0x5a; 32]))),
        Answer::Fresh(vec![fresh]),
        Answer::Text("id".into()),
        Answer::Failed(Compat(KmsError::InvalidCiphertext)),
        Answer::Failed(Compat(KmsError::UnknownOperation { name: "X".into() })),
        Answer::No(Refusal::Denied),
    ];
    for answer in answers {
        let text = there_and_back(&ToClient::Answer { id: 1, answer });
        assert!(!text.contains("90, 90"), "keys are not printed: {text}");
    }
}

#[test]
fn a_key_arrives_as_it_was_sent() {
    let sent = ToClient::Answer { id: 1, answer: Answer::Key(KeyBytes(Secret::new([0x5a; 32]))) };
    let ToClient::Answer { answer: Answer::Key(key), .. } = decode(&framed(&sent)[4..]).unwrap()
    else {
        panic!("another message")
    };
    assert_eq!(key.0.expose(), &[0x5a; 32]);
}

#[test]
fn lengths_are_checked_before_anything_is_read() {
    for length in [0, u32::MAX, u32::try_from(MAX_FRAME).unwrap() + 1] {
        let bytes = length.to_le_bytes();
        let mut reader = FrameReader::new(bytes.as_slice(), MAX_FRAME);
        assert!(matches!(reader.read::<ToServer>(), Err(FrameError::Length(_))), "{length}");
        assert!(reader.buffer.len() < MAX_FRAME, "nothing was made room for");
    }
    let big = framed(&ToServer::Ask { id: 1, ask: Ask::Resolve("x".repeat(MAX_REQUEST)) });
    let mut reader = FrameReader::new(big.as_slice(), MAX_REQUEST);
    assert!(matches!(reader.read::<ToServer>(), Err(FrameError::Length(_))));
}

#[test]
fn a_message_that_does_not_fit_is_refused() {
    let mut bytes = Zeroizing::new(vec![1]);
    let too_long = ToServer::Ask { id: 1, ask: Ask::Resolve("x".repeat(MAX_FRAME)) };
    assert!(put(&too_long, &mut bytes).is_err());
    assert_eq!(*bytes, [1], "nothing was written");
}

#[test]
fn counts_that_lie_allocate_nothing() {
    // A vector of 2^60 items, in a frame of a few bytes.
    let mut body = framed(&ToServer::Ask { id: 1, ask: Ask::CachedUses(vec![]) });
    let at = body.len() - 8;
    body[at..].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(matches!(decode::<ToServer>(&body[4..]), Err(FrameError::Malformed)));
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut body = framed(&ToServer::Hello { version: 1 })[4..].to_vec();
    assert!(decode::<ToServer>(&body).is_ok());
    body.push(0);
    assert!(matches!(decode::<ToServer>(&body), Err(FrameError::Malformed)));
}

#[test]
fn frames_may_arrive_in_any_pieces() {
    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(self.0.len()).min(1);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }
    let mut bytes = Vec::new();
    let long = "y".repeat(40_000);
    for text in ["a", &long, "b", &long, "c"] {
        bytes.extend(framed(&ToServer::Ask { id: 1, ask: Ask::Resolve(text.to_owned()) }));
    }
    for drip in [true, false] {
        let from: Box<dyn Read> =
            if drip { Box::new(Drip(&bytes)) } else { Box::new(bytes.as_slice()) };
        let mut reader = FrameReader::new(from, MAX_FRAME);
        for text in ["a", &long, "b", &long, "c"] {
            match reader.read().unwrap() {
                ToServer::Ask { ask: Ask::Resolve(got), .. } => assert_eq!(got, text),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(reader.read::<ToServer>(), Err(FrameError::Closed)));
    }
    let cut = &bytes[..bytes.len() - 1];
    let mut reader = FrameReader::new(cut, MAX_FRAME);
    let mut last = Ok(());
    while last.is_ok() {
        last = reader.read::<ToServer>().map(drop);
    }
    assert!(matches!(last, Err(FrameError::Io(_))), "cut off inside of a frame");
}

#[test]
fn keys_do_not_stay_in_the_buffer() {
    let sent = ToClient::Answer { id: 1, answer: Answer::Key(KeyBytes(Secret::new([0x5a; 32]))) };
    let bytes = framed(&sent);
    let mut reader = FrameReader::new(bytes.as_slice(), MAX_FRAME);
    reader.read::<ToClient>().unwrap();
    assert!(!reader.buffer.windows(8).any(|part| part == [0x5a; 8]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode::<ToServer>(&bytes);
        let _ = decode::<ToClient>(&bytes);
        let mut reader = FrameReader::new(bytes.as_slice(), MAX_REQUEST);
        while reader.read::<ToServer>().is_ok() {}
        prop_assert!(reader.buffer.len() <= (MAX_REQUEST + 4).next_power_of_two());
    }

    #[test]
    fn changed_messages_never_panic(
        which in 0..10usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let ask = asks().swap_remove(which);
        let mut bytes = framed(&ToServer::Ask { id: 1, ask });
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let mut reader = FrameReader::new(bytes.as_slice(), MAX_REQUEST);
        while reader.read::<ToServer>().is_ok() {}
    }
}
