//! Grants: one key, one grantee, some operations, allow only.
//!
//! A grant is effective beside the policies: an explicit Deny still wins. It is matched here and
//! counted by [`super::authz`]; making, listing, retiring and revoking are the service's.
//!
//! Keys of encryption-context constraints are compared exactly, like their values: a grant can
//! only be narrower for it. `expires` is kmsfs's own: a grant that ends by itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::caller::Principal;
use super::id::{AccountId, KeyId};
use crate::clock::Millis;

/// Most pairs of an encryption-context constraint.
pub const MAX_PAIRS: usize = 8;

macro_rules! operations {
    ($($name:ident,)*) => {
        /// What a grant can allow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum GrantOperation {
            $(
                #[doc = concat!("`kms:", stringify!($name), "`")]
                $name,
            )*
        }

        impl GrantOperation {
            /// All, in the order in which error messages list them.
            pub const ALL: &[GrantOperation] = &[$(GrantOperation::$name,)*];

            /// The name on the wire: the action's, without `kms:`. Case counts.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(GrantOperation::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    Decrypt,
    Encrypt,
    GenerateDataKey,
    GenerateDataKeyWithoutPlaintext,
    ReEncryptFrom,
    ReEncryptTo,
    Sign,
    Verify,
    GetPublicKey,
    CreateGrant,
    RetireGrant,
    DescribeKey,
    GenerateDataKeyPair,
    GenerateDataKeyPairWithoutPlaintext,
    GenerateMac,
    VerifyMac,
    DeriveSharedSecret,
    Encapsulate,
    Decapsulate,
}

impl GrantOperation {
    /// By its name on the wire.
    pub fn from_name(name: &str) -> Option<GrantOperation> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == name)
    }

    /// By the action that it allows: `kms:Decrypt` and the like.
    pub fn from_action(action: &str) -> Option<GrantOperation> {
        action.strip_prefix("kms:").and_then(Self::from_name)
    }

    /// Whether constraints on the encryption context apply to it. The others have no context;
    /// for a grant that is made by virtue of another, [`GrantRecord::may_delegate`] compares them.
    pub fn constrained(self) -> bool {
        !matches!(
            self,
            GrantOperation::DescribeKey | GrantOperation::RetireGrant | GrantOperation::CreateGrant
        )
    }
}

impl fmt::Display for GrantOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request must have besides the grantee. Absent parts ask for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantConstraints {
    /// The encryption context is exactly this.
    pub equals: Option<BTreeMap<String, String>>,
    /// The encryption context has at least these pairs.
    pub subset: Option<BTreeMap<String, String>>,
}

impl GrantConstraints {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.equals.is_none() && self.subset.is_none()
    }

    /// Whether a request with this encryption context passes.
    pub fn accept(&self, encryption: Option<&BTreeMap<String, String>>) -> bool {
        let nothing = BTreeMap::new();
        let given = encryption.unwrap_or(&nothing);
        self.equals.as_ref().is_none_or(|wanted| wanted == given)
            && self.subset.as_ref().is_none_or(|wanted| contains(given, wanted))
    }

    /// Whether everything that `other` lets through passes here too: what a grant made by the
    /// grantee of this one must be.
    pub fn cover(&self, other: &GrantConstraints) -> bool {
        // `other` lets through contexts that have at least these pairs.
        let sure = other.equals.as_ref().or(other.subset.as_ref());
        let sure_of = |wanted| sure.is_some_and(|sure| contains(sure, wanted));
        self.equals.as_ref().is_none_or(|wanted| other.equals.as_ref() == Some(wanted))
            && self.subset.as_ref().is_none_or(sure_of)
    }
}

fn contains(all: &BTreeMap<String, String>, some: &BTreeMap<String, String>) -> bool {
    some.iter().all(|(key, value)| all.get(key) == Some(value))
}

/// A grant as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// 64 hex digits.
    pub id: String,
    /// The key.
    pub key: KeyId,
    /// The maker's name for it; repeated calls with the same one make one grant.
    pub name: Option<String>,
    /// When it was made: milliseconds since 1970.
    pub created: i64,
    /// ARN of a user, a role, a session or an account's root; or a service's name.
    pub grantee: String,
    /// ARN of whoever may retire it besides the grantee.
    pub retiring: Option<String>,
    /// The account in which it was made.
    pub issuing_account: AccountId,
    /// What it allows, in the order given.
    pub operations: Vec<GrantOperation>,
    /// When it allows.
    pub constraints: GrantConstraints,
    /// When it ends: milliseconds since 1970.
    pub expires: Option<i64>,
    /// SHA-256 of its token. A token is not secret, but a store need not hold one.
    pub token: [u8; 32],
}

