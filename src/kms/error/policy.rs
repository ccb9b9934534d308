//! What is wrong with a policy document, and where in it.

use serde::{Deserialize, Serialize};

/// Why a policy document is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PolicyFault {
    /// A place in the document is wrong.
    #[error("Policy document is malformed at {place}: {what}")]
    At {
        /// Path of the place, `Statement[0].Action` and the like; `document` for the whole.
        place: String,
        /// What is wrong.
        what: PolicyMistake,
    },
    /// The caller could not change it again.
    #[error("The new key policy will not allow you to update the key policy in the future.")]
    Lockout,
}

/// What is wrong at a place of a policy document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PolicyMistake {
    /// Not JSON.
    #[error("not valid JSON")]
    Json,
    /// A character that policies may not hold.
    #[error("holds a character outside of tab, line feed, carriage return and U+0020 to U+00FF")]
    Character,
    /// Two members of one name.
    #[error("the member is given twice")]
    Duplicate,
    /// A member that policies do not have.
    #[error("not a member of the policy grammar")]
    UnknownMember,
    /// A member that must be there.
    #[error("missing")]
    Missing,
    /// Members that exclude each other.
    #[error("given together with its negation")]
    Exclusive,
    /// The wrong kind of value.
    #[error("not the expected kind of value")]
    Type,
    /// Neither Allow nor Deny.
    #[error("neither Allow nor Deny")]
    Effect,
    /// Neither of the two versions of the language.
    #[error("neither 2012-10-17 nor 2008-10-17")]
    Version,
    /// A list that needs an entry.
    #[error("empty")]
    Empty,
    /// Beyond a bound.
    #[error("too long or too many")]
    TooMany,
    /// Not a principal.
    #[error("not a valid principal")]
    Principal,
    /// Not an action.
    #[error("not a valid action")]
    Action,
    /// Not a resource.
    #[error("not a valid resource")]
    Resource,
    /// Not a condition operator.
    #[error("not a condition operator")]
    Operator,
    /// A value that the operator cannot compare with.
    #[error("not a value that the operator can compare with")]
    ConditionValue,
    /// A set operator on a key that has but one value.
    #[error("ForAllValues on a single-valued key lets everything through that lacks the key")]
    OverPermissive,
    /// A variable that is not closed or not well formed.
    #[error("not a well-formed policy variable")]
    Variable,
    /// A place where identity policies have no such member.
    #[error("not allowed in an identity policy")]
    NotInIdentityPolicy,
    /// A trust policy is about its role and nothing else.
    #[error("not allowed in a trust policy")]
    NotInTrustPolicy,
}
