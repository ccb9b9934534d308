//! The Unix socket: one reader and one pusher per connection, a pool of workers for all.
//!
//! Readers only decode; workers take whatever has queued up, so that requests which arrive
//! together are decided together and share one flush of the audit trail. Answers leave in any
//! order. One herald waits for new epochs; the pushers tell them to their clients at once, and
//! repeat the old one every second as a sign of life.
//!
//! Invariant: a peer can hold up only itself. Its requests in flight are bounded, a peer that
//! does not read its answers is cut off, and ordinary users share the connections that services
//! leave.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use super::dispatch::{Handler, Peer};
use super::eager::Eager;
use super::frames::{self, FrameError, FrameReader, MAX_REQUEST, VERSION};
use super::messages::{Answer, Ask, Epoch, ToClient, ToServer};
use super::sys;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct UnixLimits {
    /// Threads that call the service.
    pub workers: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one user that is not a service.
    pub per_user: usize,
    /// Requests of one connection of a service that are not answered yet.
    pub in_flight: usize,
    /// The same for anybody else.
    pub user_in_flight: usize,
    /// How long a peer may take for its hello, and to read an answer.
    pub patience: Duration,
}

impl Default for UnixLimits {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers: (4 * cpus).clamp(8, 64),
            connections: 256,
            per_user: 16,
            in_flight: 1024,
            user_in_flight: 16,
            patience: Duration::from_secs(5),
        }
    }
}

/// How often the pusher gives a sign of life.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// Most requests that one worker takes at once.
const BATCH: usize = 64;

/// A running listener. [`UnixServer::stop`] ends it.
pub struct UnixServer {
    shared: Arc<Shared>,
    /// The listener again: shutting it down ends the wait for connections.
    waker: UnixListener,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    handler: Arc<dyn Handler>,
    limits: UnixLimits,
    queue: Mutex<VecDeque<Job>>,
    queued: Condvar,
    stopping: AtomicBool,
    doors: Arc<Doors>,
}

/// The table of connections, apart from [`Shared`]: a reader lets go of everything else before it
/// leaves the table, so that an empty table means that nobody uses the service any more.
#[derive(Default)]
struct Doors {
    table: Mutex<Table>,
    /// Signalled when a connection has left the table.
    left: Condvar,
}

/// Open connections, by a number of their own, and how many each user has.
#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
    users: HashMap<u32, usize>,
}

struct Job {
    connection: Arc<Connection>,
    id: u64,
    ask: Ask,
}

struct Connection {
    peer: Peer,
    stream: UnixStream,
    writing: Mutex<()>,
    in_flight: AtomicUsize,
    /// Signalled when an answer has left.
    drained: Condvar,
    drain_lock: Mutex<()>,
    /// What the herald said last; nothing so far.
    told: Mutex<Option<Epoch>>,
    /// Signalled with each change of `told`, and when the connection is closed.
    news: Condvar,
    gone: AtomicBool,
}

impl UnixServer {
    /// Starts serving on a listener that is bound already.
    pub fn start(
        listener: UnixListener,
        handler: Arc<dyn Handler>,
        limits: UnixLimits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        let waker = listener.try_clone()?;
        let shared = Arc::new(Shared {
            handler,
            limits,
            queue: Mutex::default(),
            queued: Condvar::new(),
            stopping: AtomicBool::new(false),
            doors: Arc::default(),
        });
        let mut threads = Vec::new();
        for _ in 0..limits.workers {
            let shared = Arc::clone(&shared);
            threads.push(named("kmsd-worker", move || shared.work())?);
        }
        let acceptor = Arc::clone(&shared);
        threads.push(named("kmsd-accept", move || acceptor.accept(&listener))?);
        let herald = Arc::clone(&shared);
        threads.push(named("kmsd-herald", move || herald.proclaim())?);
        Ok(Self { shared, waker, threads })
    }

    /// Takes no more requests, finishes those it has, closes all connections. When it returns, no
    /// thread of the listener holds the handler: what it serves can be closed and opened again.
    /// Takes up to [`HEARTBEAT`].
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = rustix::net::shutdown(&self.waker, rustix::net::Shutdown::Both);
        self.shared.handler.rouse();
        let open: Vec<_> = self.shared.doors.table.lock().open.values().cloned().collect();
        for connection in &open {
            // Readers see the end; answers can still leave.
            let _ = connection.stream.shutdown(std::net::Shutdown::Read);
        }
        {
            let _queue = self.shared.queue.lock();
            self.shared.queued.notify_all();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the Unix listener panicked");
            }
        }
        // Whoever came in while the acceptor was ending included.
        let mut table = self.shared.doors.table.lock();
        for connection in table.open.values() {
            connection.close();
        }
        self.shared.doors.left.wait_while(&mut table, |table| !table.open.is_empty());
    }
}

impl Drop for UnixServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(1 << 20).spawn(body)
}

