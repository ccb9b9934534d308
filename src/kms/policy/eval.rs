//! The verdict: explicit Deny first, then the two ways in which a key policy can allow.
//!
//! A key-policy Allow is *direct* when it names the caller, its role or everybody, and *by
//! account* when it names the caller's account. The second only lets the identity policies of
//! that account count. Within the key's account a direct Allow suffices; from another account
//! the key policy and an identity policy must both allow.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::ast::{AsksAbout, Effect, Part, Policy, PrincipalEntry, PrincipalPart, Statement};
use crate::kms::caller::Principal;
use crate::kms::id::AccountId;

/// The condition keys of a request. A key that is not there could not be established.
#[derive(Clone, Debug, Default)]
pub struct Context(Vec<(Cow<'static, str>, ContextValue)>);

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
    pub fn one(&mut self, key: impl Into<Cow<'static, str>>, value: &str) {
        self.0.push((key.into(), ContextValue::One(value.to_owned())));
    }

    /// Sets a multi-valued key.
    pub fn many(&mut self, key: impl Into<Cow<'static, str>>, values: Vec<String>) {
        self.0.push((key.into(), ContextValue::Many(values)));
    }

    /// The value of a key given in lower case: the one that was set last.
    pub fn get(&self, lower_key: &str) -> Option<&ContextValue> {
        let same = |key: &str| {
            key.eq_ignore_ascii_case(lower_key)
                || !key.is_ascii() && key.to_lowercase() == lower_key
        };
        self.0.iter().rev().find(|(key, _)| same(key)).map(|(_, value)| value)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// A Deny statement applies.
    ExplicitDeny,
    /// Nothing allows it.
    ImplicitDeny,
}

/// A verdict and the statement that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Where the statement that decided is. `None` when none did: nothing allows, or the root
    /// user asked.
    pub by: Option<Place>,
}

/// A statement, by where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which policy.
    pub policy: Where,
    /// Its index.
    pub statement: usize,
}

/// A policy that takes part in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// The key policy.
    Key,
    /// The identity policy of that index.
    Identity(usize),
}

/// Decides. `key_policy` is `None` for questions on no key and on aliases, which identity
/// policies alone decide. Allocates nothing, unless a policy has variables.
pub fn evaluate(query: &Query<'_>, key_policy: Option<&Policy>, identity: &[&Policy]) -> Decision {
    let denied = key_policy
        .and_then(|policy| first(policy, Where::Key, query, Effect::Deny))
        .or_else(|| in_identity(identity, query, Effect::Deny));
    if denied.is_some() {
        return Decision { verdict: Verdict::ExplicitDeny, by: denied };
    }
    let by_identity = in_identity(identity, query, Effect::Allow);
    // The root user has no identity policies; his account's word is his.
    let identity_allows =
        by_identity.is_some() || matches!(query.principal, Principal::Root { .. });
    let Some(key_policy) = key_policy else {
        let verdict = if identity_allows { Verdict::Allow } else { Verdict::ImplicitDeny };
        return Decision { verdict, by: by_identity };
    };
    let mut by_account = None;
    let mut direct = None;
    for (index, statement) in key_policy.statements.iter().enumerate() {
        let place = match reach(statement, query, Where::Key) {
            Reach::Direct => &mut direct,
            Reach::Account => &mut by_account,
            Reach::None => continue,
        };
        if statement.effect == Effect::Allow && place.is_none() && applies(statement, query) {
            *place = Some(Place { policy: Where::Key, statement: index });
        }
    }
    let same_account = query.principal.account().is_none_or(|account| account == query.owner);
    let by = match (direct, by_account) {
        (Some(_), _) if same_account || identity_allows => direct,
        (_, Some(_)) if identity_allows => by_identity.or(by_account),
        _ => return Decision { verdict: Verdict::ImplicitDeny, by: None },
    };
    Decision { verdict: Verdict::Allow, by }
}

/// What decisions about `principal` may depend on, as far as this policy goes: statements that do
/// not reach him have no say.
pub fn asks_about(
    policy: &Policy,
    of: Where,
    principal: &Principal,
    owner: &AccountId,
) -> AsksAbout {
    let context = Context::new();
    let query = Query { principal, action: "", resource: "", owner, context: &context };
    let reaching = policy.statements.iter().filter(|s| reach(s, &query, of) != Reach::None);
    reaching.fold(AsksAbout::default(), |asks, statement| asks | statement.asks)
}

