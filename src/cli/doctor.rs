//! `kmsfs doctor`: whether this machine can do what a mount wants, and what to do where not.

use std::fmt;
use std::fs::OpenOptions;

use serde::Serialize;

use super::error::CliError;
use super::out::Out;
use crate::transport::ring_possible;

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// Mounts can be made at all.
    can_mount: bool,
    /// Which way requests of a new mount would come: `uring` or `device`.
    transport: &'static str,
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    good: bool,
    /// Why not and what to do, if it is not good.
    why: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// `NoFuse`, after the findings, if no mount can be made. Being slower than it could be is no
/// error.
pub fn run(out: Out) -> Result<(), CliError> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let ring = ring_possible();
    let (can_mount, transport) = (device.is_ok(), if ring.is_ok() { "uring" } else { "device" });
    let checks = vec![
        Check::of("/dev/fuse can be used", device.map_err(|e| e.to_string())),
        Check::of("requests over io_uring", ring.map_err(|obstacle| obstacle.to_string())),
    ];
    out.result(&Findings { can_mount, transport, checks });
    if can_mount { Ok(()) } else { Err(CliError::NoFuse) }
}

impl Check {
    fn of<T>(name: &'static str, result: Result<T, String>) -> Check {
        Check { name, good: result.is_ok(), why: result.err() }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let word = if check.good { "yes" } else { "no" };
            write!(f, "{:<26}{word}", check.name)?;
            match &check.why {
                Some(why) => writeln!(f, ": {why}")?,
                None => writeln!(f)?,
            }
        }
        write!(f, "{:<26}{}", "a new mount uses", self.transport)
    }
}
