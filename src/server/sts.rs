//! The one operation of STS that is served: GetCallerIdentity, which tools ask before anything
//! else to learn whose credentials they have. Query protocol in, XML out.

use percent_encoding::percent_decode_str;

use crate::kms::caller::{CallerContext, Principal};

/// `Content-Type` of a reply.
pub const MEDIA_TYPE: &str = "text/xml";

/// Whether a request is of the query protocol, by its `Content-Type`.
pub fn is_query(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"))
}

/// Answers a request: status and body. Whoever signed may ask who he is.
pub fn answer(caller: &CallerContext, body: &[u8]) -> (u16, String) {
    let action = std::str::from_utf8(body).ok().and_then(|text| {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let action = pairs.filter(|(name, _)| *name == "Action").map(|(_, value)| value).next()?;
        percent_decode_str(action).decode_utf8().ok()
    });
    let id = &caller.request_id;
    if action.as_deref() != Some("GetCallerIdentity") {
        let error = "<Error><Type>Sender</Type><Code>InvalidAction</Code>\
                     <Message>The action is not offered here</Message></Error>";
        return (400, format!("<ErrorResponse>{error}<RequestId>{id}</RequestId></ErrorResponse>"));
    }
    let user = match &caller.principal {
        Principal::User { name, .. } => name.as_str(),
        Principal::Root { account } => account.as_str(),
        Principal::AssumedRole { session, .. } => session.as_str(),
        Principal::Service { name } => name.as_str(),
    };
    let account = caller.principal.account().map_or("", |account| account.as_str());
    let result = format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{account}</Account>",
        escaped(&caller.principal.to_string()),
        escaped(user)
    );
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult>{result}</GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    );
    (200, body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::caller::Source;

    fn ask(body: &[u8]) -> (u16, String) {
        let user = Principal::user(&"111122223333".parse().unwrap(), "a&b");
        answer(&CallerContext::direct(user, Source::Internal), body)
    }

    #[test]
    fn the_caller_is_told_who_he_is_and_nothing_else() {
        let (status, body) = ask(b"Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!(status, 200);
        assert!(body.contains("<Arn>arn:aws:iam::111122223333:user/a&amp;b</Arn>"), "{body}");
        assert!(body.contains("<Account>111122223333</Account>"), "{body}");
        for other in [b"Action=AssumeRole".as_slice(), b"", b"\xff=&&"] {
            assert_eq!(ask(other).0, 400);
        }
    }
}
