//! Roles, their sessions, and accounts.

use serde_json::json;

use super::{World, account};
use crate::kms::api::{AssumeRoleRequest, AssumedRole, IamReply, IamRequest};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::service::Presented;

const ROLE: &str = "arn:aws:iam::111122223333:role/Backup";

fn iam(world: &World, request: IamRequest) -> Result<IamReply, &'static str> {
    world.service.handle_iam(&World::user("admin"), request).map_err(|error| error.name())
}

/// A role that `user1` may assume with an external id, and that may do `actions`.
fn role(world: &World, actions: &str) {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "arn:aws:iam::111122223333:user/user1"},
        "Condition": {"StringEquals": {"sts:ExternalId": "secret-word"}}}]});
    iam(world, IamRequest::CreateRole { role: "Backup".into(), trust: trust.to_string() }).unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    let (user, name) = (ROLE.to_owned(), "p".to_owned());
    let put = IamRequest::PutUserPolicy { user, name, document: document.to_string() };
    iam(world, put).unwrap();
}

fn asked() -> AssumeRoleRequest {
    AssumeRoleRequest {
        role_arn: ROLE.into(),
        session_name: "nightly".into(),
        external_id: Some("secret-word".into()),
        ..AssumeRoleRequest::default()
    }
}

fn assume(world: &World, who: &str, request: &AssumeRoleRequest) -> Result<AssumedRole, String> {
    let begun = world.service.assume_role(&World::user(who), request);
    begun.map_err(|error| error.name().to_owned())
}

/// What a signature with these credentials makes of its maker.
fn session(world: &World, begun: &AssumedRole) -> Result<CallerContext, &'static str> {
    let token = String::from_utf8(begun.session_token.expose().to_vec()).unwrap();
    match world.service.session(&begun.access_key_id, &token).unwrap() {
        Presented::Good(key) => {
            assert_eq!(key.secret.expose(), begun.secret_access_key.expose());
            let mut caller = CallerContext::direct(key.principal, Source::Internal);
            caller.session = key.session;
            Ok(caller)
        }
        Presented::Expired => Err("expired"),
        Presented::Unknown => Err("unknown"),
    }
}

#[test]
fn a_role_is_assumed_by_whom_it_trusts_and_may_what_its_policies_say() {
    let world = World::new();
    let key = world.key();
    role(&world, "kms:DescribeKey");
    let begun = assume(&world, "user1", &asked()).unwrap();
    assert_eq!(begun.arn, "arn:aws:sts::111122223333:assumed-role/Backup/nightly");
    assert!(begun.access_key_id.starts_with("ASIA"));
    let record = world.last_record();
    assert_eq!(record["eventSource"], "sts.amazonaws.com");
    assert_eq!(record["requestParameters"]["roleArn"], ROLE);
    let caller = session(&world, &begun).unwrap();
    assert!(world.ask_as(&caller, "DescribeKey", &json!({"KeyId": key})).is_ok());
    let denied = world.ask_as(&caller, "DisableKey", &json!({"KeyId": key}));
    assert_eq!(super::error_name(denied), "AccessDeniedException");

    assert_eq!(assume(&world, "user2", &asked()).unwrap_err(), "AccessDeniedException");
    for external_id in [None, Some("another-word".to_owned())] {
        let request = AssumeRoleRequest { external_id, ..asked() };
        assert_eq!(assume(&world, "user1", &request).unwrap_err(), "AccessDeniedException");
    }
    // A path that somebody makes up is not the role's.
    for role_arn in [ROLE.replace("Backup", "Other"), ROLE.replace("Backup", "path/Backup")] {
        assert!(assume(&world, "user1", &AssumeRoleRequest { role_arn, ..asked() }).is_err());
    }
}

#[test]
fn a_session_ends_with_its_time_and_with_its_role() {
    let world = World::new();
    role(&world, "kms:*");
    let request = AssumeRoleRequest { duration_seconds: Some(900), ..asked() };
    let begun = assume(&world, "user1", &request).unwrap();
    assert!(session(&world, &begun).is_ok());
    world.clock.advance(899);
    assert!(session(&world, &begun).is_ok());
    world.clock.advance(1);
    assert_eq!(session(&world, &begun).unwrap_err(), "expired");

    let begun = assume(&world, "user1", &asked()).unwrap();
    world.clock.advance(1);
    iam(&world, IamRequest::DeleteRole { role: "Backup".into() }).unwrap();
    assert_eq!(session(&world, &begun).unwrap_err(), "unknown");
    role(&world, "kms:*");
    assert_eq!(session(&world, &begun).unwrap_err(), "unknown", "a role of that name, later");
}

