//! From a request that has been read to a call of the service: whose signature it is, what it
//! asks for, and what it came to.
//!
//! This blocks for disk flushes and runs apart from the I/O threads. Requests that are quick are
//! taken several at a time, so that their audit records share a flush.
//!
//! Invariant: nothing of a body is parsed before its signature was checked.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use tokio::sync::oneshot;
use zeroize::Zeroize;

use super::outcome::Outcome;
use crate::clock::Clock;
use crate::kms::api::Action;
use crate::kms::caller::{VpcEndpoint, request_id};
use crate::kms::error::KmsError;
use crate::kms::service::{Begun, Service};
use crate::server::auth::{Authenticator, Connection};
use crate::server::json::{self, Failure};
use crate::server::sigv4::{SignedView, SigningKeys};
use crate::server::sts;

/// What takes no longer than its audit record. Anything else would hold up who is taken along
/// with it: what works with private keys of RSA, or makes keys.
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

/// What answering needs. Apart from the pool, which nobody may let go of from within.
pub(super) struct Front {
    /// Who answers.
    pub service: Arc<Service>,
    /// Signatures are good for a while only.
    pub clock: Arc<dyn Clock>,
    /// Derived from secrets of callers, for as long as they hold.
    pub signing_keys: SigningKeys,
    /// Bodies are encrypted on their way.
    pub tls: bool,
    /// Callers come through this.
    pub endpoint: Option<Arc<VpcEndpoint>>,
}

/// A request that has been read, and who waits for its outcome.
pub(super) struct Job {
    /// Who answers.
    pub front: Arc<Front>,
    /// Who asks.
    pub peer: SocketAddr,
    /// Method, path and headers.
    pub head: Parts,
    /// The whole body.
    pub body: Bytes,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Outcome>,
}

impl Job {
    /// Whether it may go along with others.
    pub fn is_quick(&self) -> bool {
        let target = self.head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        json::action(target).is_ok_and(|action| QUICK.contains(&action))
    }
}

/// Answers requests that arrived together; their audit records share a flush.
pub(super) fn answer_all(jobs: Vec<Job>) {
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
                    Ok(body) => Outcome::done(body, request_id),
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
    head: &Parts,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_quick_changes_anything() {
        // A change is handled to its end while others wait for theirs.
        assert!(QUICK.iter().all(|action| action.read_only()));
    }
}
