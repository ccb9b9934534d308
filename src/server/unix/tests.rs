//! The listener against a handler that needs no key service.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use super::*;
use crate::client::conn::{KmsConn, Unreachable};
use crate::client::unix::{UnixConn, UnixOptions};
use crate::server::dispatch::Peer;
use crate::server::frames::{self, FrameReader, VERSION};
use crate::server::messages::{Answer, Ask, Epoch, Refusal, ToClient, ToServer, Told};

/// Echoes key names; knows one word that makes it slow and one that makes it panic.
struct Echo {
    count: AtomicU64,
    moved: (Mutex<()>, Condvar),
    trusted: bool,
    batches: Mutex<Vec<usize>>,
}

impl Echo {
    fn new(trusted: bool) -> Arc<Self> {
        let moved = (Mutex::new(()), Condvar::new());
        Arc::new(Self { count: AtomicU64::new(1), moved, trusted, batches: Mutex::default() })
    }

    fn bump(&self) {
        let _guard = self.moved.0.lock();
        self.count.fetch_add(1, Ordering::SeqCst);
        self.moved.1.notify_all();
    }
}

impl Handler for Echo {
    fn trusts(&self, _: Peer) -> bool {
        self.trusted
    }

    fn epoch(&self) -> Epoch {
        Epoch { instance: 7, count: self.count.load(Ordering::SeqCst) }
    }

    fn wait_epoch(&self, seen: Epoch, timeout: Duration) -> Epoch {
        let mut guard = self.moved.0.lock();
        if self.epoch() == seen {
            self.moved.1.wait_for(&mut guard, timeout);
        }
        self.epoch()
    }

    fn answer_many(&self, asks: Vec<(Peer, Ask)>) -> Vec<Answer> {
        self.batches.lock().push(asks.len());
        asks.into_iter()
            .map(|(_, ask)| match ask {
                Ask::Resolve(text) if text == "slow" => {
                    std::thread::sleep(Duration::from_millis(300));
                    Answer::Text(text)
                }
                Ask::Resolve(text) if text == "panic" => panic!("asked to"),
                Ask::Resolve(text) => Answer::Text(text),
                _ => Answer::No(Refusal::BadRequest),
            })
            .collect()
    }
}

struct Running {
    dir: tempfile::TempDir,
    server: Option<UnixServer>,
    echo: Arc<Echo>,
    limits: UnixLimits,
}

impl Running {
    fn new(trusted: bool, limits: UnixLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut running = Self { dir, server: None, echo: Echo::new(trusted), limits };
        running.start();
        running
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("sock")
    }

    fn start(&mut self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let handler: Arc<dyn Handler> = self.echo.clone();
        self.server = Some(UnixServer::start(listener, handler, self.limits).unwrap());
    }

    fn stop(&mut self) {
        self.server.take().unwrap().stop();
        std::fs::remove_file(self.path()).unwrap();
    }

    fn client(&self, wait: Duration) -> Arc<UnixConn> {
        let options = UnixOptions { path: self.path(), wait };
        Arc::new(UnixConn::open(options).unwrap())
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

const WAIT: Duration = Duration::from_secs(5);

fn resolve(conn: &dyn KmsConn, text: &str) -> Result<String, Unreachable> {
    match conn.ask(Ask::Resolve(text.to_owned()))? {
        Answer::Text(text) => Ok(text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_callers_each_get_their_own_answer() {
    let running = Running::new(true, UnixLimits::default());
    let client = running.client(WAIT);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for n in 0..200 {
                    let text = format!("{thread}-{n}");
                    assert_eq!(resolve(&**client, &text).as_ref(), Ok(&text));
                }
            });
        }
    });
}

#[test]
fn a_slow_question_holds_up_nobody_else() {
    let running = Running::new(true, UnixLimits::default());
    let client = running.client(WAIT);
    resolve(&*client, "warm").unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| resolve(&*client, "slow"));
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        resolve(&*client, "quick").unwrap();
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
        assert!(slow.join().unwrap().is_ok());
    });
}

#[test]
fn a_restart_is_waited_out() {
    let mut running = Running::new(true, UnixLimits::default());
    let client = running.client(WAIT);
    resolve(&*client, "before").unwrap();
    let epoch = client.epoch();
    running.stop();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| resolve(&*client, "during"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "it waits while the service is away");
        assert!(!client.current(), "no decision is trusted meanwhile");
        running.start();
        assert_eq!(waiting.join().unwrap().as_deref(), Ok("during"));
    });
    assert!(begun.elapsed() < WAIT);
    assert_eq!(client.epoch(), epoch, "the same instance and count: nothing has changed");
    running.echo.bump();
    assert!(eventually(|| client.epoch() != epoch));
}

