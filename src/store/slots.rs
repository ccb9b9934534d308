//! Unlock slots as the copies hold them: without a tag, since they are read before there is a key.

use crate::custody::unlock::Slot;

/// The bytes of a slot.
pub fn encode_slot(slot: &Slot) -> Vec<u8> {
    bincode::serde::encode_to_vec(slot, bincode::config::standard()).unwrap_or_default()
}

/// The slot of these bytes, if they are one.
pub fn decode_slot(bytes: &[u8]) -> Option<Slot> {
    let slot = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    slot.ok().map(|(slot, _)| slot)
}
