//! The grammar: what may be typed. What it means is decided in `config`.

mod custody;
mod iam;
mod key;
mod policy;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

pub use self::custody::{AuditCommand, GenerateCommand, SlotCommand, SlotKind};
pub use self::iam::{AccountArgs, IamCommand, UserArgs};
pub use self::key::{KeyCommand, OneKey};
pub use self::policy::{AskArgs, Operation, PolicyCommand};
use super::options::KmsAddress;
use crate::crypto::Suite;

/// Encrypts directories: every file under its own data key, every data key under a customer
/// master key, every use of a key decided by policy and recorded.
#[derive(Debug, Parser)]
#[command(name = "kmsfs", version, propagate_version = true, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// Print results and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an empty directory an encrypted volume.
    Init(InitArgs),
    /// Mount a volume.
    ///
    /// An empty lower directory is made a volume first. The command returns when the mount
    /// answers.
    Mount(MountArgs),
    /// Unmount a volume and wait until all of it is written.
    #[command(alias = "unmount")]
    Umount(UmountArgs),
    /// Tell what a file is sealed with.
    Info(InfoArgs),
    /// Check a volume that is not mounted.
    ///
    /// Every header, entry page and name is authenticated; nothing is changed. The exit code is 0
    /// for a volume without damage, 5 for a damaged one, and 8 if keys could not be used and
    /// nothing else was found.
    Fsck(FsckArgs),
    /// Carry a rotation through: every header to the newest version of its key.
    ///
    /// A mount does this by itself. Of a volume that is not mounted, give the lower directory.
    /// Files' data stays as it is; content and times of files do not change.
    Rewrap(RewrapArgs),
    /// Put files or whole trees of a mount under another key, by their headers alone.
    ///
    /// Takes kms:ReEncryptFrom on the keys that they are under and kms:ReEncryptTo on the new
    /// one. What is made later in the directories goes under the new key too.
    Reencrypt {
        /// A file or directory in a mount.
        #[arg(value_hint = ValueHint::AnyPath)]
        path: PathBuf,
        /// Key id, ARN or alias/NAME.
        #[arg(long, value_name = "KEY")]
        to: String,
    },
    /// Give files of a mount fresh data keys, and seal their content anew.
    ///
    /// For the day when data keys may be known to somebody: kmsfs rewrap and reencrypt leave these
    /// as they are. Programs that use the files go on meanwhile. Each file needs the space of a
    /// second one while it is worked on. Takes kms:Decrypt and kms:GenerateDataKey, and is for root
    /// or the owner. Names, which are under the keys of directories, stay as they are.
    Rekey(super::rekey::RekeyArgs),
    /// Tell whether this machine can mount, and what a lower filesystem can do for a volume.
    Doctor(DoctorArgs),
    /// Customer master keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Names of keys.
    #[command(subcommand)]
    Alias(super::labels::AliasCommand),
    /// Grants: rights on a key beside its policy.
    #[command(subcommand)]
    Grant(super::labels::GrantCommand),
    /// Labels of keys.
    #[command(subcommand)]
    Tag(super::labels::TagCommand),
    /// Ask policies who may do what, and test them.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Users and access keys of the AWS protocol.
    #[command(subcommand)]
    Iam(IamCommand),
    /// Ways to unlock the embedded key store.
    #[command(subcommand)]
    Slot(SlotCommand),
    /// The key store as a whole: its copies, and backups of it.
    #[command(subcommand)]
    Keystore(super::keystore::KeystoreCommand),
    /// The audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Manual pages and shell completions.
    #[command(subcommand, hide = true)]
    Generate(GenerateCommand),
}

/// How to reach the key service.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Key service")]
pub struct ServiceArgs {
    /// Use the key service at this address instead of the embedded one.
    #[arg(long, value_name = "unix:PATH", conflicts_with_all = ["keystore", "key_file", "passphrase_fd"])]
    pub kms: Option<KmsAddress>,
    /// Directory of the embedded key service's store.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub keystore: Option<PathBuf>,
    /// Unlock the embedded store with this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key_file: Option<PathBuf>,
    /// Unlock the embedded store with a passphrase read from this file descriptor.
    #[arg(long, value_name = "N", conflicts_with = "key_file")]
    pub passphrase_fd: Option<u16>,
}

/// `kmsfs init`
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The directory; it must be empty.
    #[arg(value_hint = ValueHint::DirPath)]
    pub lower: PathBuf,
    /// Key id, ARN or alias to seal it under. Default: alias/aws/kmsfs, made when missing.
    #[arg(long)]
    pub key: Option<String>,
    /// aes-256-gcm-siv (default) or xchacha20-poly1305.
    #[arg(long)]
    pub suite: Option<Suite>,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// `kmsfs mount`
