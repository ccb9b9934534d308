//! Connections, from their acceptance to their end.
//!
//! Invariant: a stop takes no new request and finishes those that were accepted.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::exchange::Exchange;
use super::limits::{HttpLimits, MAX_HEAD, MAX_HEADERS};

/// How connections are spoken to, and who answers them.
pub(super) struct Manner {
    /// Who answers.
    pub exchange: Exchange,
    /// What a peer may cost.
    pub limits: HttpLimits,
    /// What is agreed on first.
    pub tls: Option<TlsAcceptor>,
}

/// Accepts connections and serves each to its end, until `stopped` changes.
pub(super) async fn accept(
    listener: TcpListener,
    manner: Arc<Manner>,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(manner.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &room) => accepted,
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (manner, stopped) = (Arc::clone(&manner), stopped.clone());
                connections.spawn(async move {
                    greet(stream, peer, manner, stopped).await;
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
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small; waiting for more to send would cost 40 ms each.
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

/// Agrees on how to speak, and serves.
async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    manner: Arc<Manner>,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(tls) = manner.tls.clone() else {
        return serve(stream, peer, manner, stopped).await;
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(manner.limits.head, tls.accept(stream)) => shaken,
        _ = stopped.changed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve(stream, peer, manner, stopped).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// Takes one request after the other.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    manner: Arc<Manner>,
    mut stopped: watch::Receiver<bool>,
) {
    let head = manner.limits.head;
    let handler = hyper::service::service_fn(move |request| {
        let manner = Arc::clone(&manner);
        async move { Ok::<_, Infallible>(manner.exchange.answer(peer, request).await) }
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
