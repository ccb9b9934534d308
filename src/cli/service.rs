//! The key service as the commands see it: one type, whether it runs in this process or behind a
//! socket.
//!
//! One process at a time can have an embedded store open. So that a second mount, or `kmsfs key
//! list` beside a mount, works all the same, a mount that has the store open listens on a socket
//! in the store's directory, and whoever comes later asks there ([`super::host`]).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::args::ServiceArgs;
use super::config::{ServicePlan, Unlock};
use super::error::CliError;
use super::exit::Exit;
use super::host::{self, Host};
use super::passphrase::{self, Typed};
use super::store;
use crate::client::admin::{Admin, AdminError};
use crate::client::conn::KmsConn;
use crate::client::embedded::Embedded;
use crate::client::keys::KeyClient;
use crate::client::unix::{UnixConn, UnixOptions};
use crate::kms::api::{IamReply, IamRequest, Reply, Request};
use crate::server::messages::KnownVolume;
use crate::store::open::Served;
use crate::volume::keys::DataKeys;

/// Between two attempts to get at a store that another command has open.
const RETRY: Duration = Duration::from_millis(50);

/// What a command needs the service for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// One or a few requests.
    Command,
    /// A mount: it lasts, and shares an embedded store with others.
    Mount,
}

/// An open key service.
pub struct KeyService {
    conn: Arc<dyn KmsConn>,
    admin: Admin,
    /// This process has the store open and lets others in.
    host: Option<Host>,
    /// Another process has: it stays as long as this is held.
    guest: Option<File>,
    /// The embedded service. Last: it is closed after everything that uses it.
    served: Option<Box<Served>>,
}

impl ServicePlan {
    /// Asks for the passphrase if this plan will need one. Called while there is a terminal.
    pub fn ask(&self) -> Result<Option<Typed>, CliError> {
        let ServicePlan::Embedded { dir, unlock, .. } = self else { return Ok(None) };
        match unlock {
            Unlock::PassphraseFd(fd) => passphrase::from_fd(*fd).map(Some),
            Unlock::KeyFile(_) => Ok(None),
            Unlock::Automatic { key_file } if store::needs_passphrase(dir, key_file) => {
                passphrase::ask(&format!("Passphrase of the key store {}", dir.display())).map(Some)
            }
            Unlock::Automatic { .. } => Ok(None),
        }
    }
}

impl KeyService {
    /// Opens what the arguments of a key command say.
    pub fn from_args(args: ServiceArgs) -> Result<KeyService, CliError> {
        let plan = ServicePlan::from_args(args)?;
        let typed = plan.ask()?;
        KeyService::open(&plan, typed, Use::Command)
    }

    /// Opens a key service. An embedded store is made at its first use. A service that is away,
    /// and a store that is open elsewhere, are waited for as long as the plan says.
    pub fn open(
        plan: &ServicePlan,
        typed: Option<Typed>,
        what_for: Use,
    ) -> Result<KeyService, CliError> {
        match plan {
            ServicePlan::Unix { socket, timeout } => match connect(socket, *timeout)? {
                Some(conn) => Ok(KeyService::over(Arc::new(conn))),
                None => Err(CliError::Unreachable { socket: socket.clone() }),
            },
            ServicePlan::Embedded { dir, unlock, timeout } => {
                embedded(dir, unlock, typed, *timeout, what_for)
            }
        }
    }

    fn over(conn: Arc<dyn KmsConn>) -> KeyService {
        let admin = Admin::new(Arc::clone(&conn));
        KeyService { conn, admin, host: None, guest: None, served: None }
    }

    /// The key store that was made for this, if it was.
    pub fn made_store(&self) -> bool {
        self.served.as_ref().is_some_and(|s| s.created)
    }

    /// One action of the KMS API, as the user who runs this process.
    pub fn call(&self, request: Request) -> Result<Reply, CliError> {
        self.admin.call(request).map_err(refused)
    }

    /// One action of user administration.
    pub fn iam(&self, request: IamRequest) -> Result<IamReply, CliError> {
        self.admin.iam(request).map_err(refused)
    }

