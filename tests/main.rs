//! All tests that are not beside the code they test: one binary, so that it links once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a failure in a test is a report, not a hung mount"
)]

mod cli;
mod layering;
mod policy;
mod requirements;
mod vectors;
mod volume;
mod wire;
