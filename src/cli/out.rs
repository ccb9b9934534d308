//! What the commands print, and where. The rules, all of them:
//!
//! - Results go to standard output: text for people, or with `--json` one JSON document.
//! - Everything else goes to standard error. Errors are one line,
//!   `kmsfs: <cause>: <what to do>`, or with `--json` one line of JSON with the members `error`
//!   (a stable name), `exit`, `message` and `remedy`.
//! - Notes, such as "made a new volume", go to standard error and are left out with `--json`.
//! - A secret is printed in one place only: the new access key's, once, as its result.
//! - Output that nobody reads any more (a closed pipe) is no error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use super::error::CliError;

/// Prints by the rules above.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    json: bool,
}

impl Out {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Out {
        Out { json }
    }

    /// Whether results are JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// A command's result.
    pub fn result<R: Serialize + Display>(self, result: &R) {
        let text = if self.json {
            // A result is made of strings, numbers and lists: nothing in it can fail to encode.
            serde_json::to_string_pretty(result).unwrap_or_default()
        } else {
            result.to_string()
        };
        let text = text.trim_end();
        if !text.is_empty() {
            let _ = writeln!(io::stdout().lock(), "{text}");
        }
    }

    /// Something worth knowing that nobody asked for.
    pub fn note(self, text: impl Display) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "kmsfs: {text}");
        }
    }

    /// Why it did not work. One line.
    pub fn error(self, e: &CliError) {
        let _ = writeln!(io::stderr().lock(), "{}", self.error_line(e));
    }

    fn error_line(self, e: &CliError) -> String {
        let message = one_line(&e.to_string());
        let remedy = one_line(&e.remedy());
        if self.json {
            let exit = e.exit();
            return json!({
                "error": exit.name(),
                "exit": exit.code(),
                "message": message,
                "remedy": remedy,
            })
            .to_string();
        }
        if remedy.is_empty() {
            format!("kmsfs: {message}")
        } else {
            format!("kmsfs: {message}: {remedy}")
        }
    }
}

/// Paths may hold anything; what is printed about them stays on its line and cannot steer a
/// terminal.
fn one_line(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Columns of text, each as wide as its widest cell.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_the_path_holds() {
        let e = CliError::NotMounted { path: PathBuf::from("a\nb\u{1b}[2J") };
        for json in [false, true] {
            let line = Out::new(json).error_line(&e);
            assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line:?}");
        }
    }

    #[test]
    fn json_errors_carry_the_code() {
        let e = CliError::NotMounted { path: PathBuf::from("/m") };
        let line = Out::new(true).error_line(&e);
        let v: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(v["error"], "not-mounted");
        assert_eq!(v["exit"], 14);
        assert!(v["remedy"].as_str().is_some_and(|r| !r.is_empty()));
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&rows), "a    bb\nccc  d\n");
    }
}
