//! Members of a JSON object, written down as they come: a record is made for every request, and
//! a tree of values for each would cost more than the decision.

use serde::Serialize;

/// The members so far, in their order.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// `,"name":value` for each.
    text: Vec<u8>,
    /// Each name, and where its comma is.
    names: Vec<(&'static str, usize)>,
}

impl Members {
    /// None yet, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Members {
        Members { text: Vec::with_capacity(bytes), names: Vec::with_capacity(32) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Sets a member; one of the same name goes.
    pub fn set(&mut self, name: &'static str, value: impl Serialize) {
        self.begin(name);
        if serde_json::to_writer(&mut self.text, &value).is_err() {
            // No value that is recorded has keys that are not text; a name without its value is
            // all that could be said of one.
            self.text.extend_from_slice(b"null");
        }
    }

    /// Sets a member that is an object of these.
    pub fn set_object(&mut self, name: &'static str, members: &Members) {
        self.begin(name);
        self.text.push(b'{');
        self.text.extend_from_slice(members.inner());
        self.text.push(b'}');
    }

    /// The whole object.
    pub fn to_json(&self) -> String {
        let mut json = Vec::with_capacity(self.text.len() + 2);
        json.push(b'{');
        json.extend_from_slice(self.inner());
        json.push(b'}');
        // Written by a JSON writer and from `str` alone, so it is text.
        String::from_utf8(json).unwrap_or_else(|_| String::from("{}"))
    }

    fn inner(&self) -> &[u8] {
        self.text.get(1..).unwrap_or_default()
    }

    fn begin(&mut self, name: &'static str) {
        if let Some(at) = self.names.iter().position(|(known, _)| *known == name) {
            self.remove(at);
        }
        self.names.push((name, self.text.len()));
        self.text.extend_from_slice(b",\"");
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b"\":");
    }

    fn remove(&mut self, at: usize) {
        let (_, start) = self.names.remove(at);
        let end = self.names.get(at).map_or(self.text.len(), |(_, next)| *next);
        self.text.drain(start..end);
        for (_, place) in self.names.iter_mut().skip(at) {
            *place -= end - start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_json_in_their_order_and_the_last_word_counts() {
        let mut members = Members::default();
        assert_eq!(members.to_json(), "{}");
        members.set("a", 1);
        members.set("b", "\"\n");
        members.set("c", [true]);
        members.set("a", Option::<u8>::None);
        let mut inner = Members::default();
        inner.set("x", "y");
        members.set_object("d", &inner);
        members.set("b", "z");
        assert_eq!(members.to_json(), r#"{"c":[true],"a":null,"d":{"x":"y"},"b":"z"}"#);
    }
}
