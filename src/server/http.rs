//! The HTTP listener: AWS JSON 1.1 with SigV4, for SDKs and the AWS CLI.
//!
//! One request is one `POST /`; `GET /healthz` answers without a signature. The whole body is
//! read (bounded) before its signature is checked, and nothing of it is parsed before that.
//!
//! Invariants:
//! - without TLS ([`super::tls`]) it binds loopback addresses only, since bodies hold plaintext and data keys;
//! - calls of the service block for disk flushes, so they run apart from the I/O threads;
//! - a stop takes no new request and finishes those that were accepted.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroize;

use super::auth::{Authenticator, Connection};
use super::json::{self, Failure};
use super::pool::Pool;
use super::sigv4::{SignedView, SigningKeys};
use super::sts;
use crate::clock::Clock;
use crate::kms::api::Action;
use crate::kms::caller::{VpcEndpoint, request_id};
use crate::kms::error::KmsError;
use crate::kms::service::{Begun, Service};

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections at one time; more wait.
    pub connections: usize,
    /// Longest body, bytes.
    pub body: usize,
    /// How long the head of a request may take, and a TLS handshake; also how long a connection
    /// may idle.
    pub head: Duration,
    /// How long a body may take.
    pub upload: Duration,
    /// How long a stop waits for requests that were accepted.
    pub drain: Duration,
    /// Threads for calls of the service.
    pub workers: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            body: 256 << 10,
            head: Duration::from_secs(60),
            upload: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            workers: 64,
        }
    }
}

/// Most header lines of a request.
const MAX_HEADERS: usize = 100;

/// Longest head of a request, bytes.
const MAX_HEAD: usize = 64 << 10;

/// Threads for requests that are quick: while one waits for the disk, the other decides.
const QUICK_THREADS: usize = 3;

/// Most of them that one thread takes at once.
const QUICK_BATCH: usize = 32;

/// What is quick.
const QUICK: &[Action] = &[
    Action::Decrypt,
    Action::DescribeKey,
    Action::Encrypt,
    Action::GenerateDataKey,
    Action::GenerateDataKeyWithoutPlaintext,
    Action::GenerateMac,
    Action::GenerateRandom,
    Action::ReEncrypt,
    Action::VerifyMac,
];

/// Why the listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Plain HTTP is for this machine only.
    #[error("{0} is not a loopback address; without TLS only loopback is served")]
    NotLoopback(SocketAddr),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] super::tls::TlsError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No threads.
    #[error("cannot start the HTTP listener: {0}")]
    Start(#[from] io::Error),
}

/// A bound address, and how it is spoken to there.
pub struct Bound {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    endpoint: Option<Arc<VpcEndpoint>>,
}

impl Bound {
    /// Binds `address` for TLS; for plain HTTP if it is a loopback address.
    pub fn new(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Bound, HttpError> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(HttpError::NotLoopback(address));
        }
        let bound = TcpListener::bind(address);
        let listener = bound.map_err(|source| HttpError::Bind { address, source })?;
        Ok(Bound { listener, tls, endpoint: None })
    }

    /// As an endpoint of a VPC: who comes in here comes through that.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Option<VpcEndpoint>) -> Bound {
        self.endpoint = endpoint.map(Arc::new);
        self
    }

    /// The address, with the port that was found if any would do.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A running listener.
pub struct HttpServer {
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    drain: Duration,
}

struct Shared {
    front: Arc<Front>,
    limits: HttpLimits,
    tls: Option<TlsAcceptor>,
    quick: Pool<Job>,
}

/// What a request needs. Apart from the pool, which nobody may let go of from within.
struct Front {
    service: Arc<Service>,
    clock: Arc<dyn Clock>,
    signing_keys: SigningKeys,
    tls: bool,
    endpoint: Option<Arc<VpcEndpoint>>,
}

/// A request that takes no longer than its audit record.
struct Job {
    front: Arc<Front>,
    peer: SocketAddr,
    head: hyper::http::request::Parts,
    body: Bytes,
    reply: oneshot::Sender<Outcome>,
}

impl HttpServer {
    /// Starts serving on a bound listener.
    pub fn start(
        bound: Bound,
        service: Arc<Service>,
        clock: Arc<dyn Clock>,
        limits: HttpLimits,
    ) -> Result<Self, HttpError> {
        let Bound { listener, tls, endpoint } = bound;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(limits.workers)
            .thread_name("kmsd-http")
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let quick = Pool::start("kmsd-http-quick", QUICK_THREADS, QUICK_BATCH, answer_all)?;
        let signing_keys = SigningKeys::default();
        let front = Arc::new(Front { service, clock, signing_keys, tls: tls.is_some(), endpoint });
        let tls = tls.map(TlsAcceptor::from);
        let shared = Arc::new(Shared { front, limits, tls, quick });
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(accept(listener, shared, stopped));
        Ok(Self { runtime: Some(runtime), stop, drain: limits.drain })
    }

