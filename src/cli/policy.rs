//! `kmsfs policy ...`: policies asked and tested, before they are in force and after.
//!
//! Everything is decided here, by the engine that the service has, from documents that the
//! service gives out to whoever may read them: nothing is done to a key, and no key is used.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use super::args::PolicyCommand;
use super::error::CliError;
use super::exit::Exit;
use super::out::Out;
use super::policy_ask;
use crate::kms::policy::Verdict;
use crate::kms::policy::case::Case;

/// Longest line of a file of test cases, bytes.
const MAX_LINE: usize = 1 << 20;

/// Runs the command.
pub fn run(command: PolicyCommand, out: Out) -> Result<(), CliError> {
    match command {
        PolicyCommand::Test { file } => test(&file, out),
        PolicyCommand::Explain(ask) => policy_ask::explain(ask, None, out),
        PolicyCommand::Simulate { policy, ask } => policy_ask::explain(ask, Some(&policy), out),
    }
}

/// What came of a file of cases.
#[derive(Debug, Default, Serialize)]
struct Tested {
    wrong: Vec<Wrong>,
    passed: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Wrong {
    line: usize,
    id: String,
    expected: Option<Verdict>,
    got: String,
    features: Vec<String>,
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Wrong { line, id, expected, got, features } in &self.wrong {
            write!(f, "line {line}: {id}: ")?;
            if let Some(expected) = expected {
                write!(f, "expected {expected:?}, ")?;
            }
            write!(f, "got {got}")?;
            if !features.is_empty() {
                write!(f, " ({})", features.join(" "))?;
            }
            writeln!(f)?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn test(path: &Path, out: Out) -> Result<(), CliError> {
    let failed = |source| CliError::Io { action: "read", path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let mut tested = Tested::default();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if lines.read_line(&mut line).map_err(failed)? == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        match wrong(number, &line) {
            None => tested.passed += 1,
            Some(wrong) => {
                tested.failed += 1;
                tested.wrong.push(wrong);
            }
        }
    }
    out.result(&tested);
    if tested.failed == 0 && tested.passed > 0 {
        return Ok(());
    }
    let what = if tested.failed > 0 { "not every verdict is as expected" } else { "no test case" };
    Err(CliError::Reported {
        message: what.into(),
        remedy: "change the policies or the cases".into(),
        exit: Exit::Failed,
    })
}

/// What is wrong with the answer to one line, if anything is.
fn wrong(line: usize, text: &str) -> Option<Wrong> {
    let unread = |got: String| Wrong {
        line,
        id: String::from("?"),
        expected: None,
        got,
        features: Vec::new(),
    };
    if text.len() > MAX_LINE {
        return Some(unread(String::from("a line too long to be a test case")));
    }
    let case = match Case::read(text) {
        Ok(case) => case,
        Err(error) => return Some(unread(error.to_string())),
    };
    let got = match case.decide() {
        Ok(decision) if decision.verdict == case.expected => return None,
        Ok(decision) => format!("{:?}", decision.verdict),
        Err(error) => error.to_string(),
    };
    Some(Wrong { line, id: case.id, expected: Some(case.expected), got, features: case.features })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = r#"{"id":"a","request":{"principal":"arn:aws:iam::111122223333:user/x","action":"kms:ListKeys","resource":"*"},"key_policy":null,"identity_policies":[{"Statement":{"Effect":"Allow","Action":"kms:List*","Resource":"*"}}],"expected":"Allow"}"#;

    #[test]
    fn a_wrong_verdict_and_an_unreadable_line_are_told_with_their_line() {
        assert!(wrong(1, RIGHT).is_none());
        let found =
            wrong(7, &RIGHT.replace(r#""expected":"Allow""#, r#""expected":"ExplicitDeny""#));
        let text = Tested { wrong: found.into_iter().collect(), passed: 0, failed: 1 }.to_string();
        assert_eq!(text, "line 7: a: expected ExplicitDeny, got Allow\n0 passed, 1 failed");
        assert!(wrong(1, "{}").is_some());
        let bad = RIGHT.replace("\"Statement\"", "\"Statements\"");
        assert!(wrong(1, &bad).unwrap().got.contains("identity policy 1"));
    }
}
