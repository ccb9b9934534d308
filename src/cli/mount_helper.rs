//! The calling convention of mount(8): `mount.kmsfs SPEC DIR [-sfnv] [-N NS] [-t TYPE] [-o OPTS]`.
//!
//! A link named `mount.kmsfs` in /sbin makes `mount -t kmsfs` and fstab lines work. mount(8) finds
//! a mount that is there under its type in the mount table, `fuse.kmsfs`: for that it asks
//! `mount.fuse`, which calls `kmsfs SPEC DIR -o OPTS`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::CliError;
use super::options::{self, MountOpts, OptionError};

/// What mount(8) asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct HelperCall {
    /// The lower directory.
    pub lower: PathBuf,
    /// The mount point.
    pub mountpoint: PathBuf,
    /// `-o`.
    pub options: MountOpts,
    /// `-f`: check everything, mount nothing.
    pub fake: bool,
    /// `-o remount`: the mount is there, and its flags change.
    pub remount: bool,
}

/// What the mount table shows of a FUSE mount; mount(8) hands it back with `remount`.
const SHOWN: [&str; 6] = ["user_id=", "group_id=", "max_read=", "blksize=", "rootmode=", "fd="];

const WRONG: CliError = CliError::Usage {
    what: "mount.kmsfs was not called as mount(8) calls it",
    instead: "mount.kmsfs LOWER MOUNTPOINT [-sfnv] [-o OPTIONS]",
};

/// Understands the arguments after the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<HelperCall, CliError> {
    let mut paths = Vec::new();
    let (mut given, mut fake, mut sloppy) = (Vec::new(), false, false);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        let Some(letters) = text.strip_prefix('-').filter(|l| !l.is_empty()) else {
            paths.push(PathBuf::from(arg));
            continue;
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                's' => sloppy = true,
                'f' => fake = true,
                // No mtab to write, and nothing more to say when all goes well.
                'n' | 'v' => {}
                'o' | 't' | 'N' => {
                    let rest: String = letters.by_ref().collect();
                    let value = if rest.is_empty() {
                        args.next().ok_or(WRONG)?.into_string().map_err(|_| WRONG)?
                    } else {
                        rest
                    };
                    if letter == 'o' {
                        given.push(value);
                    }
                }
                _ => return Err(WRONG),
            }
        }
    }
    let mut parsed = MountOpts::default();
    let mut remount = false;
    for option in given.iter().flat_map(|text| options::split(text)) {
        remount |= option == "remount";
        match parsed.add_one(&option) {
            Err(OptionError::Unknown { .. })
                if option == "remount" || SHOWN.iter().any(|shown| option.starts_with(shown)) => {}
            // `-s` asks for options to be let pass that are not known.
            Err(OptionError::Unknown { .. }) if sloppy => {}
            other => other?,
        }
    }
    let mut paths = paths.into_iter();
    match (paths.next(), paths.next(), paths.next()) {
        (Some(lower), Some(mountpoint), None) => {
            Ok(HelperCall { lower, mountpoint, options: parsed, fake, remount })
        }
        _ => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(args: &[&str]) -> Result<HelperCall, CliError> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn as_mount_calls_it() {
        let c = call(&["/srv/below", "/mnt", "-o", "rw,key=alias/x,_netdev"]).unwrap();
        assert_eq!(c.lower, PathBuf::from("/srv/below"));
        assert_eq!(c.mountpoint, PathBuf::from("/mnt"));
        assert_eq!(c.options.key.as_deref(), Some("alias/x"));
        assert!(!c.fake);
    }

    #[test]
    fn letters_joined_and_apart() {
        let c = call(&["-fnv", "/a", "/b", "-oro", "-t", "kmsfs"]).unwrap();
        assert!(c.fake && c.options.flags.read_only);
    }

    #[test]
    fn a_remount_hands_back_what_the_mount_table_shows() {
        let options = "ro,remount,nosuid,user_id=0,group_id=0,default_permissions,allow_other";
        let c = call(&["/a", "/b", "-o", options]).unwrap();
        assert!(c.remount && c.options.flags.read_only && !c.options.flags.suid);
        assert!(!call(&["/a", "/b", "-o", "ro"]).unwrap().remount);
    }

    #[test]
    fn wrong_calls() {
        for args in
            [&["/a"][..], &["/a", "/b", "/c"], &["/a", "/b", "-o"], &["/a", "/b", "-q"], &[]]
        {
            assert!(matches!(call(args), Err(CliError::Usage { .. })), "{args:?}");
        }
    }

    #[test]
    fn unknown_options_stop_the_mount_unless_sloppy() {
        let e = call(&["/a", "/b", "-o", "nosuch"]).unwrap_err();
        assert!(matches!(e, CliError::Option(OptionError::Unknown { name }) if name == "nosuch"));
        assert!(call(&["-s", "/a", "/b", "-o", "nosuch,ro"]).unwrap().options.flags.read_only);
    }
}
