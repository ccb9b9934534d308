//! `kmsfs rewrap`: of a volume that is not mounted, here; of a mount, by speaking to it.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::args::{RewrapAction, RewrapArgs};
use super::config::{ServicePlan, directory};
use super::error::CliError;
use super::exit::Exit;
use super::out::{Out, table};
use super::service::{KeyService, Use};
use super::volume::{Lower, look, refused};
use crate::format::VolumeId;
use crate::rewrap::{
    self, Ended, Offline, OfflineError, Pace, Progress, Round, Site, State, Targets,
};
use crate::volume::keys::{Caller, DataKeys, VolumeNews};
use crate::volume::{VolumeError, open_root};

/// The attribute of a mount's files through which its re-wrapping is spoken to.
const ATTRIBUTE: &str = "kmsfs.rewrap";

/// Between two looks at how far it has come.
const LOOK: Duration = Duration::from_millis(200);

/// How long a key service that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often what could not be re-wrapped is tried.
const ATTEMPTS: u32 = 3;

/// What `status` shows, and what a mount tells of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Nothing is done until it is resumed.
    pub paused: bool,
    /// Headers per second; 0 for no limit.
    pub limit: u32,
    /// A walk is under way.
    pub running: bool,
    /// All headers are known to be under the newest version of their key.
    pub complete: bool,
    /// Headers seen in this walk.
    pub seen: u64,
    /// Headers that the last whole walk counted.
    pub expected: u64,
    /// Headers re-wrapped since the mount began.
    pub rewrapped: u64,
    /// Headers that could not be re-wrapped; they are tried again.
    pub failed: u64,
    /// Some of them.
    pub troubles: Vec<Trouble>,
    /// Headers by key and version, as the last whole walk counted them.
    pub counts: Vec<rewrap::Count>,
    /// When that was: seconds since 1970; 0 for never.
    pub at: u64,
}

/// One header that could not be re-wrapped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// Lower path.
    pub path: String,
    /// What is wrong.
    pub what: String,
}

impl Status {
    /// From what a round keeps.
    pub fn of(state: &State, progress: &Progress, pace: &Pace, complete: bool) -> Status {
        let trouble = |(path, what)| Trouble { path, what };
        Status {
            paused: state.paused,
            limit: pace.limit(),
            running: progress.running.load(Ordering::Relaxed),
            complete,
            seen: progress.seen.load(Ordering::Relaxed),
            expected: state.headers(),
            rewrapped: progress.rewrapped.load(Ordering::Relaxed),
            failed: progress.failed.load(Ordering::Relaxed),
            troubles: progress.troubles().into_iter().map(trouble).collect(),
            counts: state.counts.clone(),
            at: state.at,
        }
    }
}

/// Runs the command.
pub fn run(args: RewrapArgs, out: Out) -> Result<(), CliError> {
    match args.action {
        Some(RewrapAction::Status { mount, wait: false }) => out.result(&status(&mount)?),
        Some(RewrapAction::Status { mount, wait: true }) => out.result(&wait(&mount, out)?),
        Some(RewrapAction::Pause { mount }) => tell(&mount, "pause")?,
        Some(RewrapAction::Resume { mount }) => tell(&mount, "resume")?,
        Some(RewrapAction::Limit { rate, mount }) => tell(&mount, &format!("limit {rate}"))?,
        None => {
            let lower = args.lower.ok_or(CliError::Usage {
                what: "no lower directory is given",
                instead: "name the lower directory of a volume that is not mounted",
            })?;
            let plan = ServicePlan::from_args(args.service)?;
            return offline(&lower, plan, (args.limit, args.register), out);
        }
    }
    Ok(())
}

/// What a mount says of its re-wrapping.
fn status(mount: &Path) -> Result<Status, CliError> {
    let mut value = vec![0u8; 1 << 16];
    let not_mounted = || CliError::NotMounted { path: mount.to_owned() };
    let got = rustix::fs::lgetxattr(mount, ATTRIBUTE, &mut value).map_err(|e| match e {
        rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP => not_mounted(),
        e => CliError::Io { action: "ask", path: mount.to_owned(), source: e.into() },
    })?;
    serde_json::from_slice(value.get(..got).unwrap_or_default()).map_err(|_| not_mounted())
}

fn tell(mount: &Path, command: &str) -> Result<(), CliError> {
    status(mount)?;
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(mount, ATTRIBUTE, command.as_bytes(), flags).map_err(|e| CliError::Io {
        action: "speak to the mount on",
        path: mount.to_owned(),
        source: e.into(),
    })
}

