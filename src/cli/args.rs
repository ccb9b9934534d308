//! The grammar: what may be typed. What it means is decided in `config`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

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
    Compromise(super::compromise::CompromiseArgs),
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

/// `kmsfs policy ...`
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Tell whether a user may do something, and which statement decides.
    ///
    /// Either --operation and a path in a mount, or --action and --key.
    Explain(AskArgs),
    /// The same with another key policy, not yet in force, in place of the key's own.
    Simulate {
        /// The policy, a JSON file.
        #[arg(value_name = "POLICY", value_hint = ValueHint::FilePath)]
        policy: PathBuf,
        /// What is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Run policy unit tests: a file with one JSON object per line.
    ///
    /// Each has the members id, request, key_policy, identity_policies and expected. Prints every
    /// wrong verdict, and last `N passed, N failed`.
    Test {
        /// The cases.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// A question to policies.
#[derive(Args, Debug)]
pub struct AskArgs {
    /// Login name, or the ARN of a user, role session or account root.
    #[arg(long)]
    pub user: String,
    /// What is done in the mount.
    #[arg(long, requires = "path", conflicts_with = "action")]
    pub operation: Option<Operation>,
    /// A file or directory in a mount; with --operation create, what is to be made, or the
    /// directory that it is to be in.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
    /// The action: kms:Decrypt and the like.
    #[arg(long, requires = "key")]
    pub action: Option<String>,
    /// Key id, ARN or alias/NAME.
    #[arg(long)]
    pub key: Option<String>,
    /// A pair of the encryption context; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub context: Vec<String>,
    /// A further condition key of the request, such as kmsfs:SystemdUnit=x.service.
    #[arg(long, value_name = "KEY=VALUE")]
    pub condition: Vec<String>,
    /// As if asked by the AWS protocol and not through a mount.
    #[arg(long)]
    pub direct: bool,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// What a user does with an object in a mount.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Open a file for reading, or list a directory.
    Read,
    /// Open a file for writing.
    Write,
    /// List a directory.
    List,
    /// Make something in a directory.
    Create,
}

impl Operation {
    /// The permission that it takes.
    pub fn action(self) -> &'static str {
        match self {
            Operation::Read | Operation::Write | Operation::List => "kms:Decrypt",
            Operation::Create => "kms:GenerateDataKey",
        }
    }

    /// The value of `kmsfs:Operation`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::List => "list",
            Operation::Create => "create",
        }
    }
}

/// `kmsfs iam ...`
#[derive(Debug, Subcommand)]
pub enum IamCommand {
    /// Attach a policy to a user or role, replacing one of the same name.
    ///
    /// USER is a login name, or the ARN of a user or role, of any account.
    PutPolicy {
        /// Its name.
        name: String,
        /// A JSON file.
        #[arg(value_hint = ValueHint::FilePath)]
        policy: PathBuf,
        /// Whose.
        #[command(flatten)]
        user: UserArgs,
    },
    /// List the policies of a user or role.
    ListPolicies(UserArgs),
    /// Detach a policy from a user or role.
    DeletePolicy {
        /// Its name.
        name: String,
        /// Whose.
        #[command(flatten)]
        user: UserArgs,
    },
    /// Make an access key for a user. Its secret is printed once.
    CreateAccessKey(UserArgs),
    /// List a user's access keys.
    ListAccessKeys(UserArgs),
    /// Delete an access key.
    DeleteAccessKey {
        /// The access key id.
        id: String,
        /// Whose it is.
        #[command(flatten)]
        user: UserArgs,
    },
    /// Make a user.
    CreateUser(UserArgs),
    /// List the users of an account.
    ListUsers(AccountArgs),
    /// Delete a user with its policies and access keys.
    DeleteUser(UserArgs),
    /// Make a role, or let others assume one that has been given policies.
    ///
    /// ROLE is a name, or an ARN of any account.
    CreateRole {
        /// Name or ARN.
        role: String,
        /// Its trust policy, which says who may assume it: a JSON file.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        trust: PathBuf,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Replace the trust policy of a role.
    PutTrust {
        /// Name or ARN.
        role: String,
        /// The trust policy: a JSON file.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        trust: PathBuf,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List the roles of an account, with who may assume them.
    ListRoles(AccountArgs),
    /// Delete a role with its policies. Its sessions end.
    DeleteRole {
        /// Name or ARN.
        role: String,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Make an account: one more tenant, strictly apart from the others.
    CreateAccount {
        /// Twelve digits.
        account: String,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List the accounts.
    ListAccounts(ServiceArgs),
    /// Delete an account with its users and roles; it must have no keys.
    DeleteAccount {
        /// Twelve digits.
        account: String,
        /// How to reach the key service.
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// An account of the service.
#[derive(Args, Debug)]
pub struct AccountArgs {
    /// Twelve digits; the service's own account when absent.
    #[arg(long)]
    pub account: Option<String>,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// A user of the account.
#[derive(Args, Debug)]
pub struct UserArgs {
    /// The user's name.
    #[arg(long)]
    pub user: String,
    /// How to reach the key service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// `kmsfs slot ...`
#[derive(Debug, Subcommand)]
pub enum SlotCommand {
    /// List the ways to unlock the store.
    List {
        /// Which store.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Add a way to unlock the store.
    Add {
        /// What to add.
        #[command(subcommand)]
        what: SlotKind,
        /// Which store, and how to unlock it now.
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Remove a way to unlock the store. The last one cannot be removed.
    Remove {
        /// Its number, as listed.
        slot: u32,
        /// Which store, and how to unlock it now.
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// A new slot.
#[derive(Debug, Subcommand)]
pub enum SlotKind {
    /// A passphrase, typed twice or read from a descriptor.
    Passphrase {
        /// Read the new passphrase from this file descriptor.
        #[arg(long, value_name = "N")]
        new_passphrase_fd: Option<u16>,
    },
    /// A key file; a new random one is made if the file is not there.
    KeyFile {
        /// The file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// `kmsfs audit ...`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the whole trail: nothing changed, cut, added or missing.
    Verify {
        /// Which store, and how to unlock it.
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// `kmsfs generate ...`
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Manual pages.
    Man {
        /// Directory to write them to.
        dir: PathBuf,
    },
    /// Shell completions.
    Completions {
        /// Directory to write them to.
        dir: PathBuf,
    },
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
