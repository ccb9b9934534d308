//! The address: bound before anything is served, and never one where bodies would travel in the
//! clear.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::ServerConfig;

use crate::kms::caller::VpcEndpoint;
use crate::server::tls::TlsError;

/// Why the listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Plain HTTP is for this machine only.
    #[error("{0} is not a loopback address; without TLS only loopback is served")]
    NotLoopback(SocketAddr),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) endpoint: Option<Arc<VpcEndpoint>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let refused = Bound::new(open.parse().unwrap(), None);
            assert!(matches!(refused, Err(HttpError::NotLoopback(_))), "{open}");
        }
        let bound = Bound::new("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = bound.address().unwrap();
        assert!(address.ip().is_loopback() && address.port() != 0);
        let again = Bound::new(address, None);
        assert!(matches!(again, Err(HttpError::Bind { .. })), "it is taken");
    }
}
