//! The header of an open file under another wrapping, between any two of its writes.

use std::io::{IoSlice, IoSliceMut};

use rustix::fs::XattrFlags;

use crate::format::{DIR_HEADER_LEN, WrappedKey, newest, parse_slots, slot_offset};
use crate::lower::{FileIo, LowerError, Pinned};
use crate::sync::Arc;

use super::super::keys::Resealed;
use super::super::reseal::marked_time;
use super::below::CAPABILITY;
use super::state::{FileError, FileState, Mark, OnDisk};

impl FileState {
    /// Writes the slot that counts again, as the next one and with the key as `new` has it, if the
    /// key is still wrapped as `asked`. `Ok(false)`: it is not. A file without a header below has
    /// it in its first one.
    ///
    /// # Crash
    /// One slot is written: the header has the one wrapping or the other. Whether a writer is at
    /// work, and which size counts, it says as before.
    pub fn reseal(&self, asked: &WrappedKey, new: Resealed) -> Result<bool, FileError> {
        let mut meta = self.meta.write();
        if **self.identity.wrapped.load() != *asked {
            return Ok(false);
        }
        if meta.on_disk == OnDisk::Fresh {
            self.identity.wrapped.store(Arc::new(new.wrapped));
            return Ok(true);
        }
        if !self.writable {
            return Err(FileError::ReadOnly);
        }
        if meta.stuck {
            return Err(FileError::Lower(LowerError::IO));
        }
        let mut head = [0u8; DIR_HEADER_LEN];
        self.io.read_at(&mut [IoSliceMut::new(&mut head)], 0)?;
        let (_, counts) = newest(parse_slots(&head))
            .find(|(_, header)| header.generation() == meta.generation)
            .ok_or(FileError::Tampered("the header of an open file"))?;
        let st = self.io.stat()?;
        let marked = meta.mark.filter(|mark| mark.lower == st.mtime).map(|mark| mark.plain);
        let plain = meta.mtime.or(marked).unwrap_or(st.mtime);
        let body = counts
            .rewrapped(self.keys.load().header(), new.wrapped.clone(), Some(plain))
            .map_err(|_| FileError::Tampered("the header of an open file"))?;
        let generation = meta.generation + 1;
        let pin = Pinned::new(self.io.fd());
        let caps = if st.mode & 0o111 != 0 { pin.xattr(CAPABILITY).ok() } else { None };
        self.io.write_at(&[IoSlice::new(&body)], slot_offset(generation))?;
        meta.generation = generation;
        self.identity.wrapped.store(Arc::new(new.wrapped));
        let lower = marked_time(&st);
        meta.mark = Some(Mark { plain, lower });
        if let Some(caps) = caps {
            pin.set_xattr(CAPABILITY, &caps, XattrFlags::empty())?;
        }
        self.io.set_mtime(lower.0, lower.1)?;
        Ok(true)
    }
}