/// Waits until all is under the versions that the key service has by now: what was rotated before
/// this call counts, also if the mount has not heard of it yet.
fn wait(mount: &Path, out: Out) -> Result<Status, CliError> {
    match tell(mount, "look") {
        // Whoever may not tell it, or a mount of an earlier release, waits for what it has heard of
        // by itself.
        Err(CliError::Io { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::InvalidInput
            ) => {}
        told => told?,
    }
    let bar = bar(out);
    loop {
        let status = status(mount)?;
        show(&bar, &status);
        if status.complete {
            bar.finish_and_clear();
            return Ok(status);
        }
        if status.paused {
            out.note("paused: resume it with `kmsfs rewrap resume`");
            bar.finish_and_clear();
            return Ok(status);
        }
        sleep(LOOK);
    }
}

/// A bar on a terminal; nothing elsewhere, and nothing beside JSON.
fn bar(out: Out) -> ProgressBar {
    if out.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = "{bar:30} {pos}/{len} headers, {per_sec}, {eta} left {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, status: &Status) {
    bar.set_length(status.expected.max(status.seen));
    bar.set_position(status.seen);
    if status.failed > 0 {
        bar.set_message(format!("({} could not be re-wrapped)", status.failed));
    }
}

fn offline(
    lower: &Path,
    plan: ServicePlan,
    (limit, count_only): (Option<u32>, bool),
    out: Out,
) -> Result<(), CliError> {
    let lower = directory("open lower directory", lower)?;
    if look(&lower)? != Lower::Volume {
        return Err(CliError::NotVolume { path: lower });
    }
    let typed = plan.ask()?;
    let service = KeyService::open(&plan, typed, Use::Command)?;
    let keys = service.data_keys()?;
    let root = open_root(&lower).map_err(|e| refused(&lower, e.into()))?;
    let site = Offline::open(root, &*keys, Caller::Service)
        .map_err(|e| refused(&lower, as_volume_error(e)))?;
    let known = tell_of(&*keys, site.volume(), &lower, Targets::new(), None)?;
    let sealing = sealing(&*keys, &known);
    let mut state = State::load(site.own_dir());
    let pace = Pace::new(limit.unwrap_or(state.limit));
    let progress = Progress::default();
    let save = |state: &State| {
        if !count_only && let Err(error) = state.save(site.own_dir()) {
            tracing::warn!(%error, "cannot keep how far it has come");
        }
    };
    let before = state.clone();
    let round = Round {
        site: &site,
        keys: &*keys,
        caller: Caller::Service,
        pace: &pace,
        progress: &progress,
        workers: std::thread::available_parallelism().map_or(2, usize::from),
        patience: PATIENCE,
        count_only,
        save: &save,
    };
    let done = AtomicBool::new(false);
    let ended = scope(|scope| {
        scope.spawn(|| {
            let bar = bar(out);
            while !done.load(Ordering::Relaxed) {
                show(&bar, &Status::of(&before, &progress, &pace, false));
                sleep(LOOK);
            }
            bar.finish_and_clear();
        });
        let mut ended = Ok(false);
        for _ in 0..ATTEMPTS {
            ended = rewrap::run(&round, &mut state);
            if !matches!(ended, Ok(false)) {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        ended
    });
    let complete = ended.map_err(|e| stopped(&lower, e))?;
    site.sync().map_err(|e| refused(&lower, VolumeError::Lower(e)))?;
    let status = Status::of(&state, &progress, &pace, complete && !count_only);
    if complete {
        tell_of(&*keys, site.volume(), &lower, state.floors(&sealing), Some(&state))?;
    }
    out.result(&status);
    if complete {
        return Ok(());
    }
    let what = format!("{} headers could not be re-wrapped", status.failed);
    Err(CliError::Volume { path: lower, what, exit: Exit::Failed })
}

/// Tells the key service of a volume, and what a whole walk has found. Gives, of each CMK, the
/// version that no header is older than, as the service has it.
pub fn tell_of(
    keys: &dyn DataKeys,
    volume: VolumeId,
    lower: &Path,
    floors: Targets,
    walked: Option<&State>,
) -> Result<Vec<(String, u32)>, CliError> {
    let place = lower.to_string_lossy().into_owned();
    let floors = floors.into_iter().collect();
    let counted = walked.map_or(0, |state| state.at);
    let counts = walked.map(State::told).unwrap_or_default();
    let news = VolumeNews { volume, place, floors, counted, counts };
    keys.report_volume(&news).map_err(|e| refused(lower, VolumeError::Key(e)))
}

/// The versions that seal now, of those CMKs that are still there.
pub fn sealing(keys: &dyn DataKeys, cmks: &[(String, u32)]) -> Targets {
    let now = |(key, _): &(String, u32)| Some((key.clone(), keys.current_version(key).ok()?));
    cmks.iter().filter_map(now).collect()
}

fn stopped(lower: &Path, e: Ended) -> CliError {
    match e {
        Ended::Keys(e) => refused(lower, VolumeError::Key(e)),
        Ended::Lower(e) => refused(lower, VolumeError::Lower(e)),
        Ended::Stopped => {
            CliError::Volume { path: lower.to_owned(), what: e.to_string(), exit: Exit::Failed }
        }
    }
}

fn as_volume_error(e: OfflineError) -> VolumeError {
    match e {
        OfflineError::NotAVolume => VolumeError::NotAVolume,
        OfflineError::Busy => VolumeError::Busy,
        OfflineError::Lower(e) => VolumeError::Lower(e),
        OfflineError::Descriptor(e) => VolumeError::Descriptor(e),
        OfflineError::Key(e) => VolumeError::Key(e),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = match (self.complete, self.paused, self.running) {
            (true, ..) => "complete: all headers are under the newest version of their key",
            (_, true, _) => "paused",
            (_, _, true) => "under way",
            _ => "waiting",
        };
        writeln!(f, "{now}; {} headers re-wrapped", self.rewrapped)?;
        if self.running {
            writeln!(f, "{} of {} headers seen", self.seen, self.expected.max(self.seen))?;
        }
        if self.limit > 0 {
            writeln!(f, "at most {} per second", self.limit)?;
        }
        let mut rows = vec![["KEY ID", "VERSION", "HEADERS"].map(String::from).to_vec()];
        rows.extend(
            self.counts
                .iter()
                .map(|c| vec![c.key.clone(), c.version.to_string(), c.headers.to_string()]),
        );
        f.write_str(&table(&rows))?;
        for trouble in &self.troubles {
            writeln!(f, "{}: {}", trouble.path, trouble.what)?;
        }
        Ok(())
    }
}
