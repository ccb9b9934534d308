//! kmsfs: envelope encryption for directories.
//!
//! A FUSE filesystem (`kmsfs`) whose every file has its own data key, and a key service
//! (`kmsd`) that wraps those keys under customer master keys and decides who may use them.
//!
//! | module | is |
//! |---|---|
//! | [`secret`], [`codec`], [`clock`], [`sync`] | what everybody may use |
//! | [`crypto`] | bytes in, bytes out |
//! | [`mod@format`] | the on-disk format, without I/O; `FORMAT.md` is its text |
//! | [`lower`] | the backing tree, by descriptors |
//! | [`volume`] | the filesystem, without kernel and without key service |
//! | [`rewrap`] | headers to the newest version of their CMK |
//! | [`fsck`] | checking a volume that is not mounted |
//! | [`transport`] | FUSE: decode, call the volume, reply |
//! | [`kms`] | the key service, without HTTP, SQL or files |
//! | [`store`], [`custody`] | where its records are kept, and its keys |
//! | [`server`], [`client`] | both ends of the wire |
//! | [`cli`] | the commands |
//! | [`manual`] | threat model, semantics, operations |
//!
//! Imports run one way; `tests/layering.rs` holds the table and enforces it.

pub mod cli;
pub mod client;
pub mod clock;
pub mod codec;
pub mod crypto;
pub mod custody;
pub mod format;
pub mod fsck;
pub mod kms;
pub mod lower;
pub mod manual;
pub mod rewrap;
pub mod secret;
pub mod server;
pub mod store;
pub mod sync;
pub mod transport;
pub mod volume;
