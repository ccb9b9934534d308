//! Frames between kmsfs and kmsd, both directions, whole streams at a time.
#![no_main]

use kmsfs::server::frames::{FrameReader, MAX_FRAME, MAX_REQUEST, decode};
use kmsfs::server::messages::{ToClient, ToServer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = FrameReader::new(bytes, MAX_REQUEST);
    while reader.read::<ToServer>().is_ok() {}
    let mut reader = FrameReader::new(bytes, MAX_FRAME);
    while reader.read::<ToClient>().is_ok() {}
    // Past the length field, where mutations of a good frame seldom get by themselves.
    let _ = decode::<ToServer>(bytes);
    let _ = decode::<ToClient>(bytes);
});