    /// Id and current version of a key, and the volumes that use it.
    pub fn key_usage(&self, key: &str) -> Result<(String, u32, Vec<KnownVolume>), CliError> {
        self.admin.key_usage(key).map_err(refused)
    }

    /// Destroys a version of a key; gives the volumes that stand in the way.
    pub fn retire_version(&self, key: &str, version: u32) -> Result<Vec<KnownVolume>, CliError> {
        self.admin.retire_version(key, version).map_err(refused)
    }

    /// Marks a version of a key as compromised; gives the version that seals now.
    pub fn compromise_version(&self, key: &str, version: u32) -> Result<u32, CliError> {
        self.admin.compromise_version(key, version).map_err(refused)
    }

    /// Forgets the volumes at a place; gives their number.
    pub fn forget_volume(&self, place: &str) -> Result<u32, CliError> {
        self.admin.forget_volume(place).map_err(refused)
    }

    /// The key id behind a key id, ARN or alias. `None` and the name of the managed key: that
    /// one, which is made when it is missing.
    pub fn key_id(&self, key: Option<&str>) -> Result<String, CliError> {
        match key {
            None | Some("alias/aws/kmsfs") => self.admin.managed_key(),
            Some(key) => self.admin.resolve(key),
        }
        .map_err(refused)
    }

    /// The data keys of a mount.
    pub fn data_keys(&self) -> Result<Arc<dyn DataKeys>, CliError> {
        let client = KeyClient::new(Arc::clone(&self.conn)).map_err(|source| CliError::Io {
            action: "start",
            path: "the key client".into(),
            source,
        })?;
        Ok(Arc::new(client))
    }

    /// Ends it. A host stays until its last guest has gone.
    pub fn close(self) {
        if let Some(host) = self.host {
            host.close();
        }
        drop((self.conn, self.admin));
        drop(self.guest);
        drop(self.served);
    }
}

fn connect(socket: &Path, wait: Duration) -> Result<Option<UnixConn>, CliError> {
    let options = UnixOptions { path: socket.to_owned(), wait };
    let conn = UnixConn::open(options).map_err(|source| CliError::Io {
        action: "connect to",
        path: socket.to_owned(),
        source,
    })?;
    Ok(conn.wait_connected().then_some(conn))
}

fn embedded(
    dir: &Path,
    unlock: &Unlock,
    typed: Option<Typed>,
    timeout: Duration,
    what_for: Use,
) -> Result<KeyService, CliError> {
    let deadline = Instant::now() + timeout;
    loop {
        match store::open(dir, unlock, typed.as_ref())? {
            store::Opened::Here(served) => {
                if served.created {
                    tracing::info!(dir = %dir.display(), "made a key store");
                }
                let host = match what_for {
                    Use::Mount => host::listen(dir, served.service()),
                    Use::Command => None,
                };
                let conn = Arc::new(Embedded::new(Arc::clone(served.service())));
                return Ok(KeyService { served: Some(served), host, ..KeyService::over(conn) });
            }
            store::Opened::Elsewhere => {
                let socket = host::socket(dir);
                // Not there: a command has the store, and will have done with it soon.
                if socket.exists()
                    && let Some(guest) = host::announce(dir)?
                    && let Some(conn) = connect(&socket, Duration::from_millis(500))?
                {
                    return Ok(KeyService {
                        guest: Some(guest),
                        ..KeyService::over(Arc::new(conn))
                    });
                }
                if Instant::now() > deadline {
                    return Err(CliError::StoreBusy { dir: dir.to_owned() });
                }
                sleep(RETRY);
            }
        }
    }
}

fn refused(e: AdminError) -> CliError {
    match e {
        AdminError::Failed(e) => CliError::Kms(e),
        AdminError::Unreachable(_) => CliError::Silent,
        AdminError::Unexpected(_) => unexpected(),
    }
}

/// A reply of another kind than was asked for: the other side is not what it should be.
pub fn unexpected() -> CliError {
    CliError::KeyService {
        what: "the key service gave an answer to another question".into(),
        remedy: "use the same version of kmsfs on both sides",
        exit: Exit::Failed,
    }
}
