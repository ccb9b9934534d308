//! What can be wrong with the configuration file, and how it is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::kms::id::IdError;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not TOML, or not what is expected there.
    #[error("{}: line {line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{}: {key}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// Why a value makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not an account id, not a Region.
    #[error(transparent)]
    Id(#[from] IdError),
    /// No such login name or uid.
    #[error("there is no user '{0}'")]
    User(String),
    /// No such group.
    #[error("there is no group '{0}'")]
    Group(String),
    /// Relative paths would depend on where kmsd was started.
    #[error("'{}' is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// None or several ways to unlock.
    #[error("give exactly one of key_file, credential and passphrase_fd")]
    Unlock,
    /// Neither or both of user and group, or an ARN that does not fit.
    #[error("give user and the ARN of a user, or group and the ARN of a role: not {0}")]
    Principal(String),
    /// A name that leads out of the credentials directory.
    #[error("'{0}' is not the name of a credential")]
    Credential(String),
    /// A mode that is not octal, or has other bits than permissions.
    #[error("'{0}' is not a mode such as 0660")]
    Mode(String),
    /// Plain HTTP beyond this machine.
    #[error(
        "{0} is not a loopback address; without TLS only loopback is served: give certificate and key"
    )]
    NotLoopback(SocketAddr),
    /// Half of what TLS needs.
    #[error("certificate and key go together: give both or neither")]
    HalfTls,
    /// Half of what an endpoint is called, or something else.
    #[error("an endpoint has vpc = \"vpc-...\" and vpce = \"vpce-...\"")]
    Endpoint,
    /// A quota or rate that lets nothing through.
    #[error("at least 1; leave it out for the default")]
    Zero,
    /// More than is kept.
    #[error("at most {0}")]
    TooHigh(u32),
    /// Nothing to listen on.
    #[error("neither [unix] nor [http] is there: nobody could reach the service")]
    NoListener,
}
