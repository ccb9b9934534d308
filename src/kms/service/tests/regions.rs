//! Several Regions in one service, and keys that are in more than one.

use serde_json::{Value, json};

use super::{World, error_name};
use crate::clock::ManualClock;
use crate::kms::api::{Action, Request};
use crate::kms::error::KmsError;
use crate::kms::service::Service;
use crate::sync::Arc;

struct Two {
    home: Arc<Service>,
    away: Arc<Service>,
    clock: Arc<ManualClock>,
}

const DAY: i64 = 86_400;

impl Two {
    fn new() -> Two {
        let World { service, clock, .. } = World::new();
        let home = service.with_regions(&["local-2".parse().unwrap(), "local-3".parse().unwrap()]);
        let away = home.in_region("local-2").unwrap();
        Two { home, away, clock }
    }

    fn try_at(&self, there: &Service, action: &str, body: &Value) -> Result<Value, KmsError> {
        let action = Action::from_name(action).unwrap();
        let request = Request::from_json(action, body.to_string().as_bytes())?;
        let reply = there.handle(&World::user("admin"), request)?.to_json()?;
        if reply.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&reply).unwrap()) }
    }

    fn at(&self, there: &Service, action: &str, body: &Value) -> Value {
        self.try_at(there, action, body).unwrap()
    }

    /// A multi-Region key of the first Region with a replica in the second.
    fn replicated(&self) -> Value {
        let made =
            self.at(&self.home, "CreateKey", &json!({"MultiRegion": true, "Description": "d"}));
        let key = made["KeyMetadata"]["KeyId"].clone();
        let made =
            self.at(&self.home, "ReplicateKey", &json!({"KeyId": key, "ReplicaRegion": "local-2"}));
        assert_eq!(made["ReplicaKeyMetadata"]["KeyState"], "Creating");
        assert_eq!(made["ReplicaKeyMetadata"]["KeyId"], key);
        assert_eq!(made["ReplicaKeyMetadata"]["Description"], "");
        key
    }

    fn shown(&self, there: &Service, key: &Value) -> Value {
        self.at(there, "DescribeKey", &json!({"KeyId": key}))["KeyMetadata"].clone()
    }
}

#[test]
fn a_region_has_keys_aliases_and_grants_of_its_own() {
    let two = Two::new();
    let key = two.at(&two.away, "CreateKey", &json!({}))["KeyMetadata"].clone();
    assert_eq!(key["Arn"].as_str().unwrap().split(':').nth(3), Some("local-2"));
    let body = json!({"KeyId": key["KeyId"]});
    assert_eq!(error_name(two.try_at(&two.home, "DescribeKey", &body)), "NotFoundException");
    let by_arn = json!({"KeyId": key["Arn"]});
    assert_eq!(error_name(two.try_at(&two.home, "DescribeKey", &by_arn)), "NotFoundException");
    assert_eq!(two.at(&two.away, "DescribeKey", &by_arn)["KeyMetadata"]["KeyId"], key["KeyId"]);
    let list = |there: &Service| two.at(there, "ListKeys", &json!({}))["Keys"].clone();
    assert_eq!(list(&two.home), json!([]));
    assert_eq!(list(&two.away)[0]["KeyId"], key["KeyId"]);
    let alias = json!({"AliasName": "alias/a", "TargetKeyId": key["KeyId"]});
    two.at(&two.away, "CreateAlias", &alias);
    let named = json!({"KeyId": "alias/a", "Plaintext": "aGk="});
    let sealed = two.at(&two.away, "Encrypt", &named);
    assert_eq!(error_name(two.try_at(&two.home, "Encrypt", &named)), "NotFoundException");
    let blob = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert!(two.try_at(&two.home, "Decrypt", &blob).is_err());
    let retiring = "arn:aws:iam::111122223333:user/r";
    let grant = json!({"KeyId": key["KeyId"], "GranteePrincipal": retiring,
                       "RetiringPrincipal": retiring, "Operations": ["Decrypt"]});
    two.at(&two.away, "CreateGrant", &grant);
    let asked = json!({"RetiringPrincipal": retiring});
    let retirable =
        |there: &Service| two.at(there, "ListRetirableGrants", &asked)["Grants"].clone();
    assert_eq!(retirable(&two.home), json!([]));
    assert_eq!(retirable(&two.away)[0]["RetiringPrincipal"], retiring);
}

