//! AWS JSON 1.1 to and from the typed requests.
//!
//! AWS leaves out members without value, words its complaints about missing members and unknown
//! enumeration values by itself, and ignores members that it does not know. All of this happens
//! on the JSON tree, so that the types stay plain.

use serde_json::{Map, Value};

use super::{Action, Reply, Request};
use crate::kms::error::{KmsError, Violation};

impl Request {
    /// Reads the body of an HTTP request for `action`. An empty body counts as `{}`. The result
    /// is not validated yet.
    pub fn from_json(action: Action, body: &[u8]) -> Result<Request, KmsError> {
        let mut members: Map<String, Value> = if body.is_empty() {
            Map::new()
        } else {
            serde_json::from_slice(body).map_err(|_| KmsError::Serialization)?
        };
        members.retain(|_, value| !value.is_null());
        let expected = action.members();
        for name in expected.required {
            if !members.contains_key(*name) {
                return Err(Violation::Missing { member: lower_camel(name) }.into());
            }
        }
        for set in expected.enums {
            if let Some(Value::String(value)) = members.get(set.member)
                && !set.values.contains(&value.as_str())
            {
                let (member, value) = (lower_camel(set.member), value.clone());
                let set = set.listed.join(", ");
                return Err(Violation::NotInSet { member, value, set }.into());
            }
        }
        Request::from_tree(action, Value::Object(members)).map_err(|_| KmsError::Serialization)
    }
}

impl Reply {
    /// The body of the HTTP reply: empty for an action without output.
    pub fn to_json(&self) -> Result<Vec<u8>, KmsError> {
        let mut tree = self.to_tree().map_err(|_| KmsError::Serialization)?;
        if tree.is_null() {
            return Ok(Vec::new());
        }
        drop_nulls(&mut tree);
        serde_json::to_vec(&tree).map_err(|_| KmsError::Serialization)
    }
}

fn drop_nulls(tree: &mut Value) {
    match tree {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `KeyId` as AWS's messages spell it: `keyId`.
fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}
