//! What a record holds: CloudTrail's shape, with what a server adds to it.
//!
//! Plaintext, ciphertext, key material and secrets have no member here, and no member takes
//! free text from a request but names, ids, encryption contexts and user agents.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::members::Members;
use super::verify::PREVIOUS_CHAIN;
use crate::clock::Millis;
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::error::KmsError;
use crate::kms::id::{AccountId, Region};

/// Bytes that hold most records.
const USUAL: usize = 1500;

/// One record, in the order of its members.
#[derive(Clone, Debug)]
pub struct Record(Members);

/// What a request was about, for the record.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// `requestParameters`.
    pub parameters: Members,
    /// `responseElements`, for actions that have some.
    pub response: Option<Value>,
    /// `additionalEventData`.
    pub additional: Members,
    /// ARNs of the keys and aliases involved.
    pub resources: Vec<String>,
}

impl Record {
    /// A record of nothing but its name: for the trail's own tests and markers.
    pub fn event(name: &str) -> Record {
        let mut members = Members::with_capacity(USUAL);
        members.set("eventVersion", "1.08");
        members.set("eventName", name);
        Record(members)
    }

    /// The first line of every file but the first.
    pub fn file_started(previous_chain: &[u8; 32]) -> Record {
        let mut record = Record::event("AuditFileStarted");
        let chain = crate::kms::hex::encode(previous_chain);
        record.set("additionalEventData", json!({PREVIOUS_CHAIN: chain}));
        record
    }

    /// A request and how it ended.
    #[expect(clippy::too_many_arguments, reason = "one per part of the record")]
    pub fn call(
        caller: &CallerContext,
        account: &AccountId,
        region: &Region,
        now: Millis,
        source: &str,
        name: &str,
        read_only: bool,
        subject: Subject,
        failure: Option<&KmsError>,
    ) -> Record {
        let mut record = Record::event(name);
        record.0.set_object("userIdentity", &identity(caller));
        record.set("eventTime", time(now));
        record.set("eventSource", source);
        record.set("awsRegion", region.as_str());
        match &caller.source {
            Source::Http { ip, user_agent, .. } => {
                record.set("sourceIPAddress", ip);
                record.set("userAgent", user_agent.as_deref().unwrap_or_default());
            }
            Source::Unix { .. } => record.set_local("unix"),
            Source::Internal => record.set_local("internal"),
        }
        if let Some(error) = failure {
            // CloudTrail cuts the suffix of this one name.
            let name = match error.name() {
                "AccessDeniedException" => "AccessDenied",
                other => other,
            };
            record.set("errorCode", name);
            if let Some(message) = error.message() {
                record.set("errorMessage", message);
            }
        }
        if subject.parameters.is_empty() {
            record.set("requestParameters", ());
        } else {
            record.0.set_object("requestParameters", &subject.parameters);
        }
        record.set("responseElements", subject.response);
        let mut additional = subject.additional;
        add_process(&mut additional, caller);
        if !additional.is_empty() {
            record.0.set_object("additionalEventData", &additional);
        }
        record.set("requestID", &caller.request_id);
        record.set("eventID", uuid::Uuid::new_v4().to_string());
        record.set("readOnly", read_only);
        let resources: Vec<Resource<'_>> = subject
            .resources
            .iter()
            .map(|arn| Resource { account: account.as_str(), kind: "AWS::KMS::Key", arn })
            .collect();
        record.set("resources", resources);
        record.set("eventType", "AwsApiCall");
        record.set("managementEvent", true);
        record.set("recipientAccountId", account.as_str());
        record.set("eventCategory", "Management");
        record
    }

    /// Something that the service did by itself.
    pub fn service_event(
        account: &AccountId,
        region: &Region,
        now: Millis,
        name: &str,
        details: Map<String, Value>,
        additional: Map<String, Value>,
    ) -> Record {
        let mut record = Record::event(name);
        record.set("userIdentity", json!({"type": "AWSService", "invokedBy": "AWS Internal"}));
        record.set("eventTime", time(now));
        record.set("eventSource", "kms.amazonaws.com");
        record.set("awsRegion", region.as_str());
        record.set("eventID", uuid::Uuid::new_v4().to_string());
        record.set("eventType", "AwsServiceEvent");
        record.set("recipientAccountId", account.as_str());
        if !details.is_empty() {
            record.set("serviceEventDetails", details);
        }
        if !additional.is_empty() {
            record.set("additionalEventData", additional);
        }
        record
    }

