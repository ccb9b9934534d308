//! Who asks, from where, and for whom.
//!
//! A server builds a [`CallerContext`] from what it has verified itself (a signature, peer
//! credentials); nothing in here is taken from a client's word. What could not be established
//! is absent, and a condition on it does not match.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::id::{AccountId, IdError};
use crate::sync::Arc;

/// Name of the filesystem's service principal.
pub const FILESYSTEM_SERVICE: &str = "kmsfs.amazonaws.com";

/// An identity that policies can name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Principal {
    /// The root user of an account.
    Root {
        /// Its account.
        account: AccountId,
    },
    /// A user.
    User {
        /// Its account.
        account: AccountId,
        /// Login name, with its path if it has one: `NAME` or `PATH/NAME`.
        name: String,
    },
    /// A session of a role.
    AssumedRole {
        /// Its account.
        account: AccountId,
        /// Name of the role, without path.
        role: String,
        /// Name of the session.
        session: String,
    },
    /// A service acting for itself.
    Service {
        /// `kmsfs.amazonaws.com` and the like.
        name: String,
    },
}

impl Principal {
    /// A user by login name.
    pub fn user(account: &AccountId, name: &str) -> Principal {
        Principal::User { account: account.clone(), name: name.to_owned() }
    }

    /// The filesystem acting for itself.
    pub fn filesystem() -> Principal {
        Principal::Service { name: FILESYSTEM_SERVICE.to_owned() }
    }

    /// The account; a service has none.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Principal::Root { account }
            | Principal::User { account, .. }
            | Principal::AssumedRole { account, .. } => Some(account),
            Principal::Service { .. } => None,
        }
    }

    /// Reads the ARN of a user, a role session or an account's root.
    pub fn from_arn(arn: &str) -> Result<Principal, IdError> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", "aws", service, "", account, resource] = parts.as_slice() else {
            return Err(IdError::Principal);
        };
        let account: AccountId = account.parse()?;
        match (*service, resource.split_once('/')) {
            ("iam", None) if *resource == "root" => Ok(Principal::Root { account }),
            ("iam", Some(("user", name))) if !name.is_empty() && !name.ends_with('/') => {
                Ok(Principal::User { account, name: name.to_owned() })
            }
            ("sts", Some(("assumed-role", rest))) => match rest.split_once('/') {
                Some((role, session)) if !role.is_empty() && !session.is_empty() => {
                    let (role, session) = (role.to_owned(), session.to_owned());
                    Ok(Principal::AssumedRole { account, role, session })
                }
                _ => Err(IdError::Principal),
            },
            _ => Err(IdError::Principal),
        }
    }
}

/// The ARN; the bare name of a service.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Root { account } => write!(f, "arn:aws:iam::{account}:root"),
            Principal::User { account, name } => write!(f, "arn:aws:iam::{account}:user/{name}"),
            Principal::AssumedRole { account, role, session } => {
                write!(f, "arn:aws:sts::{account}:assumed-role/{role}/{session}")
            }
            Principal::Service { name } => f.write_str(name),
        }
    }
}

/// How a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Over HTTP, with a verified signature.
    Http {
        /// Peer address.
        ip: IpAddr,
        /// `User-Agent`, as sent.
        user_agent: Option<String>,
        /// Whether the connection was encrypted.
        tls: bool,
        /// The access key that signed.
        access_key_id: String,
        /// The endpoint that it came through, if the listener is one.
        endpoint: Option<Arc<VpcEndpoint>>,
    },
    /// Over a Unix socket, with the kernel's word for the peer.
    Unix {
        /// Peer's user id.
        uid: u32,
        /// Peer's group id.
        gid: u32,
        /// Peer's process id; 0 when unknown.
        pid: u32,
    },
    /// From inside this process: the embedded service.
    Internal,
}

/// An endpoint of a virtual private cloud: what the configuration says of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VpcEndpoint {
    /// `vpc-...`
    pub vpc: String,
    /// `vpce-...`
    pub id: String,
}

