//! The grammar of the commands about a store and what it keeps: `kmsfs slot`, `kmsfs audit`; and
//! of `kmsfs generate`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

use super::ServiceArgs;

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
