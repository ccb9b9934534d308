//! The commands of `kmsfs`, and `mount.kmsfs` under its other name.
//!
//! `args` is the grammar, `config` what it means, one file per command does it, `out` has the
//! rules of printing and `exit` the codes that scripts rely on. [`run`] is the whole program.

pub mod args;
mod audit;
mod compromise;
mod config;
mod daemon;
mod doctor;
mod error;
pub mod exit;
mod fitness;
mod fsck;
mod generate;
mod host;
mod iam;
mod info;
mod init;
mod key;
mod key_version;
mod keystore;
pub mod kmsd;
pub mod kmsd_config;
mod kmsd_dev;
mod labels;
mod log;
mod mount;
mod mount_helper;
mod mounts;
pub mod options;
mod out;
mod passphrase;
mod place;
mod policy;
mod policy_ask;
mod process;
mod reencrypt;
mod rekey;
mod rewrap;
mod rewrap_live;
mod service;
mod slot;
mod store;
mod sys;
mod umount;
mod volume;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use config::MountPlan;
use error::CliError;
use exit::Exit;
use out::Out;

/// Runs what the process was started as and gives its exit code.
pub fn run() -> ExitCode {
    process::harden();
    let mut args: Vec<OsString> = env::args_os().collect();
    let called = args.first().and_then(|a| Path::new(a).file_name()?.to_str());
    // `mount.fuse` runs the type's name with a path where a command would be.
    let by_fuse = args.get(1).is_some_and(|a| a.as_encoded_bytes().starts_with(b"/"));
    if by_fuse || called.is_some_and(|name| name.starts_with("mount.")) {
        let out = Out::new(false);
        let code = outcome(mount_as_helper(args.drain(1..), out), out);
        return ExitCode::from(code.for_mount_helper());
    }
    // Prints help, version and mistakes by itself; the latter with code 2.
    let cli = Cli::parse_from(args);
    let out = Out::new(cli.json);
    ExitCode::from(outcome(dispatch(cli.command, out), out).code())
}

fn mount_as_helper(args: impl Iterator<Item = OsString>, out: Out) -> Result<(), CliError> {
    let call = mount_helper::parse(args)?;
    if call.remount {
        return mount::change(&call);
    }
    mount::run(&MountPlan::from_helper(call)?, out)
}

fn dispatch(command: Command, out: Out) -> Result<(), CliError> {
    match command {
        Command::Init(args) => init::run(args, out),
        Command::Mount(args) => mount::run(&MountPlan::from_args(args)?, out),
        Command::Umount(args) => umount::run(&args),
        Command::Info(args) => info::run(&args, out),
        Command::Fsck(args) => fsck::run(args, out),
        Command::Rewrap(args) => rewrap::run(args, out),
        Command::Reencrypt { path, to } => reencrypt::run(&path, &to, out),
        Command::Rekey(args) => rekey::run(&args, out),
        Command::Doctor(args) => match args.lower {
            Some(lower) => fitness::run(&lower, out),
            None => doctor::run(out),
        },
        Command::Key(command) => key::run(command, out),
        Command::Alias(command) => labels::alias(command, out),
        Command::Grant(command) => labels::grant(command, out),
        Command::Tag(command) => labels::tag(command, out),
        Command::Policy(command) => policy::run(command, out),
        Command::Iam(command) => iam::run(command, out),
        Command::Slot(command) => slot::run(command, out),
        Command::Keystore(command) => keystore::run(command, out),
        Command::Audit(command) => audit::run(command, out),
        Command::Generate(command) => generate::run(&command),
    }
}

fn outcome(result: Result<(), CliError>, out: Out) -> Exit {
    match result {
        Ok(()) => Exit::Ok,
        Err(e) => {
            out.error(&e);
            e.exit()
        }
    }
}
