//! Data keys over the private socket, as a mount asks for them: `depth` questions under way.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use kmsfs::server::frames::{self, FrameReader, MAX_FRAME, VERSION};
use kmsfs::server::messages::{
    Answer, Ask, Fresh, Kind, Object, OnBehalf, Operation, Place, ToClient, ToServer, Told,
};
use zeroize::Zeroizing;

use super::Outcome;
use super::report::Report;

const VOLUME: [u8; 16] = [7; 16];

/// Unwraps data keys of 256 files, again and again, for so long.
pub fn run(socket: &str, depth: usize, seconds: u64) -> Outcome<String> {
    let stream = UnixStream::connect(socket)?;
    let mut reader = FrameReader::new(&stream, MAX_FRAME);
    let mut id = 0;
    let mut put = |ask: Ask, out: &mut Zeroizing<Vec<u8>>| -> Outcome<u64> {
        id += 1;
        frames::put(&ToServer::Ask { id, ask }, out)?;
        Ok(id)
    };
    let mut out = Zeroizing::new(Vec::new());
    frames::put(&ToServer::Hello { version: VERSION }, &mut out)?;
    (&stream).write_all(&out)?;
    reader.read::<ToClient>()?;
    let mut ask_once = |ask: Ask| -> Outcome<Answer> {
        let mut out = Zeroizing::new(Vec::new());
        put(ask, &mut out)?;
        (&stream).write_all(&out)?;
        loop {
            if let ToClient::Answer { answer, .. } = reader.read()? {
                return Ok(answer);
            }
        }
    };
    let Answer::Text(key_id) = ask_once(Ask::ManagedKey)? else {
        return Err("no managed key".into());
    };
    let caller = OnBehalf::User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pid: std::process::id(),
        operation: Operation::Read,
    };
    let generate = Ask::Generate {
        caller,
        key_id,
        volume: VOLUME,
        kind: Kind::File,
        count: 256,
        told: Told::Nothing,
    };
    let fresh = match ask_once(generate)? {
        Answer::Fresh(fresh) => fresh,
        other => return Err(format!("no data keys: {other:?}").into()),
    };
    let unwrap = |fresh: &Fresh| Ask::Unwrap {
        caller,
        wrapped: fresh.wrapped.clone(),
        place: Place { volume: VOLUME, object: Object::File(fresh.id) },
        told: Told::Nothing,
    };

    let mut report = Report::default();
    let mut sent: HashMap<u64, Instant> = HashMap::new();
    let mut files = fresh.iter().cycle();
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    loop {
        // Refilled by halves, so that questions travel together and the service never waits.
        if sent.len() <= depth / 2 && Instant::now() < until {
            out.clear();
            let now = Instant::now();
            while sent.len() < depth.max(1) {
                let file = files.next().ok_or("no file")?;
                sent.insert(put(unwrap(file), &mut out)?, now);
            }
            (&stream).write_all(&out)?;
        }
        if sent.is_empty() {
            return Ok(report.line("unwrap", started.elapsed()));
        }
        let mut next: Option<ToClient> = Some(reader.read()?);
        while let Some(message) = next {
            if let ToClient::Answer { id, answer } = message {
                let asked = sent.remove(&id).ok_or("an answer to nothing")?;
                if !matches!(answer, Answer::Key(_)) {
                    return Err(format!("no key: {answer:?}").into());
                }
                report.answer(asked.elapsed());
            }
            next = reader.buffered()?;
        }
    }
}
