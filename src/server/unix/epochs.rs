//! Epochs on their way to the clients, who may remember a decision for as long as its epoch holds.
//!
//! One herald waits for new epochs; each connection's pusher tells them to its client at once,
//! and repeats the old one every [`HEARTBEAT`] as a sign of life.

use std::time::Duration;

use super::connection::Connection;
use super::doors::Doors;
use super::work::Work;
use crate::server::messages::{Epoch, ToClient};

/// How often the pusher gives a sign of life.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// The herald: waits for new epochs on behalf of all pushers, so that a connection that ends need
/// not wait for the next one.
pub(super) fn proclaim(work: &Work, doors: &Doors) {
    let mut seen = work.handler.epoch();
    while !work.stopping() {
        let now = work.handler.wait_epoch(seen, HEARTBEAT);
        if now != seen {
            for connection in doors.open() {
                connection.tell(now);
            }
            seen = now;
        }
    }
}

/// A pusher: tells the peer of every new epoch, and once a second that the old one still holds.
pub(super) fn push(connection: &Connection, mut seen: Epoch) {
    while let Some(epoch) = connection.next_epoch(seen, HEARTBEAT) {
        seen = epoch;
        if connection.send(&[ToClient::Epoch(seen)]).is_err() {
            connection.close();
        }
    }
}
