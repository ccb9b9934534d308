//! The grammar of `kmsfs policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::ServiceArgs;

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
