//! AWS JSON 1.1 over HTTP, kept alive: every connection has one request under way.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kmsfs::kms::hex;
use kmsfs::server::sigv4::{AmzTime, signature, signing_key};
use rustix::event::epoll;
use sha2::{Digest, Sha256};

use super::Outcome;
use super::report::Report;

const SERVICE: &str = "kms";
const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";
const MEDIA: &str = "application/x-amz-json-1.1";

/// Signs requests with the access key of the environment.
pub struct Signer {
    host: String,
    region: String,
    access_key: String,
    secret: String,
    /// Day, and the key of that day.
    key: (String, Vec<u8>),
}

impl Signer {
    /// For requests to `host`.
    pub fn new(host: &str) -> Outcome<Signer> {
        let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        Ok(Signer {
            host: host.to_owned(),
            region: variable("AWS_DEFAULT_REGION")?,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret: variable("AWS_SECRET_ACCESS_KEY")?,
            key: Default::default(),
        })
    }

    /// Appends a whole request.
    pub fn write(&mut self, target: &str, body: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let time = AmzTime::from_seconds(i64::try_from(now)?);
        let day = time.day();
        if self.key.0 != day {
            let key = signing_key(self.secret.as_bytes(), &day, &self.region, SERVICE);
            self.key = (day.clone(), key.to_vec());
        }
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let canonical = format!(
            "POST\n/\n\ncontent-type:{MEDIA}\nhost:{}\nx-amz-date:{time}\n\
             x-amz-target:TrentService.{target}\n\n{SIGNED}\n{}",
            self.host,
            hex::encode(&Sha256::digest(body))
        );
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex::encode(&Sha256::digest(canonical))
        );
        let sum = hex::encode(&signature(&self.key.1, text.as_bytes()));
        write!(
            out,
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: {MEDIA}\r\nx-amz-date: {time}\r\n\
             x-amz-target: TrentService.{target}\r\nuser-agent: load\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={SIGNED}, \
             Signature={sum}\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            self.access_key,
            body.len()
        )?;
        Ok(())
    }
}

/// A connection with at most one request under way.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sent: Instant,
    /// The service closes it after its last answer.
    over: bool,
}

impl Connection {
    /// Connects; reads give up at once when nothing is there if `blocking` is false.
    pub fn new(address: &str, blocking: bool) -> Outcome<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(!blocking)?;
        Ok(Connection { stream, received: Vec::new(), sent: Instant::now(), over: false })
    }

    /// Sends a request: it fits the socket's buffer.
    pub fn send(&mut self, request: &[u8]) -> Outcome<()> {
        self.sent = Instant::now();
        Ok(self.stream.write_all(request)?)
    }

    /// The body of the answer, if all of it is there. An answer that is no success is an error.
    pub fn receive(&mut self) -> Outcome<Option<String>> {
        let mut buffer = [0; 8192];
        loop {
            let got = match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the service closed a connection".into()),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            self.received.extend_from_slice(buffer.get(..got).unwrap_or_default());
            if let Some((body, over)) = whole(&self.received)? {
                self.received.clear();
                self.over = over;
                return Ok(Some(body));
            }
        }
    }

    /// Sends and waits; for a connection that blocks.
    pub fn ask(&mut self, signer: &mut Signer, target: &str, body: &str) -> Outcome<String> {
        if self.over {
            self.stream = TcpStream::connect(self.stream.peer_addr()?)?;
            self.over = false;
        }
        let mut request = Vec::new();
        signer.write(target, body, &mut request)?;
        self.send(&request)?;
        self.receive()?.ok_or_else(|| "no answer".into())
    }
}

/// The body of a response, once it is whole, and whether the connection ends with it.
fn whole(received: &[u8]) -> Outcome<Option<(String, bool)>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = received.split_at(end + 4);
    let head = std::str::from_utf8(head)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.ok_or("an answer without a length")??;
    if body.len() < length {
        return Ok(None);
    }
    let body = String::from_utf8(body.to_vec())?;
    let (version, rest) = head.split_once(' ').ok_or("an answer without a status")?;
    let over = version == "HTTP/1.0" || head.to_ascii_lowercase().contains("connection: close");
    if rest.starts_with("200") { Ok(Some((body, over))) } else { Err(body.into()) }
}

