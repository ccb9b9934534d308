//! `kmsfs mount` and `mount.kmsfs`: checks what can be checked, goes to the background, mounts,
//! serves until the mount ends, and leaves the volume closed.
//!
//! The command's own process does nothing to the lower directory or the key store. All of that
//! happens in the process that serves, after the forks, so that locks and keys have one owner.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustix::fs::Mode;

use super::config::MountPlan;
use super::daemon::{self, Reporter, Side};
use super::error::CliError;
use super::exit::Exit;
use super::mount_helper::HelperCall;
use super::out::Out;
use super::passphrase::Typed;
use super::rewrap_live::Live;
use super::service::{KeyService, Use};
use super::sys::{self, StopSignals};
use super::volume::{Lower, look, refused};
use super::{fitness, log, mounts, process, umount};
use crate::format::{VOLUME_DIR, VOLUME_FILE};
use crate::lower::Dir;
use crate::transport::{self, Audience, Options, TransportError};
use crate::volume::keys::DataKeys;
use crate::volume::{CreateOptions, MountOptions, Volume, open_root};

/// Read-ahead of a root mount, KiB, unless told otherwise. The kernel asks for the next window when a
/// reader enters the last one, in requests of 1 MiB: with several in it the threads that answer have
/// something to do while the reader is at work. With more, page faults at random places, around which
/// the kernel reads as much, would be slow.
const READAHEAD_KIB: u32 = 4096;

/// Runs the command.
pub fn run(plan: &MountPlan, out: Out) -> Result<(), CliError> {
    let state = check(plan)?;
    if plan.fake {
        return Ok(());
    }
    let typed = plan.service.ask()?;
    if plan.foreground {
        return serve(plan, state, typed, Reporter::foreground(out));
    }
    match daemon::detach(out, &plan.log_file()?)? {
        Side::Command(outcome) => outcome,
        Side::Background(reporter) => {
            let code = match serve(plan, state, typed, reporter) {
                Ok(()) => Exit::Ok,
                Err(e) => {
                    tracing::error!("{e}");
                    e.exit()
                }
            };
            sys::exit_now(code.code().into());
        }
    }
}

/// Changes the flags of a mount that is there: `mount -o remount,ro`. The process that serves it
/// is not asked; the kernel keeps these flags.
pub fn change(call: &HelperCall) -> Result<(), CliError> {
    let path = &call.mountpoint;
    let failed = |source| CliError::Io { action: "remount", path: path.clone(), source };
    if !mounts::at(path).map_err(failed)?.is_some_and(|m| m.is_kmsfs()) {
        return Err(CliError::NotMounted { path: path.clone() });
    }
    if call.fake {
        return Ok(());
    }
    transport::remount(path, &call.options.flags).map_err(failed)
}

/// Everything that can be told before a process is started or a key asked for.
fn check(plan: &MountPlan) -> Result<Lower, CliError> {
    let (lower, mountpoint) = (&plan.lower, &plan.mountpoint);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::Io { action: "look at", path, source }
    };
    if let Some(how) = mounts::overlap(lower, mountpoint).map_err(failed(lower))? {
        let (lower, mountpoint) = (lower.clone(), mountpoint.clone());
        return Err(CliError::Overlap { lower, mountpoint, how });
    }
    let there = mounts::at(mountpoint).map_err(failed(mountpoint))?;
    if there.is_some_and(|m| m.is_kmsfs()) {
        return Err(CliError::MountpointTaken { path: mountpoint.clone() });
    }
    let state = look(lower)?;
    match state {
        Lower::Volume => {}
        Lower::Empty if plan.options.flags.read_only => {
            return Err(CliError::NotVolume { path: lower.clone() });
        }
        Lower::Empty => {}
        Lower::Other => return Err(CliError::NotVolume { path: lower.clone() }),
    }
    match OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        Ok(_) => Ok(state),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Err(CliError::MountRefused { path: mountpoint.clone() })
        }
        Err(_) => Err(CliError::NoFuse),
    }
}

/// Opens, mounts, reports, serves, closes.
fn serve(
    plan: &MountPlan,
    state: Lower,
    typed: Option<Typed>,
    mut reporter: Reporter,
) -> Result<(), CliError> {
    log::start();
    process::obey_quotas();
    let started = start(plan, state, typed, &mut reporter);
    let (volume, session, service, live) = match started {
        Ok(parts) => parts,
        Err(e) => {
            reporter.failed(&e);
            return Err(e);
        }
    };
    reporter.ready();
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]); // only under systemd
    tracing::info!(mountpoint = %plan.mountpoint.display(), "mounted");
    let ended = session.join().inspect_err(|e| {
        tracing::error!(error = %e, "the session ended badly");
    });
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    if let Some(live) = live {
        live.end();
    }
    let closed = volume.close().map_err(|e| refused(&plan.lower, e));
    drop(volume);
    service.close();
    tracing::info!(mountpoint = %plan.mountpoint.display(), "unmounted");
    closed?;
    let path = plan.mountpoint.clone();
    ended.map_err(|source| CliError::Io { action: "serve", path, source })
}

type Started = (Arc<Volume>, transport::Session, KeyService, Option<Live>);

