//! Exit codes. They are an interface: scripts branch on them, so a number never changes its
//! meaning and is never used again.

/// What a command's end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The system refused or failed; the message says what.
    Failed = 1,
    /// The command line or a configuration file is wrong. Nothing was tried.
    Usage = 2,
    /// The directory is not a volume, or is one where none should be, or is not empty.
    NotVolume = 3,
    /// The volume was written by a newer kmsfs.
    TooNew = 4,
    /// The volume or the key store is damaged, or was tampered with.
    Damaged = 5,
    /// Already mounted, or in use by another process.
    Busy = 6,
    /// A key policy does not allow it.
    Denied = 7,
    /// The key is unknown, disabled or pending deletion.
    KeyUnusable = 8,
    /// The key service does not answer, or refuses the connection.
    Unreachable = 9,
    /// The key store cannot be unlocked: wrong passphrase, missing or unreadable key file.
    Locked = 10,
    /// The operating system does not permit it, or there is no /dev/fuse.
    NotPermitted = 11,
    /// No space left.
    NoSpace = 12,
    /// Lower directory and mount point overlap.
    Overlap = 13,
    /// Not a kmsfs mount.
    NotMounted = 14,
    /// The audit trail does not verify.
    AuditBroken = 15,
}

impl Exit {
    /// Every code, for the manual page.
    pub const ALL: [Exit; 16] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::NotVolume,
        Exit::TooNew,
        Exit::Damaged,
        Exit::Busy,
        Exit::Denied,
        Exit::KeyUnusable,
        Exit::Unreachable,
        Exit::Locked,
        Exit::NotPermitted,
        Exit::NoSpace,
        Exit::Overlap,
        Exit::NotMounted,
        Exit::AuditBroken,
    ];

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// A name for `--json`, as stable as the number.
    pub fn name(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::NotVolume => "not-a-volume",
            Exit::TooNew => "too-new",
            Exit::Damaged => "damaged",
            Exit::Busy => "busy",
            Exit::Denied => "denied",
            Exit::KeyUnusable => "key-unusable",
            Exit::Unreachable => "unreachable",
            Exit::Locked => "locked",
            Exit::NotPermitted => "not-permitted",
            Exit::NoSpace => "no-space",
            Exit::Overlap => "overlap",
            Exit::NotMounted => "not-mounted",
            Exit::AuditBroken => "audit-broken",
        }
    }

    /// The line of the manual page.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "Success.",
            Exit::Failed => "The system refused or failed; the message says what.",
            Exit::Usage => "The command line or a configuration file is wrong; nothing was tried.",
            Exit::NotVolume => "The directory is not a volume, or is one already, or is not empty.",
            Exit::TooNew => "The volume or key store was written by a newer kmsfs.",
            Exit::Damaged => "The volume or the key store is damaged, or was tampered with.",
            Exit::Busy => "Already mounted, or in use by another process.",
            Exit::Denied => "A key policy does not allow it.",
            Exit::KeyUnusable => "The key is unknown, disabled or pending deletion.",
            Exit::Unreachable => "The key service does not answer or refuses the connection.",
            Exit::Locked => "Wrong passphrase, or a missing or unreadable key file.",
            Exit::NotPermitted => "The operating system does not permit it, or FUSE is missing.",
            Exit::NoSpace => "No space left on the device.",
            Exit::Overlap => "Lower directory and mount point are the same or inside each other.",
            Exit::NotMounted => "The path is not a kmsfs mount.",
            Exit::AuditBroken => "The audit trail does not verify.",
        }
    }

    /// Finds a code by its number: how a background mount's outcome travels to the command.
    pub fn from_code(code: u8) -> Option<Exit> {
        Exit::ALL.into_iter().find(|e| e.code() == code)
    }

    /// What mount(8) expects of its helper: 0, 1 for a wrong call, 32 for a failed mount.
    pub fn for_mount_helper(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Usage => 1,
            _ => 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        let published = [
            ("ok", 0),
            ("failed", 1),
            ("usage", 2),
            ("not-a-volume", 3),
            ("too-new", 4),
            ("damaged", 5),
            ("busy", 6),
            ("denied", 7),
            ("key-unusable", 8),
            ("unreachable", 9),
            ("locked", 10),
            ("not-permitted", 11),
            ("no-space", 12),
            ("overlap", 13),
            ("not-mounted", 14),
            ("audit-broken", 15),
        ];
        let ours: Vec<_> = Exit::ALL.iter().map(|e| (e.name(), e.code())).collect();
        assert_eq!(ours, published);
        assert!(Exit::ALL.iter().all(|e| Exit::from_code(e.code()) == Some(*e)));
        assert_eq!(Exit::from_code(200), None);
    }
}
