//! What a record holds: CloudTrail's shape, with what a server adds to it.
//!
//! Plaintext, ciphertext, key material and secrets have no member here, and no member takes
//! free text from a request but names, ids, encryption contexts and user agents.

use serde_json::{Map, Value, json};

use super::verify::PREVIOUS_CHAIN;
use crate::clock::Millis;
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::error::KmsError;
use crate::kms::id::{AccountId, Region};

/// One record, in the order of its members.
#[derive(Clone, Debug)]
pub struct Record(Map<String, Value>);

/// What a request was about, for the record.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// `requestParameters`.
    pub parameters: Map<String, Value>,
    /// `responseElements`, for actions that have some.
    pub response: Option<Value>,
    /// `additionalEventData`.
    pub additional: Map<String, Value>,
    /// ARNs of the keys and aliases involved.
    pub resources: Vec<String>,
}

impl Record {
    /// A record of nothing but its name: for the trail's own tests and markers.
    pub fn event(name: &str) -> Record {
        let mut members = Map::new();
        members.insert("eventVersion".into(), "1.08".into());
        members.insert("eventName".into(), name.into());
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
        record.set("userIdentity", identity(caller));
        record.set("eventTime", time(now).into());
        record.set("eventSource", source.into());
        record.set("awsRegion", region.as_str().into());
        let (address, agent) = origin(caller);
        record.set("sourceIPAddress", address.into());
        record.set("userAgent", agent.into());
        if let Some(error) = failure {
            // CloudTrail cuts the suffix of this one name.
            let name = match error.name() {
                "AccessDeniedException" => "AccessDenied",
                other => other,
            };
            record.set("errorCode", name.into());
            if let Some(message) = error.message() {
                record.set("errorMessage", message.into());
            }
        }
        let parameters = if subject.parameters.is_empty() {
            Value::Null
        } else {
            Value::Object(subject.parameters)
        };
        record.set("requestParameters", parameters);
        record.set("responseElements", subject.response.unwrap_or(Value::Null));
        let mut additional = subject.additional;
        additional.extend(process(caller));
        if !additional.is_empty() {
            record.set("additionalEventData", Value::Object(additional));
        }
        record.set("requestID", caller.request_id.as_str().into());
        record.set("eventID", uuid::Uuid::new_v4().to_string().into());
        record.set("readOnly", read_only.into());
        let resources = subject
            .resources
            .iter()
            .map(|arn| json!({"accountId": account.as_str(), "type": "AWS::KMS::Key", "ARN": arn}));
        record.set("resources", resources.collect());
        record.set("eventType", "AwsApiCall".into());
        record.set("managementEvent", true.into());
        record.set("recipientAccountId", account.as_str().into());
        record.set("eventCategory", "Management".into());
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
        record.set("eventTime", time(now).into());
        record.set("eventSource", "kms.amazonaws.com".into());
        record.set("awsRegion", region.as_str().into());
        record.set("eventID", uuid::Uuid::new_v4().to_string().into());
        record.set("eventType", "AwsServiceEvent".into());
        record.set("recipientAccountId", account.as_str().into());
        if !details.is_empty() {
            record.set("serviceEventDetails", Value::Object(details));
        }
        if !additional.is_empty() {
            record.set("additionalEventData", Value::Object(additional));
        }
        record
    }

    /// The record as one JSON object without line feeds.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_else(|_| String::from("{}"))
    }

    fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

/// RFC 3339 with milliseconds and `Z`.
pub fn time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|t| format!("{t:.3}"))
        .unwrap_or_else(|_| String::from("out of range"))
}

fn identity(caller: &CallerContext) -> Value {
    let arn = caller.principal.to_string();
    let mut identity = Map::new();
    let mut set = |name: &str, value: &str| {
        identity.insert(name.to_owned(), value.into());
    };
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
    Value::Object(identity)
}

fn origin(caller: &CallerContext) -> (String, String) {
    match &caller.source {
        Source::Http { ip, user_agent, .. } => {
            (ip.to_string(), user_agent.clone().unwrap_or_default())
        }
        Source::Unix { .. } => ("unix".to_owned(), "kmsfs".to_owned()),
        Source::Internal => ("internal".to_owned(), "kmsfs".to_owned()),
    }
}

/// The process that asked, as the kernel told it.
fn process(caller: &CallerContext) -> Map<String, Value> {
    let mut members = Map::new();
    if let Source::Unix { uid, gid, pid } = caller.source {
        members.insert("peer".into(), json!({"uid": uid, "gid": gid, "pid": pid}));
    }
    if let Some(user) = &caller.on_behalf {
        let mut value = json!({"uid": user.uid, "gid": user.gid, "pid": user.pid});
        if let (Some(groups), Some(value)) = (&user.groups, value.as_object_mut()) {
            value.insert("groups".into(), json!(groups));
        }
        members.insert("onBehalfOf".into(), value);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::caller::OnBehalf;

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
    }
}
