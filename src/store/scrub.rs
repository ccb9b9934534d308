//! The scrub: reads all copies through, a few rows at a time, and repairs one from another.
//!
//! A disk can lose what nobody reads. All copies are of the same commit while the lock is held,
//! so their rows must be equal, byte by byte, and authentic; a copy that differs is replaced as
//! a whole. So is one that failed earlier, as soon as its directory can be written again.

use super::copies::{Copies, give_up};
use super::copy::Copy;
use super::embedded::Embedded;
use super::walk::{Place, Row};
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
    let lead = read(store, &copies.lead, &place);
    let found: Vec<_> = copies.mirrors.iter().map(|copy| read(store, copy, &place)).collect();
    let rows = match lead {
        Ok(rows) if found.iter().all(|other| other.as_ref() == Ok(&rows)) => rows,
        lead => settle(copies, &place, lead, found)?,
    };
    if copies.scrubbed.go_on(&rows) {
        return Ok(true);
    }
    copies.scrubbed = Place::default();
    Ok(false)
}

/// The copies do not agree. Of those whose rows are authentic the one with most of them leads:
/// rows get lost, but nobody can make one up. Those that differ from it are left out.
fn settle(
    copies: &mut Copies,
    place: &Place,
    lead: Slice,
    found: Vec<Slice>,
) -> Result<Vec<Row>, StoreError> {
    let old = std::mem::take(&mut copies.mirrors);
    let mut good = Vec::new();
    for (copy, slice) in old.into_iter().zip(found) {
        match slice {
            Ok(rows) => good.push((copy, rows)),
            Err(error) => give_up(&copy.dir, error, &mut copies.left_out),
        }
    }
    let count = |copy: &Copy| copy.count(place.table()).unwrap_or(0);
    let better = match &lead {
        // Of equals the first.
        Ok(_) => good.iter().map(|(copy, _)| count(copy)).max() > Some(count(&copies.lead)),
        Err(_) => true,
    };
    let mut rows = lead;
    if better && let Some(most) = good.iter().map(|(copy, _)| count(copy)).max() {
        let at = good.iter().position(|(copy, _)| count(copy) == most).unwrap_or_default();
        let (copy, its) = good.remove(at);
        tracing::error!(dir = %copy.dir.display(), "this copy of the key store leads from now on");
        let bad = std::mem::replace(&mut copies.lead, copy);
        give_up(&bad.dir, StoreError::Damaged, &mut copies.left_out);
        rows = Ok(its);
    }
    let rows = rows.inspect_err(|_| {
        tracing::error!(
            table = place.table(),
            "no copy of the key store is whole: restore it from a backup"
        );
    })?;
    for (copy, its) in good {
        if its == rows {
            copies.mirrors.push(copy);
        } else {
            give_up(&copy.dir, StoreError::Damaged, &mut copies.left_out);
        }
    }
    Ok(rows)
}

type Slice = Result<Vec<Row>, StoreError>;

fn read(store: &Embedded, copy: &Copy, place: &Place) -> Slice {
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
