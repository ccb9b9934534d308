//! kmsd's configuration file: TOML in, a checked [`Config`] out.
//!
//! A key that is not known is an error that names its line: a misspelt `services` must not
//! silently mean "nobody". Names of users and groups are looked up here, once, at start.

mod problem;
mod tables;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::problem::{ConfigError, Problem};
use self::tables::{
    File, HttpTable, LimitsTable, PrincipalTable, RotationTable, UnixTable, UnlockTable,
};
use crate::kms::caller::{Principal, VpcEndpoint};
use crate::kms::id::{AccountId, IdError, Region};
use crate::kms::limits::{Limits, Rates};
use crate::kms::service::RotationRules;
use crate::server::users;
use crate::store::open::{DEFAULT_ACCOUNT, DEFAULT_REGION};

/// How the store is unlocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnlockBy {
    /// A key file that is there already.
    KeyFile(PathBuf),
    /// A systemd credential of this name.
    Credential(String),
    /// A passphrase from this descriptor.
    PassphraseFd(u16),
}

/// The Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its group, if it is not kmsd's own.
    pub group: Option<u32>,
}

/// An HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where.
    pub address: SocketAddr,
    /// With TLS; without only on loopback.
    pub tls: Option<TlsFiles>,
    /// Of a VPC, if it is an endpoint of one.
    pub endpoint: Option<VpcEndpoint>,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A configuration that makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// The account served.
    pub account: AccountId,
    /// The Region served.
    pub region: Region,
    /// Further Regions.
    pub regions: Vec<Region>,
    /// Uids that may act for others.
    pub services: HashSet<u32>,
    /// Who users and members of groups are, where not themselves.
    pub mapping: users::Mapping,
    /// Names, as in ARNs, of users who may do everything.
    pub administrators: Vec<String>,
    /// Directory of the store.
    pub store: PathBuf,
    /// Further copies.
    pub mirrors: Vec<PathBuf>,
    /// What unlocks the store; the key file `root.key` beside it, made with it, when absent.
    pub unlock: Option<UnlockBy>,
    /// Unix socket.
    pub unix: Option<UnixSocket>,
    /// HTTP listeners.
    pub http: Vec<Http>,
    /// Quotas and rates.
    pub limits: Limits,
    /// Directory of the audit trail; inside the store when absent.
    pub audit: Option<PathBuf>,
    /// When keys rotate.
    pub rotation: RotationRules,
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Config::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            // Some messages go on over several lines; one is enough.
            message: error.message().lines().next().unwrap_or_default().to_owned(),
        })?;
        check(file).map_err(|(key, problem)| ConfigError::Value {
            path: path.to_owned(),
            key,
            problem,
        })
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}

fn mapping(tables: &[PrincipalTable]) -> Checked<users::Mapping> {
    let mut mapping = users::Mapping::default();
    for table in tables {
        let unfit = || ("principals", Problem::Principal(table.arn.clone()));
        match (&table.user, &table.group) {
            (Some(user), None) => {
                let who = Principal::from_arn(&table.arn).map_err(|_| unfit())?;
                if !matches!(who, Principal::User { .. }) {
                    return Err(unfit());
                }
                let uid =
                    uid_of(user).ok_or_else(|| ("principals", Problem::User(user.clone())))?;
                mapping.users.insert(uid, who);
            }
            (None, Some(group)) => {
                let gid = users::gid_of(group)
                    .ok_or_else(|| ("principals", Problem::Group(group.clone())))?;
                let (account, role) = role_of(&table.arn).ok_or_else(unfit)?;
                mapping.roles.push((gid, account, role));
            }
            _ => return Err(unfit()),
        }
    }
    Ok(mapping)
}

/// Account and name of a role's ARN.
fn role_of(arn: &str) -> Option<(AccountId, String)> {
    let (account, role) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = role.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some((account.parse().ok()?, name.to_owned()))
}

