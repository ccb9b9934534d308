//! A policy as compiled: what [`super::parse`] makes and [`super::eval`] reads.

use super::condition::Condition;
use super::pattern::Pattern;
use crate::kms::caller::{PATH_KEY, PROGRAM_KEYS, Principal};
use crate::kms::id::AccountId;

/// A whole document.
#[derive(Debug)]
pub struct Policy {
    /// In the order of the document.
    pub statements: Vec<Statement>,
    /// When some verdict of it may change by itself: milliseconds since 1970, in no order.
    pub moments: Vec<i64>,
    /// Whether some verdict of it may depend on a condition key at all. Without, nobody needs to
    /// establish any.
    pub conditional: bool,
}

impl Policy {
    /// Of compiled statements.
    pub fn new(statements: Vec<Statement>) -> Policy {
        let conditional = Self::keys_of(&statements).next().is_some();
        let moments = statements.iter().flat_map(|s| &s.conditions).flat_map(Condition::moments);
        let moments = moments.collect();
        Policy { statements, moments, conditional }
    }

    /// The condition keys that verdicts depend on.
    fn keys_of(statements: &[Statement]) -> impl Iterator<Item = &str> {
        statements.iter().flat_map(Statement::depends_on)
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
    /// What it asks about that not every request tells.
    pub asks: AsksAbout,
}

impl Statement {
    /// The condition keys, in lower case, that its outcome depends on.
    pub fn depends_on(&self) -> impl Iterator<Item = &str> {
        let parts = self.action.iter().chain(&self.resource);
        let patterns = parts.flat_map(|part| &part.patterns).flat_map(Pattern::variables);
        self.conditions.iter().flat_map(Condition::depends_on).chain(patterns)
    }

    /// The same, with what it asks about found out.
    #[must_use]
    pub fn knowing_what_it_asks(mut self) -> Statement {
        let asks = |names: &[&str]| self.depends_on().any(|key| names.contains(&key));
        self.asks = AsksAbout { programs: asks(&PROGRAM_KEYS), paths: asks(&[PATH_KEY]) };
        self
    }
}

/// What a verdict may depend on, besides what every request tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsksAbout {
    /// What program asks: the verdict is good for one request.
    pub programs: bool,
    /// Where in its volume the object is that the key is for.
    pub paths: bool,
}

impl std::ops::BitOr for AsksAbout {
    type Output = AsksAbout;

    fn bitor(self, other: AsksAbout) -> AsksAbout {
        AsksAbout { programs: self.programs | other.programs, paths: self.paths | other.paths }
    }
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
