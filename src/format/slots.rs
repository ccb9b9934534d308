//! Which of two header slots holds, and whether the pair is as a writer leaves it.

use super::{SLOT, SlotState, UnverifiedHeader, parse_slots};

/// Byte offset of the slot that holds generation `generation`: odd ones lie in slot A. S-12.
pub fn slot_offset(generation: u64) -> u64 {
    if generation % 2 == 1 { 0 } else { SLOT as u64 }
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
