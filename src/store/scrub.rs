//! The scrub: reads all copies through, a few rows at a time, and repairs one from another.
//!
//! A disk can lose what nobody reads. All copies are of the same commit while the lock is held,
//! so their rows must be equal, byte by byte, and authentic; a copy that differs is replaced as
//! a whole. So is one that failed earlier, as soon as its directory can be written again.

use super::copy::{Copy, Place, Row};
use super::embedded::{Copies, Embedded, give_up};
use crate::kms::store::StoreError;

/// Rows of one step, during which nobody else is served.
const STEP: u32 = 200;
/// Steps at a time: a store of a hundred thousand keys takes about half an hour.
const STEPS: usize = 20;

/// Scrubs the next rows.
pub fn some(store: &Embedded) -> Result<(), StoreError> {
    repair(&mut store.copies.lock());
    for _ in 0..STEPS {
        let mut copies = store.copies.lock();
        if !step(store, &mut copies)? {
            break;
        }
        drop(copies);
        std::thread::yield_now();
    }
    repair(&mut store.copies.lock());
    Ok(())
}

/// `false` at the end of the last table; the next step begins again.
fn step(store: &Embedded, copies: &mut Copies) -> Result<bool, StoreError> {
    let place = copies.scrubbed.clone();
    let rows = loop {
        match read(store, &copies.lead, &place) {
            Ok(rows) => break rows,
            Err(error) if !copies.promote(error) => {
                tracing::error!(
                    table = place.table(),
                    "the only copy of the key store is damaged: restore it from a backup"
                );
                return Err(error);
            }
            Err(_) => {}
        }
    };
    let Copies { mirrors, left_out, scrubbed, .. } = copies;
    mirrors.retain(|mirror| {
        let same = mirror.slice(&place, STEP).is_ok_and(|found| found == rows);
        if !same {
            give_up(&mirror.dir, StoreError::Damaged, left_out);
        }
        same
    });
    if scrubbed.go_on(&rows) {
        return Ok(true);
    }
    *scrubbed = Place::default();
    Ok(false)
}

fn read(store: &Embedded, copy: &Copy, place: &Place) -> Result<Vec<Row>, StoreError> {
    let rows = copy.slice(place, STEP)?;
    rows.iter().try_for_each(|row| row.check(place.table(), &store.key))?;
    Ok(rows)
}

/// Makes the copies that were left out anew.
fn repair(copies: &mut Copies) {
    for dir in std::mem::take(&mut copies.left_out) {
        match copies.lead.replicate(&dir) {
            Ok(copy) => {
                tracing::warn!(dir = %dir.display(), from = %copies.lead.dir.display(),
                    "a copy of the key store was repaired");
                copies.mirrors.push(copy);
            }
            Err(error) => {
                tracing::error!(dir = %dir.display(), %error,
                    "a copy of the key store cannot be repaired");
                copies.left_out.push(dir);
            }
        }
    }
}
