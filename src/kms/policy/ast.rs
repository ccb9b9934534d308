//! A policy as compiled: what [`super::parse`] makes and [`super::eval`] reads.

use super::condition::Condition;
use super::pattern::Pattern;
use crate::kms::id::AccountId;

/// A whole document.
#[derive(Debug)]
pub struct Policy {
    /// In the order of the document.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug)]
pub struct Statement {
    /// `Sid`, if it has one.
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// Whom it is about; identity policies have none.
    pub principal: Option<PrincipalPart>,
    /// What may be done. Absent in a key policy: the statement has no effect.
    pub action: Option<Part>,
    /// On what. Absent in a key policy: the statement has no effect.
    pub resource: Option<Part>,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// What a statement does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Lets through what nothing denies.
    Allow,
    /// Forbids.
    Deny,
}

/// `Action`, `Resource` or their negations.
#[derive(Debug)]
pub struct Part {
    /// Everything but these.
    pub negated: bool,
    /// Any one suffices.
    pub patterns: Vec<Pattern>,
}

/// `Principal` or `NotPrincipal`.
#[derive(Debug)]
pub struct PrincipalPart {
    /// Everybody but these.
    pub negated: bool,
    /// Any one suffices.
    pub entries: Vec<PrincipalEntry>,
}

/// One principal that a statement names.
#[derive(Debug, PartialEq, Eq)]
pub enum PrincipalEntry {
    /// `*`
    Anyone,
    /// An account: its root ARN or its digits. Lets identity policies of the account count.
    Account(AccountId),
    /// A user, a role session or another single identity, by its ARN.
    Exact(String),
    /// A role; covers all its sessions.
    Role {
        /// Its account.
        account: AccountId,
        /// Its name, without path.
        name: String,
    },
    /// A service.
    Service(String),
}
