//! Every way a command can end badly: the cause in its text, and a way out in [`CliError::remedy`].

use std::io;
use std::path::PathBuf;

use super::exit::Exit;
use super::options::OptionError;
use super::store;
use crate::kms::error::{FailureClass, KmsError};
use crate::store::open::OpenError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A mount option is not understood.
    #[error("{0}")]
    Option(#[from] OptionError),
    /// Arguments that clap accepts and that make no sense together.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: &'static str,
        /// What would be right.
        instead: &'static str,
    },
    /// A configuration file cannot be understood.
    #[error("{}: {detail}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The parser's words, with the line.
        detail: String,
    },
    /// The operating system failed a step.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// Its object.
        path: PathBuf,
        /// The system's word for it.
        source: io::Error,
    },
    /// A directory that should be a volume is none.
    #[error("{} is not a kmsfs volume", path.display())]
    NotVolume {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that should become a volume is one.
    #[error("{} is a kmsfs volume already", path.display())]
    AlreadyVolume {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that should become a volume has something in it.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The volume's own trouble.
    #[error("{}: {what}", path.display())]
    Volume {
        /// The lower directory.
        path: PathBuf,
        /// In the volume's words.
        what: String,
        /// Its kind.
        exit: Exit,
    },
    /// A file that kmsfs did not write.
    #[error("{} is in no kmsfs mount and has no kmsfs header", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// Somebody serves this volume.
    #[error("{} is mounted already{}", path.display(), by(*pid))]
    Mounted {
        /// The lower directory.
        path: PathBuf,
        /// The serving process, if it said.
        pid: Option<u32>,
    },
    /// Lower directory and mount point overlap.
    #[error("{} and {} {how}", lower.display(), mountpoint.display())]
    Overlap {
        /// The lower directory.
        lower: PathBuf,
        /// The mount point.
        mountpoint: PathBuf,
        /// In which way.
        how: &'static str,
    },
    /// The mount point is taken.
    #[error("something is mounted on {} already", path.display())]
    MountpointTaken {
        /// The mount point.
        path: PathBuf,
    },
    /// No such mount.
    #[error("{} is not a kmsfs mount", path.display())]
    NotMounted {
        /// The path.
        path: PathBuf,
    },
    /// Somebody uses the mount.
    #[error("{} is in use", path.display())]
    MountBusy {
        /// The mount point.
        path: PathBuf,
    },
    /// The process that serves it has not finished in time.
    #[error("{} is unmounted, but its data is still being written", path.display())]
    StillFlushing {
        /// The mount point.
        path: PathBuf,
    },
    /// There is no FUSE.
    #[error("/dev/fuse is missing")]
    NoFuse,
    /// FUSE is not for this user.
    #[error("no permission to mount on {}", path.display())]
    MountRefused {
        /// The mount point.
        path: PathBuf,
    },
    /// allow_other without the right to it.
    #[error("allow_other is not granted to users on this machine")]
    NotForOthers,
    /// io_uring was asked for and cannot be had.
    #[error("requests cannot come over io_uring: {why}")]
    NoRing {
        /// What stands in the way.
        why: String,
    },
    /// The background process ended without a word.
    #[error("the filesystem process ended before the mount answered")]
    DaemonDied,
    /// The background process said why it could not.
    #[error("{message}")]
    Reported {
        /// Its message.
        message: String,
        /// Its advice.
        remedy: String,
        /// Its code.
        exit: Exit,
    },
    /// A passphrase was needed and could not be had.
    #[error("the passphrase cannot be read: {source}")]
    Passphrase {
        /// Why.
        source: io::Error,
    },
    /// Two entries of a new passphrase differ.
    #[error("the two passphrases differ")]
    PassphrasesDiffer,
    /// An empty passphrase, where one is set or asked for.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// The key service answered with an error.
    #[error("{what}")]
    KeyService {
        /// In its words, never with a secret.
        what: String,
        /// What helps.
        remedy: &'static str,
        /// Its kind.
        exit: Exit,
    },
    /// Nobody answers on the key service's socket.
    #[error("the key service at {} does not answer", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
    },
    /// The key service stopped answering.
    #[error("the key service does not answer")]
    Silent,
    /// Another process has the embedded store open.
    #[error("the key store {} is in use by another process", dir.display())]
    StoreBusy {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The embedded store cannot be opened.
    #[error("{0}")]
    Store(OpenError),
    /// The key service refused, in AWS's words.
    #[error("the key service says {}: {}", .0.name(), .0)]
    Kms(KmsError),
    /// The audit trail is not whole.
    #[error("the audit trail does not verify: {what}")]
    Audit {
        /// The first line that is wrong, and how.
        what: String,
    },
}

fn by(pid: Option<u32>) -> String {
    pid.map(|p| format!(", by process {p}")).unwrap_or_default()
}

impl CliError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            CliError::Option(_) | CliError::Usage { .. } | CliError::Config { .. } => Exit::Usage,
            CliError::Io { source, .. } => of_io(source),
            CliError::NotVolume { .. }
            | CliError::AlreadyVolume { .. }
            | CliError::NotEmpty { .. }
            | CliError::NoHeader { .. } => Exit::NotVolume,
            CliError::Volume { exit, .. }
            | CliError::Reported { exit, .. }
            | CliError::KeyService { exit, .. } => *exit,
            CliError::Mounted { .. }
            | CliError::MountpointTaken { .. }
            | CliError::MountBusy { .. }
            | CliError::StillFlushing { .. } => Exit::Busy,
            CliError::Overlap { .. } => Exit::Overlap,
            CliError::NotMounted { .. } => Exit::NotMounted,
            CliError::NoFuse
            | CliError::MountRefused { .. }
            | CliError::NotForOthers
            | CliError::NoRing { .. } => Exit::NotPermitted,
            CliError::DaemonDied => Exit::Failed,
            CliError::Passphrase { .. }
            | CliError::PassphrasesDiffer
            | CliError::PassphraseEmpty => Exit::Locked,
            CliError::Unreachable { .. } | CliError::Silent => Exit::Unreachable,
            CliError::StoreBusy { .. } => Exit::Busy,
            CliError::Store(e) => store::exit(e),
            CliError::Kms(e) => match e.class() {
                FailureClass::Denied => Exit::Denied,
                FailureClass::Unusable => Exit::KeyUnusable,
                FailureClass::Corrupt => Exit::Damaged,
                FailureClass::Invalid => Exit::Failed,
            },
            CliError::Audit { .. } => Exit::AuditBroken,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            CliError::Option(e) => e.remedy(),
            CliError::Usage { instead, .. } => (*instead).to_owned(),
            CliError::Config { .. } => "correct the file; kmsfs(1) lists its keys".into(),
            CliError::Io { source, .. } => io_remedy(source).to_owned(),
            CliError::NotVolume { .. } => {
                "name a volume, or an empty directory to make one of".into()
            }
            CliError::AlreadyVolume { .. } => "mount it, or name an empty directory".into(),
            CliError::NotEmpty { .. } => {
                "name an empty directory, then copy the files in through the mount".into()
            }
            CliError::Volume { exit, .. } => volume_remedy(*exit).to_owned(),
            CliError::NoHeader { .. } => "name a file in a mount, or one of a lower tree".into(),
            CliError::Mounted { .. } => "unmount it there first, with 'kmsfs umount'".into(),
            CliError::Overlap { .. } => "choose a mount point outside the lower directory".into(),
            CliError::MountpointTaken { .. } => "unmount it, or choose another mount point".into(),
            CliError::NotMounted { .. } => "'findmnt -t fuse.kmsfs' lists the mounts".into(),
            CliError::MountBusy { path } => {
                format!("close what uses it ('fuser -vm {}' lists that)", path.display())
            }
            CliError::StillFlushing { .. } => {
                "wait for the kmsfs process to end before the lower directory goes away".into()
            }
            CliError::NoFuse => {
                "load the module with 'modprobe fuse', or pass the device in".into()
            }
            CliError::MountRefused { .. } => {
                "mount as root, or own the mount point and install fuse3".into()
            }
            CliError::NotForOthers => {
                "add 'user_allow_other' to /etc/fuse.conf, or leave the option out".into()
            }
            CliError::NoRing { .. } => {
                "clear that away, or leave transport=uring out to go without".into()
            }
            CliError::DaemonDied => "try again with -f to see what it says".into(),
            CliError::Reported { remedy, .. } => remedy.clone(),
            CliError::Passphrase { .. } => {
                "run it on a terminal, or pass --passphrase-fd or --key-file".into()
            }
            CliError::PassphrasesDiffer => "nothing was changed; try again".into(),
            CliError::PassphraseEmpty => "type one, or use --key-file".into(),
            CliError::KeyService { remedy, .. } => (*remedy).to_owned(),
            CliError::Unreachable { .. } => "start kmsd, or check the path and its mode".into(),
            CliError::Silent => "look whether it runs; what was asked may have been done".into(),
            CliError::Store(e) => store::remedy(e).to_owned(),
            CliError::StoreBusy { .. } => "wait for that process to end, or use kmsd".into(),
            CliError::Kms(e) => match e.class() {
                FailureClass::Denied => "ask an administrator for the right".into(),
                FailureClass::Unusable => "'kmsfs key list' shows the keys and their state".into(),
                FailureClass::Corrupt => "nothing was changed".into(),
                FailureClass::Invalid => "correct the request; nothing was changed".into(),
            },
            CliError::Audit { .. } => "keep the files, and compare them with a copy".into(),
        }
    }
}

/// The exit code of a system error.
pub fn of_io(e: &io::Error) -> Exit {
    match e.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Exit::NotPermitted,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::NoSpace,
        _ => Exit::Failed,
    }
}

fn io_remedy(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check owner and mode, or run it as root",
        io::ErrorKind::NotADirectory => "name a directory",
        io::ErrorKind::ReadOnlyFilesystem => {
            "make the filesystem below writable, or mount with -o ro"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
        io::ErrorKind::NotConnected => "a dead mount is there; 'kmsfs umount' removes it",
        _ => "",
    }
}

/// Advice for a volume that cannot be used.
fn volume_remedy(exit: Exit) -> &'static str {
    match exit {
        Exit::TooNew => "use a newer kmsfs",
        Exit::Damaged => "restore .kmsfs from a backup; nothing was changed",
        Exit::Denied => "ask an administrator of the key, or mount as another user",
        Exit::KeyUnusable => "enable the key, or cancel its deletion",
        Exit::Unreachable => "start the key service, or check -o kms=",
        Exit::NotPermitted => "check owner and mode, or run it as root",
        Exit::NoSpace => "free some space",
        _ => "see the log",
    }
}
