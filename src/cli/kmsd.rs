//! `kmsd`: the key service as a daemon.
//!
//! Started in the foreground by a service manager or a shell; says READY to systemd when both
//! listeners answer, stops on SIGTERM or SIGINT after finishing what it has accepted. Whatever
//! can be wrong is said in one line on standard error, with an exit code of [`Exit`].

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sd_notify::NotifyState;

use super::error::CliError;
use super::exit::Exit;
use super::kmsd_config::{Config, ConfigError, Http, UnixSocket, UnlockBy};
use super::{log, passphrase, process};
use crate::clock::SystemClock;
use crate::custody::unlock::{Unlock, UnlockError};
use crate::secret::Secret;
use crate::server::dispatch::Dispatcher;
use crate::server::http::{Bound, HttpError, HttpLimits, HttpServer};
use crate::server::tls::{self, TlsError};
use crate::server::unix::{UnixLimits, UnixServer};
use crate::store::ephemeral;
use crate::store::open::{self, EmbeddedOptions, OpenError, Served};

/// What scripts and units may rely on.
const EXITS: &str = "Exit codes: 0 stopped by SIGTERM or SIGINT; 1 the system failed; \
2 command line or configuration wrong; 5 key store or audit trail damaged; 6 key store, socket \
or port in use by another process; 10 cannot be unlocked; 11 not permitted.";

/// The key service of kmsfs: keeps customer master keys, decides who may use them, records every
/// use. Speaks the AWS KMS protocol.
#[derive(Debug, Parser)]
#[command(name = "kmsd", version, max_term_width = 100, after_help = EXITS)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", default_value = "/etc/kmsd/kmsd.toml")]
    config: PathBuf,

    /// Check the configuration and stop; the key store is not opened.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve from memory, for tests: prints the access keys as `export` lines; nothing is kept.
    Dev(super::kmsd_dev::Args),
}

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
enum KmsdError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Passphrase(#[from] CliError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{} is served by another process", .0.display())]
    SocketBusy(PathBuf),
    #[error("{} is there and is no socket", .0.display())]
    NotSocket(PathBuf),
    #[error("cannot listen on {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl KmsdError {
    fn exit(&self) -> Exit {
        match self {
            KmsdError::Config(_) => Exit::Usage,
            KmsdError::Passphrase(error) => error.exit(),
            KmsdError::Open(error) => exit_of_open(error),
            KmsdError::SocketBusy(_) => Exit::Busy,
            KmsdError::Http(HttpError::Bind { source, .. }) | KmsdError::Socket { source, .. } => {
                match source.kind() {
                    io::ErrorKind::AddrInUse => Exit::Busy,
                    io::ErrorKind::PermissionDenied => Exit::NotPermitted,
                    _ => Exit::Failed,
                }
            }
            KmsdError::Http(HttpError::Tls(TlsError::Read { source, .. }))
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::NotPermitted
            }
            KmsdError::Http(HttpError::NotLoopback(_) | HttpError::Tls(_)) => Exit::Usage,
            KmsdError::Http(HttpError::Start(_))
            | KmsdError::NotSocket(_)
            | KmsdError::Start(_) => Exit::Failed,
        }
    }
}

/// Which exit code an unopened key store means.
pub fn exit_of_open(error: &OpenError) -> Exit {
    match error {
        OpenError::Lock { .. } => Exit::Busy,
        OpenError::Unlock(UnlockError::BadSlot) => Exit::Damaged,
        OpenError::Unlock(_) | OpenError::KeyFileWithoutStore { .. } => Exit::Locked,
        OpenError::Directory { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Exit::NotPermitted
        }
        OpenError::Directory { .. } | OpenError::Service(_) | OpenError::Occupied { .. } => {
            Exit::Failed
        }
        OpenError::Store(_) | OpenError::Audit(_) => Exit::Damaged,
    }
}

/// Runs the daemon to its end and gives its exit code.
pub fn run() -> ExitCode {
    process::harden();
    let args = Args::parse();
    log::start();
    let ended = match &args.command {
        Some(Command::Dev(dev)) => develop(dev),
        None => daemon(&args),
    };
    match ended {
        Ok(()) => ExitCode::from(Exit::Ok.code()),
        Err(error) => {
            eprintln!("kmsd: {error}");
            ExitCode::from(error.exit().code())
        }
    }
}

fn daemon(args: &Args) -> Result<(), KmsdError> {
    let config = Config::read(&args.config)?;
    if args.check {
        println!("{}: the configuration is in order", args.config.display());
        return Ok(());
    }
    // Before any thread starts, so that none of them ever takes the signal by default.
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(KmsdError::Start)?;
    let mut stop = signals.block_on(async { Stop::new() }).map_err(KmsdError::Start)?;
    let served = open_store(&config)?;
    let listeners = Listeners::start(&config, &served)?;
    tell(&[NotifyState::Ready]);
    tracing::info!(account = %config.account, region = %config.region, "kmsd is ready");
    let signal = signals.block_on(stop.wait());
    tell(&[NotifyState::Stopping]);
    tracing::info!(signal, "stopping: what was accepted is finished first");
    listeners.stop();
    drop(served);
    Ok(())
}