/// The process that a service acts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OnBehalf {
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
    /// Its supplementary groups, where they could be established.
    pub groups: Option<Vec<u32>>,
    /// Its thread id; 0 when unknown.
    pub pid: u32,
    /// What it runs; `None` where no policy asks about it, so that nobody looked.
    pub program: Option<Program>,
    /// What it is about to do with what the key is for; `None` where it did not say.
    pub operation: Option<Operation>,
    /// Where that is in its volume; `None` where no policy asks about it, and where the filesystem
    /// cannot establish it. It is a plaintext name: it goes into no record and no message.
    pub path: Option<PlainPath>,
}

/// A path inside a volume, which nothing prints.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlainPath(pub String);

impl fmt::Debug for PlainPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainPath")
    }
}

/// Condition key that a path becomes, in lower case.
pub const PATH_KEY: &str = "kmsfs:path";

/// What a process does with an object of a filesystem: the values of `kmsfs:Operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Read a file's content, a link's target, an attribute.
    Read,
    /// Change a file's content or an attribute, take a name away from a directory.
    Write,
    /// Make a name in a directory.
    Create,
    /// List a directory.
    List,
}

impl Operation {
    /// The value of the condition key.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Create => "create",
            Operation::List => "list",
        }
    }
}

/// What a process runs. All of it the kernel's word, none of it the process's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Program {
    /// Path of its executable; absent when that has been removed or replaced since.
    pub executable: Option<String>,
    /// SHA-256 of its executable, as 64 hex digits: of what runs, not of what lies at the path.
    pub sha256: Option<String>,
    /// The system service, scope or other unit that it belongs to.
    pub unit: Option<String>,
}

/// Condition keys that [`Program`] becomes, in lower case.
pub const PROGRAM_KEYS: [&str; 3] =
    ["kmsfs:executable", "kmsfs:executablesha256", "kmsfs:systemdunit"];

/// Temporary credentials: what a session has besides the policies of its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it began: milliseconds since 1970.
    pub issued: i64,
    /// A policy that narrows what the role may do, if one was given.
    pub policy: Option<String>,
}

/// Everything about a request but the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerContext {
    /// Who asks.
    pub principal: Principal,
    /// How the request came in.
    pub source: Source,
    /// The service that forwards the request for `principal`:
    /// `kmsfs.REGION.amazonaws.com`; absent on direct calls.
    pub via_service: Option<String>,
    /// The process that the service acts for.
    pub on_behalf: Option<OnBehalf>,
    /// Of whoever signed with temporary credentials.
    pub session: Option<Session>,
    /// Names the request in replies and audit records.
    pub request_id: String,
}

impl CallerContext {
    /// A context without forwarding service, with a fresh request id.
    pub fn direct(principal: Principal, source: Source) -> CallerContext {
        CallerContext {
            principal,
            source,
            via_service: None,
            on_behalf: None,
            session: None,
            request_id: request_id(),
        }
    }

    /// The filesystem service, served by `source`, acting for itself, or for `on_behalf`, whose
    /// principal is then `principal`.
    pub fn filesystem(
        principal: Principal,
        region: &super::id::Region,
        source: Source,
        on_behalf: Option<OnBehalf>,
    ) -> CallerContext {
        let via_service = Some(format!("kmsfs.{region}.amazonaws.com"));
        let session = None;
        CallerContext {
            principal,
            source,
            via_service,
            on_behalf,
            session,
            request_id: request_id(),
        }
    }
}

/// A fresh request id.
pub fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_principals_read_back_as_written() {
        for arn in [
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:user/user1",
            "arn:aws:iam::111122223333:user/team/a/user1",
            "arn:aws:sts::111122223333:assumed-role/Role/session",
        ] {
            assert_eq!(Principal::from_arn(arn).unwrap().to_string(), arn);
        }
    }

    #[test]
    fn other_arns_are_no_principals() {
        for bad in [
            "",
            "user1",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:group/g",
            "arn:aws:iam::1:root",
            "arn:aws:iam:region:111122223333:root",
            "arn:aws:sts::111122223333:assumed-role/Role",
        ] {
            assert!(Principal::from_arn(bad).is_err(), "{bad}");
        }
    }
}
