//! kmsd behind its Unix socket.
//!
//! One thread keeps the connection: it connects, reads answers and epochs, and connects again
//! when kmsd has gone. Callers write their question themselves and sleep until the answer.
//!
//! Invariant: a caller waits a bounded time. While kmsd is away that is [`UnixOptions::wait`];
//! a question that was cut off by a restart is asked again if asking twice is harmless. A
//! connection that gives no sign of life for [`SILENCE`] counts as gone, so the epoch is never
//! believed longer than that.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use super::conn::{KmsConn, Unreachable};
use crate::server::frames::{self, FrameError, FrameReader, MAX_FRAME, VERSION};
use crate::server::messages::{Answer, Ask, Epoch, ToClient, ToServer};
use crate::sync::interrupt;

/// Longest silence of a living kmsd: it speaks every second.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Longest time for an answer on a connection that is alive.
const SLOW: Duration = Duration::from_secs(30);

/// How often somebody who waits looks whether his caller still does.
const LOOK: Duration = Duration::from_millis(100);

/// Shortest and longest pause between two tries to connect.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// How a kmsd is reached.
#[derive(Clone, Debug)]
pub struct UnixOptions {
    /// Path of its socket.
    pub path: PathBuf,
    /// How long a call waits for a kmsd that is away.
    pub wait: Duration,
}

impl UnixOptions {
    /// With the usual wait of five seconds.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), wait: Duration::from_secs(5) }
    }
}

/// A connection that comes back.
pub struct UnixConn {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    options: UnixOptions,
    link: Mutex<Option<Arc<Link>>>,
    linked: Condvar,
    epoch: AtomicU64,
    current: AtomicBool,
    next_id: AtomicU64,
    stopping: AtomicBool,
}

/// One connection as long as it lasts.
struct Link {
    stream: UnixStream,
    writing: Mutex<()>,
    /// Questions without an answer; `None` once the link is gone.
    pending: Mutex<Option<HashMap<u64, Arc<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    Answered(Box<Answer>),
    Lost,
}

impl UnixConn {
    /// Starts keeping a connection. Fails only if no thread can be started; a kmsd that is not
    /// there yet is waited for by the first call.
    pub fn open(options: UnixOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            options,
            link: Mutex::new(None),
            linked: Condvar::new(),
            epoch: AtomicU64::new(1),
            current: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        });
        let keeper = Arc::clone(&shared);
        let keeper = std::thread::Builder::new()
            .name("kmsd-link".to_owned())
            .spawn(move || keeper.keep())?;
        Ok(Self { shared, keeper: Some(keeper) })
    }

    /// Waits until kmsd has answered the hello, for at most the configured time. `false`: it
    /// has not.
    pub fn wait_connected(&self) -> bool {
        self.shared.wait_link(Instant::now() + self.shared.options.wait).is_some()
    }
}

impl Drop for UnixConn {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(link) = self.shared.link.lock().as_ref() {
            link.cut();
        }
        self.shared.linked.notify_all();
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::error!("the thread that keeps the connection to kmsd panicked");
        }
    }
}

