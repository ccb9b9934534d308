//! Whose modification time users see: the lower file's, or the one in the header.
//!
//! Re-wrapping gives the lower file a new time, so that backups notice the new header. Users go on
//! seeing the old one, which the header keeps. F-43.

/// Nanoseconds of a lower modification time that stands for the one in the header. F-43. A
/// multiple of 100, which is as fine as some lower filesystems keep time.
pub const MTIME_MARK: u32 = 714_025_300;

/// The modification time that users see, from the lower one and the header's. F-43.
pub fn shown_mtime(lower: (i64, u32), header: Option<(i64, u32)>) -> (i64, u32) {
    if lower.1 == MTIME_MARK { header.unwrap_or(lower) } else { lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F-43: the header's time counts where the lower one is marked, and nowhere else.
    #[test]
    fn only_a_marked_time_stands_for_another() {
        assert_eq!(shown_mtime((9, MTIME_MARK), Some((5, 6))), (5, 6));
        assert_eq!(shown_mtime((9, MTIME_MARK), None), (9, MTIME_MARK));
        assert_eq!(shown_mtime((9, MTIME_MARK + 1), Some((5, 6))), (9, MTIME_MARK + 1));
    }
}
