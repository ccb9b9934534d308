//! Bounded little-endian reading and writing over slices.
//!
//! A [`Reader`] takes fields off the front of a slice and never reads past its end; a [`Writer`]
//! fills a slice of known size and never writes past it. Neither allocates by a length it has
//! read. Everything that kmsfs stores by hand-made layout goes through these two.

/// Why bytes do not fit their layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The slice ends inside a field.
    #[error("{wanted} bytes wanted where {left} are left")]
    Short {
        /// Bytes of the field.
        wanted: usize,
        /// Bytes left.
        left: usize,
    },
    /// The slice goes on after its last field.
    #[error("{left} bytes too many")]
    Trailing {
        /// Bytes after the last field.
        left: usize,
    },
    /// Bytes that must be zero are not.
    #[error("padding that is not zero")]
    Padding,
}

/// Takes fields off the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| self.short(n))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Two bytes, low one first.
    pub fn u16(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, low one first.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, low one first.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes in two's complement, low one first.
    pub fn i64(&mut self) -> Result<i64, CodecError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// `n` bytes that must all be zero.
    pub fn zeros(&mut self, n: usize) -> Result<(), CodecError> {
        if self.bytes(n)?.iter().all(|&b| b == 0) { Ok(()) } else { Err(CodecError::Padding) }
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Asserts that nothing is left.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(CodecError::Trailing { left }),
        }
    }

    fn short(&self, wanted: usize) -> CodecError {
        CodecError::Short { wanted, left: self.rest.len() }
    }
}

/// Fills a slice from the front.
#[derive(Debug)]
pub struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// These bytes.
    pub fn bytes(&mut self, field: &[u8]) -> Result<(), CodecError> {
        let left = self.rest.len();
        let short = CodecError::Short { wanted: field.len(), left };
        let (into, rest) =
            core::mem::take(&mut self.rest).split_at_mut_checked(field.len()).ok_or(short)?;
        into.copy_from_slice(field);
        self.rest = rest;
        Ok(())
    }

    /// One byte.
    pub fn u8(&mut self, field: u8) -> Result<(), CodecError> {
        self.bytes(&field.to_le_bytes())
    }

    /// Two bytes, low one first.
    pub fn u16(&mut self, field: u16) -> Result<(), CodecError> {
        self.bytes(&field.to_le_bytes())
    }

    /// Four bytes, low one first.
    pub fn u32(&mut self, field: u32) -> Result<(), CodecError> {
        self.bytes(&field.to_le_bytes())
    }

    /// Eight bytes, low one first.
    pub fn u64(&mut self, field: u64) -> Result<(), CodecError> {
        self.bytes(&field.to_le_bytes())
    }

    /// Eight bytes in two's complement, low one first.
    pub fn i64(&mut self, field: i64) -> Result<(), CodecError> {
        self.bytes(&field.to_le_bytes())
    }

    /// These bytes, then zeros up to `width` in all.
    pub fn padded(&mut self, field: &[u8], width: usize) -> Result<(), CodecError> {
        let short = CodecError::Short { wanted: field.len(), left: width };
        let zeros = width.checked_sub(field.len()).ok_or(short)?;
        self.bytes(field)?;
        self.zeros(zeros)
    }

    /// `n` zeros.
    pub fn zeros(&mut self, n: usize) -> Result<(), CodecError> {
        let left = self.rest.len();
        let (into, rest) = core::mem::take(&mut self.rest)
            .split_at_mut_checked(n)
            .ok_or(CodecError::Short { wanted: n, left })?;
        into.fill(0);
        self.rest = rest;
        Ok(())
    }

    /// Asserts that the slice is full.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(CodecError::Trailing { left }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F-1: numbers are little-endian.
    #[test]
    fn what_is_written_is_read() {
        let mut bytes = [0xFFu8; 34];
        let mut w = Writer::new(&mut bytes);
        w.u8(1).unwrap();
        w.u16(0x0203).unwrap();
        w.u32(0x0405_0607).unwrap();
        w.u64(0x0809_0A0B_0C0D_0E0F).unwrap();
        w.i64(-2).unwrap();
        w.padded(b"abc", 8).unwrap();
        w.zeros(3).unwrap();
        w.finish().unwrap();
        assert_eq!(bytes[..7], [1, 3, 2, 7, 6, 5, 4]);

        let mut r = Reader::new(&bytes);
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u16(), Ok(0x0203));
        assert_eq!(r.u32(), Ok(0x0405_0607));
        assert_eq!(r.u64(), Ok(0x0809_0A0B_0C0D_0E0F));
        assert_eq!(r.i64(), Ok(-2));
        assert_eq!(r.bytes(3), Ok(&b"abc"[..]));
        assert_eq!(r.zeros(8), Ok(()));
        assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn short_trailing_and_padding_are_told_apart() {
        let mut r = Reader::new(&[0, 0, 1]);
        assert_eq!(r.u32(), Err(CodecError::Short { wanted: 4, left: 3 }));
        assert_eq!(r.clone().finish(), Err(CodecError::Trailing { left: 3 }));
        assert_eq!(r.zeros(2), Ok(()));
        assert_eq!(r.zeros(1), Err(CodecError::Padding));
        let mut small = [0u8; 2];
        assert!(Writer::new(&mut small).u32(1).is_err());
        assert_eq!(Writer::new(&mut small).finish(), Err(CodecError::Trailing { left: 2 }));
        assert!(Writer::new(&mut small).padded(b"abc", 2).is_err());
    }
}