#[test]
fn a_question_cut_off_by_a_restart_is_asked_again() {
    let mut running = Running::new(true, UnixLimits { workers: 1, ..UnixLimits::default() });
    let client = running.client(WAIT);
    resolve(&*client, "warm").unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| resolve(&*client, "slow"));
        std::thread::sleep(Duration::from_millis(50));
        let queued = scope.spawn(|| resolve(&*client, "queued"));
        running.stop();
        running.start();
        assert_eq!(slow.join().unwrap().as_deref(), Ok("slow"));
        assert_eq!(queued.join().unwrap().as_deref(), Ok("queued"));
    });
}

#[test]
fn a_service_that_stays_away_is_unreachable_after_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    let wait = Duration::from_millis(200);
    let options = UnixOptions { path: dir.path().join("nobody"), wait };
    let client = UnixConn::open(options).unwrap();
    let begun = Instant::now();
    assert_eq!(resolve(&client, "x"), Err(Unreachable));
    assert!(begun.elapsed() >= wait && begun.elapsed() < wait * 10, "{:?}", begun.elapsed());
}

#[test]
fn a_panic_in_the_service_costs_one_connection() {
    let running = Running::new(true, UnixLimits::default());
    let victim = running.client(Duration::from_millis(500));
    assert_eq!(resolve(&*victim, "panic"), Err(Unreachable));
    assert_eq!(resolve(&*victim, "again").as_deref(), Ok("again"));
}

#[test]
fn epochs_are_pushed_at_once() {
    let running = Running::new(true, UnixLimits::default());
    let client = running.client(WAIT);
    resolve(&*client, "warm").unwrap();
    let (epoch, begun) = (client.epoch(), Instant::now());
    running.echo.bump();
    assert!(eventually(|| client.epoch() != epoch));
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[test]
fn questions_that_arrive_together_are_taken_together() {
    let running = Running::new(true, UnixLimits { workers: 1, ..UnixLimits::default() });
    let mut stream = running.raw();
    let mut bytes = Zeroizing::new(Vec::new());
    frames::put(&ToServer::Hello { version: VERSION }, &mut bytes).unwrap();
    for id in 0..20 {
        frames::put(&ToServer::Ask { id, ask: unwrap_ask() }, &mut bytes).unwrap();
    }
    stream.write_all(&bytes).unwrap();
    let mut reader = FrameReader::new(&stream, frames::MAX_FRAME);
    let mut ids = std::collections::HashSet::new();
    while ids.len() < 20 {
        if let ToClient::Answer { id, .. } = reader.read().unwrap() {
            assert!(ids.insert(id));
        }
    }
    assert!(running.echo.batches.lock().iter().any(|&size| size > 1));
}

#[test]
fn users_cannot_take_all_connections() {
    let limits = UnixLimits { per_user: 2, ..UnixLimits::default() };
    let running = Running::new(false, limits);
    let hello = |stream: &mut UnixStream| {
        frames::write(stream, &ToServer::Hello { version: VERSION }).is_ok()
            && FrameReader::new(&*stream, 100).read::<ToClient>().is_ok()
    };
    let mut kept: Vec<_> = (0..2).map(|_| running.raw()).collect();
    assert!(kept.iter_mut().all(hello));
    assert!(!hello(&mut running.raw()), "the third of one user");
    kept.pop();
    assert!(eventually(|| hello(&mut running.raw())), "a place that was given back is free");
}

#[test]
fn another_version_is_told_ours_and_cut_off() {
    let running = Running::new(true, UnixLimits::default());
    let mut stream = running.raw();
    frames::write(&mut stream, &ToServer::Hello { version: VERSION + 1 }).unwrap();
    let mut reader = FrameReader::new(&stream, 100);
    assert!(matches!(reader.read(), Ok(ToClient::Hello { version: VERSION, .. })));
    assert!(reader.read::<ToClient>().is_err());
}

#[test]
fn a_silent_peer_is_cut_off() {
    let patience = Duration::from_millis(100);
    let running = Running::new(true, UnixLimits { patience, ..UnixLimits::default() });
    let mut stream = running.raw();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let running = Running::new(true, UnixLimits::default());
    for garbage in [vec![0xff; 64], vec![0; 64], b"\x08\0\0\0aaaaaaaa".to_vec()] {
        let mut stream = running.raw();
        stream.write_all(&garbage).unwrap();
        let mut rest = Vec::new();
        // A reset is as good an end as a close.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "nothing is said to it");
    }
    assert!(resolve(&*running.client(WAIT), "fine").is_ok());
}

fn unwrap_ask() -> Ask {
    use crate::server::messages::{Object, OnBehalf, Place, Wrapped};
    let place = Place { volume: [1; 16], object: Object::File([2; 16]) };
    let wrapped = Wrapped { key_id: "k".into(), version: 1, blob: vec![3; 200] };
    Ask::Unwrap { caller: OnBehalf::Service, wrapped, place, told: Told::Nothing }
}

fn eventually(mut is: impl FnMut() -> bool) -> bool {
    (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is()
    })
}