impl KmsConn for UnixConn {
    fn ask(&self, ask: Ask) -> Result<Answer, Unreachable> {
        let shared = &*self.shared;
        let repeatable = !matches!(ask, Ask::Api(_) | Ask::Iam(_) | Ask::RetireVersion { .. });
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Zeroizing::new(Vec::new());
        frames::put(&ToServer::Ask { id, ask }, &mut bytes).map_err(|error| {
            tracing::error!(%error, "a question does not fit into a frame");
            Unreachable
        })?;
        let deadline = Instant::now() + shared.options.wait;
        loop {
            let link = shared.wait_link(deadline).ok_or(Unreachable)?;
            let slot = Arc::new(Slot::default());
            match link.pending.lock().as_mut() {
                Some(pending) => pending.insert(id, Arc::clone(&slot)),
                None => continue,
            };
            if let Err(error) = link.send(&bytes) {
                tracing::debug!(%error, "cannot write to kmsd");
                link.cut();
            }
            match slot.wait(SLOW) {
                State::Answered(answer) => return Ok(*answer),
                State::Lost
                    if repeatable && Instant::now() < deadline && !interrupt::interrupted() => {}
                State::Lost => return Err(Unreachable),
                State::Waiting => {
                    if let Some(pending) = link.pending.lock().as_mut() {
                        pending.remove(&id);
                    }
                    return Err(Unreachable);
                }
            }
        }
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Acquire)
    }

    fn current(&self) -> bool {
        self.shared.current.load(Ordering::Acquire)
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn wait_link(&self, deadline: Instant) -> Option<Arc<Link>> {
        let mut link = self.link.lock();
        while link.is_none() && !self.stopping() {
            let look = deadline.min(Instant::now() + LOOK);
            self.linked.wait_until(&mut link, look);
            if Instant::now() >= deadline || interrupt::interrupted() {
                break;
            }
        }
        link.clone()
    }

    /// Connects, reads until the end, and again.
    fn keep(&self) {
        let mut seen: Option<Epoch> = None;
        let mut pause = PAUSE_MIN;
        let mut told = false;
        while !self.stopping() {
            match self.connect(&mut seen) {
                Ok((link, reader)) => {
                    if told {
                        tracing::info!(socket = %show(&self.options.path), "kmsd is back");
                    }
                    told = false;
                    let since = Instant::now();
                    let ended = self.read(&link, reader, &mut seen);
                    self.current.store(false, Ordering::Release);
                    *self.link.lock() = None;
                    link.lose();
                    if !self.stopping() {
                        tracing::warn!(error = %ended, "the connection to kmsd ended");
                        told = true;
                    }
                    // A kmsd that hangs up on every question is not asked in a tight loop.
                    if since.elapsed() > PAUSE_MAX {
                        pause = PAUSE_MIN;
                    } else {
                        self.rest(&mut pause);
                    }
                }
                Err(error) => {
                    if !told {
                        tracing::warn!(socket = %show(&self.options.path), %error,
                            "kmsd cannot be reached; trying again until it can");
                        told = true;
                    }
                    self.rest(&mut pause);
                }
            }
        }
    }

    /// Waits before the next try, longer each time.
    fn rest(&self, pause: &mut Duration) {
        let mut link = self.link.lock();
        if !self.stopping() {
            self.linked.wait_for(&mut link, *pause);
        }
        *pause = (*pause * 2).min(PAUSE_MAX);
    }

    fn connect(
        &self,
        seen: &mut Option<Epoch>,
    ) -> Result<(Arc<Link>, FrameReader<UnixStream>), FrameError> {
        let stream = UnixStream::connect(&self.options.path)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let mut reader = FrameReader::new(stream.try_clone()?, MAX_FRAME);
        frames::write(&mut &stream, &ToServer::Hello { version: VERSION })?;
        let ToClient::Hello { version, epoch } = reader.read()? else {
            return Err(FrameError::Malformed);
        };
        if version != VERSION {
            tracing::error!(ours = VERSION, theirs = version, "kmsd speaks another version");
            return Err(FrameError::Malformed);
        }
        let link = Arc::new(Link {
            stream,
            writing: Mutex::new(()),
            pending: Mutex::new(Some(HashMap::new())),
        });
        self.take_epoch(epoch, seen);
        self.current.store(true, Ordering::Release);
        let mut place = self.link.lock();
        *place = Some(Arc::clone(&link));
        if self.stopping() {
            link.cut();
        }
        self.linked.notify_all();
        Ok((link, reader))
    }

    /// Moves the local number if the service's epoch is another than the last one heard.
    fn take_epoch(&self, epoch: Epoch, seen: &mut Option<Epoch>) {
        if seen.replace(epoch) != Some(epoch) {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn read(
        &self,
        link: &Link,
        mut reader: FrameReader<UnixStream>,
        seen: &mut Option<Epoch>,
    ) -> FrameError {
        loop {
            match reader.read() {
                Ok(ToClient::Answer { id, answer }) => link.deliver(id, answer),
                Ok(ToClient::Epoch(epoch)) => self.take_epoch(epoch, seen),
                Ok(ToClient::Hello { .. }) => return FrameError::Malformed,
                Err(error) => return error,
            }
        }
    }
}

impl Link {
    fn send(&self, bytes: &[u8]) -> std::io::Result<()> {
        let _turn = self.writing.lock();
        std::io::Write::write_all(&mut &self.stream, bytes)
    }

    fn deliver(&self, id: u64, answer: Answer) {
        let slot = self.pending.lock().as_mut().and_then(|pending| pending.remove(&id));
        // Nobody waits any more: the caller's time was up.
        if let Some(slot) = slot {
            slot.fill(State::Answered(Box::new(answer)));
        }
    }

    fn cut(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Wakes everybody who still waits.
    fn lose(&self) {
        self.cut();
        for slot in self.pending.lock().take().into_iter().flatten() {
            slot.1.fill(State::Lost);
        }
    }
}

impl Slot {
    fn fill(&self, state: State) {
        *self.state.lock() = state;
        self.filled.notify_one();
    }

    fn wait(&self, patience: Duration) -> State {
        let mut state = self.state.lock();
        let deadline = Instant::now() + patience;
        while matches!(*state, State::Waiting) {
            let look = deadline.min(Instant::now() + LOOK);
            let slow = self.filled.wait_until(&mut state, look).timed_out();
            if slow && (Instant::now() >= deadline || interrupt::interrupted()) {
                break;
            }
        }
        std::mem::take(&mut *state)
    }
}

fn show(path: &Path) -> std::path::Display<'_> {
    path.display()
}
