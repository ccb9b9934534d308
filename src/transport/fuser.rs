//! A session over the FUSE device: mount, agree on features, run the threads.
//!
//! Whatever `fuser` calls things ends here and in `adapter`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ::fuser::{Config, InitFlags, KernelConfig, SessionACL};

use super::adapter::Adapter;
use super::behind::Behind;
use super::calls::Calls;
use super::watch::{Contested, Watch};
use super::{Audience, Options, TransportError, mount};
use crate::volume::Volume;
use crate::volume::keys::DataKeys;

/// Largest request in bytes, both ways.
const MAX_REQUEST: u32 = 1024 * 1024;

/// Requests that the kernel may have under way without anybody waiting: read-ahead, writeback,
/// asynchronous direct I/O.
const BACKGROUND: u16 = 64;

/// Flags without which the volume's promises would not hold; every kernel since 4.20 has them.
const REQUIRED: InitFlags = InitFlags::FUSE_ATOMIC_O_TRUNC.union(InitFlags::FUSE_DONT_MASK);

/// All else that may be asked for. A flag that is not here is not asked for, because `fuser`
/// agrees to some that it does not carry out.
const WANTED: &[InitFlags] = &[
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_BIG_WRITES,
    InitFlags::FUSE_MAX_PAGES,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_POSIX_ACL,
    InitFlags::FUSE_WRITEBACK_CACHE,
    // With the writeback cache this does not drop pages; it makes the kernel check that
    // attributes are valid before a buffered read, which `watch` builds on.
    InitFlags::FUSE_AUTO_INVAL_DATA,
];

/// A mount being served. Ends when the filesystem is unmounted, by whomever.
pub struct Session {
    thread: JoinHandle<io::Result<()>>,
    watch: Watch,
    behind: Behind,
}

impl Session {
    /// Waits until the filesystem has been unmounted and the last request answered. The volume
    /// is still open then.
    pub fn join(self) -> io::Result<()> {
        let ended = self.thread.join();
        drop(self.watch);
        drop(self.behind);
        ended.unwrap_or_else(|_| Err(io::Error::other("the session's thread panicked")))
    }
}

/// Mounts and starts the threads.
pub fn start(
    volume: Arc<Volume>,
    keys: Arc<dyn DataKeys>,
    mountpoint: &Path,
    options: &Options,
) -> Result<Session, TransportError> {
    let threads = options.threads.unwrap_or_else(default_threads).max(1);
    let mut config = Config::default();
    config.acl = match options.audience {
        Audience::Owner => SessionACL::Owner,
        Audience::Everybody => SessionACL::All,
    };
    config.n_threads = Some(threads);
    config.clone_fd = threads > 1;
    let contested = Arc::new(Contested::default());
    let calls = Arc::new(Calls::new(Arc::clone(&volume), Arc::clone(&contested)));
    let adapter = Adapter::new(calls, threads);
    let session = match mount::directly(mountpoint, options)? {
        Some((device, fresh)) => {
            let session = ::fuser::Session::from_fd(adapter, device, config.acl, config)?;
            fresh.keep();
            session
        }
        None => {
            config.mount_options = mount::for_helper(options)?;
            ::fuser::Session::new(adapter, mountpoint, &config).map_err(mount::refused)?
        }
    };
    let notifier = session.notifier();
    let thread =
        thread::Builder::new().name("kmsfs-session".into()).spawn(move || session.run())?;
    let behind = Behind::start(Arc::clone(&volume))?;
    let watch = Watch::start(volume, keys, notifier, contested, mountpoint)?;
    Ok(Session { thread, watch, behind })
}

/// Agrees with the kernel on what is used.
pub fn negotiate(config: &mut KernelConfig) -> io::Result<()> {
    config.add_capabilities(REQUIRED).map_err(|missing| {
        tracing::error!(?missing, "this kernel's FUSE is too old");
        io::Error::from_raw_os_error(libc::EPROTO)
    })?;
    for &flag in WANTED {
        let _ = config.add_capabilities(flag); // an older kernel goes without
    }
    let _ = config.set_max_write(MAX_REQUEST); // within the limits that it checks
    let _ = config.set_max_background(BACKGROUND);
    Ok(())
}

fn default_threads() -> usize {
    thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 8)
}
