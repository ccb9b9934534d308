//! A mount being served, over whichever transport.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::behind::Behind;
use super::calls::Calls;
use super::notify::Notifier;
use super::uring::choice;
use super::watch::{Contested, Watch};
use super::{Options, Transport, TransportError, fuser, native};
use crate::volume::Volume;
use crate::volume::keys::DataKeys;

/// A mount being served. Ends when the filesystem is unmounted, by whomever.
pub struct Session {
    running: Running,
    watch: Watch,
    behind: Behind,
}

/// The threads that serve.
enum Running {
    Native(native::Threads),
    Fuser(fuser::Threads),
}

impl Session {
    /// Waits until the filesystem has been unmounted and the last request answered. The volume
    /// is still open then.
    ///
    /// # Errors
    /// It could not be served any more and is still mounted, until this process has ended.
    pub fn join(self) -> io::Result<()> {
        let ended = match self.running {
            Running::Native(threads) => threads.join(),
            Running::Fuser(threads) => threads.join(),
        };
        match ended {
            Ok(()) => drop(self.watch),
            // It may be waiting for pages that nobody brings any more.
            Err(_) => self.watch.leave(),
        }
        drop(self.behind);
        ended
    }
}

/// Mounts `volume` at `mountpoint` and starts serving it. On return the kernel's handshake is
/// over, so that the mount answers; until the session ends, `keys` is watched for changes of
/// policy. Which transport it became, and why, is in the log.
///
/// Call it with no other thread inside the mount point, and after the last fork.
pub fn serve(
    volume: Arc<Volume>,
    keys: Arc<dyn DataKeys>,
    mountpoint: &Path,
    options: &Options,
) -> Result<Session, TransportError> {
    let contested = Arc::new(Contested::default());
    let calls = Arc::new(Calls::new(Arc::clone(&volume), Arc::clone(&contested)));
    let attached = Arc::clone(&calls);
    let (running, notifier) = match options.transport {
        Transport::Fuser => {
            let (threads, notifier) = fuser::start(calls, mountpoint, options)?;
            tracing::info!(transport = "fuser", "as asked for");
            (Running::Fuser(threads), notifier)
        }
        transport => native(calls, mountpoint, options, transport)?,
    };
    let notifier = Arc::new(notifier);
    attached.attach(Arc::clone(&notifier));
    let behind = Behind::start(Arc::clone(&volume))?;
    let watch = Watch::start(volume, keys, notifier, contested, mountpoint)?;
    Ok(Session { running, watch, behind })
}

fn native(
    calls: Arc<Calls>,
    mountpoint: &Path,
    options: &Options,
    transport: Transport,
) -> Result<(Running, Notifier), TransportError> {
    let obstacle = match transport {
        Transport::Device => None,
        _ => choice::possible().err(),
    };
    if let (Transport::Uring, Some(obstacle)) = (transport, &obstacle) {
        return Err(TransportError::NoRing(obstacle.to_string()));
    }
    let ring = transport != Transport::Device && obstacle.is_none();
    let (threads, notifier, route) =
        match native::start(Arc::clone(&calls), mountpoint, options, ring) {
            // The kernel waits for that ring and for nothing else: only another mount can do without.
            Err(TransportError::RingFailed(error)) if transport == Transport::Auto => {
                tracing::warn!(%error, "the ring does not work; mounting again over /dev/fuse");
                native::start(calls, mountpoint, options, false)?
            }
            other => other?,
        };
    let reason = match (transport, &obstacle) {
        (Transport::Auto, Some(obstacle)) => obstacle.to_string(),
        (Transport::Auto, None) if route == Route::Ring => "this machine can".to_owned(),
        _ if ring && route == Route::Device => "the kernel did not take the ring".to_owned(),
        _ => "as asked for".to_owned(),
    };
    tracing::info!(transport = route.name(), "{reason}");
    Ok((Running::Native(threads), notifier))
}

/// Which way requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Over io_uring.
    Ring,
    /// Over /dev/fuse.
    Device,
}

impl Route {
    /// As `-o transport=` names it.
    pub fn name(self) -> &'static str {
        match self {
            Route::Ring => "uring",
            Route::Device => "device",
        }
    }
}
