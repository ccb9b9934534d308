//! A session through the `fuser` crate: mount, agree on features, run the threads.
//!
//! Whatever `fuser` calls things ends here and in `adapter`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ::fuser::{Config, InitFlags, KernelConfig, SessionACL};

use super::adapter::Adapter;
use super::calls::Calls;
use super::notify::Notifier;
use super::{Audience, Options, TransportError, mount};

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
    // Before a direct read the kernel writes back what a mapping has changed.
    InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
    InitFlags::FUSE_POSIX_ACL,
    // Or open_by_handle_at(2) finds only what the kernel remembers.
    InitFlags::FUSE_EXPORT_SUPPORT,
    InitFlags::FUSE_WRITEBACK_CACHE,
    // Without it the kernel asks for a file's capabilities before every single write.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    // With the writeback cache this does not drop pages; it makes the kernel check that
    // attributes are valid before a buffered read, which `watch` builds on.
    InitFlags::FUSE_AUTO_INVAL_DATA,
];

/// The session's thread, which waits for the others.
pub struct Threads(JoinHandle<io::Result<()>>);

impl Threads {
    /// Waits for all of them.
    pub fn join(self) -> io::Result<()> {
        match self.0.join() {
            // The mount went while a request was being handed over; the crate knows ENODEV alone.
            Ok(Err(e)) if e.raw_os_error() == Some(libc::ECONNABORTED) => Ok(()),
            Ok(ended) => ended,
            Err(_) => Err(io::Error::other("the session's thread panicked")),
        }
    }
}

/// Mounts and starts the threads.
pub fn start(
    calls: Arc<Calls>,
    mountpoint: &Path,
    options: &Options,
) -> Result<(Threads, Notifier), TransportError> {
    let threads = options.threads();
    let mut config = Config::default();
    config.acl = match options.audience {
        Audience::Owner => SessionACL::Owner,
        Audience::Everybody => SessionACL::All,
    };
    config.n_threads = Some(threads);
    config.clone_fd = threads > 1;
    let adapter = Adapter::new(calls, threads);
    let (device, fresh) = mount::mount(mountpoint, options)?;
    let session = ::fuser::Session::from_fd(adapter, device, config.acl, config)?;
    fresh.keep();
    let notifier = Notifier::Fuser(session.notifier());
    let thread =
        thread::Builder::new().name("kmsfs-session".into()).spawn(move || session.run())?;
    Ok((Threads(thread), notifier))
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
