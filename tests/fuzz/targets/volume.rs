//! Hostile volume descriptors: nothing may panic, and what parses must be canonical.
#![no_main]

use kmsfs::format::{DESCRIPTOR_LEN, VolumeKeys, parse_descriptor};
use kmsfs::secret::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = parse_descriptor(data);
    // The length and the tag are the two things that a fuzzer does not guess: give it both.
    let mut page = [0; DESCRIPTOR_LEN];
    let taken = data.len().min(4064);
    page[..taken].copy_from_slice(&data[..taken]);
    let Ok(parsed) = parse_descriptor(&page) else { return };
    assert!(parsed.wrapped().fits());
    let keys = VolumeKeys::new(&Secret::new([7; 32]), &parsed.id());
    assert!(parsed.verify(&keys).is_err());
    let tag = keys.tag_of(&page[..4064]);
    page[4064..].copy_from_slice(&tag);
    let found = parse_descriptor(&page).and_then(|p| p.verify(&keys)).expect("signed");
    assert_eq!(found.encode(&keys).expect("what parsed is canonical")[..], page[..]);
    for record in &found.unclean {
        assert_eq!(found.record_of(record.last), Some(record));
    }
});
