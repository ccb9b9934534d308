//! AWS JSON 1.1: from the `X-Amz-Target` header to an action, from results to bodies.

use serde_json::json;

use super::sigv4::SigError;
use crate::kms::api::{Action, Request};
use crate::kms::error::KmsError;

/// What precedes the action's name in `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "TrentService.";

/// The media type of every body.
pub const MEDIA_TYPE: &str = "application/x-amz-json-1.1";

/// The action that a target names.
pub fn action(target: Option<&str>) -> Result<Action, KmsError> {
    let name = target.and_then(|target| target.strip_prefix(TARGET_PREFIX)).unwrap_or("");
    Action::from_name(name).ok_or_else(|| KmsError::UnknownOperation { name: shortened(name) })
}

/// The typed request of a target and a body.
pub fn request(target: Option<&str>, body: &[u8]) -> Result<Request, KmsError> {
    Request::from_json(action(target)?, body)
}

/// A failure as AWS sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// Exception name.
    pub name: &'static str,
    /// Message; some exceptions have none.
    pub message: Option<String>,
}

impl Failure {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        let body = match &self.message {
            Some(message) => json!({ "__type": self.name, "message": message }),
            None => json!({ "__type": self.name }),
        };
        body.to_string().into_bytes()
    }
}

impl From<&KmsError> for Failure {
    fn from(error: &KmsError) -> Self {
        Self { status: error.status(), name: error.name(), message: error.message() }
    }
}

impl From<&SigError> for Failure {
    fn from(error: &SigError) -> Self {
        Self { status: 400, name: error.name(), message: Some(error.to_string()) }
    }
}

/// A client's text, short enough to be sent back.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_found_by_its_target() {
        for &known in Action::ALL {
            let target = format!("TrentService.{}", known.name());
            assert_eq!(action(Some(&target)).unwrap(), known);
        }
        for bad in
            [None, Some(""), Some("Decrypt"), Some("TrentService."), Some("trentservice.Decrypt")]
        {
            assert_eq!(action(bad).unwrap_err().name(), "UnknownOperationException", "{bad:?}");
        }
    }

    #[test]
    fn failures_look_like_those_of_aws() {
        let failure = Failure::from(&SigError::UnknownAccessKey);
        assert_eq!(
            String::from_utf8(failure.body()).unwrap(),
            r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#
        );
        let bare = Failure::from(&KmsError::InvalidCiphertext);
        assert_eq!(bare.body(), br#"{"__type":"InvalidCiphertextException"}"#);
    }
}