type Checked<T> = Result<T, (&'static str, Problem)>;

fn check(file: File) -> Checked<Config> {
    let account = file.account.as_deref().unwrap_or(DEFAULT_ACCOUNT);
    let region = file.region.as_deref().unwrap_or(DEFAULT_REGION);
    let services: HashSet<u32> = file
        .services
        .iter()
        .map(|user| uid_of(user).ok_or_else(|| ("services", Problem::User(user.clone()))))
        .collect::<Checked<_>>()?;
    let names = users::Names::default();
    let administrators = file
        .administrators
        .iter()
        .map(|user| {
            let uid =
                uid_of(user).ok_or_else(|| ("administrators", Problem::User(user.clone())))?;
            Ok(names.of(uid))
        })
        .collect::<Checked<_>>()?;
    let mapping = mapping(&file.principals)?;
    let unix = file.unix.map(unix_socket).transpose()?;
    let named = file.http.into_iter().map(|table| http("http", table));
    let further = file.endpoints.into_iter().map(|table| http("endpoints", table));
    let http = named.chain(further).collect::<Checked<Vec<_>>>()?;
    if unix.is_none() && http.is_empty() {
        return Err(("unix", Problem::NoListener));
    }
    Ok(Config {
        account: account.parse().map_err(|error: IdError| ("account", error.into()))?,
        region: region.parse().map_err(|error: IdError| ("region", error.into()))?,
        regions: file
            .regions
            .iter()
            .map(|region| region.parse().map_err(|error: IdError| ("regions", error.into())))
            .collect::<Checked<_>>()?,
        services,
        mapping,
        administrators,
        store: absolute("store.dir", file.store.dir)?,
        mirrors: file
            .store
            .mirrors
            .into_iter()
            .map(|dir| absolute("store.mirrors", dir))
            .collect::<Checked<_>>()?,
        unlock: file.unlock.map(unlock_by).transpose()?,
        unix,
        http,
        limits: limits(&file.limits)?,
        audit: file.audit.map(|table| absolute("audit.dir", table.dir)).transpose()?,
        rotation: rotation(file.rotation),
    })
}

fn unix_socket(table: UnixTable) -> Checked<UnixSocket> {
    let mode = table.mode.unwrap_or_else(|| "0660".to_owned());
    let bits = u32::from_str_radix(&mode, 8).ok().filter(|bits| *bits <= 0o777);
    let group = table
        .group
        .map(|name| gid_of(&name).ok_or(("unix.group", Problem::Group(name))))
        .transpose()?;
    Ok(UnixSocket {
        path: absolute("unix.path", table.path)?,
        mode: bits.ok_or(("unix.mode", Problem::Mode(mode)))?,
        group,
    })
}

fn http(name: &'static str, table: HttpTable) -> Checked<Http> {
    let tls = match (table.certificate, table.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: absolute("http.certificate", certificate)?,
            key: absolute("http.key", key)?,
        }),
        _ => return Err((name, Problem::HalfTls)),
    };
    let address = table.address;
    if tls.is_none() && !address.ip().is_loopback() {
        return Err(("http.address", Problem::NotLoopback(address)));
    }
    let endpoint = match (table.vpc, table.vpce) {
        (None, None) if name == "endpoints" => return Err((name, Problem::Endpoint)),
        (None, None) => None,
        (Some(vpc), Some(id)) if vpc.starts_with("vpc-") && id.starts_with("vpce-") => {
            Some(VpcEndpoint { vpc, id })
        }
        _ => return Err((name, Problem::Endpoint)),
    };
    Ok(Http { address, tls, endpoint })
}

fn limits(table: &LimitsTable) -> Checked<Limits> {
    let usual = Limits::default();
    let positive = |key, value: Option<u32>| match value {
        Some(0) => Err((key, Problem::Zero)),
        other => Ok(other),
    };
    let aliases = positive("limits.aliases_per_key", table.aliases_per_key)?;
    if aliases.is_some_and(|aliases| aliases > usual.aliases) {
        return Err(("limits.aliases_per_key", Problem::TooHigh(usual.aliases)));
    }
    Ok(Limits {
        keys: positive("limits.keys", table.keys)?.unwrap_or(usual.keys),
        aliases: aliases.unwrap_or(usual.aliases),
        grants: positive("limits.grants_per_key", table.grants_per_key)?.unwrap_or(usual.grants),
        rotations: positive("limits.rotations_per_key", table.rotations_per_key)?
            .unwrap_or(usual.rotations),
        rates: Rates {
            cryptographic: positive("limits.cryptographic_rate", table.cryptographic_rate)?,
            management: positive("limits.management_rate", table.management_rate)?,
        },
    })
}

fn rotation(table: Option<RotationTable>) -> RotationRules {
    let mut rules = RotationRules::default();
    let Some(table) = table else { return rules };
    if let Some(seconds) = table.day_seconds {
        // No period is shorter than 90 of them, and none so long that it would not fit.
        let day = Duration::from_secs_f64(seconds.clamp(0.001, 1e6)).as_millis();
        rules.day = i64::try_from(day).unwrap_or(rules.day);
    }
    if let Some(most) = table.most_wraps {
        rules.most_wraps = most.max(1);
    }
    rules
}

fn unlock_by(table: UnlockTable) -> Checked<UnlockBy> {
    match (table.key_file, table.credential, table.passphrase_fd) {
        (Some(file), None, None) => Ok(UnlockBy::KeyFile(absolute("unlock.key_file", file)?)),
        (None, Some(name), None) => {
            let plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
            if plain {
                Ok(UnlockBy::Credential(name))
            } else {
                Err(("unlock.credential", Problem::Credential(name)))
            }
        }
        (None, None, Some(fd)) => Ok(UnlockBy::PassphraseFd(fd)),
        _ => Err(("unlock", Problem::Unlock)),
    }
}

fn absolute(key: &'static str, path: PathBuf) -> Checked<PathBuf> {
    if path.is_absolute() { Ok(path) } else { Err((key, Problem::Relative(path))) }
}

/// A login name, or a number for a user that has none.
fn uid_of(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| users::uid_of(user))
}