#[test]
fn a_session_policy_takes_away_and_never_adds() {
    let world = World::new();
    let key = world.key();
    role(&world, "kms:DescribeKey");
    let allow = |action: &str| {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": action, "Resource": "*"}]});
        let request = AssumeRoleRequest { policy: Some(policy.to_string()), ..asked() };
        session(&world, &assume(&world, "user1", &request).unwrap()).unwrap()
    };
    let body = json!({"KeyId": key});
    assert!(world.ask_as(&allow("kms:DescribeKey"), "DescribeKey", &body).is_ok());
    for action in ["kms:Encrypt", "kms:DisableKey"] {
        for asked in ["DescribeKey", "DisableKey"] {
            let got = world.ask_as(&allow(action), asked, &body);
            assert_eq!(super::error_name(got), "AccessDeniedException", "{action} {asked}");
        }
    }
}

#[test]
fn what_a_session_may_be_asked_for() {
    let world = World::new();
    role(&world, "kms:*");
    let bad = [
        AssumeRoleRequest { session_name: "a".into(), ..asked() },
        AssumeRoleRequest { session_name: "with space".into(), ..asked() },
        AssumeRoleRequest { session_name: "a/b".into(), ..asked() },
        AssumeRoleRequest { duration_seconds: Some(899), ..asked() },
        AssumeRoleRequest { duration_seconds: Some(43_201), ..asked() },
        AssumeRoleRequest { role_arn: "Backup".into(), ..asked() },
    ];
    for request in bad {
        assert_eq!(assume(&world, "user1", &request).unwrap_err(), "ValidationException");
    }
    let request = AssumeRoleRequest { policy: Some("{}".into()), ..asked() };
    assert_eq!(assume(&world, "user1", &request).unwrap_err(), "MalformedPolicyDocumentException");
}

#[test]
fn accounts_are_made_listed_and_removed_when_they_have_no_keys() {
    let world = World::new();
    let other = || "444455556666".to_owned();
    let create = || IamRequest::CreateAccount { account: other() };
    iam(&world, create()).unwrap();
    assert_eq!(iam(&world, create()).unwrap_err(), "EntityAlreadyExistsException");
    let user = "arn:aws:iam::444455556666:user/u".to_owned();
    iam(&world, IamRequest::CreateUser { user }).unwrap();
    let listed = |request| match iam(&world, request).unwrap() {
        IamReply::Accounts(all) => all.into_iter().map(|a| a.account).collect::<Vec<_>>(),
        IamReply::Users(all) => all.into_iter().map(|u| u.arn).collect(),
        _ => panic!("another reply"),
    };
    assert_eq!(listed(IamRequest::ListAccounts), ["111122223333", "444455556666"]);
    let users = listed(IamRequest::ListUsers { account: Some(other()) });
    assert_eq!(users, ["arn:aws:iam::444455556666:user/u"]);
    // Another account's root sees and administers its own alone.
    let root = Principal::Root { account: other().parse().unwrap() };
    let root = CallerContext::direct(root, Source::Internal);
    let own = IamRequest::ListUsers { account: Some(account().to_string()) };
    assert_eq!(world.service.handle_iam(&root, own).unwrap_err().name(), "NoSuchEntityException");

    let delete = || IamRequest::DeleteAccount { account: other() };
    let key = world.ask_as(&root, "CreateKey", &json!({})).unwrap();
    assert_eq!(iam(&world, delete()).unwrap_err(), "ValidationException");
    let days = json!({"KeyId": key["KeyMetadata"]["KeyId"], "PendingWindowInDays": 7});
    world.ask_as(&root, "ScheduleKeyDeletion", &days).unwrap();
    world.clock.advance(8 * 86_400);
    world.service.run_due().unwrap();
    iam(&world, delete()).unwrap();
    assert_eq!(listed(IamRequest::ListAccounts), ["111122223333"]);
    let own = IamRequest::DeleteAccount { account: account().to_string() };
    assert!(iam(&world, own).is_err());
}
