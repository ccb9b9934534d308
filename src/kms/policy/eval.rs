//! The verdict: explicit Deny first, then the two ways in which a key policy can allow.
//!
//! A key-policy Allow is *direct* when it names the caller, its role or everybody, and *by
//! account* when it names the caller's account. The second only lets the identity policies of
//! that account count. Within the key's account a direct Allow suffices; from another account
//! the key policy and an identity policy must both allow.

use std::collections::BTreeMap;

use super::ast::{Effect, Part, Policy, PrincipalEntry, PrincipalPart, Statement};
use crate::kms::caller::Principal;
use crate::kms::id::AccountId;

/// The condition keys of a request. A key that is not there could not be established.
#[derive(Clone, Debug, Default)]
pub struct Context(BTreeMap<String, ContextValue>);

/// The value of a condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue {
    /// Of a single-valued key.
    One(String),
    /// Of a multi-valued key.
    Many(Vec<String>),
}

impl Context {
    /// No key at all.
    pub fn new() -> Context {
        Context::default()
    }

    /// Sets a single-valued key. Key names ignore case.
    pub fn one(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_lowercase(), ContextValue::One(value.to_owned()));
    }

    /// Sets a multi-valued key.
    pub fn many(&mut self, key: &str, values: Vec<String>) {
        self.0.insert(key.to_lowercase(), ContextValue::Many(values));
    }

    /// The value of a key given in lower case.
    pub fn get(&self, lower_key: &str) -> Option<&ContextValue> {
        self.0.get(lower_key)
    }
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// `kms:Decrypt` and the like.
    pub action: &'a str,
    /// ARN of a key or alias, or `*`.
    pub resource: &'a str,
    /// The account that owns the resource.
    pub owner: &'a AccountId,
    /// The condition keys.
    pub context: &'a Context,
}

/// The answer to a [`Query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// A Deny statement applies.
    ExplicitDeny,
    /// Nothing allows it.
    ImplicitDeny,
}

/// A verdict and the statement that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// `Sid` of the statement that decided, if it has one.
    pub sid: Option<String>,
}

impl Decision {
    fn of(verdict: Verdict, statement: Option<&Statement>) -> Decision {
        Decision { verdict, sid: statement.and_then(|s| s.sid.clone()) }
    }
}

/// Decides. `key_policy` is `None` for questions on no key and on aliases, which identity
/// policies alone decide.
pub fn evaluate(query: &Query<'_>, key_policy: Option<&Policy>, identity: &[&Policy]) -> Decision {
    let key_statements = || key_policy.into_iter().flat_map(|p| &p.statements);
    let identity_statements = || identity.iter().flat_map(|p| &p.statements);

    let denies = |s: &&Statement| s.effect == Effect::Deny;
    let key_deny = key_statements()
        .filter(denies)
        .find(|s| reaches(s.principal.as_ref(), query) && applies(s, query));
    if let Some(statement) =
        key_deny.or_else(|| identity_statements().filter(denies).find(|s| applies(s, query)))
    {
        return Decision::of(Verdict::ExplicitDeny, Some(statement));
    }

    let allows = |s: &&Statement| s.effect == Effect::Allow;
    let by_identity = identity_statements().filter(allows).find(|s| applies(s, query));
    // The root user has no identity policies; his account's word is his.
    let identity_allows =
        by_identity.is_some() || matches!(query.principal, Principal::Root { .. });
    if key_policy.is_none() {
        let verdict = if identity_allows { Verdict::Allow } else { Verdict::ImplicitDeny };
        return Decision::of(verdict, by_identity);
    }

    let mut by_account = None;
    let mut direct = None;
    for statement in key_statements().filter(allows) {
        match trust(statement.principal.as_ref(), query) {
            Trust::None => {}
            Trust::Direct if direct.is_none() && applies(statement, query) => {
                direct = Some(statement);
            }
            Trust::Account if by_account.is_none() && applies(statement, query) => {
                by_account = Some(statement);
            }
            Trust::Direct | Trust::Account => {}
        }
    }
    let same_account = query.principal.account().is_none_or(|account| account == query.owner);
    match (direct, by_account) {
        (Some(statement), _) if same_account || identity_allows => {
            Decision::of(Verdict::Allow, Some(statement))
        }
        (_, Some(statement)) if identity_allows => {
            Decision::of(Verdict::Allow, by_identity.or(Some(statement)))
        }
        _ => Decision::of(Verdict::ImplicitDeny, None),
    }
}

