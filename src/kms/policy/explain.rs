//! Why a verdict is what it is: every statement, and what kept it from applying.
//!
//! Built on the very functions that decide, so that an explanation cannot tell another story.
//! Slower than deciding: for people, not for requests.

use super::ast::{Effect, Policy, Statement};
use super::eval::{Decision, Place, Query, Reach, Where, evaluate};
use super::eval::{part_matches, reach, resource_matches};

/// A verdict with its reasons.
#[derive(Debug)]
pub struct Explanation<'p> {
    /// The verdict.
    pub decision: Decision,
    /// Every statement that took part: those that apply first, then by how much was missing.
    pub statements: Vec<Trace<'p>>,
}

/// What became of one statement.
#[derive(Debug)]
pub struct Trace<'p> {
    /// Where it is.
    pub place: Place,
    /// The statement.
    pub statement: &'p Statement,
    /// Whether it names the caller's account only, so that identity policies decide.
    pub by_account: bool,
    /// What kept it from applying; empty if it applies.
    pub missed: Vec<Missed>,
}

/// A part of a statement that does not fit the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It is about somebody else.
    Principal,
    /// It is about another action, or about none.
    Action,
    /// It is about another resource, or about none.
    Resource,
    /// A condition does not hold.
    Condition {
        /// As written.
        operator: String,
        /// The condition key, in lower case.
        key: String,
        /// Whether the request has that key at all.
        present: bool,
    },
    /// A condition cannot compare the value that the request has. A Deny applies all the same.
    Incomparable {
        /// As written.
        operator: String,
        /// The condition key, in lower case.
        key: String,
    },
}

/// Decides and says why.
pub fn explain<'p>(
    query: &Query<'_>,
    key_policy: Option<&'p Policy>,
    identity: &[&'p Policy],
) -> Explanation<'p> {
    let decision = evaluate(query, key_policy, identity);
    let all = key_policy.map(|policy| (Where::Key, policy)).into_iter();
    let all = all.chain(identity.iter().enumerate().map(|(n, p)| (Where::Identity(n), *p)));
    let mut statements: Vec<Trace<'p>> = all
        .flat_map(|(of, policy)| {
            policy.statements.iter().enumerate().map(move |(number, statement)| {
                let place = Place { policy: of, statement: number };
                let reached = reach(statement, query, of);
                let missed = missed(statement, query, reached);
                Trace { place, statement, by_account: reached == Reach::Account, missed }
            })
        })
        .collect();
    statements.sort_by_key(|trace| trace.missed.len());
    Explanation { decision, statements }
}

fn missed(statement: &Statement, query: &Query<'_>, reached: Reach) -> Vec<Missed> {
    let mut all = Vec::new();
    if reached == Reach::None {
        all.push(Missed::Principal);
    }
    if !statement.action.as_ref().is_some_and(|part| part_matches(part, query.action, query)) {
        all.push(Missed::Action);
    }
    if !statement.resource.as_ref().is_some_and(|part| resource_matches(part, query)) {
        all.push(Missed::Resource);
    }
    for condition in &statement.conditions {
        let (operator, key) = (condition.operator().to_owned(), condition.key().to_owned());
        match condition.holds(query.context) {
            Ok(true) => {}
            Ok(false) => {
                let present = query.context.get(&key).is_some();
                all.push(Missed::Condition { operator, key, present });
            }
            Err(_) if statement.effect == Effect::Deny => {}
            Err(_) => all.push(Missed::Incomparable { operator, key }),
        }
    }
    all
}
