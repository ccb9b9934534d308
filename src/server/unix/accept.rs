//! Connections from their acceptance to their reader: who it is, and whether there is a place.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::doors::Doors;
use super::limits::UnixLimits;
use super::reader::Reader;
use super::threads::named;
use super::work::Work;
use crate::server::dispatch::Peer;
use crate::server::sys;

/// Who lets connections in.
pub(super) struct Acceptor {
    /// Where their requests go.
    pub work: Arc<Work>,
    /// Where they are listed.
    pub doors: Arc<Doors>,
    /// What a peer may cost.
    pub limits: UnixLimits,
}

impl Acceptor {
    /// Lets connections in until the listener is shut down.
    pub fn run(&self, listener: &UnixListener) {
        while !self.work.stopping() {
            match listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = self.admit(stream) {
                        tracing::debug!(%error, "a local connection was refused");
                    }
                }
                // The listener was shut down in order to wake us.
                Err(_) if self.work.stopping() => return,
                Err(error) => {
                    // Out of descriptors, most likely: waiting is all that helps.
                    tracing::error!(%error, "cannot accept a local connection");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(self.limits.patience))?;
        stream.set_write_timeout(Some(self.limits.patience))?;
        let who = sys::peer_credentials(stream.as_fd())?;
        let peer = Peer::Local(who);
        let connection = Arc::new(Connection::new(peer, stream));
        let service = self.work.handler.trusts(peer);
        let place = self.doors.admit(&connection, who.uid, service, &self.limits)?;
        let reader = Reader { work: Arc::clone(&self.work), limits: self.limits, connection };
        named("kmsd-reader", move || {
            // Dropped in the opposite order, after a panic too: the place goes last.
            let _place = place;
            let reader = reader;
            if let Err(error) = reader.run() {
                tracing::debug!(uid = who.uid, %error, "a local connection ended");
            }
        })
        .map(drop)
    }
}