    /// Takes no more requests and waits for those it has, for a bounded time.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // The receivers end when their connections do.
        let _ = self.stop.send(true);
        runtime.block_on(async {
            let _ = tokio::time::timeout(self.drain, self.stop.closed()).await;
        });
        runtime.shutdown_timeout(self.drain);
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &room) => accepted,
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
                connections.spawn(async move {
                    greet(stream, peer, shared, stopped).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A connection with a place for it.
async fn next(
    listener: &tokio::net::TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small; waiting for more to send would cost 40 ms each.
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

/// Agrees on how to speak, and serves.
async fn greet(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(tls) = shared.tls.clone() else {
        return serve(stream, peer, shared, stopped).await;
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(shared.limits.head, tls.accept(stream)) => shaken,
        _ = stopped.changed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve(stream, peer, shared, stopped).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let head = shared.limits.head;
    let handler = hyper::service::service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(shared, peer, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), handler);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an HTTP connection ended");
    }
}

/// A reply before it has the headers that all have.
struct Outcome {
    status: StatusCode,
    media: &'static str,
    body: Vec<u8>,
    request_id: String,
}

impl Outcome {
    fn failed(failure: &Failure, request_id: String) -> Self {
        Self {
            status: StatusCode::from_u16(failure.status)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            media: json::MEDIA_TYPE,
            body: failure.body(),
            request_id,
        }
    }
}

impl Outcome {
    /// Of the query protocol: status and body.
    fn of_query((status, body): (u16, String), request_id: String) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            media: sts::MEDIA_TYPE,
            body: body.into_bytes(),
            request_id,
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let outcome = if request.uri().path() == "/healthz" {
        healthz(request.method())
    } else {
        post(shared, peer, request).await
    };
    let mut response = Response::new(Full::new(Bytes::from(outcome.body)));
    *response.status_mut() = outcome.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(outcome.media));
    if outcome.status == StatusCode::PAYLOAD_TOO_LARGE {
        // What is left of the body is not read, so nothing can follow it.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(&outcome.request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn healthz(method: &Method) -> Outcome {
    let known = *method == Method::GET || *method == Method::HEAD;
    Outcome {
        status: if known { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED },
        media: "text/plain",
        body: if known { b"ok\n".to_vec() } else { Vec::new() },
        request_id: request_id(),
    }
}

async fn post(shared: Arc<Shared>, peer: SocketAddr, request: Request<Incoming>) -> Outcome {
    let (head, body) = request.into_parts();
    let reading = Limited::new(body, shared.limits.body).collect();
    let body = match tokio::time::timeout(shared.limits.upload, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let failure = Failure {
                status: 413,
                name: "RequestEntityTooLargeException",
                message: Some(format!("The body exceeds {} bytes.", shared.limits.body)),
            };
            return Outcome::failed(&failure, request_id());
        }
        Ok(Err(_)) | Err(_) => {
            return Outcome::failed(&Failure::from(&KmsError::Serialization), request_id());
        }
    };
    let (reply, answered) = oneshot::channel();
    let job = Job { front: Arc::clone(&shared.front), peer, head, body, reply };
    if job.is_quick() {
        shared.quick.submit(job);
    } else {
        tokio::task::spawn_blocking(move || answer_all(vec![job]));
    }
    answered.await.unwrap_or_else(|_| {
        tracing::error!("a request made the service panic");
        let failure = Failure { status: 500, name: "KMSInternalException", message: None };
        Outcome::failed(&failure, request_id())
    })
}

impl Job {
    /// Whether it may go along with others: what works with private keys of RSA, or makes keys,
    /// would hold them up.
    fn is_quick(&self) -> bool {
        let target = self.head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        json::action(target).is_ok_and(|action| QUICK.contains(&action))
    }
}

/// Answers requests that arrived together; their audit records share a flush.
fn answer_all(jobs: Vec<Job>) {
    let begun: Vec<_> = jobs
        .into_iter()
        .map(|Job { front, peer, head, body, reply }| {
            let begun = begin(&front, peer, &head, &body);
            // The body may have held a plaintext; hyper's own buffer is out of reach.
            if let Ok(mut body) = body.try_into_mut() {
                body.zeroize();
            }
            (front, begun, reply)
        })
        .collect();
    for (front, begun, reply) in begun {
        let outcome = match begun {
            Ok((begun, request_id)) => {
                match front.service.complete(begun).and_then(|reply| reply.to_json()) {
                    Ok(body) => Outcome {
                        status: StatusCode::OK,
                        media: json::MEDIA_TYPE,
                        body,
                        request_id,
                    },
                    Err(error) => Outcome::failed(&Failure::from(&error), request_id),
                }
            }
            Err(outcome) => outcome,
        };
        // Nobody there any more: the client has gone.
        let _ = reply.send(outcome);
    }
}

/// Authenticates, then hands the request to the service. The text is its request id; an outcome
/// is there already when it did not come so far.
fn begin(
    front: &Front,
    peer: SocketAddr,
    head: &hyper::http::request::Parts,
    body: &[u8],
) -> Result<(Begun, String), Outcome> {
    let headers: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let view = SignedView {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or(""),
        headers: &headers,
        body,
    };
    let query = sts::is_query(view.header(CONTENT_TYPE.as_str()));
    let service = if query { "sts" } else { "kms" };
    let connection = Connection { ip: peer.ip(), tls: front.tls, endpoint: front.endpoint.clone() };
    let authenticator = Authenticator {
        service: &front.service,
        clock: &*front.clock,
        signing_keys: &front.signing_keys,
    };
    let (caller, there) = match authenticator.caller(&connection, &view, service) {
        Ok(known) => known,
        Err(failure) => {
            tracing::info!(%peer, name = failure.name, "a request was not authenticated");
            let id = request_id();
            return Err(if query {
                Outcome::of_query(sts::refused(&failure, &id), id)
            } else {
                Outcome::failed(&failure, id)
            });
        }
    };
    if query {
        let answer = sts::answer(&front.service, &caller, body);
        return Err(Outcome::of_query(answer, caller.request_id));
    }
    let target = view.header("x-amz-target");
    let request = if head.method == Method::POST && head.uri.path() == "/" {
        json::request(target, body)
    } else {
        Err(KmsError::UnknownOperation { name: String::new() })
    };
    match request {
        Ok(request) => Ok((there.begin(&caller, request), caller.request_id)),
        Err(error) => Err(Outcome::failed(&Failure::from(&error), caller.request_id)),
    }
}
