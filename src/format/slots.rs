//! The two slots of a header page or directory header: which of them holds, and whether the pair
//! is as a writer leaves it.

use super::{HeaderError, SLOT, SLOT_BODY, UnverifiedHeader, parse_slot};

/// Bytes of a directory header: two slots and nothing more.
pub const DIR_HEADER_LEN: usize = 2 * SLOT;

/// Byte offset of the slot that holds generation `generation`: odd ones lie in slot A. S-12.
pub fn slot_offset(generation: u64) -> u64 {
    if generation % 2 == 1 { 0 } else { SLOT as u64 }
}

/// What lies in a slot.
#[derive(Clone, Debug)]
pub enum SlotState {
    /// All zero: never written.
    Empty,
    /// Not a header.
    Bad(HeaderError),
    /// A header, if it authenticates.
    Slot(Box<UnverifiedHeader>),
}

/// Both slots of a header page or directory header.
pub fn parse_slots(page0: &[u8]) -> [SlotState; 2] {
    [0, SLOT].map(|at| {
        let Some(body) = page0.get(at..).and_then(<[u8]>::first_chunk::<SLOT_BODY>) else {
            return SlotState::Bad(HeaderError::Short);
        };
        if body.iter().all(|&b| b == 0) {
            return SlotState::Empty;
        }
        match parse_slot(body) {
            Ok(header) => SlotState::Slot(Box::new(header)),
            Err(error) => SlotState::Bad(error),
        }
    })
}

/// The headers to try, with the number of their slot, the higher generation first; the first that
/// authenticates counts. Slot A goes first where both have one generation.
pub fn newest(slots: [SlotState; 2]) -> impl Iterator<Item = (usize, UnverifiedHeader)> {
    let mut found: Vec<_> = slots
        .into_iter()
        .enumerate()
        .filter_map(|(n, slot)| match slot {
            SlotState::Slot(header) => Some((n, *header)),
            SlotState::Empty | SlotState::Bad(_) => None,
        })
        .collect();
    found.sort_by_key(|(_, header)| core::cmp::Reverse(header.generation()));
    found.into_iter()
}

/// Two slots, looked at together.
pub enum Slots {
    /// Nothing was ever written here.
    Empty,
    /// Neither can be read.
    Damaged,
    /// There is a newest one.
    Newest {
        /// It.
        header: Box<UnverifiedHeader>,
        /// The one before, where it can be read.
        older: Option<Box<UnverifiedHeader>>,
        /// The generations follow each other, each in its place. Somebody who takes the newest
        /// slot away, or puts an old one back, breaks this.
        intact: bool,
    },
}

impl Slots {
    /// Looks at the first page of a file, or at a directory's header.
    pub fn of(bytes: &[u8]) -> Slots {
        let [a, b] = parse_slots(bytes);
        let empty = |s: &SlotState| matches!(s, SlotState::Empty);
        if empty(&a) && empty(&b) {
            return Slots::Empty;
        }
        let a_empty = empty(&a);
        let b_empty = empty(&b);
        let (newest, other, in_a) = match (a, b) {
            (SlotState::Slot(a), SlotState::Slot(b)) if b.generation() > a.generation() => {
                (b, Some(a), false)
            }
            (SlotState::Slot(a), SlotState::Slot(b)) => (a, Some(b), true),
            (SlotState::Slot(a), _) => (a, None, true),
            (_, SlotState::Slot(b)) => (b, None, false),
            _ => return Slots::Damaged,
        };
        let generation = newest.generation();
        let in_place = (generation % 2 == 1) == in_a;
        let follows = match &other {
            Some(older) => {
                older.generation() + 1 == generation
                    && older.id() == newest.id()
                    && older.kind() == newest.kind()
            }
            None => generation == 1 && if in_a { b_empty } else { a_empty },
        };
        Slots::Newest { header: newest, older: other, intact: in_place && follows }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::header::samples::{any_header, keys};
    use super::*;

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..1100), h in any_header(), at in 0..480usize,
        ) {
            prop_assert_eq!(newest(parse_slots(&bytes)).count(), 0);
            let mut page = h.encode(&keys(&h)).unwrap().to_vec();
            let taken = bytes.len().min(480 - at);
            page[at..at + taken].copy_from_slice(&bytes[..taken]);
            for (_, parsed) in newest(parse_slots(&page)) {
                let verified = parsed.verify(&keys(&h));
                prop_assert!(verified.is_err() || verified == Ok(h.clone()));
            }
        }
    }
}