#[test]
fn a_replica_shares_material_and_rotation_and_nothing_else() {
    let two = Two::new();
    let key = two.replicated();
    let sealed = two.at(&two.home, "Encrypt", &json!({"KeyId": key, "Plaintext": "aGk="}));
    two.at(&two.home, "RotateKeyOnDemand", &json!({"KeyId": key}));
    let after = two.at(&two.home, "Encrypt", &json!({"KeyId": key, "Plaintext": "aGk="}));
    for sealed in [sealed, after] {
        let blob = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
        let opened = two.at(&two.away, "Decrypt", &blob);
        assert_eq!(opened["Plaintext"], "aGk=");
        assert_eq!(opened["KeyId"], two.shown(&two.away, &key)["Arn"]);
    }
    let (here, there) = (two.shown(&two.home, &key), two.shown(&two.away, &key));
    assert_eq!(here["CurrentKeyMaterialId"], there["CurrentKeyMaterialId"]);
    assert_eq!(there["KeyState"], "Enabled");
    for (shown, kind) in [(&here, "PRIMARY"), (&there, "REPLICA")] {
        let config = &shown["MultiRegionConfiguration"];
        assert_eq!(config["MultiRegionKeyType"], kind);
        assert_eq!(config["PrimaryKey"], json!({"Arn": here["Arn"], "Region": "local-1"}));
        assert_eq!(config["ReplicaKeys"], json!([{"Arn": there["Arn"], "Region": "local-2"}]));
    }
    let only = json!({"KeyId": key});
    two.at(&two.home, "EnableKeyRotation", &only);
    let status = two.at(&two.away, "GetKeyRotationStatus", &only);
    assert_eq!(status["KeyRotationEnabled"], true);
    two.clock.advance(366 * DAY);
    two.home.run_due().unwrap();
    assert_eq!(
        two.shown(&two.home, &key)["CurrentKeyMaterialId"],
        two.shown(&two.away, &key)["CurrentKeyMaterialId"]
    );
    assert_eq!(
        two.at(&two.away, "ListKeyRotations", &only)["Rotations"].as_array().unwrap().len(),
        2
    );
    // State, tags and description are each key's own.
    two.at(&two.away, "DisableKey", &only);
    two.at(
        &two.away,
        "TagResource",
        &json!({"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
    );
    assert_eq!(two.shown(&two.home, &key)["KeyState"], "Enabled");
    assert_eq!(two.at(&two.home, "ListResourceTags", &only)["Tags"], json!([]));
}

#[test]
fn what_cannot_be_replicated() {
    let two = Two::new();
    let key = two.replicated();
    let single = two.at(&two.home, "CreateKey", &json!({}))["KeyMetadata"]["KeyId"].clone();
    let replicate = |there: &Service, key: &Value, region: &str| {
        error_name(two.try_at(
            there,
            "ReplicateKey",
            &json!({"KeyId": key, "ReplicaRegion": region}),
        ))
    };
    assert_eq!(replicate(&two.home, &key, "local-2"), "AlreadyExistsException");
    assert_eq!(replicate(&two.home, &key, "local-9"), "UnsupportedOperationException");
    assert_eq!(replicate(&two.home, &single, "local-2"), "UnsupportedOperationException");
    assert_eq!(replicate(&two.away, &key, "local-3"), "UnsupportedOperationException");
    let body = json!({"KeyId": key});
    for action in ["EnableKeyRotation", "RotateKeyOnDemand"] {
        let refused = two.try_at(&two.away, action, &body);
        assert_eq!(error_name(refused), "UnsupportedOperationException", "{action}");
    }
}

#[test]
fn another_region_leads_when_it_is_told_to() {
    let two = Two::new();
    let key = two.replicated();
    two.at(&two.home, "ReplicateKey", &json!({"KeyId": key, "ReplicaRegion": "local-3"}));
    let lead = |there: &Service, region: &str| {
        two.try_at(there, "UpdatePrimaryRegion", &json!({"KeyId": key, "PrimaryRegion": region}))
    };
    assert!(lead(&two.away, "local-2").is_err(), "only the primary passes it on");
    lead(&two.home, "local-2").unwrap();
    let third = two.home.in_region("local-3").unwrap();
    for there in [&two.home, &two.away, &third] {
        let config = two.shown(there, &key)["MultiRegionConfiguration"].clone();
        assert_eq!(config["PrimaryKey"]["Region"], "local-2");
        assert_eq!(config["ReplicaKeys"].as_array().unwrap().len(), 2);
    }
    assert!(two.try_at(&two.home, "RotateKeyOnDemand", &json!({"KeyId": key})).is_err());
    two.at(&two.away, "RotateKeyOnDemand", &json!({"KeyId": key}));
    assert_eq!(
        two.shown(&two.home, &key)["CurrentKeyMaterialId"],
        two.shown(&third, &key)["CurrentKeyMaterialId"]
    );
}

#[test]
fn a_primary_goes_after_its_replicas() {
    let two = Two::new();
    let key = two.replicated();
    let week = json!({"KeyId": key, "PendingWindowInDays": 7});
    let told = two.at(&two.home, "ScheduleKeyDeletion", &week);
    assert_eq!(told["KeyState"], "PendingReplicaDeletion");
    assert!(told.get("DeletionDate").is_none());
    assert_eq!(two.shown(&two.home, &key)["PendingDeletionWindowInDays"], 7);
    let body = json!({"KeyId": key, "Plaintext": "aGk="});
    let refused = two.try_at(&two.home, "Encrypt", &body);
    assert_eq!(error_name(refused), "KMSInvalidStateException");
    two.clock.advance(30 * DAY);
    two.home.run_due().unwrap();
    assert_eq!(two.shown(&two.home, &key)["KeyState"], "PendingReplicaDeletion");
    two.at(&two.away, "ScheduleKeyDeletion", &week);
    two.clock.advance(7 * DAY);
    two.home.run_due().unwrap();
    assert_eq!(error_name(two.try_at(&two.away, "Encrypt", &body)), "NotFoundException");
    assert_eq!(two.shown(&two.home, &key)["KeyState"], "PendingDeletion");
    two.clock.advance(7 * DAY);
    two.home.run_due().unwrap();
    assert_eq!(error_name(two.try_at(&two.home, "Encrypt", &body)), "NotFoundException");
}
