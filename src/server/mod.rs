//! The serving side: kmsd's listeners, and what turns a peer into a caller.
//!
//! | file | is |
//! |---|---|
//! | [`http`] | AWS JSON 1.1 over HTTP, for SDKs and the AWS CLI |
//! | [`tls`] | TLS below it |
//! | [`json`] | targets, bodies and failures of that protocol |
//! | [`sigv4`] | AWS signatures, pure |
//! | [`auth`] | whose signature it is |
//! | [`sts`] | GetCallerIdentity and AssumeRole |
//! | [`unix`] | the Unix socket: connections, workers, epoch pushes |
//! | [`eager`] | reading from one who asks one at a time |
//! | [`frames`], [`messages`] | what is said over it, and how it is written |
//! | [`dispatch`] | from a message to a call of the service, in the peer's true name |
//! | [`users`] | login names and groups of local users |
//!
//! Invariant: the identity in every call of the service was established here, by a signature or
//! by the kernel. What a peer says of itself is never part of it.

pub mod auth;
pub mod dispatch;
pub mod eager;
pub mod frames;
pub mod http;
pub mod json;
pub mod messages;
mod pool;
pub mod process;
pub mod sigv4;
pub mod sts;
mod sys;
pub mod tls;
pub mod unix;
pub mod users;
