//! A key service that leaves nothing behind: for tests, and for other people's.
//!
//! The same service over the same tables, in memory, under a root key that is nowhere else. Its
//! audit records are made and then dropped.

use super::embedded::Embedded;
use super::housekeeping::Housekeeper;
use super::open::{OpenError, audit_key, records_key};
use crate::clock::SystemClock;
use crate::custody::software::Software;
use crate::kms::api::types::Plaintext;
use crate::kms::api::{IamReply, IamRequest};
use crate::kms::audit::{AuditError, AuditLog, ChainState, Trail};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::error::{InternalFault, KmsError};
use crate::kms::id::{AccountId, Region};
use crate::kms::kdf::{self, Label};
use crate::kms::keystore;
use crate::kms::limits::Limits;
use crate::kms::service::{Parts, RotationRules, Service};
use crate::secret::Secret;
use crate::sync::Arc;

/// The user that each account has.
pub const USER: &str = "dev";

const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:*","iam:*"],"Resource":"*"}]}"#;

/// Keeps nothing.
struct Discard;

impl AuditLog for Discard {
    fn append(&self, _: &[u8], _: bool) -> Result<(), AuditError> {
        Ok(())
    }
}

/// An account of an ephemeral service, with the access key of its one user, who may do
/// everything there.
#[derive(Debug)]
pub struct Tenant {
    /// The account.
    pub account: AccountId,
    /// `AKIA...`
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Plaintext,
}

/// A service in memory, which is gone when this is dropped.
pub struct Ephemeral {
    /// The service.
    pub service: Arc<Service>,
    /// Its accounts.
    pub tenants: Vec<Tenant>,
    /// Ends grants, deletes keys, and so on.
    _housekeeper: Housekeeper,
}

/// Opens a service in memory, with these accounts and Regions. The first account is its own.
pub fn open(
    accounts: &[AccountId],
    regions: &[Region],
    limits: Limits,
) -> Result<Ephemeral, OpenError> {
    let root = Secret::<[u8; 32]>::random();
    let account = accounts.first().ok_or(KmsError::from(InternalFault::Record))?.clone();
    let region = regions.first().ok_or(KmsError::from(InternalFault::Record))?.clone();
    let service = Service::new(Parts {
        account,
        region,
        administrators: Vec::new(),
        store: Box::new(Embedded::in_memory(records_key(&root))?),
        custody: Box::new(Software::new(&root)),
        backings: Box::new(keystore::Imagined),
        trail: Trail::new(Box::new(Discard), audit_key(&root), ChainState::START),
        clock: Box::new(SystemClock),
        marker_key: kdf::derive(root.expose(), Label::Marker, b""),
        limits,
        rotation: RotationRules::default(),
    })?;
    let service = service.with_regions(regions);
    let mut tenants = Vec::new();
    for account in accounts {
        tenants.push(settle(&service, account)?);
    }
    let housekeeper = Housekeeper::start(&service);
    Ok(Ephemeral { service, tenants, _housekeeper: housekeeper })
}

/// Makes the account's user, as its root user would.
fn settle(service: &Service, account: &AccountId) -> Result<Tenant, KmsError> {
    let root = Principal::Root { account: account.clone() };
    let root = CallerContext::direct(root, Source::Internal);
    let user = USER.to_owned();
    let (name, document) = ("everything".to_owned(), EVERYTHING.to_owned());
    service.handle_iam(&root, IamRequest::PutUserPolicy { user: user.clone(), name, document })?;
    match service.handle_iam(&root, IamRequest::CreateAccessKey { user })? {
        IamReply::AccessKeyCreated { access_key_id, secret_access_key } => {
            Ok(Tenant { account: account.clone(), access_key_id, secret_access_key })
        }
        _ => Err(InternalFault::Record.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::api::{CreateKeyRequest, ListKeysRequest, Reply, Request};

    #[test]
    fn accounts_of_one_service_see_their_own_keys_alone() {
        let accounts: Vec<AccountId> =
            ["111122223333", "444455556666"].map(|text| text.parse().unwrap()).into();
        let regions = ["us-east-1".parse().unwrap()];
        let opened = open(&accounts, &regions, Limits::default()).unwrap();
        let (service, tenants) = (&opened.service, &opened.tenants);
        assert_ne!(tenants[0].access_key_id, tenants[1].access_key_id);
        let of = |account: &AccountId| {
            CallerContext::direct(Principal::user(account, USER), Source::Internal)
        };
        let ask = |account, request| service.handle(&of(account), request).unwrap();
        let made = ask(&accounts[1], Request::CreateKey(CreateKeyRequest::default()));
        let Reply::CreateKey(made) = made else { panic!("another reply") };
        assert_eq!(made.key_metadata.aws_account_id, "444455556666");
        assert!(made.key_metadata.arn.contains(":444455556666:"));
        for (account, count) in accounts.iter().zip([0, 1]) {
            let Reply::ListKeys(list) = ask(account, Request::ListKeys(ListKeysRequest::default()))
            else {
                panic!("another reply")
            };
            assert_eq!(list.keys.len(), count);
        }
    }

    #[test]
    fn what_ends_by_itself_ends_here_too() {
        use crate::clock::Clock as _;
        use crate::kms::api::types::Timestamp;
        use crate::kms::api::{Constraints, CreateGrantRequest, ListGrantsRequest};

        let accounts = ["111122223333".parse().unwrap()];
        let opened = open(&accounts, &["us-east-1".parse().unwrap()], Limits::default()).unwrap();
        let user = CallerContext::direct(Principal::user(&accounts[0], USER), Source::Internal);
        let ask = |request| opened.service.handle(&user, request).unwrap();
        let Reply::CreateKey(made) = ask(Request::CreateKey(CreateKeyRequest::default())) else {
            panic!("another reply")
        };
        let key_id = made.key_metadata.key_id;
        ask(Request::CreateGrant(CreateGrantRequest {
            key_id: key_id.clone(),
            grantee_principal: Some("arn:aws:iam::111122223333:user/u".into()),
            retiring_principal: None,
            operations: vec!["Decrypt".into()],
            constraints: Some(Constraints {
                expiration_date: Some(Timestamp(SystemClock.now().plus_seconds(1))),
                ..Constraints::default()
            }),
            grant_tokens: Vec::new(),
            name: None,
            dry_run: false,
        }));
        // Loaded, it is known when it ends.
        ask(Request::ListGrants(ListGrantsRequest {
            limit: None,
            marker: None,
            key_id,
            grant_id: None,
            grantee_principal: None,
        }));
        let before = opened.service.epoch();
        let patience = std::time::Duration::from_secs(10);
        assert_ne!(opened.service.wait_epoch(before, patience), before);
    }
}