/// A connection's place in the table, given up when dropped.
struct Place {
    doors: Arc<Doors>,
    number: u64,
    uid: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.doors.table.lock();
        table.open.remove(&self.number);
        if let Some(count) = table.users.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                table.users.remove(&self.uid);
            }
        }
        self.doors.left.notify_all();
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        while !self.stopping() {
            match listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = self.admit(stream) {
                        tracing::debug!(%error, "a local connection was refused");
                    }
                }
                // The listener was shut down in order to wake us.
                Err(_) if self.stopping() => return,
                Err(error) => {
                    // Out of descriptors, most likely: waiting is all that helps.
                    tracing::error!(%error, "cannot accept a local connection");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(self.limits.patience))?;
        stream.set_write_timeout(Some(self.limits.patience))?;
        let who = sys::peer_credentials(stream.as_fd())?;
        let peer = Peer::Local(who);
        let connection = Arc::new(Connection {
            peer,
            stream,
            writing: Mutex::new(()),
            in_flight: AtomicUsize::new(0),
            drained: Condvar::new(),
            drain_lock: Mutex::new(()),
            told: Mutex::new(None),
            news: Condvar::new(),
            gone: AtomicBool::new(false),
        });
        let number = {
            let mut table = self.doors.table.lock();
            let service = self.handler.trusts(peer);
            // An eighth is kept for services, so that users cannot lock the filesystem out.
            let room =
                self.limits.connections - if service { 0 } else { self.limits.connections / 8 };
            let mine = table.users.get(&who.uid).copied().unwrap_or(0);
            if table.open.len() >= room || (!service && mine >= self.limits.per_user) {
                return Err(io::Error::from_raw_os_error(libc::EUSERS));
            }
            table.next += 1;
            let number = table.next;
            table.open.insert(number, Arc::clone(&connection));
            table.users.insert(who.uid, mine + 1);
            number
        };
        let place = Place { doors: Arc::clone(&self.doors), number, uid: who.uid };
        let shared = Arc::clone(self);
        named("kmsd-reader", move || {
            // Dropped in the opposite order, after a panic too: the place goes last.
            let _place = place;
            let shared = shared;
            if let Err(error) = shared.serve(&connection) {
                tracing::debug!(uid = who.uid, %error, "a local connection ended");
            }
            connection.close();
        })
        .map(drop)
    }

    /// Reads one connection to its end.
    fn serve(self: &Arc<Self>, connection: &Arc<Connection>) -> Result<(), FrameError> {
        let mut reader = FrameReader::new(Eager::new(&connection.stream), MAX_REQUEST);
        let hello = reader.read::<ToServer>()?;
        let epoch = self.handler.epoch();
        connection.send(&[ToClient::Hello { version: VERSION, epoch }])?;
        if !matches!(hello, ToServer::Hello { version } if version == VERSION) {
            return Err(FrameError::Malformed);
        }
        connection.stream.set_read_timeout(None)?;
        let pusher = {
            let connection = Arc::clone(connection);
            named("kmsd-pusher", move || connection.push(epoch))?
        };
        let ended = self.take_asks(connection, &mut reader);
        // Closing waits for the answers that are still being worked on.
        connection.wait_in_flight(0, self.limits.patience);
        connection.close();
        if pusher.join().is_err() {
            tracing::error!("a pusher panicked");
        }
        ended
    }

    fn take_asks(
        &self,
        connection: &Arc<Connection>,
        reader: &mut FrameReader<Eager<'_>>,
    ) -> Result<(), FrameError> {
        loop {
            let mut message = match reader.read::<ToServer>() {
                Ok(message) => message,
                Err(FrameError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut jobs = Vec::new();
            loop {
                let ToServer::Ask { id, ask } = message else { return Err(FrameError::Malformed) };
                jobs.push(Job { connection: Arc::clone(connection), id, ask });
                match reader.buffered::<ToServer>()? {
                    Some(next) if jobs.len() < BATCH => message = next,
                    Some(next) => {
                        self.enqueue(connection, std::mem::take(&mut jobs))?;
                        message = next;
                    }
                    None => break,
                }
            }
            if self.enqueue(connection, jobs)? {
                reader.source().answered();
            }
        }
    }

    /// `true`: they are answered already, and the peer has nothing else under way.
    fn enqueue(&self, connection: &Connection, jobs: Vec<Job>) -> Result<bool, FrameError> {
        let limit = if self.handler.trusts(connection.peer) {
            self.limits.in_flight
        } else {
            self.limits.user_in_flight
        };
        let room = limit.saturating_sub(jobs.len());
        while !connection.wait_in_flight(room, self.limits.patience) {
            if connection.gone.load(Ordering::SeqCst) || self.stopping() {
                return Err(FrameError::Closed);
            }
        }
        let before = connection.in_flight.fetch_add(jobs.len(), Ordering::SeqCst);
        // One alone, of a kind that takes no longer than its audit record: waking a worker would
        // take longer still. What arrives meanwhile is read together.
        if let ([job], 0) = (jobs.as_slice(), before)
            && matches!(job.ask, Ask::Unwrap { .. } | Ask::AuthorizeUnwrap { .. })
        {
            self.answer(jobs);
            return Ok(true);
        }
        self.queue.lock().extend(jobs);
        self.queued.notify_one();
        Ok(false)
    }

    /// A worker: takes what is there, answers it, looks again.
    fn work(&self) {
        loop {
            let mut jobs: Vec<Job> = Vec::new();
            {
                let mut queue = self.queue.lock();
                while queue.is_empty() {
                    if self.stopping() {
                        return;
                    }
                    self.queued.wait_for(&mut queue, Duration::from_secs(1));
                }
                // Unwraps share a flush; anything else may take its time and goes alone.
                while let Some(next) = queue.pop_front() {
                    let unwrap = matches!(next.ask, Ask::Unwrap { .. });
                    jobs.push(next);
                    if !unwrap || jobs.len() == BATCH {
                        break;
                    }
                }
                if !queue.is_empty() {
                    self.queued.notify_one();
                }
            }
            self.answer(jobs);
        }
    }

    /// Answers jobs that belong together.
    fn answer(&self, jobs: Vec<Job>) {
        let (places, asks): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .map(|job| {
                let peer = job.connection.peer;
                ((job.connection, job.id), (peer, job.ask))
            })
            .unzip();
        let count = asks.len();
        let answers = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.handler.answer_many(asks)
        }));
        match answers {
            Ok(answers) => reply(places, answers),
            Err(_) => {
                // A bug; the peers must not wait for answers that never come.
                tracing::error!(count, "a request made the service panic");
                for (connection, _) in places {
                    connection.close();
                    connection.answered(1);
                }
            }
        }
    }

    /// Waits for new epochs on behalf of all pushers, so that a connection that ends need not
    /// wait for the next one.
    fn proclaim(&self) {
        let mut seen = self.handler.epoch();
        while !self.stopping() {
            let now = self.handler.wait_epoch(seen, HEARTBEAT);
            if now != seen {
                let open: Vec<_> = self.doors.table.lock().open.values().cloned().collect();
                for connection in open {
                    *connection.told.lock() = Some(now);
                    connection.news.notify_all();
                }
                seen = now;
            }
        }
    }
}

