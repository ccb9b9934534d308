//! Unlock slots as the copies hold them: without a tag, since they are read before there is a key.

use std::io;

use crate::custody::unlock::Slot;

/// The bytes of a slot.
///
/// # Errors
/// It cannot be encoded: nothing may be written in its place, or the store would stay shut.
pub fn encode_slot(slot: &Slot) -> io::Result<Vec<u8>> {
    bincode::serde::encode_to_vec(slot, bincode::config::standard()).map_err(io::Error::other)
}

/// The slot of these bytes, if they are one.
pub fn decode_slot(bytes: &[u8]) -> Option<Slot> {
    let slot = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    slot.ok().map(|(slot, _)| slot)
}