/// Serves from memory until told to stop.
fn develop(args: &super::kmsd_dev::Args) -> Result<(), KmsdError> {
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(KmsdError::Start)?;
    let mut stop = signals.block_on(async { Stop::new() }).map_err(KmsdError::Start)?;
    let bound = Bound::new(args.listen, None)?;
    let address = bound.address().map_err(KmsdError::Start)?;
    let opened = ephemeral::open(&args.accounts, &args.regions, super::kmsd_dev::limits())?;
    let (service, clock) = (Arc::clone(&opened.service), Arc::new(SystemClock));
    let server = HttpServer::start(bound, service, clock, HttpLimits::default())?;
    super::kmsd_dev::print(&opened.tenants, &args.regions, address).map_err(KmsdError::Start)?;
    signals.block_on(stop.wait());
    server.stop();
    drop(opened);
    Ok(())
}

fn open_store(config: &Config) -> Result<Served, KmsdError> {
    let unlock = match &config.unlock {
        None => None,
        Some(UnlockBy::KeyFile(path)) => Some(Unlock::KeyFile(path.clone())),
        Some(UnlockBy::Credential(name)) => Some(Unlock::Credential(name.clone())),
        Some(UnlockBy::PassphraseFd(fd)) => {
            let mut typed = passphrase::from_fd(i32::from(*fd))?;
            Some(Unlock::Passphrase(Secret::new(std::mem::take(&mut *typed))))
        }
    };
    let served = open::open(&EmbeddedOptions {
        dir: config.store.clone(),
        mirrors: config.mirrors.clone(),
        audit: config.audit.clone(),
        rotation: config.rotation,
        account: config.account.clone(),
        region: config.region.clone(),
        regions: config.regions.clone(),
        administrators: config.administrators.clone(),
        limits: config.limits.clone(),
        unlock,
        create: true,
        cost: None,
    })?;
    if served.created {
        tracing::info!(dir = %config.store.display(), "a new key store was made");
    }
    if !crate::secret::locked_memory_works() {
        tracing::warn!("memory cannot be locked (RLIMIT_MEMLOCK): keys could reach the swap");
    }
    Ok(served)
}

/// What listens.
struct Listeners {
    unix: Option<(UnixServer, PathBuf)>,
    http: Vec<HttpServer>,
}

impl Listeners {
    fn start(config: &Config, served: &Served) -> Result<Listeners, KmsdError> {
        // All are bound before one is served: a start that fails serves nobody.
        let http = config.http.iter().map(bind_http).collect::<Result<Vec<_>, _>>()?;
        let unix = config.unix.as_ref().map(bind_unix).transpose()?;
        let service = served.service();
        let unix = unix
            .map(|(listener, path)| {
                let dispatcher = Dispatcher::new(Arc::clone(service), config.services.clone())
                    .with_mapping(config.mapping.clone());
                UnixServer::start(listener, Arc::new(dispatcher), UnixLimits::default())
                    .map(|server| (server, path))
                    .map_err(KmsdError::Start)
            })
            .transpose()?;
        let http = http
            .into_iter()
            .map(|bound| {
                let (service, clock) = (Arc::clone(service), Arc::new(SystemClock));
                HttpServer::start(bound, service, clock, HttpLimits::default())
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Listeners { unix, http })
    }

    fn stop(self) {
        for http in self.http {
            http.stop();
        }
        if let Some((unix, path)) = self.unix {
            // First the name, so that clients wait for the next kmsd instead of reaching this
            // one, then the rest.
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "the socket cannot be removed");
            }
            unix.stop();
        }
    }
}

fn bind_http(http: &Http) -> Result<Bound, HttpError> {
    let tls = http.tls.as_ref().map(|files| tls::config(&files.certificate, &files.key));
    Ok(Bound::new(http.address, tls.transpose()?)?.endpoint(http.endpoint.clone()))
}

/// Binds the socket. The key store's lock is held, so a socket that nobody answers on is left
/// over from a kmsd that was killed.
fn bind_unix(socket: &UnixSocket) -> Result<(UnixListener, PathBuf), KmsdError> {
    let path = socket.path.clone();
    let failed = |source| KmsdError::Socket { path: socket.path.clone(), source };
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(KmsdError::NotSocket(path)),
        Ok(_) if UnixStream::connect(&path).is_ok() => return Err(KmsdError::SocketBusy(path)),
        Ok(_) => std::fs::remove_file(&path).map_err(failed)?,
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    own(&path, socket).map_err(failed)?;
    Ok((listener, path))
}

fn own(path: &Path, socket: &UnixSocket) -> io::Result<()> {
    if socket.group.is_some() {
        std::os::unix::fs::lchown(path, None, socket.group)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(socket.mode))
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// The signals that end it.
struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> io::Result<Stop> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Stop { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(path: PathBuf) -> UnixSocket {
        UnixSocket { path, mode: 0o640, group: None }
    }

    #[test]
    fn a_left_over_socket_is_replaced_and_a_served_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kmsd.sock");
        let (first, _) = bind_unix(&socket(path.clone())).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let busy = bind_unix(&socket(path.clone())).unwrap_err();
        assert_eq!(busy.exit(), Exit::Busy, "{busy}");
        drop(first);
        assert!(bind_unix(&socket(path)).is_ok());
    }

    #[test]
    fn nothing_but_a_socket_is_ever_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind_unix(&socket(path.clone())), Err(KmsdError::NotSocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let target = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &target).unwrap();
        assert!(matches!(bind_unix(&socket(target)), Err(KmsdError::NotSocket(_))));
    }

    #[test]
    fn the_grammar_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