#[derive(Args, Debug)]
pub struct MountArgs {
    /// The lower directory: where the encrypted files are.
    #[arg(required_unless_present = "config", value_hint = ValueHint::DirPath)]
    pub lower: Option<PathBuf>,
    /// Where to mount.
    #[arg(required_unless_present = "config", value_hint = ValueHint::DirPath)]
    pub mountpoint: Option<PathBuf>,
    /// Mount options, separated by commas; mount.kmsfs(8) lists them.
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Stay in the foreground and log to standard error.
    #[arg(short, long)]
    pub foreground: bool,
    /// Take lower directory, mount point and options from this TOML file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["lower", "mountpoint", "options"])]
    #[arg(value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// `kmsfs umount`
#[derive(Args, Debug)]
pub struct UmountArgs {
    /// The mount point.
    #[arg(value_hint = ValueHint::DirPath)]
    pub mountpoint: PathBuf,
    /// Detach it now although it is in use; it ends when the last user has gone.
    #[arg(short, long)]
    pub lazy: bool,
}

/// `kmsfs fsck`
#[derive(Args, Debug)]
pub struct FsckArgs {
    /// The lower directory of the volume.
    #[arg(value_hint = ValueHint::DirPath)]
    pub lower: PathBuf,
    /// Read and authenticate all data too.
    #[arg(long)]
    pub data: bool,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// `kmsfs rewrap`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct RewrapArgs {
    /// What to do with a mount's own re-wrapping.
    #[command(subcommand)]
    pub action: Option<RewrapAction>,
    /// The lower directory of a volume that is not mounted.
    #[arg(value_hint = ValueHint::DirPath)]
    pub lower: Option<PathBuf>,
    /// Change nothing: count the headers, and have the key service know of the volume. For
    /// backups, which keep what they need from being destroyed by that.
    #[arg(long)]
    pub register: bool,
    /// Headers per second, at most; 5000 or 5000/s.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub limit: Option<u32>,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// `kmsfs rewrap ...`
#[derive(Debug, Subcommand)]
pub enum RewrapAction {
    /// Tell how far it has come, and what could not be re-wrapped.
    Status {
        /// A directory of the mount.
        #[arg(value_hint = ValueHint::DirPath)]
        mount: PathBuf,
        /// Stay until all headers are under the newest versions, with a progress bar.
        #[arg(long)]
        wait: bool,
    },
    /// Stop until it is resumed, over unmounts too.
    Pause {
        /// A directory of the mount.
        #[arg(value_hint = ValueHint::DirPath)]
        mount: PathBuf,
    },
    /// Go on.
    Resume {
        /// A directory of the mount.
        #[arg(value_hint = ValueHint::DirPath)]
        mount: PathBuf,
    },
    /// Re-wrap that many headers per second at most; 0 for no limit.
    Limit {
        /// 5000 or 5000/s.
        #[arg(value_name = "N", value_parser = rate)]
        rate: u32,
        /// A directory of the mount.
        #[arg(value_hint = ValueHint::DirPath)]
        mount: PathBuf,
    },
}

/// A number per second, with or without saying so.
fn rate(text: &str) -> Result<u32, String> {
    text.strip_suffix("/s").unwrap_or(text).parse().map_err(|_| "a number per second".to_owned())
}

/// `kmsfs doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// A directory on a lower filesystem, a volume or not.
    #[arg(value_hint = ValueHint::DirPath)]
    pub lower: Option<PathBuf>,
}

/// `kmsfs info`
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// A file or directory in a mount, or a file of a lower tree.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_secret_can_be_typed_as_an_argument() {
        fn walk(cmd: &clap::Command) {
            for arg in cmd.get_arguments() {
                let id = arg.get_id().as_str();
                let fine = !id.contains("pass") || id.ends_with("_fd");
                assert!(fine, "{}: {id}", cmd.get_name());
            }
            cmd.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }

    #[test]
    fn mount_needs_both_paths_or_a_file() {
        let ok = |a: &[&str]| Cli::try_parse_from(a.iter().copied()).is_ok();
        assert!(ok(&["kmsfs", "mount", "/a", "/b", "-o", "ro", "-f"]));
        assert!(ok(&["kmsfs", "mount", "--config", "/x.toml"]));
        assert!(!ok(&["kmsfs", "mount", "/a"]));
        assert!(!ok(&["kmsfs", "mount", "/a", "/b", "--config", "/x.toml"]));
        assert!(!ok(&["kmsfs", "key", "list", "--kms", "unix:/s", "--keystore", "/d"]));
    }
}
