//! The grammar of `kmsfs key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::ServiceArgs;

/// `kmsfs key ...`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key.
    Create {
        /// What it is for, in a few words.
        #[arg(long)]
        description: Option<String>,
        /// A name for it: alias/NAME.
        #[arg(long)]
        alias: Option<String>,
        /// Its key policy, a JSON file. Default: the account's administrators decide.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        policy: Option<PathBuf>,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List the keys.
    List {
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Show a key.
    Describe(OneKey),
    /// Let a key be used again.
    Enable(OneKey),
    /// Stop all use of a key at once, in mounts too.
    Disable(OneKey),
    /// Give a key a name: alias/NAME.
    Alias {
        /// The name, alias/NAME.
        name: String,
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
    },
    /// Put a directory of a mount under a key: what is made below it goes under that one too.
    ///
    /// What is in it already stays under the key that it has. Takes kms:ReEncryptFrom on the old
    /// key and kms:ReEncryptTo on the new one.
    SetDefault {
        /// The directory, in a mount.
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Key id, ARN or alias/NAME.
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Tell how many headers are under which version of a key, by volume.
    Usage(OneKey),
    /// Destroy a version of a key for good, once no volume needs it any more.
    ///
    /// Refused while a volume that the key service knows of, mounted or not, may have a header
    /// under it; those are named.
    RetireVersion {
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
        /// Number of the version.
        #[arg(value_name = "VERSION")]
        number: u32,
    },
    /// Stop a version of a key that somebody else may have, and list what somebody could read.
    ///
    /// From then on the version opens nothing; headers under it are re-wrapped, by mounts at once.
    /// Files that a user could read are found in the audit trail, one line with volume and file id
    /// each, for `kmsfs rekey --deep --only`.
    // Its --version is a key's.
    #[command(disable_version_flag = true)]
    Compromise(crate::cli::compromise::CompromiseArgs),
    /// Schedule the deletion of a key: after the waiting time, what is under it opens never again.
    ///
    /// Refused without --force while volumes that the key service knows of have headers under it.
    Delete {
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
        /// Waiting time, 7 to 30 days.
        #[arg(long, default_value_t = 30)]
        days: i32,
        /// Although there are files that need it.
        #[arg(long)]
        force: bool,
    },
    /// Have the key service forget a volume that is no more.
    ForgetVolume {
        /// Where it was, as `kmsfs key usage` shows it.
        place: String,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Print a key's policy.
    GetPolicy(OneKey),
    /// Replace a key's policy.
    PutPolicy {
        /// A JSON file.
        #[arg(value_hint = ValueHint::FilePath)]
        policy: PathBuf,
        /// How to name the key.
        #[command(flatten)]
        key: OneKey,
    },
}

/// One key, by any of its names.
#[derive(Args, Debug)]
pub struct OneKey {
    /// Key id, ARN or alias/NAME.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}
