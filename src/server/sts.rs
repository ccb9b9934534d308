//! The operations of STS that are served: GetCallerIdentity, which tools ask before anything
//! else to learn whose credentials they have, and AssumeRole. Query protocol in, XML out.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

use super::json::Failure;
use crate::kms::api::{AssumeRoleRequest, AssumedRole};
use crate::kms::audit::record::time;
use crate::kms::caller::{CallerContext, Principal};
use crate::kms::error::{KmsError, Violation};
use crate::kms::service::Service;

/// `Content-Type` of a reply.
pub const MEDIA_TYPE: &str = "text/xml";

/// Name space of every reply.
const SPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Whether a request is of the query protocol, by its `Content-Type`.
pub fn is_query(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"))
}

/// Answers a request: status and body.
pub fn answer(service: &Service, caller: &CallerContext, body: &[u8]) -> (u16, String) {
    let id = &caller.request_id;
    let members = members(body);
    let action = members.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.as_str());
    let outcome = match action {
        // Whoever signed may ask who he is.
        Some("GetCallerIdentity") => Ok(reply("GetCallerIdentity", &identity(caller), id)),
        Some("AssumeRole") => request(&members)
            .and_then(|request| service.assume_role(caller, &request))
            .map(|begun| reply("AssumeRole", &credentials(&begun), id)),
        _ => return failed(400, "InvalidAction", "The action is not offered here", id),
    };
    match outcome {
        Ok(body) => (200, body),
        Err(error) => refused(&Failure::from(&error), id),
    }
}

/// A failure in the words of this protocol, whose names and statuses differ from those of JSON.
pub fn refused(failure: &Failure, request_id: &str) -> (u16, String) {
    let (status, name) = match failure.name {
        "AccessDeniedException" => (403, "AccessDenied"),
        "UnrecognizedClientException" => (403, "InvalidClientTokenId"),
        "ExpiredTokenException" => (403, "ExpiredToken"),
        "InvalidSignatureException" => (403, "SignatureDoesNotMatch"),
        "MissingAuthenticationTokenException" => (403, "MissingAuthenticationToken"),
        "IncompleteSignatureException" => (400, "IncompleteSignature"),
        "ValidationException" => (400, "ValidationError"),
        "MalformedPolicyDocumentException" => (400, "MalformedPolicyDocument"),
        "ThrottlingException" => (400, "Throttling"),
        _ if failure.status >= 500 => (500, "InternalFailure"),
        other => (failure.status, other),
    };
    failed(status, name, failure.message.as_deref().unwrap_or(""), request_id)
}

fn failed(status: u16, name: &str, message: &str, request_id: &str) -> (u16, String) {
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    let body = format!(
        "<ErrorResponse xmlns=\"{SPACE}\"><Error><Type>{kind}</Type><Code>{name}</Code>\
         <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        escaped(message)
    );
    (status, body)
}

fn reply(action: &str, result: &str, request_id: &str) -> String {
    format!(
        "<{action}Response xmlns=\"{SPACE}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </{action}Response>"
    )
}

fn identity(caller: &CallerContext) -> String {
    let user = match &caller.principal {
        Principal::User { name, .. } | Principal::Service { name } => name.clone(),
        Principal::Root { account } => account.to_string(),
        Principal::AssumedRole { role, session, .. } => format!("{role}:{session}"),
    };
    let account = caller.principal.account().map_or("", |account| account.as_str());
    let arn = escaped(&caller.principal.to_string());
    format!("<Arn>{arn}</Arn><UserId>{}</UserId><Account>{account}</Account>", escaped(&user))
}

/// The one place where the secret of a session leaves the service: to whoever began it.
fn credentials(begun: &AssumedRole) -> String {
    let text = |bytes: &[u8]| escaped(&String::from_utf8_lossy(bytes));
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
        escaped(&begun.access_key_id),
        text(begun.secret_access_key.expose()),
        text(begun.session_token.expose()),
        time(begun.expiration.0),
        escaped(&begun.id),
        escaped(&begun.arn),
    );
    out
}

fn request(members: &[(String, String)]) -> Result<AssumeRoleRequest, KmsError> {
    let mut request = AssumeRoleRequest::default();
    for (name, value) in members {
        let value = value.clone();
        match name.as_str() {
            "Action" | "Version" => {}
            "RoleArn" => request.role_arn = value,
            "RoleSessionName" => request.session_name = value,
            "DurationSeconds" => {
                let member = || "durationSeconds".to_owned();
                let number = value.parse();
                request.duration_seconds =
                    Some(number.map_err(|_| Violation::Missing { member: member() })?);
            }
            "ExternalId" => request.external_id = Some(value),
            "Policy" => request.policy = Some(value),
            // Policies by ARN, tags, a second factor: whoever names them wants them to count.
            other => return Err(Violation::NotOffered { member: other.to_owned() }.into()),
        }
    }
    for (member, value) in
        [("roleArn", &request.role_arn), ("roleSessionName", &request.session_name)]
    {
        if value.is_empty() {
            return Err(Violation::Missing { member: member.to_owned() }.into());
        }
    }
    Ok(request)
}

/// The members of a body, decoded, in their order.
fn members(body: &[u8]) -> Vec<(String, String)> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::caller::Source;

    fn ask(body: &[u8]) -> (u16, String) {
        let accounts = ["111122223333".parse().unwrap()];
        let region = "us-east-1".parse().unwrap();
        let opened = crate::store::ephemeral::open(&accounts, &[region], Default::default());
        let service = opened.unwrap().service;
        let user = Principal::user(&accounts[0], "a&b");
        answer(&service, &CallerContext::direct(user, Source::Internal), body)
    }

    #[test]
    fn the_caller_is_told_who_he_is() {
        let (status, body) = ask(b"Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!(status, 200);
        assert!(body.contains("<Arn>arn:aws:iam::111122223333:user/a&amp;b</Arn>"), "{body}");
        assert!(body.contains("<Account>111122223333</Account>"), "{body}");
        for other in [b"Action=GetSessionToken".as_slice(), b"", b"\xff=&&"] {
            assert_eq!(ask(other).0, 400);
        }
    }

    #[test]
    fn what_would_narrow_a_session_is_refused_rather_than_dropped() {
        let role = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2FR";
        let with = |more: &str| ask(format!("{role}&RoleSessionName=s{more}").as_bytes());
        for more in ["&PolicyArns.member.1.arn=x", "&Tags.member.1.Key=x", "&TokenCode=1"] {
            let (status, body) = with(more);
            assert_eq!(status, 400, "{body}");
            assert!(body.contains("<Code>ValidationError</Code>"), "{body}");
        }
        let (status, body) = with("s");
        assert!(status == 403 && body.contains("<Code>AccessDenied</Code>"), "{body}");
        assert!(ask(role.as_bytes()).1.contains("roleSessionName"));
    }
}