/// How the principal part of an Allow reaches the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    None,
    Account,
    Direct,
}

fn trust(part: Option<&PrincipalPart>, query: &Query<'_>) -> Trust {
    let Some(part) = part else { return Trust::None };
    if part.negated {
        // Everybody who is not named, by himself or by his account.
        let named = part.entries.iter().any(|e| entry_trust(e, query.principal) != Trust::None);
        return if named { Trust::None } else { Trust::Direct };
    }
    let kinds = part.entries.iter().map(|e| entry_trust(e, query.principal));
    kinds.fold(Trust::None, |best, next| match (best, next) {
        (Trust::Direct, _) | (_, Trust::Direct) => Trust::Direct,
        (Trust::Account, _) | (_, Trust::Account) => Trust::Account,
        _ => Trust::None,
    })
}

/// Whether the principal part of a Deny reaches the caller. An account reaches all its
/// principals; `NotPrincipal` spares only those whom it names themselves.
fn reaches(part: Option<&PrincipalPart>, query: &Query<'_>) -> bool {
    let Some(part) = part else { return false };
    if part.negated {
        let spared = part.entries.iter().any(|entry| match entry {
            PrincipalEntry::Account(account) => {
                *query.principal == Principal::Root { account: account.clone() }
            }
            other => entry_trust(other, query.principal) != Trust::None,
        });
        return !spared;
    }
    // Everybody is everybody when it comes to denying: services too.
    let named = |e: &PrincipalEntry| {
        *e == PrincipalEntry::Anyone || entry_trust(e, query.principal) != Trust::None
    };
    part.entries.iter().any(named)
}

fn entry_trust(entry: &PrincipalEntry, principal: &Principal) -> Trust {
    let direct = |yes: bool| if yes { Trust::Direct } else { Trust::None };
    match (entry, principal) {
        // "AWS": "*" is about identities of accounts; a service is named as one.
        (PrincipalEntry::Anyone, caller) => direct(caller.account().is_some()),
        (PrincipalEntry::Account(account), caller) => {
            if caller.account() == Some(account) {
                Trust::Account
            } else {
                Trust::None
            }
        }
        (PrincipalEntry::Exact(arn), caller) => direct(*arn == caller.to_string()),
        (
            PrincipalEntry::Role { account, name },
            Principal::AssumedRole { account: theirs, role, .. },
        ) => direct(account == theirs && name == role),
        (PrincipalEntry::Service(name), Principal::Service { name: theirs }) => {
            direct(name == theirs)
        }
        _ => Trust::None,
    }
}

/// Action, resource and conditions. A condition that cannot be evaluated lets a Deny apply and
/// keeps an Allow from applying.
fn applies(statement: &Statement, query: &Query<'_>) -> bool {
    let (Some(action), Some(resource)) = (&statement.action, &statement.resource) else {
        return false;
    };
    if !part_matches(action, query.action, query) || !resource_matches(resource, query) {
        return false;
    }
    let mut unclear = false;
    for condition in &statement.conditions {
        match condition.holds(query.context) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(_) => unclear = true,
        }
    }
    !unclear || statement.effect == Effect::Deny
}

fn part_matches(part: &Part, text: &str, query: &Query<'_>) -> bool {
    part.patterns.iter().any(|p| p.matches(text, query.context)) != part.negated
}

fn resource_matches(part: &Part, query: &Query<'_>) -> bool {
    part_matches(part, query.resource, query)
}
