//! How many requests does a key service answer? A load for `bench/kms.sh`, lean enough that what it
//! measures is the service: one thread, requests signed as they leave.
//!
//! ```text
//! load http ADDRESS TARGET CONNECTIONS SECONDS [POLICY-BYTES]   Decrypt, GenerateDataKey, ... with SigV4
//! load fill ADDRESS KEYS                                        makes keys
//! load unwrap SOCKET DEPTH SECONDS                              data keys over the private socket
//! ```
//! The access key comes from the usual variables of AWS. One line of JSON goes to standard output.

mod fill;
mod http;
mod report;
mod unwrap;

use std::process::ExitCode;

/// What can go wrong in a benchmark is for a person to read.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Outcome<String> {
    match arguments {
        ["http", address, target, connections, seconds, rest @ ..] => {
            let policy = rest.first().map_or(Ok(0), |bytes| bytes.parse())?;
            http::run(address, target, connections.parse()?, seconds.parse()?, policy)
        }
        ["fill", address, keys] => fill::run(address, keys.parse()?),
        ["unwrap", socket, depth, seconds] => unwrap::run(socket, depth.parse()?, seconds.parse()?),
        _ => Err("usage: load http|fill|unwrap ...; see bench/kms.sh".into()),
    }
}
