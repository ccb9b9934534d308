//! AWS's policy language, pure: documents in, verdicts out.
//!
//! A document is read, bounded and compiled once, when it is put ([`parse`]); a compiled
//! [`ast::Policy`] cannot be malformed. [`eval`] decides, [`condition`] compares, [`pattern`]
//! matches. Invariants: an explicit Deny wins over everything; what cannot be evaluated does
//! not allow, and in a Deny it denies.

pub mod ast;
pub mod case;
pub mod condition;
pub mod eval;
pub mod explain;
pub mod parse;
pub mod pattern;
#[cfg(test)]
mod tests;

pub use ast::{AsksAbout, Policy};
pub use eval::{
    Context, ContextValue, Decision, Place, Query, Verdict, Where, asks_about, evaluate,
};
pub use parse::{identity_policy, key_policy, trust_policy};
