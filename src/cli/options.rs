//! The options of `-o`: one table that parses them and that the manual page is made from.
//!
//! An option that is not in the table is refused by name. A mount that silently ran without an
//! option somebody relied on would be worse than no mount.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::crypto::Suite;
use crate::transport::{Audience, MountFlags, Transport};
use crate::volume::CrashSafety;

/// What was asked for with `-o`. `None` leaves the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOpts {
    /// Flags of mount(2).
    pub flags: MountFlags,
    /// `allow_other` / `private`.
    pub audience: Option<Audience>,
    /// `key=`.
    pub key: Option<String>,
    /// `suite=`.
    pub suite: Option<Suite>,
    /// `kms=`.
    pub kms: Option<KmsAddress>,
    /// `kms_timeout=`.
    pub kms_timeout: Option<Duration>,
    /// `keystore=`.
    pub keystore: Option<PathBuf>,
    /// `keyfile=`.
    pub key_file: Option<PathBuf>,
    /// `passphrase_fd=`.
    pub passphrase_fd: Option<i32>,
    /// `crash=`.
    pub crash: Option<CrashSafety>,
    /// `threads=`.
    pub threads: Option<usize>,
    /// `transport=`.
    pub transport: Option<Transport>,
    /// `readahead=`, KiB.
    pub readahead_kib: Option<u32>,
    /// `log=`.
    pub log: Option<PathBuf>,
}

/// Where a key service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KmsAddress {
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not in the table.
    #[error("unknown mount option '{name}'")]
    Unknown {
        /// The option.
        name: String,
    },
    /// It takes a value and has none.
    #[error("mount option '{name}' needs a value")]
    NoValue {
        /// The option.
        name: &'static str,
    },
    /// It takes none and has one.
    #[error("mount option '{name}' takes no value")]
    StrayValue {
        /// The option.
        name: &'static str,
    },
    /// The value cannot be understood.
    #[error("'{value}' is not a value of '{name}'")]
    BadValue {
        /// The option, as it was written.
        name: &'static str,
        /// The value.
        value: String,
        /// What it would be.
        expected: &'static str,
    },
}

impl OptionError {
    /// What would be right.
    pub fn remedy(&self) -> String {
        match self {
            OptionError::Unknown { .. } => "mount.kmsfs(8) lists the options".into(),
            OptionError::NoValue { name } => format!("write {name}=VALUE"),
            OptionError::StrayValue { name } => format!("write just '{name}'"),
            OptionError::BadValue { expected, .. } => format!("use {expected}"),
        }
    }
}

/// One row of the table.
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// The manual page's sentence.
    pub help: &'static str,
    set: fn(&mut MountOpts, &'static str, &str) -> Result<(), OptionError>,
}