impl GrantRecord {
    /// Whether its time is over.
    pub fn expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|at| at <= now.0)
    }

    /// Whether `principal` is the grantee: himself, a session of the role, or of the account.
    pub fn is_for(&self, principal: &Principal) -> bool {
        covers(&self.grantee, principal)
    }

    /// Whether it lets `principal` do `action` with this encryption context.
    pub fn allows(
        &self,
        principal: &Principal,
        action: &str,
        encryption: Option<&BTreeMap<String, String>>,
        now: Millis,
    ) -> bool {
        let Some(operation) = GrantOperation::from_action(action) else { return false };
        self.operations.contains(&operation)
            && !self.expired(now)
            && self.is_for(principal)
            && (!operation.constrained() || self.constraints.accept(encryption))
    }

    /// Whether `principal` may retire it by what the grant itself says: as retiring principal,
    /// as a grantee with RetireGrant, or as the root user of the issuing account.
    pub fn retirable_by(&self, principal: &Principal) -> bool {
        self.retiring.as_deref().is_some_and(|arn| covers(arn, principal))
            || (self.operations.contains(&GrantOperation::RetireGrant) && self.is_for(principal))
            || *principal == Principal::Root { account: self.issuing_account.clone() }
    }

    /// Whether its grantee may, by CreateGrant in this one, make a grant of these operations and
    /// constraints that ends at `expires`.
    pub fn may_delegate(
        &self,
        operations: &[GrantOperation],
        constraints: &GrantConstraints,
        expires: Option<i64>,
    ) -> bool {
        let outlived = self.expires.is_some_and(|end| expires.is_none_or(|at| at > end));
        !outlived
            && self.operations.contains(&GrantOperation::CreateGrant)
            && operations.iter().all(|operation| self.operations.contains(operation))
            && self.constraints.cover(constraints)
    }
}

