//! Hostile header pages: nothing may panic, and what parses must be canonical.
#![no_main]

use kmsfs::format::{
    CipherLen, Entry, HeaderError, HeaderKey, PlainLen, cipher_len, newest, parse_slot,
    parse_slots, plain_len,
};
use kmsfs::secret::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let key = Secret::new([7; 32]);
    for (slot, parsed) in newest(parse_slots(data)) {
        assert!(slot < 2 && parsed.wrapped().fits());
        let keys = HeaderKey::new(parsed.kind(), &key, parsed.suite(), &parsed.id());
        // The fuzzer cannot make a tag: give it one, so that it gets past this.
        let mut body = data[slot * 512..][..480].to_vec();
        let _ = parsed.verify(&keys);
        let tag = keys.tag_of(&body[..448]);
        body[448..].copy_from_slice(&tag);
        match parse_slot(&body).expect("parsed before").verify(&keys) {
            Ok(header) => {
                let again = header.encode(&keys).expect("what parsed is canonical");
                assert_eq!(again[..], body[..]);
            }
            // The root is seen last, and must be zero where nothing is clean.
            Err(error) => assert!(error == HeaderError::NotCanonical && body[8] & 1 == 0),
        }
    }
    for index in 0..70 {
        let entry = Entry::read(data, index);
        assert!(!entry.cur.is_hole() || index * 64 + 64 <= data.len());
    }
    if let Some(bytes) = data.first_chunk() {
        let number = u64::from_le_bytes(*bytes);
        if let Some(plain) = plain_len(CipherLen(number)) {
            assert_eq!(cipher_len(plain), Some(CipherLen(number)));
        }
        if let Some(lower) = cipher_len(PlainLen(number)) {
            assert_eq!(plain_len(lower), Some(PlainLen(number)));
        }
    }
});
