//! The grammar of `kmsfs iam`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::ServiceArgs;

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