/// The first statement of that effect that reaches the caller and applies.
fn first(policy: &Policy, of: Where, query: &Query<'_>, effect: Effect) -> Option<Place> {
    let found = policy.statements.iter().position(|statement| {
        statement.effect == effect
            && reach(statement, query, of) != Reach::None
            && applies(statement, query)
    });
    found.map(|statement| Place { policy: of, statement })
}

fn in_identity(identity: &[&Policy], query: &Query<'_>, effect: Effect) -> Option<Place> {
    let mut all = identity.iter().enumerate();
    all.find_map(|(number, policy)| first(policy, Where::Identity(number), query, effect))
}

/// How a statement reaches the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    None,
    /// By his account: identity policies must say the rest.
    Account,
    Direct,
}

/// How `statement` of a policy there reaches the caller. Identity policies are his already.
pub(super) fn reach(statement: &Statement, query: &Query<'_>, of: Where) -> Reach {
    if let Where::Identity(_) = of {
        return Reach::Direct;
    }
    match statement.effect {
        Effect::Allow => trust(statement.principal.as_ref(), query),
        Effect::Deny if reaches(statement.principal.as_ref(), query) => Reach::Direct,
        Effect::Deny => Reach::None,
    }
}

fn trust(part: Option<&PrincipalPart>, query: &Query<'_>) -> Reach {
    let Some(part) = part else { return Reach::None };
    if part.negated {
        // Everybody who is not named, by himself or by his account.
        let named = part.entries.iter().any(|e| entry_trust(e, query.principal) != Reach::None);
        return if named { Reach::None } else { Reach::Direct };
    }
    let kinds = part.entries.iter().map(|e| entry_trust(e, query.principal));
    kinds.fold(Reach::None, |best, next| match (best, next) {
        (Reach::Direct, _) | (_, Reach::Direct) => Reach::Direct,
        (Reach::Account, _) | (_, Reach::Account) => Reach::Account,
        _ => Reach::None,
    })
}

/// Whether the principal part of a Deny reaches the caller. An account reaches all its
/// principals; `NotPrincipal` spares only those whom it names themselves.
fn reaches(part: Option<&PrincipalPart>, query: &Query<'_>) -> bool {
    let Some(part) = part else { return false };
    if part.negated {
        let spared = part.entries.iter().any(|entry| match entry {
            PrincipalEntry::Account(account) => {
                matches!(query.principal, Principal::Root { account: theirs } if theirs == account)
            }
            other => entry_trust(other, query.principal) != Reach::None,
        });
        return !spared;
    }
    // Everybody is everybody when it comes to denying: services too.
    let named = |e: &PrincipalEntry| {
        *e == PrincipalEntry::Anyone || entry_trust(e, query.principal) != Reach::None
    };
    part.entries.iter().any(named)
}

fn entry_trust(entry: &PrincipalEntry, principal: &Principal) -> Reach {
    let direct = |yes: bool| if yes { Reach::Direct } else { Reach::None };
    match (entry, principal) {
        // "AWS": "*" is about identities of accounts; a service is named as one.
        (PrincipalEntry::Anyone, caller) => direct(caller.account().is_some()),
        (PrincipalEntry::Account(account), caller) => {
            if caller.account() == Some(account) {
                Reach::Account
            } else {
                Reach::None
            }
        }
        (PrincipalEntry::Exact(named), caller) => direct(named == caller),
        (
            PrincipalEntry::Role { account, name },
            Principal::AssumedRole { account: theirs, role, .. },
        ) => direct(account == theirs && name == role),
        (PrincipalEntry::Service(name), Principal::Service { name: theirs }) => {
            direct(name == theirs)
        }
        _ => Reach::None,
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

pub(super) fn part_matches(part: &Part, text: &str, query: &Query<'_>) -> bool {
    part.patterns.iter().any(|p| p.matches(text, query.context)) != part.negated
}

pub(super) fn resource_matches(part: &Part, query: &Query<'_>) -> bool {
    part_matches(part, query.resource, query)
}
