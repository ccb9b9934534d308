//! Makes keys, over the wire as anybody would.

use std::time::Instant;

use super::Outcome;
use super::http::{Connection, Signer};
use super::report::Report;

/// Makes so many keys.
pub fn run(address: &str, keys: usize) -> Outcome<String> {
    let mut signer = Signer::new(address)?;
    let mut connection = Connection::new(address, true)?;
    let mut report = Report::default();
    let started = Instant::now();
    while report.count() < keys {
        let asked = Instant::now();
        connection.ask(&mut signer, "CreateKey", "{\"Description\":\"one of many\"}")?;
        report.answer(asked.elapsed());
    }
    Ok(report.line("CreateKey", started.elapsed()))
}
