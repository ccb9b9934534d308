//! The time of a signature: `20260301T123045Z`, and what the `Date` header may say instead.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A point in time at seconds, UTC, as signatures spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmzTime(DateTime);

impl AmzTime {
    /// Reads the sixteen characters of the basic ISO 8601 form; nothing else will do.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes.get(8) != Some(&b'T') || bytes.get(15) != Some(&b'Z') {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i16> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let small = |from: usize| -> Option<i8> { i8::try_from(number(from, from + 2)?).ok() };
        DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0)
            .ok()
            .map(Self)
    }

    /// Reads a `Date` header: the form above, or RFC 2822.
    pub fn parse_date_header(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(Self::from_seconds(zoned.timestamp().as_second()))
        })
    }

    /// From seconds since 1970; times that no calendar holds become 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        let stamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        Self(Offset::UTC.to_datetime(stamp))
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> i64 {
        Offset::UTC.to_timestamp(self.0).map_or(0, |stamp| stamp.as_second())
    }

    /// `20260301`
    pub fn day(&self) -> String {
        format!("{:04}{:02}{:02}", self.0.year(), self.0.month(), self.0.day())
    }
}

impl fmt::Display for AmzTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0;
        write!(f, "{}T{:02}{:02}{:02}Z", self.day(), t.hour(), t.minute(), t.second())
    }
}
