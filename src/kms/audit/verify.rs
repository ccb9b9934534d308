//! Reading a trail back: is every line there, unchanged, in order, and ours?
//!
//! Pure: lines go in, the first fault comes out. Without the key the chain alone is checked,
//! which finds damage and clumsy hands, but not somebody who recomputes every hash after his
//! change; with the key that is found too. A trail that was cut at its end is consistent in
//! itself: compare [`Verifier::state`] with the position that the store remembers.

use super::chain::{ChainState, Line};
use crate::kms::hex;
use crate::secret::Secret;

/// Member of the first line of each file but the first: the chain value it follows, so that a
/// trail whose oldest files were archived away can still be checked from there.
pub const PREVIOUS_CHAIN: &str = "previousChain";

/// What is wrong with a trail, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a line of a trail.
    #[error("after sequence {after} comes a line that is none of the trail's")]
    Garbled {
        /// Last good line.
        after: u64,
    },
    /// Lines are not there.
    #[error("lines {from} to {to} are missing")]
    Missing {
        /// First one.
        from: u64,
        /// Last one.
        to: u64,
    },
    /// A line that was there already, or belongs elsewhere.
    #[error("a line numbered {sequence} stands where {expected} belongs")]
    Inserted {
        /// What it calls itself.
        sequence: u64,
        /// What belongs there.
        expected: u64,
    },
    /// A line that is not what was written, or does not follow the one before it.
    #[error("line {sequence} was changed, or does not follow the line before it")]
    Changed {
        /// Its number.
        sequence: u64,
    },
    /// A line that holds together but was not written by this key service.
    #[error("line {sequence} was not written by this key service")]
    Forged {
        /// Its number.
        sequence: u64,
    },
    /// The trail ends before the position that the store remembers.
    #[error("the trail ends at line {end}, but line {expected} was written")]
    Cut {
        /// Last line that is there.
        end: u64,
        /// Last line that was.
        expected: u64,
    },
}

/// Checks lines one after the other.
#[derive(Debug)]
pub struct Verifier<'a> {
    key: Option<&'a Secret<[u8; 32]>>,
    state: Option<ChainState>,
}

impl<'a> Verifier<'a> {
    /// Starts; with `key` the tags are checked as well.
    pub fn new(key: Option<&'a Secret<[u8; 32]>>) -> Verifier<'a> {
        Verifier { key, state: None }
    }

    /// One that has checked everything up to `state`.
    pub fn at(state: ChainState) -> Verifier<'a> {
        Verifier { key: None, state: Some(state) }
    }

    /// The state after the last good line.
    pub fn state(&self) -> ChainState {
        self.state.unwrap_or(ChainState::START)
    }

    /// Checks the next line, without its line feed.
    pub fn line(&mut self, text: &str) -> Result<(), Fault> {
        let after = self.state().sequence;
        let line = Line::parse(text).ok_or(Fault::Garbled { after })?;
        let sequence = line.sequence;
        let before = match self.state {
            Some(state) => state,
            None => first_of(&line).unwrap_or(ChainState::START),
        };
        let expected = before.sequence.wrapping_add(1);
        if sequence > expected {
            return Err(Fault::Missing { from: expected, to: sequence.wrapping_sub(1) });
        }
        if sequence < expected {
            return Err(Fault::Inserted { sequence, expected });
        }
        if !line.follows(&before) {
            return Err(Fault::Changed { sequence });
        }
        if self.key.is_some_and(|key| !line.is_of(key)) {
            return Err(Fault::Forged { sequence });
        }
        self.state = Some(line.state());
        Ok(())
    }

    /// Compares the end with the position that the store remembers. The store is written less
    /// often than the trail, so the trail may be ahead, but never behind.
    pub fn end(&self, remembered: ChainState) -> Result<(), Fault> {
        let end = self.state();
        if end.sequence < remembered.sequence {
            return Err(Fault::Cut { end: end.sequence, expected: remembered.sequence });
        }
        if end.sequence == remembered.sequence && end.chain != remembered.chain {
            return Err(Fault::Changed { sequence: end.sequence });
        }
        Ok(())
    }
}

