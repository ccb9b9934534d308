//! The meaning of what was typed: defaults filled in, paths made absolute, contradictions found.
//!
//! Command line, `-o` and a configuration file all end here, as one [`MountPlan`] or one
//! [`ServicePlan`].

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::args::{MountArgs, ServiceArgs};
use super::error::CliError;
use super::mount_helper::HelperCall;
use super::options::{KmsAddress, MountOpts};
use crate::store::open::default_key_file;

/// Waited for a key service that is away, unless told otherwise.
const KMS_TIMEOUT: Duration = Duration::from_secs(5);

/// Which key service, and how it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePlan {
    /// One that listens on a Unix socket.
    Unix {
        /// The socket.
        socket: PathBuf,
        /// How long a request waits for it.
        timeout: Duration,
    },
    /// One inside this process.
    Embedded {
        /// Its store.
        dir: PathBuf,
        /// What unlocks it.
        unlock: Unlock,
        /// How long a request waits for another process that holds the store.
        timeout: Duration,
    },
}

/// What unlocks an embedded store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// The default key file if the store has one, a systemd credential if there is one, else a
    /// prompt.
    Automatic {
        /// The default key file.
        key_file: PathBuf,
    },
    /// This key file.
    KeyFile(PathBuf),
    /// A passphrase from this descriptor.
    PassphraseFd(i32),
}

/// A mount to be made.
#[derive(Clone, Debug)]
pub struct MountPlan {
    /// The lower directory, absolute, without symlinks.
    pub lower: PathBuf,
    /// The mount point, absolute, without symlinks.
    pub mountpoint: PathBuf,
    /// The options.
    pub options: MountOpts,
    /// The key service.
    pub service: ServicePlan,
    /// Stay in the foreground.
    pub foreground: bool,
    /// Check and stop.
    pub fake: bool,
}

/// A mount described by a file: what `kmsfs mount --config` reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MountFile {
    lower: PathBuf,
    mountpoint: PathBuf,
    #[serde(default)]
    options: OptionText,
}

/// `options = "a,b"` or `options = ["a", "b"]`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OptionText {
    One(String),
    Many(Vec<String>),
}

impl Default for OptionText {
    fn default() -> OptionText {
        OptionText::Many(Vec::new())
    }
}

impl MountPlan {
    /// From `kmsfs mount`.
    pub fn from_args(args: MountArgs) -> Result<MountPlan, CliError> {
        let (lower, mountpoint, texts) = match (args.config, args.lower, args.mountpoint) {
            (Some(file), _, _) => read_file(&file)?,
            (None, Some(lower), Some(mountpoint)) => (lower, mountpoint, args.options),
            _ => {
                return Err(CliError::Usage {
                    what: "a mount needs a lower directory and a mount point",
                    instead: "kmsfs mount LOWER MOUNTPOINT",
                });
            }
        };
        let mut options = MountOpts::default();
        for text in texts {
            options.add(&text)?;
        }
        let s = args.service;
        options.kms = s.kms.or(options.kms);
        options.keystore = s.keystore.map(absolute).transpose()?.or(options.keystore);
        options.key_file = s.key_file.map(absolute).transpose()?.or(options.key_file);
        options.passphrase_fd = s.passphrase_fd.map(i32::from).or(options.passphrase_fd);
        MountPlan::new(&lower, &mountpoint, options, args.foreground, false)
    }

    /// From mount(8).
    pub fn from_helper(call: HelperCall) -> Result<MountPlan, CliError> {
        MountPlan::new(&call.lower, &call.mountpoint, call.options, false, call.fake)
    }

    fn new(
        lower: &Path,
        mountpoint: &Path,
        options: MountOpts,
        foreground: bool,
        fake: bool,
    ) -> Result<MountPlan, CliError> {
        let service = service_of_options(&options)?;
        Ok(MountPlan {
            lower: directory("open lower directory", lower)?,
            mountpoint: directory("open mount point", mountpoint)?,
            options,
            service,
            foreground,
            fake,
        })
    }

    /// Where a background mount logs to.
    pub fn log_file(&self) -> Result<PathBuf, CliError> {
        match &self.options.log {
            Some(file) => Ok(file.clone()),
            None if is_root() => Ok("/var/log/kmsfs.log".into()),
            None => Ok(user_dir("XDG_STATE_HOME", ".local/state")?.join("kmsfs.log")),
        }
    }
}

impl ServicePlan {
    /// From the arguments that every key command has.
    pub fn from_args(args: ServiceArgs) -> Result<ServicePlan, CliError> {
        service_of_options(&MountOpts {
            kms: args.kms,
            keystore: args.keystore.map(absolute).transpose()?,
            key_file: args.key_file.map(absolute).transpose()?,
            passphrase_fd: args.passphrase_fd.map(i32::from),
            ..MountOpts::default()
        })
    }
}

impl fmt::Display for ServicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServicePlan::Unix { socket, .. } => write!(f, "key service {}", socket.display()),
            ServicePlan::Embedded { dir, .. } => write!(f, "key store {}", dir.display()),
        }
    }
}

