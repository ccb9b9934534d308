//! One open file: its data, its entries, its tree, its header.
//!
//! A [`FileState`] exists once per inode for as long as a handle is open. Its invariant: at any
//! instant, what is below opens to the data before or after the change in progress, block by
//! block, and never to anything else. How the steps are ordered for that is told where they
//! are taken: `write` and `held` for data, `truncate` for sizes, `settle` for headers; what a reader
//! makes of an interrupted order is in `recover`.
//!
//! # Locks
//! `meta` (reader/writer) is taken before the page cache's own lock. The key service is never
//! called under either.

mod below;
mod blocks;
mod held;
mod holes;
mod kept;
mod pages;
mod read;
mod recover;
mod rekey;
mod reseal;
mod settle;
mod span;
mod state;
mod tree;
mod truncate;
mod write;

pub(super) use below::CAPABILITY;
pub(super) use holes::{Allocate, Whence};
pub(super) use rekey::{Copied, Kept};
pub(super) use settle::Settle;
pub(super) use state::{FileEnv, FileError, FileState, Found, Identity};
pub(super) use write::Stamp;