/// What the first line that is given says it follows.
fn first_of(line: &Line<'_>) -> Option<ChainState> {
    let json: serde_json::Value = serde_json::from_str(&format!("{}}}", line.body)).ok()?;
    let chain = json.get("additionalEventData")?.get(PREVIOUS_CHAIN)?.as_str()?;
    let sequence = line.sequence.checked_sub(1)?;
    Some(ChainState { sequence, chain: hex::decode_array(chain)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(count: u64) -> (Vec<String>, ChainState) {
        let mut state = ChainState::START;
        let mut out = Vec::new();
        for i in 0..count {
            state.link(&format!("{{\"n\":{i}}}"), &key(), &mut out);
        }
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), state)
    }

    fn key() -> Secret<[u8; 32]> {
        Secret::new([4; 32])
    }

    fn check(lines: &[String], with_key: bool) -> Result<ChainState, Fault> {
        let key = key();
        let mut verifier = Verifier::new(with_key.then_some(&key));
        lines.iter().try_for_each(|line| verifier.line(line))?;
        Ok(verifier.state())
    }

    #[test]
    fn a_whole_trail_verifies() {
        let (lines, end) = trail(5);
        assert_eq!(check(&lines, true), Ok(end));
        assert_eq!(check(&lines, false), Ok(end));
    }

    #[test]
    fn a_changed_line_is_named() {
        let (mut lines, _) = trail(5);
        lines[2] = lines[2].replace("\"n\":2", "\"n\":7");
        assert_eq!(check(&lines, false), Err(Fault::Changed { sequence: 3 }));
        let (mut lines, _) = trail(5);
        lines[2].insert(0, ' ');
        assert_eq!(check(&lines, false), Err(Fault::Garbled { after: 2 }));
    }

    #[test]
    fn missing_inserted_and_swapped_lines_are_named() {
        let (mut lines, _) = trail(5);
        lines.remove(1);
        assert_eq!(check(&lines, false), Err(Fault::Missing { from: 2, to: 2 }));
        let (mut lines, _) = trail(5);
        lines.insert(3, lines[1].clone());
        assert_eq!(check(&lines, false), Err(Fault::Inserted { sequence: 2, expected: 4 }));
        let (mut lines, _) = trail(5);
        lines.swap(1, 2);
        assert_eq!(check(&lines, false), Err(Fault::Missing { from: 2, to: 2 }));
        let (mut lines, _) = trail(5);
        lines.remove(0);
        assert_eq!(check(&lines, false), Err(Fault::Missing { from: 1, to: 1 }));
    }

    #[test]
    fn a_trail_rebuilt_without_the_key_is_named() {
        let forger = Secret::new([9; 32]);
        let mut state = ChainState::START;
        let mut out = Vec::new();
        for i in 0..3 {
            state.link(&format!("{{\"n\":{i}}}"), &forger, &mut out);
        }
        let lines: Vec<String> =
            String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        assert!(check(&lines, false).is_ok());
        assert_eq!(check(&lines, true), Err(Fault::Forged { sequence: 1 }));
    }

    #[test]
    fn a_cut_end_is_named() {
        let (mut lines, end) = trail(5);
        lines.truncate(3);
        let key = key();
        let mut verifier = Verifier::new(Some(&key));
        lines.iter().for_each(|line| verifier.line(line).unwrap());
        assert_eq!(verifier.end(end), Err(Fault::Cut { end: 3, expected: 5 }));
    }

    #[test]
    fn a_later_file_verifies_by_what_it_says_it_follows() {
        let (_, before) = trail(5);
        let mut state = before;
        let mut out = Vec::new();
        let first = format!(
            "{{\"additionalEventData\":{{\"previousChain\":\"{}\"}}}}",
            hex::encode(&before.chain)
        );
        state.link(&first, &key(), &mut out);
        state.link("{}", &key(), &mut out);
        let lines: Vec<String> =
            String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(check(&lines, true), Ok(state));
    }
}