const fn flag(
    name: &'static str,
    help: &'static str,
    set: fn(&mut MountOpts, &'static str, &str) -> Result<(), OptionError>,
) -> Spec {
    Spec { name, value: None, help, set }
}

const fn valued(
    name: &'static str,
    value: &'static str,
    help: &'static str,
    set: fn(&mut MountOpts, &'static str, &str) -> Result<(), OptionError>,
) -> Spec {
    Spec { name, value: Some(value), help, set }
}

macro_rules! set {
    (|$o:ident| $body:expr) => {
        |$o, _, _| {
            $body;
            Ok(())
        }
    };
}

/// The options, in the manual page's order.
pub const TABLE: &[Spec] = &[
    valued(
        "key",
        "KEY",
        "Key id, ARN or alias (alias/NAME) under which an empty lower directory becomes a volume. \
         Without it alias/aws/kmsfs, which is made when it is missing. A volume that exists keeps \
         its own key.",
        |o, _, v| {
            o.key = Some(v.to_owned());
            Ok(())
        },
    ),
    valued(
        "suite",
        "NAME",
        "How an empty lower directory's files will be sealed: aes-256-gcm-siv (default) or \
         xchacha20-poly1305 (for CPUs without AES instructions).",
        |o, name, v| {
            o.suite = Some(parse(name, v, "aes-256-gcm-siv or xchacha20-poly1305")?);
            Ok(())
        },
    ),
    valued(
        "kms",
        "unix:PATH",
        "Use the key service that listens on this socket, instead of the embedded one.",
        |o, name, v| {
            o.kms = Some(parse(name, v, "unix:PATH with an absolute path")?);
            Ok(())
        },
    ),
    valued(
        "kms_timeout",
        "SECONDS",
        "How long a request waits for a key service that is away, before it fails with ENOKEY. \
         Default 5.",
        |o, name, v| {
            let seconds: u32 = parse(name, v, "a number of seconds")?;
            o.kms_timeout = Some(Duration::from_secs(seconds.into()));
            Ok(())
        },
    ),
    valued(
        "keystore",
        "DIR",
        "Directory of the embedded key service's store. Default /var/lib/kmsfs for root, else \
         $XDG_DATA_HOME/kmsfs (~/.local/share/kmsfs).",
        |o, name, v| {
            o.keystore = Some(path(name, v)?);
            Ok(())
        },
    ),
    valued("keyfile", "FILE", "Unlock the embedded key store with this file.", |o, name, v| {
        o.key_file = Some(path(name, v)?);
        Ok(())
    }),
    valued(
        "passphrase_fd",
        "N",
        "Unlock the embedded key store with a passphrase read from this file descriptor.",
        |o, name, v| {
            let fd: u16 = parse(name, v, "the number of an open descriptor")?;
            o.passphrase_fd = Some(fd.into());
            Ok(())
        },
    ),
    flag("ro", "Mount read-only; nothing below is changed.", set!(|o| o.flags.read_only = true)),
    flag("rw", "Mount read-write (default).", set!(|o| o.flags.read_only = false)),
    flag("noatime", "Do not keep access times.", set!(|o| o.flags.noatime = true)),
    flag("atime", "Keep access times (default).", set!(|o| o.flags.noatime = false)),
    flag(
        "relatime",
        "As atime: the kernel keeps relative access times.",
        set!(|o| o.flags.noatime = false),
    ),
    flag(
        "suid",
        "Honour set-user-id bits. Mode bits are not authenticated: who owns the lower tree can \
         forge them.",
        set!(|o| o.flags.suid = true),
    ),
    flag("nosuid", "Ignore set-user-id bits (default).", set!(|o| o.flags.suid = false)),
    flag("dev", "Let device nodes work. See suid.", set!(|o| o.flags.dev = true)),
    flag("nodev", "Device nodes do not work (default).", set!(|o| o.flags.dev = false)),
    flag("exec", "Programs may be run (default).", set!(|o| o.flags.exec = true)),
    flag("noexec", "Programs may not be run.", set!(|o| o.flags.exec = false)),
    flag("sync", "Every write is synchronous.", set!(|o| o.flags.sync = true)),
    flag("async", "Writes are asynchronous (default).", set!(|o| o.flags.sync = false)),
    flag("dirsync", "Every directory change is synchronous.", set!(|o| o.flags.dirsync = true)),
    flag(
        "allow_other",
        "Every user may use the mount, within mode bits, ACLs and key policies. Default for root; \
         others need user_allow_other in /etc/fuse.conf.",
        set!(|o| o.audience = Some(Audience::Everybody)),
    ),
    flag(
        "private",
        "Only the mounting user may use the mount. Default for others than root.",
        set!(|o| o.audience = Some(Audience::Owner)),
    ),
    flag(
        "default_permissions",
        "Accepted; it is always on.",
        set!(|o| {
            let _ = o;
        }),
    ),
    valued(
        "crash",
        "power|process",
        "What synced data survives: power loss (default), or only the end of the kmsfs process. \
         The latter overwrites faster.",
        |o, name, v| {
            o.crash = Some(match v {
                "power" => CrashSafety::Power,
                "process" => CrashSafety::Process,
                _ => return Err(bad(name, v, "power or process")),
            });
            Ok(())
        },
    ),
    valued(
        "transport",
        "auto|uring|device|fuser",
        "Which way requests come from the kernel: over io_uring, or over /dev/fuse, with kmsfs's \
         own protocol code or the fuser crate's. auto (default) is io_uring where the machine can \
         and /dev/fuse elsewhere; the log says which, and kmsfs doctor what stands in the way.",
        |o, name, v| {
            o.transport = Some(match v {
                "auto" => Transport::Auto,
                "uring" => Transport::Uring,
                "device" => Transport::Device,
                "fuser" => Transport::Fuser,
                _ => return Err(bad(name, v, "auto, uring, device or fuser")),
            });
            Ok(())
        },
    ),
    valued(
        "threads",
        "N",
        "Threads that take requests from /dev/fuse. Default one per CPU, 2 to 8.",
        |o, name, v| {
            let n: u8 = parse(name, v, "a number from 1 to 64")?;
            if !(1..=64).contains(&n) {
                return Err(bad(name, v, "a number from 1 to 64"));
            }
            o.threads = Some(n.into());
            Ok(())
        },
    ),
    valued(
        "readahead",
        "KIB",
        "The mount's read-ahead, in KiB, where root mounts. Default 4096.",
        |o, name, v| {
            o.readahead_kib = Some(parse(name, v, "a number of KiB")?);
            Ok(())
        },
    ),
    valued(
        "log",
        "FILE",
        "Where a background mount writes its log. Default /var/log/kmsfs.log for root, else \
         $XDG_STATE_HOME/kmsfs/kmsfs.log (~/.local/state/kmsfs/kmsfs.log).",
        |o, name, v| {
            o.log = Some(path(name, v)?);
            Ok(())
        },
    ),
];

/// Options that speak to mount(8), systemd or nobody, and mean nothing here.
pub const IGNORED: &[&str] = &[
    "_netdev", "auto", "defaults", "group", "noauto", "nofail", "nogroup", "noowner", "nouser",
    "nousers", "owner", "user", "users",
];

/// The same with a value behind them: `user=NAME`, `comment=TEXT`, `x-systemd.automount`.
const IGNORED_PREFIXES: &[&str] = &["x-", "X-", "comment=", "user=", "helper="];

impl MountOpts {
    /// Takes in the text of one `-o`. Options are separated by commas; a comma or backslash
    /// inside a value is written with a backslash before it. Later options win.
    pub fn add(&mut self, text: &str) -> Result<(), OptionError> {
        for option in split(text) {
            self.add_one(&option)?;
        }
        Ok(())
    }

    /// One option, as [`split`] gives it.
    pub fn add_one(&mut self, option: &str) -> Result<(), OptionError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match TABLE.iter().find(|s| s.name == name) {
            Some(spec) => match (spec.value, value) {
                (Some(_), None | Some("")) => Err(OptionError::NoValue { name: spec.name }),
                (None, Some(_)) => Err(OptionError::StrayValue { name: spec.name }),
                _ => (spec.set)(self, spec.name, value.unwrap_or_default()),
            },
            None if IGNORED.contains(&option) => Ok(()),
            None if IGNORED_PREFIXES.iter().any(|p| option.starts_with(p)) => Ok(()),
            None => Err(OptionError::Unknown { name: name.to_owned() }),
        }
    }
}

/// Splits at commas that no backslash precedes; empty pieces are left out.
pub fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![];
    let mut piece = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => piece.extend(chars.next()),
            ',' => pieces.push(std::mem::take(&mut piece)),
            c => piece.push(c),
        }
    }
    pieces.push(piece);
    pieces.retain(|p| !p.is_empty());
    pieces
}