fn start(
    plan: &MountPlan,
    state: Lower,
    typed: Option<Typed>,
    reporter: &mut Reporter,
) -> Result<Started, CliError> {
    // The modes of files below are the volume's to say.
    rustix::process::umask(Mode::empty());
    let failed =
        |source| CliError::Io { action: "mount on", path: plan.mountpoint.clone(), source };
    let signals = StopSignals::block().map_err(failed)?;
    let service = KeyService::open(&plan.service, typed, Use::Mount)?;
    if service.made_store() {
        reporter.note(format!("made {}; back it up", plan.service));
    }
    let keys = service.data_keys()?;
    if state == Lower::Empty {
        create(plan, &service, &*keys, reporter)?;
    }
    let options = MountOptions { read_only: plan.options.flags.read_only, crash: crash(plan) };
    let lower = open_root(&plan.lower).map_err(|e| refused(&plan.lower, e.into()))?;
    let below = lower.try_clone().map(Dir::new).map_err(failed)?;
    let volume =
        Volume::mount(lower, Arc::clone(&keys), options).map_err(|e| refused(&plan.lower, e))?;
    let volume = Arc::new(volume);
    fitness::report(&below, plan.options.flags.read_only);
    drop(below);
    let session = transport::serve(
        Arc::clone(&volume),
        Arc::clone(&keys),
        &plan.mountpoint,
        &options_of(plan),
    )
    .map_err(|e| not_mounted(plan, e));
    let session = match session {
        Ok(session) => session,
        Err(e) => {
            let _ = volume.close(); // nothing has been written; the first error is the cause
            return Err(e);
        }
    };
    answer(plan)?;
    stop_on_signal(plan, signals).map_err(failed)?;
    let live = match plan.options.flags.read_only {
        true => None,
        false => Some(Live::start(Arc::clone(&volume), keys, &plan.lower).map_err(failed)?),
    };
    Ok((volume, session, service, live))
}

fn create(
    plan: &MountPlan,
    service: &KeyService,
    keys: &dyn DataKeys,
    reporter: &mut Reporter,
) -> Result<(), CliError> {
    let cmk = service.key_id(plan.options.key.as_deref())?;
    let suite = plan.options.suite.unwrap_or_default();
    let options = CreateOptions { cmk: cmk.clone(), suite };
    let id = Volume::init(&plan.lower, keys, &options).map_err(|e| refused(&plan.lower, e))?;
    let made = plan.lower.join(VOLUME_DIR).join(VOLUME_FILE);
    reporter.note(format!("made volume {id} under key {cmk}: {}", made.display()));
    Ok(())
}

fn crash(plan: &MountPlan) -> crate::volume::CrashSafety {
    plan.options.crash.unwrap_or_default()
}

fn options_of(plan: &MountPlan) -> Options {
    let root = rustix::process::geteuid().is_root();
    let everybody = if root { Audience::Everybody } else { Audience::Owner };
    Options {
        flags: plan.options.flags,
        audience: plan.options.audience.unwrap_or(everybody),
        source: plan.lower.clone(),
        threads: plan.options.threads,
        transport: plan.options.transport.unwrap_or_default(),
    }
}

fn not_mounted(plan: &MountPlan, e: TransportError) -> CliError {
    let path = plan.mountpoint.clone();
    match e {
        TransportError::NoDevice => CliError::NoFuse,
        TransportError::NoPermission | TransportError::NoHelper => CliError::MountRefused { path },
        TransportError::NotForOthers => CliError::NotForOthers,
        TransportError::Source => CliError::Usage {
            what: "the lower directory's path is not UTF-8",
            instead: "rename it, or bind-mount it elsewhere",
        },
        TransportError::NoRing(why) => CliError::NoRing { why },
        TransportError::RingFailed(error) => CliError::NoRing { why: error.to_string() },
        TransportError::Io(source) => CliError::Io { action: "mount on", path, source },
    }
}

/// Asks the new mount something, as its first user would, and raises its read-ahead.
fn answer(plan: &MountPlan) -> Result<(), CliError> {
    let path = &plan.mountpoint;
    let failed = |source| CliError::Io { action: "use the mount on", path: path.clone(), source };
    rustix::fs::statvfs(path).map_err(|e| failed(e.into()))?;
    let kib = plan.options.readahead_kib.unwrap_or(READAHEAD_KIB);
    if let Some(m) = mounts::at(path).map_err(failed)?
        && let Err(e) = transport::raise_limits(m.device, kib)
    {
        tracing::debug!(error = %e, "read-ahead stays at the kernel's default");
    }
    Ok(())
}

/// The first signal unmounts, by force of laziness if the mount is in use: a service manager
/// that stops a unit kills next, and a killed filesystem has not flushed.
fn stop_on_signal(plan: &MountPlan, signals: StopSignals) -> io::Result<()> {
    let path = plan.mountpoint.clone();
    thread::Builder::new().name("kmsfs-signals".into()).spawn(move || {
        loop {
            signals.wait();
            tracing::info!("asked to stop");
            let detached = umount::detach(&path, false).or_else(|_| umount::detach(&path, true));
            match detached {
                // EINVAL: not mounted any more; what is left is to be written out.
                Err(e) if e.raw_os_error() != Some(libc::EINVAL) => {
                    tracing::error!(error = %e, "cannot unmount");
                }
                _ => {}
            }
        }
    })?;
    Ok(())
}