/// Sends answers, those of one connection in one write.
fn reply(places: Vec<(Arc<Connection>, u64)>, answers: Vec<Answer>) {
    let mut run: Vec<ToClient> = Vec::new();
    let mut current: Option<Arc<Connection>> = None;
    for ((connection, id), answer) in places.into_iter().zip(answers) {
        if let Some(last) = current.take_if(|last| !Arc::ptr_eq(last, &connection)) {
            last.finish(&std::mem::take(&mut run));
        }
        run.push(ToClient::Answer { id, answer });
        current = Some(connection);
    }
    if let Some(last) = current {
        last.finish(&run);
    }
}

impl Connection {
    /// Tells the peer of every new epoch, and once a second that the old one still holds.
    fn push(&self, mut seen: Epoch) {
        loop {
            {
                let mut told = self.told.lock();
                let still = |told: &mut Option<Epoch>| {
                    !self.gone.load(Ordering::SeqCst) && told.is_none_or(|epoch| epoch == seen)
                };
                self.news.wait_while_for(&mut told, still, HEARTBEAT);
                if self.gone.load(Ordering::SeqCst) {
                    return;
                }
                seen = told.unwrap_or(seen);
            }
            if self.send(&[ToClient::Epoch(seen)]).is_err() {
                self.close();
            }
        }
    }

    fn send(&self, messages: &[ToClient]) -> Result<(), FrameError> {
        let mut bytes = Zeroizing::new(Vec::new());
        for message in messages {
            frames::put(message, &mut bytes)?;
        }
        let _turn = self.writing.lock();
        io::Write::write_all(&mut &self.stream, &bytes)?;
        Ok(())
    }

    /// Sends answers and counts them off.
    fn finish(&self, messages: &[ToClient]) {
        if let Err(error) = self.send(messages) {
            tracing::debug!(%error, "an answer could not be delivered");
            self.close();
        }
        self.answered(messages.len());
    }

    fn answered(&self, count: usize) {
        self.in_flight.fetch_sub(count, Ordering::SeqCst);
        let _guard = self.drain_lock.lock();
        self.drained.notify_all();
    }

    /// Waits until at most `most` requests are unanswered; `false` after `patience`.
    fn wait_in_flight(&self, most: usize, patience: Duration) -> bool {
        let mut guard = self.drain_lock.lock();
        let busy = |_: &mut ()| self.in_flight.load(Ordering::SeqCst) > most;
        !self.drained.wait_while_for(&mut guard, busy, patience).timed_out()
    }

    fn close(&self) {
        {
            // Under the lock, so that no pusher goes to sleep after having looked.
            let _told = self.told.lock();
            self.gone.store(true, Ordering::SeqCst);
        }
        self.news.notify_all();
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

#[cfg(test)]
mod tests;
