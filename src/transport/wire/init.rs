//! The first message: what this kernel and this program both know.

use zerocopy::FromBytes;

use super::abi::{InitIn, InitOut, OldInitIn, flag};

/// Version of the protocol that is spoken here.
const MAJOR: u32 = 7;
const MINOR: u32 = 45;

/// The oldest version whose structs are the ones of `abi`: Linux 4.20.
const OLDEST: u32 = 28;

/// Largest request in bytes, both ways.
pub const MAX_REQUEST: u32 = 1024 * 1024;

/// The unit of [`InitOut::max_pages`]: the smallest page of any machine.
const PAGE: u32 = 4096;

/// Requests that the kernel may have under way without anybody waiting: read-ahead, writeback,
/// asynchronous direct I/O.
const BACKGROUND: u16 = 64;

/// Flags without which the volume's promises would not hold.
const REQUIRED: u64 = flag::ATOMIC_O_TRUNC | flag::DONT_MASK;

/// Flags to agree to when the kernel offers them.
const WANTED: u64 = flag::ASYNC_READ
    | flag::BIG_WRITES
    | flag::MAX_PAGES
    | flag::PARALLEL_DIROPS
    | flag::ASYNC_DIO
    | flag::DO_READDIRPLUS
    | flag::READDIRPLUS_AUTO
    | flag::POSIX_ACL
    | flag::WRITEBACK_CACHE
    // Without it the kernel asks for a file's capabilities before every write.
    | flag::HANDLE_KILLPRIV_V2
    | flag::SETXATTR_EXT
    // Or open_by_handle_at(2) finds only what the kernel remembers.
    | flag::EXPORT_SUPPORT
    // Before a direct read the kernel writes back what a mapping has changed.
    | flag::DIRECT_IO_ALLOW_MMAP
    // With the writeback cache this does not drop pages; it makes the kernel check that
    // attributes are valid before a buffered read, which revocation builds on.
    | flag::AUTO_INVAL_DATA;

/// What the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    major: u32,
    minor: u32,
    max_readahead: u32,
    flags: u64,
}

/// How INIT is to be answered.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// With this.
    Agreed(InitOut),
    /// With a version alone; the kernel then sends another INIT.
    SpeakOlder(InitOut),
    /// With an error: the kernel lacks what is required.
    TooOld,
}

impl Offer {
    /// Reads INIT. `None` if it is cut off.
    pub fn parse(args: &[u8]) -> Option<Offer> {
        let (old, _) = OldInitIn::read_from_prefix(args).ok()?;
        let OldInitIn { major, minor, max_readahead, flags } = old;
        let mut offer = Offer { major, minor, max_readahead, flags: u64::from(flags) };
        if offer.flags & flag::INIT_EXT != 0 {
            let (new, _) = InitIn::read_from_prefix(args).ok()?;
            offer.flags |= u64::from(new.flags2) << 32;
        }
        Some(offer)
    }

    /// Whether requests could come over a ring.
    pub fn ring(&self) -> bool {
        self.flags & flag::OVER_IO_URING != 0
    }

    /// The answer. `ring`: everything for requests over a ring has been made, and the largest
    /// such request has so many bytes.
    pub fn answer(&self, ring: Option<u32>) -> Verdict {
        let version = InitOut { major: MAJOR, minor: MINOR, ..InitOut::default() };
        if self.major > MAJOR {
            return Verdict::SpeakOlder(version);
        }
        if self.major < MAJOR || self.minor < OLDEST || self.flags & REQUIRED != REQUIRED {
            return Verdict::TooOld;
        }
        let over = if ring.is_some() { flag::OVER_IO_URING } else { 0 };
        let agreed = self.flags & (REQUIRED | WANTED | over | flag::INIT_EXT);
        let max_write = ring.unwrap_or(MAX_REQUEST).min(MAX_REQUEST);
        let [low, high] = halves(agreed);
        Verdict::Agreed(InitOut {
            max_readahead: self.max_readahead,
            flags: low,
            flags2: high,
            max_background: BACKGROUND,
            congestion_threshold: BACKGROUND / 4 * 3,
            max_write,
            time_gran: 1,
            max_pages: u16::try_from(max_write / PAGE).unwrap_or(1),
            ..version
        })
    }
}

fn halves(flags: u64) -> [u32; 2] {
    let low = u32::try_from(flags & u64::from(u32::MAX)).unwrap_or_default();
    let high = u32::try_from(flags >> 32).unwrap_or_default();
    [low, high]
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    fn offer(minor: u32, flags: u64) -> Offer {
        let [low, high] = halves(flags | flag::INIT_EXT);
        let init = InitIn {
            major: 7,
            minor,
            max_readahead: 131_072,
            flags: low,
            flags2: high,
            pad: [0; 11],
        };
        Offer::parse(init.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_agreed_on_is_offered_and_wanted() {
        let all = offer(45, u64::MAX);
        let Verdict::Agreed(with) = all.answer(Some(MAX_REQUEST)) else { panic!("refused") };
        let Verdict::Agreed(without) = all.answer(None) else { panic!("refused") };
        assert!(all.ring());
        assert_eq!(with.flags2, 1 << 9 | 1 << 4, "the ring, and nothing that is not carried out");
        assert_eq!(without.flags2, 1 << 4);
        let all = u64::from(without.flags) | u64::from(without.flags2) << 32;
        assert_eq!(all, REQUIRED | WANTED | flag::INIT_EXT);
        assert_eq!((with.max_write, with.max_pages), (1 << 20, 256));
        let Verdict::Agreed(few) = offer(31, REQUIRED).answer(Some(MAX_REQUEST)) else {
            panic!("refused")
        };
        assert_eq!((u64::from(few.flags), few.flags2), (REQUIRED | flag::INIT_EXT, 0));
    }

    #[test]
    fn kernels_that_will_not_do() {
        assert!(matches!(offer(27, u64::MAX).answer(None), Verdict::TooOld));
        assert!(matches!(offer(45, flag::DONT_MASK).answer(None), Verdict::TooOld));
        let newer = Offer { major: 8, ..offer(0, 0) };
        assert!(matches!(newer.answer(None), Verdict::SpeakOlder(InitOut { major: 7, .. })));
        assert_eq!(Offer::parse(&[0; 15]), None);
    }

    #[test]
    fn old_inits_are_shorter() {
        let init = [7u32, 31, 0, 1 << 3].map(u32::to_le_bytes).concat();
        assert_eq!(Offer::parse(&init).unwrap().flags, flag::ATOMIC_O_TRUNC);
    }
}