fn gid_of(group: &str) -> Option<u32> {
    group.parse().ok().or_else(|| users::gid_of(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
services = ["root"]
administrators = ["root", "4000000123"]

[store]
dir = "/var/lib/kmsd"

[unlock]
key_file = "/etc/kmsd/unlock.key"

[unix]
path = "/run/kmsd/kmsd.sock"
mode = "0666"

[http]
address = "127.0.0.1:4577"
"#;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("kmsd.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_is_understood() {
        let example = include_str!("../../contrib/kmsd.toml");
        let config = parse(example).unwrap();
        assert_eq!(config.account.as_str(), DEFAULT_ACCOUNT);
        assert!(config.services.contains(&0));
    }

    #[test]
    fn defaults_and_names() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.region.as_str(), DEFAULT_REGION);
        assert_eq!(config.administrators, ["root", "uid-4000000123"]);
        assert_eq!(config.unix.unwrap().mode, 0o666);
        assert_eq!(config.unlock, Some(UnlockBy::KeyFile("/etc/kmsd/unlock.key".into())));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let cases = [
            (GOOD.replace("services", "service"), "line 2: unknown field `service`"),
            (GOOD.replace("mode =", "modes ="), "line 13: unknown field `modes`"),
            (GOOD.replace("[store]", "[stores]"), "unknown field `stores`"),
            (GOOD.replace("dir = \"", "dir = "), "line 6: "),
            (GOOD.replace("key_file = \"/etc/kmsd/unlock.key\"", ""), "unlock: give exactly one"),
            (GOOD.replace("[\"root\"]", "[\"nobody-here\"]"), "services: there is no user"),
            (GOOD.replace("0666", "rw-rw"), "unix.mode: 'rw-rw' is not a mode"),
            (GOOD.replace("0666", "7777"), "unix.mode: '7777' is not a mode"),
            (GOOD.replace("127.0.0.1", "0.0.0.0"), "is not a loopback address"),
            (GOOD.replace("/var/lib/kmsd", "var"), "store.dir: 'var' is not an absolute path"),
            (format!("{GOOD}key = \"/k\""), "http: certificate and key go together"),
            (format!("{GOOD}certificate = \"c\"\nkey = \"/k\""), "'c' is not an absolute path"),
            (format!("{GOOD}[limits]\nkeys = 0"), "limits.keys: at least 1"),
            (format!("{GOOD}[limits]\naliases_per_key = 51"), "limits.aliases_per_key: at most 50"),
            (format!("account = \"1\"{GOOD}"), "account: "),
            (format!("region = \"R\"{GOOD}"), "region: "),
            (
                GOOD.replace("key_file = \"/etc/kmsd/unlock.key\"", "credential = \"../x\""),
                "unlock.credential: '../x' is not the name",
            ),
        ];
        for (text, message) in cases {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with("kmsd.toml: ") && error.contains(message), "{error}");
            assert!(!error.contains('\n'), "one line: {error}");
        }
    }

    #[test]
    fn with_certificates_any_address_is_served_and_limits_are_those_given() {
        let tls = "certificate = \"/c\"\nkey = \"/k\"\n[limits]\nkeys = 7\nmanagement_rate = 5";
        let config = parse(&format!("{}{tls}", GOOD.replace("127.0.0.1", "0.0.0.0"))).unwrap();
        let http = config.http.first().unwrap();
        assert!(http.tls.is_some() && http.address.ip().is_unspecified());
        assert_eq!(config.limits.keys, 7);
        assert_eq!(config.limits.rates, Rates { cryptographic: None, management: Some(5) });
        assert_eq!(config.limits.grants, Limits::default().grants);
    }

    #[test]
    fn endpoints_are_listeners_that_name_their_vpc() {
        let endpoint = "[[endpoints]]\naddress = \"127.0.0.1:4578\"\n";
        let names = "vpc = \"vpc-1\"\nvpce = \"vpce-2\"\n";
        let config = parse(&format!("{GOOD}{endpoint}{names}")).unwrap();
        let [first, second] = config.http.as_slice() else { panic!("{:?}", config.http) };
        assert_eq!(first.endpoint, None);
        let (vpc, id) = ("vpc-1".into(), "vpce-2".into());
        assert_eq!(second.endpoint, Some(VpcEndpoint { vpc, id }));
        assert!(parse(&format!("{GOOD}{names}")).unwrap().http[0].endpoint.is_some());
        let swapped = "vpc = \"vpce-2\"\nvpce = \"vpc-1\"\n";
        for bad in ["", "vpc = \"vpc-1\"\n", "vpce = \"vpce-1\"\n", swapped] {
            let error = parse(&format!("{GOOD}{endpoint}{bad}")).unwrap_err();
            assert!(error.contains("endpoints: an endpoint has vpc"), "{error}");
        }
    }

    #[test]
    fn a_service_that_nobody_can_reach_is_refused() {
        let text = GOOD.split("[unix]").next().unwrap();
        assert!(parse(text).unwrap_err().contains("nobody could reach"));
    }
}