fn service_of_options(o: &MountOpts) -> Result<ServicePlan, CliError> {
    let timeout = o.kms_timeout.unwrap_or(KMS_TIMEOUT);
    let embedded = o.keystore.is_some() || o.key_file.is_some() || o.passphrase_fd.is_some();
    if let Some(KmsAddress::Unix(socket)) = &o.kms {
        if embedded {
            return Err(CliError::Usage {
                what: "a key service at an address has no store here to unlock",
                instead: "give either kms=, or keystore=, keyfile= and passphrase_fd=",
            });
        }
        return Ok(ServicePlan::Unix { socket: socket.clone(), timeout });
    }
    let dir = match &o.keystore {
        Some(dir) => dir.clone(),
        None if is_root() => "/var/lib/kmsfs".into(),
        None => user_dir("XDG_DATA_HOME", ".local/share")?,
    };
    let unlock = match (&o.key_file, o.passphrase_fd) {
        (Some(_), Some(_)) => {
            return Err(CliError::Usage {
                what: "two ways to unlock the store were given",
                instead: "give either a key file or a passphrase",
            });
        }
        (Some(file), None) => Unlock::KeyFile(file.clone()),
        (None, Some(fd)) => Unlock::PassphraseFd(fd),
        (None, None) => Unlock::Automatic { key_file: default_key_file(&dir) },
    };
    Ok(ServicePlan::Embedded { dir, unlock, timeout })
}

fn read_file(file: &Path) -> Result<(PathBuf, PathBuf, Vec<String>), CliError> {
    let text = std::fs::read_to_string(file).map_err(|source| CliError::Io {
        action: "read",
        path: file.to_owned(),
        source,
    })?;
    let parsed: MountFile = toml::from_str(&text)
        .map_err(|e| CliError::Config { path: file.to_owned(), detail: located(&text, &e) })?;
    let texts = match parsed.options {
        OptionText::One(text) => vec![text],
        OptionText::Many(texts) => texts,
    };
    Ok((parsed.lower, parsed.mountpoint, texts))
}

/// A TOML error as one line with its place.
fn located(text: &str, e: &toml::de::Error) -> String {
    let line =
        e.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", e.message()),
        None => e.message().to_owned(),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `$VAR/kmsfs`, or `~/DEFAULT/kmsfs`.
fn user_dir(variable: &str, default: &str) -> Result<PathBuf, CliError> {
    let set = env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = set.or_else(|| env::home_dir().map(|h| h.join(default)));
    base.map(|b| b.join("kmsfs")).ok_or(CliError::Usage {
        what: "there is no home directory to keep the key store in",
        instead: "set HOME, or name a directory with keystore=",
    })
}

fn absolute(path: PathBuf) -> Result<PathBuf, CliError> {
    std::path::absolute(&path).map_err(|source| CliError::Io { action: "find", path, source })
}

/// A directory that is there, absolute and without symlinks.
pub fn directory(action: &'static str, path: &Path) -> Result<PathBuf, CliError> {
    let real = path.canonicalize().map_err(|source| CliError::Io {
        action,
        path: path.to_owned(),
        source,
    })?;
    // A dead mount is found here: its root resolves, and then says ENOTCONN.
    let not_usable = match real.metadata() {
        Ok(m) if m.is_dir() => return Ok(real),
        Ok(_) => std::io::Error::from_raw_os_error(libc::ENOTDIR),
        Err(e) => e,
    };
    Err(CliError::Io { action, path: real, source: not_usable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.toml");
        let write = |t: &str| std::fs::write(&file, t).unwrap();
        write("lower = '/a'\nmountpoint = '/b'\noptions = 'ro,key=alias/x'\n");
        let (lower, mountpoint, options) = read_file(&file).unwrap();
        assert_eq!((lower, mountpoint), ("/a".into(), "/b".into()));
        assert_eq!(options, ["ro,key=alias/x"]);
        write("lower = '/a'\nmountpoint = '/b'\noptions = ['ro', 'noexec']\n");
        assert_eq!(read_file(&file).unwrap().2, ["ro", "noexec"]);
        write("lower = '/a'\nmountpoint = '/b'\n\nmuontpoint = '/c'\n");
        let e = read_file(&file).unwrap_err();
        assert_eq!(e.exit(), crate::cli::exit::Exit::Usage);
        assert!(e.to_string().contains("line 4") && e.to_string().contains("muontpoint"), "{e}");
    }

    #[test]
    fn one_service_or_the_other() {
        let mut o = MountOpts::default();
        o.add("kms=unix:/s,keystore=/d").unwrap();
        assert!(matches!(service_of_options(&o), Err(CliError::Usage { .. })));
        let mut o = MountOpts::default();
        o.add("keyfile=/k,passphrase_fd=3").unwrap();
        assert!(matches!(service_of_options(&o), Err(CliError::Usage { .. })));
        let mut o = MountOpts::default();
        o.add("keystore=/d,kms_timeout=9").unwrap();
        assert_eq!(
            service_of_options(&o).unwrap(),
            ServicePlan::Embedded {
                dir: "/d".into(),
                unlock: Unlock::Automatic { key_file: "/d/root.key".into() },
                timeout: Duration::from_secs(9),
            }
        );
    }
}
