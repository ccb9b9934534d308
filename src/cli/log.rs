//! The log of a mount: standard error, which in the background is a file.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

/// Starts it. `KMSFS_LOG` chooses what is written, as in `KMSFS_LOG=debug`; the default is
/// everything from `info` up.
pub fn start() {
    let filter = EnvFilter::try_from_env("KMSFS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt() // set already: the first one stays
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}
