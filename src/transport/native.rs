//! A session that speaks the kernel's protocol itself, over a ring or over the device.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::calls::Calls;
use super::device::{Comes, Device, Lone, Server};
use super::notify::Notifier;
use super::spare::Spare;
use super::uring::{Prepared, Started};
use super::{Options, Route, Transport, TransportError, mount};

/// The threads of a session.
pub struct Threads(Vec<JoinHandle<io::Result<()>>>);

impl Threads {
    /// Waits for all of them; the first error counts.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in self.0 {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            result = result.and(ended);
        }
        result
    }
}

/// Mounts, agrees with the kernel, and serves: over a ring if `ring` is set and the kernel
/// wants to. Says which it became.
///
/// # Errors
/// [`TransportError::RingFailed`]: the ring was agreed on and does not work; there is no mount, but
/// there can be one without. [`TransportError::NoRing`]: the options want a ring or nothing.
pub fn start(
    calls: Arc<Calls>,
    mountpoint: &Path,
    options: &Options,
    ring: bool,
) -> Result<(Threads, Notifier, Route), TransportError> {
    let (device, fresh) = mount::mount(mountpoint, options)?;
    let device = Arc::new(Device::new(device));
    let threads = options.threads();
    let server = Arc::new(Server {
        calls,
        spare: Spare::new(if ring { 1 } else { threads }),
        lone: Lone::new(threads),
    });
    let prepare = || {
        let made = Prepared::make(&server, &device);
        made.inspect_err(|error| tracing::warn!(%error, "no ring could be made"))
            .map(|prepared| (prepared.max_request, prepared))
            .ok()
    };
    let agreed = device.shake_hands(|| if ring { prepare() } else { None })?;
    let started = match agreed {
        Some(prepared) => prepared.go().map_err(TransportError::RingFailed)?,
        None => Started::Refused(io::Error::other("the kernel did not agree to it")),
    };
    let (running, route) = match started {
        Started::Serving(mut lanes, stop) => {
            lanes.push(server.start(Arc::clone(&device), Comes::WhatNobodyWaitsFor(stop))?);
            (lanes, Route::Ring)
        }
        Started::Refused(error) => {
            if options.transport == Transport::Uring {
                return Err(TransportError::NoRing(format!(
                    "the kernel refused the ring: {error}"
                )));
            }
            if ring {
                tracing::warn!(%error, "the kernel refused the ring; requests come over /dev/fuse");
            }
            server.spare.read_by(threads);
            let mut running = vec![server.start(Arc::clone(&device), Comes::Everything(0))?];
            for n in 1..threads {
                running.push(server.start(Arc::new(device.another()?), Comes::Everything(n))?);
            }
            (running, Route::Device)
        }
    };
    fresh.keep();
    Ok((Threads(running), Notifier::Device(device), route))
}

/// Threads that take requests, unless told otherwise.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 8)
}
