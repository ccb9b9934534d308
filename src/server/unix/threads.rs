//! The listener's threads: each has a name, and a stack that hundreds of them can have.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Bytes of a thread's stack.
const STACK: usize = 1 << 20;

/// Starts a thread called `name`.
pub(super) fn named(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body)
}
