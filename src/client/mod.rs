//! The asking side: [`DataKeys`](crate::volume::keys::DataKeys) over a key service that is in
//! this process or behind a Unix socket.
//!
//! | file | is |
//! |---|---|
//! | [`conn`] | the one question both ways of asking answer |
//! | [`embedded`] | the service in this process |
//! | [`unix`] | kmsd behind its socket, with reconnection |
//! | [`keys`] | the data keys of the filesystem, through [`cache`], [`who`], [`ahead`], [`wants`] and [`pool`] |
//! | [`admin`] | the KMS actions, for the command line |
//!
//! Invariant: a decision counts only under the epoch it was made in, and only while the service
//! can be heard. Nothing here widens a right; what a cache answers is counted and reported.

pub mod admin;
pub mod ahead;
pub mod cache;
pub mod conn;
pub mod embedded;
pub mod keys;
pub mod pool;
pub mod unix;
pub mod wants;
pub mod who;
