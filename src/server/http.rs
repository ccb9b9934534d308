//! The HTTP listener: AWS JSON 1.1 with SigV4, for SDKs and the AWS CLI.
//!
//! One request is one `POST /`; `GET /healthz` answers without a signature. The whole body is
//! read (bounded) before its signature is checked, and nothing of it is parsed before that.
//!
//! | file | is |
//! |---|---|
//! | `bound` | the address |
//! | `connections` | accepting, TLS, one request after the other, and the stop |
//! | `exchange` | one request read, and its response |
//! | `call` | signature, request, service |
//! | `outcome` | what it came to, as a response |
//! | `limits` | what a peer may cost |
//!
//! Invariants:
//! - without TLS ([`super::tls`]) it binds loopback addresses only, since bodies hold plaintext and data keys;
//! - calls of the service block for disk flushes, so they run apart from the I/O threads;
//! - a stop takes no new request and finishes those that were accepted.

mod bound;
mod call;
mod connections;
mod exchange;
mod limits;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use self::call::Front;
use self::connections::{Manner, accept};
use self::exchange::Exchange;
use super::sigv4::SigningKeys;
use crate::clock::Clock;
use crate::kms::service::Service;

pub use self::bound::{Bound, HttpError};
pub use self::limits::HttpLimits;

/// A running listener.
pub struct HttpServer {
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    drain: Duration,
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
        let signing_keys = SigningKeys::default();
        let front = Front { service, clock, signing_keys, tls: tls.is_some(), endpoint };
        let exchange = Exchange::start(front, limits)?;
        let manner = Arc::new(Manner { exchange, limits, tls: tls.map(TlsAcceptor::from) });
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(accept(listener, manner, stopped));
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