    /// The record as one JSON object without line feeds.
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }

    fn set(&mut self, name: &'static str, value: impl Serialize) {
        self.0.set(name, value);
    }

    fn set_local(&mut self, address: &str) {
        self.set("sourceIPAddress", address);
        self.set("userAgent", "kmsfs");
    }
}

/// RFC 3339 with milliseconds and `Z`.
pub fn time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|t| format!("{t:.3}"))
        .unwrap_or_else(|_| String::from("out of range"))
}

/// One of `resources`.
#[derive(Serialize)]
struct Resource<'a> {
    #[serde(rename = "accountId")]
    account: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "ARN")]
    arn: &'a str,
}

fn identity(caller: &CallerContext) -> Members {
    let arn = caller.principal.to_string();
    let mut identity = Members::default();
    let mut set = |name: &'static str, value: &str| identity.set(name, value);
    match &caller.principal {
        Principal::Root { account } => {
            set("type", "Root");
            set("principalId", account.as_str());
            set("arn", &arn);
            set("accountId", account.as_str());
        }
        Principal::User { account, name } => {
            set("type", "IAMUser");
            set("principalId", name);
            set("arn", &arn);
            set("accountId", account.as_str());
            set("userName", name.rsplit('/').next().unwrap_or(name));
        }
        Principal::AssumedRole { account, role, session } => {
            set("type", "AssumedRole");
            set("principalId", &format!("{role}:{session}"));
            set("arn", &arn);
            set("accountId", account.as_str());
        }
        Principal::Service { name } => {
            set("type", "AWSService");
            set("invokedBy", name);
        }
    }
    if let Source::Http { access_key_id, .. } = &caller.source {
        set("accessKeyId", access_key_id);
    }
    if let Some(service) = &caller.via_service {
        set("invokedBy", service);
    }
    identity
}

/// Adds the process that asked, as the kernel told it.
fn add_process(additional: &mut Members, caller: &CallerContext) {
    if let Source::Unix { uid, gid, pid } = caller.source {
        let mut peer = Members::default();
        peer.set("uid", uid);
        peer.set("gid", gid);
        peer.set("pid", pid);
        additional.set_object("peer", &peer);
    }
    if let Some(user) = &caller.on_behalf {
        let mut process = Members::default();
        process.set("uid", user.uid);
        process.set("gid", user.gid);
        process.set("pid", user.pid);
        if let Some(groups) = &user.groups {
            process.set("groups", groups);
        }
        additional.set_object("onBehalfOf", &process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::caller::{OnBehalf, PlainPath};

    #[test]
    fn a_denied_call_has_cloudtrails_shape_and_the_process() {
        let account: AccountId = "111122223333".parse().unwrap();
        let region: Region = "local-1".parse().unwrap();
        let user = Principal::user(&account, "user1");
        let behalf = OnBehalf {
            uid: 1001,
            gid: 1001,
            groups: Some(vec![27]),
            pid: 77,
            program: None,
            operation: None,
            path: Some(PlainPath("/never/shown".into())),
        };
        let source = Source::Unix { uid: 0, gid: 0, pid: 5 };
        let caller = CallerContext::filesystem(user, &region, source, Some(behalf));
        let error = KmsError::CiphertextNotYours;
        let subject = Subject { resources: vec!["arn:x".into()], ..Subject::default() };
        let record = Record::call(
            &caller,
            &account,
            &region,
            Millis(1_700_000_000_123),
            "kms.amazonaws.com",
            "Decrypt",
            true,
            subject,
            Some(&error),
        );
        let json: Value = serde_json::from_str(&record.to_json()).unwrap();
        assert_eq!(json["eventTime"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["errorCode"], "AccessDenied");
        assert_eq!(json["userIdentity"]["arn"], "arn:aws:iam::111122223333:user/user1");
        assert_eq!(json["userIdentity"]["invokedBy"], "kmsfs.local-1.amazonaws.com");
        assert_eq!(json["additionalEventData"]["onBehalfOf"]["uid"], 1001);
        assert_eq!(json["additionalEventData"]["peer"]["pid"], 5);
        assert_eq!(json["resources"][0]["ARN"], "arn:x");
        assert!(!record.to_json().contains("never/shown"));
        assert!(!format!("{caller:?}").contains("never/shown"));
    }
}
