//! A policy as compiled: what [`super::parse`] makes and [`super::eval`] reads.

use super::condition::Condition;
use super::pattern::Pattern;
use crate::kms::caller::{PROGRAM_KEYS, Principal};
use crate::kms::id::AccountId;

/// A whole document.
#[derive(Debug)]
pub struct Policy {
    /// In the order of the document.
    pub statements: Vec<Statement>,
    /// Whether some verdict of it may depend on what program asks: such a verdict is good for
    /// one request only.
    pub about_programs: bool,
    /// When some verdict of it may change by itself: milliseconds since 1970, in no order.
    pub moments: Vec<i64>,
}

impl Policy {
    /// Of compiled statements.
    pub fn new(statements: Vec<Statement>) -> Policy {
        let about_programs = Self::depends_on(&statements, &PROGRAM_KEYS);
        let moments = statements.iter().flat_map(|s| &s.conditions).flat_map(Condition::moments);
        let moments = moments.collect();
        Policy { statements, about_programs, moments }
    }

    fn depends_on(statements: &[Statement], keys: &[&str]) -> bool {
        statements.iter().any(|statement| {
            let resource = statement.resource.iter().flat_map(|part| &part.patterns);
            let conditions = statement.conditions.iter();
            conditions
                .flat_map(Condition::depends_on)
                .chain(resource.flat_map(Pattern::variables))
                .any(|key| keys.contains(&key))
        })
    }
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
    /// A user or a role session.
    Exact(Principal),
    /// A federated user, by his ARN. The service has none, so it reaches nobody.
    Federated(String),
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
