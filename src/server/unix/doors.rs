//! Who is in: the table of connections, and how many each user may have.
//!
//! It lies apart from what serves them: a reader lets go of everything else before it leaves the
//! table, so that an empty table means that nobody uses the service any more.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::connection::Connection;
use super::limits::UnixLimits;

/// The table of connections.
#[derive(Default)]
pub(super) struct Doors {
    table: Mutex<Table>,
    /// Signalled when a connection has left the table.
    left: Condvar,
}

/// Open connections, by a number of their own, and how many each user has.
#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
    users: HashMap<u32, usize>,
}

/// A connection's place in the table, given up when dropped.
pub(super) struct Place {
    doors: Arc<Doors>,
    number: u64,
    uid: u32,
}

impl Doors {
    /// Gives a connection of the user `uid` a place. EUSERS if there is none for one like it.
    pub fn admit(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        uid: u32,
        service: bool,
        limits: &UnixLimits,
    ) -> io::Result<Place> {
        // An eighth is kept for services, so that users cannot lock the filesystem out.
        let room = limits.connections - if service { 0 } else { limits.connections / 8 };
        let mut table = self.table.lock();
        let mine = table.users.get(&uid).copied().unwrap_or(0);
        if table.open.len() >= room || (!service && mine >= limits.per_user) {
            return Err(io::Error::from_raw_os_error(libc::EUSERS));
        }
        table.next += 1;
        let number = table.next;
        table.open.insert(number, Arc::clone(connection));
        table.users.insert(uid, mine + 1);
        Ok(Place { doors: Arc::clone(self), number, uid })
    }

    /// The connections that are open now.
    pub fn open(&self) -> Vec<Arc<Connection>> {
        self.table.lock().open.values().cloned().collect()
    }

    /// Closes all connections and waits until the last has left.
    pub fn clear(&self) {
        let mut table = self.table.lock();
        for connection in table.open.values() {
            connection.close();
        }
        self.left.wait_while(&mut table, |table| !table.open.is_empty());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.doors.table.lock();
        table.open.remove(&self.number);
        if let Some(count) = table.users.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                table.users.remove(&self.uid);
            }
        }
        self.doors.left.notify_all();
    }
}