fn bad(name: &'static str, value: &str, expected: &'static str) -> OptionError {
    OptionError::BadValue { name, value: value.to_owned(), expected }
}

fn parse<T: FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, OptionError> {
    value.parse().map_err(|_| bad(name, value, expected))
}

/// A background mount has / as its working directory, so a relative path would move.
fn path(name: &'static str, value: &str) -> Result<PathBuf, OptionError> {
    let path = PathBuf::from(value);
    if path.is_absolute() { Ok(path) } else { Err(bad(name, value, "an absolute path")) }
}

/// A word that is none of the choices.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("expected {0}")]
pub struct NotAChoice(&'static str);

impl FromStr for KmsAddress {
    type Err = NotAChoice;

    fn from_str(s: &str) -> Result<KmsAddress, NotAChoice> {
        match s.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(KmsAddress::Unix(PathBuf::from(path))),
            _ => Err(NotAChoice("unix:PATH with an absolute path")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opts(text: &str) -> Result<MountOpts, OptionError> {
        let mut o = MountOpts::default();
        o.add(text).map(|()| o)
    }

    #[test]
    fn a_line_of_fstab() {
        let o = opts("_netdev,nofail,x-systemd.requires=kmsd.service,user,noauto,key=alias/x,ro")
            .unwrap();
        assert_eq!(o.key.as_deref(), Some("alias/x"));
        assert!(o.flags.read_only);
    }

    #[test]
    fn unknown_options_are_named() {
        for (text, name) in [("nosuch", "nosuch"), ("ro,kye=alias/x", "kye"), ("usr", "usr")] {
            assert_eq!(opts(text), Err(OptionError::Unknown { name: name.into() }));
        }
    }

    #[test]
    fn values_where_they_belong() {
        assert_eq!(opts("key"), Err(OptionError::NoValue { name: "key" }));
        assert_eq!(opts("key="), Err(OptionError::NoValue { name: "key" }));
        assert_eq!(opts("ro=1"), Err(OptionError::StrayValue { name: "ro" }));
        for text in [
            "suite=rot13",
            "kms=tcp:1",
            "kms=unix:rel",
            "kms_timeout=soon",
            "keystore=rel/ative",
            "passphrase_fd=-1",
            "crash=never",
            "transport=pigeon",
            "threads=0",
            "threads=65",
            "readahead=big",
        ] {
            assert!(matches!(opts(text), Err(OptionError::BadValue { .. })), "{text}");
        }
    }

    #[test]
    fn the_last_one_wins() {
        let o = opts("ro,rw,suid,nosuid,allow_other,private,noexec,exec,dev").unwrap();
        assert_eq!(o.flags, MountFlags { dev: true, ..MountFlags::default() });
        assert_eq!(o.audience, Some(Audience::Owner));
    }

    #[test]
    fn commas_in_values() {
        let o = opts(r"keystore=/a\,b\\c,ro").unwrap();
        assert_eq!(o.keystore, Some(PathBuf::from(r"/a,b\c")));
        assert!(o.flags.read_only);
        assert_eq!(opts(",,"), Ok(MountOpts::default()));
    }

    #[test]
    fn every_row_of_the_table_works() {
        for spec in TABLE {
            let value = match (spec.name, spec.value) {
                (_, None) => String::new(),
                ("suite", _) => "=xchacha20-poly1305".into(),
                ("kms", _) => "=unix:/run/kmsd.sock".into(),
                ("crash", _) => "=process".into(),
                ("transport", _) => "=uring".into(),
                ("key", _) => "=alias/x".into(),
                ("keystore" | "keyfile" | "log", _) => "=/x".into(),
                _ => "=4".into(),
            };
            opts(&format!("{}{value}", spec.name)).unwrap();
            assert!(!IGNORED.contains(&spec.name), "{} is in both lists", spec.name);
        }
    }
}
