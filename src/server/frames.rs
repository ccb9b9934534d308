//! The private frames between kmsfs and kmsd, on a Unix socket.
//!
//! A frame is a length (u32, little-endian, at most [`MAX_FRAME`]) and that many bytes of
//! bincode 2 (standard configuration). The first frame in each direction is a hello with the
//! protocol version; after it the client sends [`ToServer::Ask`](super::messages::ToServer) with numbers of its own
//! choice, many at a time, and gets one answer for each in any order. The server
//! sends an epoch unasked whenever a decision may have changed.
//!
//! Invariant: no sequence of bytes makes a reader panic, or allocate more than a small multiple
//! of [`MAX_FRAME`]. The frames carry data keys in the clear: buffers are wiped after use.
//!
//! These are messages between two programs of one version range, never a file format.

use std::io::{self, Read, Write};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

/// Version of this protocol; a hello with another one ends the connection.
pub const VERSION: u16 = 5;

/// Longest frame, bytes, its length field not counted.
pub const MAX_FRAME: usize = 1 << 20;

/// Longest frame that a client may send, bytes: a key policy of 32 KiB fits with room to spare.
pub const MAX_REQUEST: usize = 128 << 10;

fn config() -> Configuration<LittleEndian, Fixint, Limit<MAX_FRAME>> {
    // Fixed-width integers: as quick to read as it gets, and one spelling for each number.
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_FRAME>()
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side has gone, between two frames.
    #[error("the connection is closed")]
    Closed,
    /// The length field says more than [`MAX_FRAME`], or nothing.
    #[error("a frame of {0} bytes")]
    Length(usize),
    /// The bytes are no message, or more than one.
    #[error("a frame that cannot be read")]
    Malformed,
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Appends one frame to `out`.
pub fn put<T: Encode>(message: &T, out: &mut Zeroizing<Vec<u8>>) -> Result<(), FrameError> {
    let start = out.len();
    // The size is known before a byte is written: growing the buffer on the way would leave
    // copies of keys in memory that was given back.
    let mut size = bincode::enc::write::SizeWriter::default();
    bincode::encode_into_writer(message, &mut size, config()).map_err(|_| FrameError::Malformed)?;
    let length = size.bytes_written;
    if length == 0 || length > MAX_FRAME {
        return Err(FrameError::Length(length));
    }
    grow(out, length + 4);
    let field = u32::try_from(length).map_err(|_| FrameError::Length(length))?;
    out.extend_from_slice(&field.to_le_bytes());
    out.resize(start + 4 + length, 0);
    let body = out.get_mut(start + 4..).ok_or(FrameError::Malformed)?;
    bincode::encode_into_slice(message, body, config()).map_err(|_| FrameError::Malformed)?;
    Ok(())
}

/// Makes room without leaving the old bytes behind.
fn grow(buffer: &mut Zeroizing<Vec<u8>>, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        let mut bigger = Vec::with_capacity((buffer.len() + more).next_power_of_two());
        bigger.extend_from_slice(buffer);
        buffer.zeroize();
        **buffer = bigger;
    }
}

/// Decodes the bytes of one whole frame.
pub fn decode<T: Decode<()>>(body: &[u8]) -> Result<T, FrameError> {
    let (message, used) =
        bincode::decode_from_slice(body, config()).map_err(|_| FrameError::Malformed)?;
    if used == body.len() { Ok(message) } else { Err(FrameError::Malformed) }
}

/// Writes one frame.
pub fn write<T: Encode>(to: &mut impl Write, message: &T) -> Result<(), FrameError> {
    let mut bytes = Zeroizing::new(Vec::new());
    put(message, &mut bytes)?;
    Ok(to.write_all(&bytes)?)
}

/// Reads frames from a stream through one buffer, so that frames which arrive together cost
/// one system call together.
pub struct FrameReader<R> {
    from: R,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    max: usize,
}

impl<R: Read> FrameReader<R> {
    /// A reader with nothing in its buffer, of frames up to `max` bytes (and [`MAX_FRAME`]).
    pub fn new(from: R, max: usize) -> Self {
        let max = max.min(MAX_FRAME);
        Self { from, buffer: Zeroizing::new(vec![0; 16 << 10]), start: 0, end: 0, max }
    }

    /// What it reads from.
    pub fn source(&mut self) -> &mut R {
        &mut self.from
    }

    /// The next frame; waits for it.
    pub fn read<T: Decode<()>>(&mut self) -> Result<T, FrameError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            self.fill()?;
        }
    }

    /// The next frame if all of it has arrived already.
    pub fn buffered<T: Decode<()>>(&mut self) -> Result<Option<T>, FrameError> {
        let waiting = self.buffer.get_mut(self.start..self.end).unwrap_or_default();
        let Some((field, rest)) = waiting.split_first_chunk_mut::<4>() else { return Ok(None) };
        let length = length_of(*field, self.max)?;
        let Some(body) = rest.get_mut(..length) else { return Ok(None) };
        let message = decode(body);
        // Keys that went through are wiped here, not when the connection ends.
        body.zeroize();
        self.start += 4 + length;
        message.map(Some)
    }

    fn fill(&mut self) -> Result<(), FrameError> {
        self.buffer.copy_within(self.start..self.end, 0);
        let moved = std::mem::take(&mut self.start);
        self.end -= moved;
        let tail = self.end..(self.end + moved).min(self.buffer.len());
        if let Some(left_behind) = self.buffer.get_mut(tail) {
            left_behind.zeroize();
        }
        // Room for the frame that has begun; the length was checked against the bound.
        let waiting = self.buffer.get(..self.end).unwrap_or_default();
        if let Some(field) = waiting.first_chunk::<4>() {
            let need = 4 + length_of(*field, self.max)?;
            if need > self.buffer.len() {
                let extra = need - self.buffer.len();
                grow(&mut self.buffer, extra);
                self.buffer.resize(need, 0);
            }
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.from.read(room) {
            Ok(0) if self.end == 0 => Err(FrameError::Closed),
            Ok(0) => Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.end += count;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn length_of(field: [u8; 4], max: usize) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_le_bytes(field)).unwrap_or(usize::MAX);
    if length == 0 || length > max { Err(FrameError::Length(length)) } else { Ok(length) }
}

#[cfg(test)]
mod tests;
