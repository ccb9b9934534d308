//! How a line of the trail holds on to the one before it.
//!
//! A line is a JSON object whose first member is `sequence` and whose last two are `chain` and
//! `tag`. Everything before `,"chain"` is the body.
//!
//! - chain = SHA-256(chain of the line before, body); the first line of all follows 32 zeros;
//! - tag = the first 16 bytes of HMAC-SHA256 over sequence and chain, under a key derived from
//!   the store's root key: without that key a changed trail cannot be made consistent again.

use aws_lc_rs::digest::{self, SHA256};

use crate::crypto;
use crate::kms::hex;
use crate::secret::Secret;

/// `,"chain":"` + 64 + `","tag":"` + 32 + `"}`
const SUFFIX: usize = 10 + 64 + 9 + 32 + 2;

/// Where a trail ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainState {
    /// Sequence number of the last line; 0 before the first.
    pub sequence: u64,
    /// Its chain value.
    pub chain: [u8; 32],
}

/// A [`ChainState`] as the store keeps it, to notice a trail that was cut at its end.
pub type Position = ChainState;

impl ChainState {
    /// Before the first line.
    pub const START: ChainState = ChainState { sequence: 0, chain: [0; 32] };

    /// 8 + 32 bytes, for the store.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.sequence.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.chain);
        bytes
    }

    /// What [`ChainState::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<ChainState> {
        let (sequence, chain) = bytes.split_first_chunk::<8>()?;
        let chain = chain.try_into().ok()?;
        Some(ChainState { sequence: u64::from_le_bytes(*sequence), chain })
    }

    /// The state after one more line with that body.
    fn after(&self, sequence: u64, body: &str) -> ChainState {
        let mut hash = digest::Context::new(&SHA256);
        hash.update(&self.chain);
        hash.update(body.as_bytes());
        let mut chain = [0; 32];
        for (to, from) in chain.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        ChainState { sequence, chain }
    }

    /// Links one more line. `record` is a JSON object; the line, with its line feed, is appended
    /// to `out`.
    pub fn link(&mut self, record: &str, key: &Secret<[u8; 32]>, out: &mut Vec<u8>) {
        let sequence = self.sequence.wrapping_add(1);
        let members = record.strip_prefix('{').and_then(|r| r.strip_suffix('}')).unwrap_or("");
        let comma = if members.is_empty() { "" } else { "," };
        let mut body = String::with_capacity(members.len() + 64);
        body.extend(["{\"sequence\":", &sequence.to_string(), comma, members]);
        *self = self.after(sequence, &body);
        let (chain, tag) = (hex::encode(&self.chain), hex::encode(&tag(self, key)));
        for part in [&body, ",\"chain\":\"", &chain, "\",\"tag\":\"", &tag, "\"}\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// A line of a trail, taken apart but not believed.
#[derive(Debug)]
pub struct Line<'a> {
    /// What it calls itself.
    pub sequence: u64,
    /// Everything the chain value covers.
    pub body: &'a str,
    chain: [u8; 32],
    tag: [u8; 16],
}

impl<'a> Line<'a> {
    /// Takes a line (without its line feed) apart.
    pub fn parse(line: &'a str) -> Option<Line<'a>> {
        let (body, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
        let suffix = suffix.strip_prefix(",\"chain\":\"")?.strip_suffix("\"}")?;
        let (chain, tag) = suffix.split_once("\",\"tag\":\"")?;
        let rest = body.strip_prefix("{\"sequence\":")?;
        let digits = rest.split_once(',').map_or(rest, |(digits, _)| digits);
        Some(Line {
            sequence: digits.parse().ok()?,
            body,
            chain: hex::decode_array(chain)?,
            tag: hex::decode_array(tag)?,
        })
    }

    /// The state that the line claims.
    pub fn state(&self) -> ChainState {
        ChainState { sequence: self.sequence, chain: self.chain }
    }

    /// Whether it follows `before`.
    pub fn follows(&self, before: &ChainState) -> bool {
        before.after(self.sequence, self.body) == self.state()
    }

    /// Whether it was written by the holder of `key`.
    pub fn is_of(&self, key: &Secret<[u8; 32]>) -> bool {
        crypto::same(&tag(&self.state(), key), &self.tag)
    }
}

fn tag(state: &ChainState, key: &Secret<[u8; 32]>) -> [u8; 16] {
    let full = crypto::mac(key, &[&state.sequence.to_le_bytes(), &state.chain]);
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(full) {
        *to = from;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_and_reads_back() {
        let key = Secret::new([5; 32]);
        let mut state = ChainState::START;
        let mut out = Vec::new();
        state.link(r#"{"eventName":"Decrypt"}"#, &key, &mut out);
        let text = String::from_utf8(out).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["sequence"], 1);
        assert_eq!(json["eventName"], "Decrypt");
        let line = Line::parse(text.trim_end()).unwrap();
        assert_eq!(line.state(), state);
        assert!(line.follows(&ChainState::START) && line.is_of(&key));
        assert!(!line.is_of(&Secret::new([6; 32])));
        assert!(!line.follows(&state));
    }

    #[test]
    fn positions_read_back() {
        let state = ChainState { sequence: 300, chain: [9; 32] };
        assert_eq!(ChainState::from_bytes(&state.to_bytes()), Some(state));
        assert_eq!(ChainState::from_bytes(&[0; 39]), None);
    }
}
