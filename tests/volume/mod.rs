//! The volume without a mount: against models, and over a lower layer that fails.

mod crash;
mod entries;
mod files;
mod fsck;
mod locked;
mod model;
mod nameless;
mod names;
mod rekey;
mod rewrap;
mod support;
mod tamper;