/// The value of a text member; enough of JSON for what this asks for.
pub fn member(json: &str, name: &str) -> Outcome<String> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    let found = value.pointer(name).and_then(|value| value.as_str());
    found.map(str::to_owned).ok_or_else(|| format!("no {name} in {json}").into())
}

/// A policy of about so many bytes: the root user, and names of nobody who asks.
fn policy_of(account: &str, bytes: usize) -> String {
    let users = |count: usize| {
        let arn = |n| format!("\"arn:aws:iam::{account}:user/member-of-the-team-{n}\"");
        (0..count).map(arn).collect::<Vec<_>>().join(",")
    };
    let statement = |principals: &str, action: &str| {
        format!(
            "{{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":[{principals}]}},\
             \"Action\":\"{action}\",\"Resource\":\"*\"}}"
        )
    };
    let root = statement(&format!("\"arn:aws:iam::{account}:root\""), "kms:*");
    let mut statements = vec![root];
    let mut left = bytes.saturating_sub(200);
    while left > 0 {
        let next = statement(&users(left.div_ceil(55).min(20)), "kms:Decrypt");
        left = left.saturating_sub(next.len() + 1);
        statements.push(next);
    }
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", statements.join(","))
}

/// Asks for `target` on `connections` connections for so long.
pub fn run(
    address: &str,
    target: &str,
    connections: usize,
    seconds: u64,
    policy: usize,
) -> Outcome<String> {
    let mut signer = Signer::new(address)?;
    let mut first = Connection::new(address, true)?;
    let made = first.ask(&mut signer, "CreateKey", "{}")?;
    let key = member(&made, "/KeyMetadata/KeyId")?;
    if policy > 0 {
        let account = member(&made, "/KeyMetadata/AWSAccountId")?;
        let policy = serde_json::Value::from(policy_of(&account, policy));
        let body = format!("{{\"KeyId\":\"{key}\",\"Policy\":{policy}}}");
        first.ask(&mut signer, "PutKeyPolicy", &body)?;
    }
    let generate = format!("{{\"KeyId\":\"{key}\",\"KeySpec\":\"AES_256\"}}");
    let body = match target {
        "Decrypt" => {
            let made = first.ask(&mut signer, "GenerateDataKey", &generate)?;
            format!("{{\"CiphertextBlob\":\"{}\"}}", member(&made, "/CiphertextBlob")?)
        }
        "GenerateDataKey" => generate,
        other => return Err(format!("{other} is not among what this asks for").into()),
    };
    // A little before the measurement, so that caches are as they are in use.
    load(address, &mut signer, target, &body, connections, Duration::from_millis(300))?;
    let started = Instant::now();
    let long = Duration::from_secs(seconds);
    let report = load(address, &mut signer, target, &body, connections, long)?;
    Ok(report.line(target, started.elapsed()))
}

fn load(
    address: &str,
    signer: &mut Signer,
    target: &str,
    body: &str,
    connections: usize,
    long: Duration,
) -> Outcome<Report> {
    let epoll: OwnedFd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut open = Vec::new();
    let mut request = Vec::new();
    for number in 0..connections {
        let mut connection = Connection::new(address, false)?;
        let data = epoll::EventData::new_u64(u64::try_from(number)?);
        epoll::add(&epoll, &connection.stream, data, epoll::EventFlags::IN)?;
        request.clear();
        signer.write(target, body, &mut request)?;
        connection.send(&request)?;
        open.push(connection);
    }
    let mut report = Report::default();
    let until = Instant::now() + long;
    let mut under_way = connections;
    let mut events = Vec::with_capacity(connections);
    while under_way > 0 {
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let number = usize::try_from(event.data.u64())?;
            let connection = open.get_mut(number).ok_or("an event of nobody")?;
            let Some(answer) = connection.receive()? else { continue };
            report.answer(connection.sent.elapsed());
            if !answer.contains("\"Plaintext\"") {
                return Err(format!("an answer without a plaintext: {answer}").into());
            }
            if Instant::now() > until {
                under_way -= 1;
                continue;
            }
            if connection.over {
                *connection = Connection::new(address, false)?;
                epoll::add(&epoll, &connection.stream, event.data, epoll::EventFlags::IN)?;
            }
            request.clear();
            signer.write(target, body, &mut request)?;
            connection.send(&request)?;
        }
    }
    Ok(report)
}