/// Whether an ARN of a grant means `principal`.
fn covers(arn: &str, principal: &Principal) -> bool {
    if *arn == principal.to_string() {
        return true;
    }
    let Some(account) = principal.account() else { return false };
    if arn == format!("arn:aws:iam::{account}:root") {
        return true;
    }
    let Principal::AssumedRole { role, .. } = principal else { return false };
    arn.strip_prefix(&format!("arn:aws:iam::{account}:role/"))
        .is_some_and(|path| path.rsplit('/').next() == Some(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn grant(grantee: &str) -> GrantRecord {
        GrantRecord {
            id: "a".repeat(64),
            key: KeyId::random(),
            name: None,
            created: 0,
            grantee: grantee.to_owned(),
            retiring: None,
            issuing_account: account(),
            operations: vec![GrantOperation::Decrypt, GrantOperation::DescribeKey],
            constraints: GrantConstraints::default(),
            expires: None,
            token: [0; 32],
        }
    }

    #[test]
    fn operations_have_exact_names() {
        for operation in GrantOperation::ALL {
            assert_eq!(GrantOperation::from_name(operation.as_str()), Some(*operation));
        }
        assert_eq!(GrantOperation::from_name("decrypt"), None);
        assert_eq!(GrantOperation::from_action("kms:PutKeyPolicy"), None);
    }

    #[test]
    fn a_grant_is_for_its_grantee_and_its_operations() {
        let user1 = Principal::user(&account(), "user1");
        let grant = grant(&user1.to_string());
        assert!(grant.allows(&user1, "kms:Decrypt", None, Millis(5)));
        assert!(!grant.allows(&user1, "kms:Encrypt", None, Millis(5)));
        let user2 = Principal::user(&account(), "user2");
        assert!(!grant.allows(&user2, "kms:Decrypt", None, Millis(5)));
        let elsewhere = Principal::user(&"444455556666".parse().unwrap(), "user1");
        assert!(!grant.allows(&elsewhere, "kms:Decrypt", None, Millis(5)));
    }

    #[test]
    fn a_role_covers_its_sessions_and_a_session_itself_alone() {
        let session = |role: &str, session: &str| Principal::AssumedRole {
            account: account(),
            role: role.into(),
            session: session.into(),
        };
        let role = grant("arn:aws:iam::111122223333:role/team/Reader");
        assert!(role.is_for(&session("Reader", "a")) && !role.is_for(&session("team", "a")));
        let one = grant("arn:aws:sts::111122223333:assumed-role/Reader/a");
        assert!(one.is_for(&session("Reader", "a")) && !one.is_for(&session("Reader", "b")));
        let all = grant("arn:aws:iam::111122223333:root");
        assert!(
            all.is_for(&session("Reader", "a")) && all.is_for(&Principal::user(&account(), "x"))
        );
        assert!(!all.is_for(&Principal::filesystem()));
    }

    #[test]
    fn it_ends_at_the_instant_it_says() {
        let user1 = Principal::user(&account(), "user1");
        let mut grant = grant(&user1.to_string());
        grant.expires = Some(1000);
        assert!(grant.allows(&user1, "kms:Decrypt", None, Millis(999)));
        assert!(!grant.allows(&user1, "kms:Decrypt", None, Millis(1000)));
    }

    #[test]
    fn constraints_are_exact_and_do_not_touch_what_has_no_context() {
        let user1 = Principal::user(&account(), "user1");
        let mut grant = grant(&user1.to_string());
        grant.constraints.subset = Some(map(&[("a", "1")]));
        let may = |grant: &GrantRecord, pairs: &[(&str, &str)]| {
            grant.allows(&user1, "kms:Decrypt", Some(&map(pairs)), Millis(0))
        };
        assert!(may(&grant, &[("a", "1"), ("b", "2")]) && !may(&grant, &[("A", "1")]));
        assert!(!may(&grant, &[("a", "2")]) && !may(&grant, &[]));
        assert!(grant.allows(&user1, "kms:DescribeKey", None, Millis(0)));
        grant.constraints = GrantConstraints { equals: Some(map(&[("a", "1")])), subset: None };
        assert!(may(&grant, &[("a", "1")]) && !may(&grant, &[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn delegation_only_narrows() {
        let mut from = grant("arn:aws:iam::111122223333:root");
        let free = GrantConstraints::default();
        assert!(!from.may_delegate(&[GrantOperation::Decrypt], &free, None));
        from.operations.push(GrantOperation::CreateGrant);
        assert!(from.may_delegate(&[GrantOperation::Decrypt], &free, None));
        assert!(!from.may_delegate(&[GrantOperation::Encrypt], &free, None));
        from.constraints.subset = Some(map(&[("a", "1")]));
        let with = |equals: Option<&[(&str, &str)]>, subset: Option<&[(&str, &str)]>| {
            GrantConstraints { equals: equals.map(map), subset: subset.map(map) }
        };
        let wide: &[(&str, &str)] = &[("a", "1"), ("b", "2")];
        assert!(!from.may_delegate(&[], &free, None));
        assert!(from.may_delegate(&[], &with(None, Some(wide)), None));
        assert!(from.may_delegate(&[], &with(Some(wide), None), None));
        assert!(!from.may_delegate(&[], &with(None, Some(&[("b", "2")])), None));
        from.expires = Some(1000);
        assert!(
            !from.may_delegate(&[], &with(None, Some(wide)), None),
            "it would outlive this one"
        );
        assert!(!from.may_delegate(&[], &with(None, Some(wide)), Some(1001)));
        assert!(from.may_delegate(&[], &with(None, Some(wide)), Some(1000)));
        from.expires = None;
        from.constraints = with(Some(wide), None);
        assert!(!from.may_delegate(&[], &with(None, Some(wide)), None));
        assert!(from.may_delegate(&[], &with(Some(wide), None), None));
    }

    #[test]
    fn retiring_is_for_those_whom_the_grant_names() {
        let user = |name| Principal::user(&account(), name);
        let mut grant = grant(&user("user1").to_string());
        grant.retiring = Some(user("user2").to_string());
        assert!(grant.retirable_by(&user("user2")) && !grant.retirable_by(&user("user1")));
        grant.operations.push(GrantOperation::RetireGrant);
        assert!(grant.retirable_by(&user("user1")));
        assert!(grant.retirable_by(&Principal::Root { account: account() }));
        assert!(!grant.retirable_by(&user("user3")));
    }
}
