//! One request and its response: the body is read here, bounded in bytes and time, and the
//! request handed to the threads that answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::oneshot;

use super::call::{Front, Job, answer_all};
use super::limits::HttpLimits;
use super::outcome::Outcome;
use crate::kms::caller::request_id;
use crate::kms::error::KmsError;
use crate::server::json::Failure;
use crate::server::pool::Pool;

/// Threads for requests that are quick: while one waits for the disk, the other decides.
const QUICK_THREADS: usize = 3;

/// Most of them that one thread takes at once.
const QUICK_BATCH: usize = 32;

/// What the requests of all connections share.
pub(super) struct Exchange {
    front: Arc<Front>,
    limits: HttpLimits,
    quick: Pool<Job>,
}

impl Exchange {
    /// Starts the threads for what is quick.
    pub fn start(front: Front, limits: HttpLimits) -> io::Result<Self> {
        let quick = Pool::start("kmsd-http-quick", QUICK_THREADS, QUICK_BATCH, answer_all)?;
        Ok(Self { front: Arc::new(front), limits, quick })
    }

    /// The response to one request.
    pub async fn answer(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let outcome = if request.uri().path() == "/healthz" {
            Outcome::health(request.method())
        } else {
            self.outcome(peer, request).await
        };
        outcome.into_response()
    }

    async fn outcome(&self, peer: SocketAddr, request: Request<Incoming>) -> Outcome {
        let (head, body) = request.into_parts();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(failure) => return Outcome::failed(&failure, request_id()),
        };
        let (reply, answered) = oneshot::channel();
        let job = Job { front: Arc::clone(&self.front), peer, head, body, reply };
        if job.is_quick() {
            self.quick.submit(job);
        } else {
            tokio::task::spawn_blocking(move || answer_all(vec![job]));
        }
        answered.await.unwrap_or_else(|_| {
            tracing::error!("a request made the service panic");
            let failure = Failure { status: 500, name: "KMSInternalException", message: None };
            Outcome::failed(&failure, request_id())
        })
    }

    /// The whole body.
    async fn read(&self, body: Incoming) -> Result<Bytes, Failure> {
        let reading = Limited::new(body, self.limits.body).collect();
        match tokio::time::timeout(self.limits.upload, reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure {
                status: 413,
                name: "RequestEntityTooLargeException",
                message: Some(format!("The body exceeds {} bytes.", self.limits.body)),
            }),
            Ok(Err(_)) | Err(_) => Err(Failure::from(&KmsError::Serialization)),
        }
    }
}
