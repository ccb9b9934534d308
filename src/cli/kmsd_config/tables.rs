//! The configuration file as it is written: its tables and their keys, nothing checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    #[serde(default)]
    pub(super) regions: Vec<String>,
    #[serde(default)]
    pub(super) services: Vec<String>,
    #[serde(default)]
    pub(super) administrators: Vec<String>,
    pub(super) store: StoreTable,
    pub(super) unlock: Option<UnlockTable>,
    pub(super) unix: Option<UnixTable>,
    pub(super) http: Option<HttpTable>,
    #[serde(default)]
    pub(super) endpoints: Vec<HttpTable>,
    pub(super) audit: Option<AuditTable>,
    pub(super) rotation: Option<RotationTable>,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) principals: Vec<PrincipalTable>,
}

/// A user of this machine who is somebody else than `user/LOGIN` of the account, or a group whose
/// members act in a role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrincipalTable {
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreTable {
    pub(super) dir: PathBuf,
    #[serde(default)]
    pub(super) mirrors: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnlockTable {
    pub(super) key_file: Option<PathBuf>,
    pub(super) credential: Option<String>,
    pub(super) passphrase_fd: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnixTable {
    pub(super) path: PathBuf,
    pub(super) mode: Option<String>,
    pub(super) group: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTable {
    pub(super) address: SocketAddr,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) vpc: Option<String>,
    pub(super) vpce: Option<String>,
}

/// Quotas, and requests per second of an account; what is left out has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) keys: Option<u32>,
    pub(super) aliases_per_key: Option<u32>,
    pub(super) grants_per_key: Option<u32>,
    pub(super) rotations_per_key: Option<u32>,
    pub(super) cryptographic_rate: Option<u32>,
    pub(super) management_rate: Option<u32>,
}

/// When keys rotate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationTable {
    pub(super) day_seconds: Option<f64>,
    pub(super) most_wraps: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditTable {
    pub(super) dir: PathBuf,
}
