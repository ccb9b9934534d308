//! The FUSE device: one `read` per request, one `writev` per reply.
//!
//! It is a transport of its own, and the ring's other half: FORGET, INTERRUPT and notifications
//! always go this way, and so does everything when a ring cannot be set up after all.

mod buffer;
mod lone;
mod seats;
mod serve;
mod stop;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zerocopy::{FromBytes, IntoBytes};

use super::sys;
use super::wire::abi::{self, InHeader, OutHeader, op};
use super::wire::init::{Offer, Verdict};
use crate::volume::{Errno, Ino};

pub use buffer::{Buffer, Received};
pub use lone::Lone;
pub use serve::{Comes, Server, may_wait};
pub use stop::Stop;

/// One descriptor of the device, belonging to one mount.
pub struct Device(OwnedFd);

impl Device {
    /// Of a descriptor that a mount was made with.
    pub fn new(fd: OwnedFd) -> Device {
        Device(fd)
    }

    /// Another descriptor of the same mount, with a queue of its own for requests that were
    /// read and not answered.
    pub fn another(&self) -> io::Result<Device> {
        let fresh = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        sys::join_mount(fresh.as_fd(), self.0.as_fd())?;
        Ok(Device(fresh.into()))
    }

    /// The next request. `None`: the mount is gone, or the connection was aborted.
    pub fn receive(&self, buffer: Buffer) -> io::Result<Option<Received>> {
        let mut buffer = buffer;
        loop {
            match rustix::io::read(&self.0, buffer.room()) {
                Ok(len) => return Ok(buffer.received(len)),
                Err(rustix::io::Errno::NODEV | rustix::io::Errno::CONNABORTED) => return Ok(None),
                // NOENT: the caller gave up between the two.
                Err(
                    rustix::io::Errno::INTR | rustix::io::Errno::AGAIN | rustix::io::Errno::NOENT,
                ) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Whether the mount is gone, or the connection was aborted.
    pub fn gone(&self) -> bool {
        self.state().contains(PollFlags::ERR)
    }

    /// Whether there is a request that no thread has received yet.
    pub fn ready(&self) -> bool {
        self.state().contains(PollFlags::IN)
    }

    fn state(&self) -> PollFlags {
        let mut look = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) => look.iter().fold(PollFlags::empty(), |all, at| all | at.revents()),
            Err(_) => PollFlags::empty(),
        }
    }

    /// Gives the mount up from this side: when nobody else holds it and no call is under way, the
    /// kernel aborts the connection. Reading then ends, and what is written goes nowhere.
    pub fn give_up(&self) {
        if let Err(error) = sys::silence(self.0.as_fd()) {
            tracing::error!(%error, "the connection stays until the process ends");
        }
    }

    /// Answers a request.
    pub fn reply(&self, unique: u64, result: Result<&[u8], Errno>) {
        let (error, body) = match result {
            Ok(body) => (0, body),
            Err(Errno(e)) if (1..512).contains(&e) => (-e, [].as_slice()),
            Err(_) => (-libc::EIO, [].as_slice()),
        };
        match self.write(error, unique, body, &[]) {
            // NOENT: the caller is gone. NODEV: everybody is.
            Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV) => {}
            Err(error) => {
                tracing::warn!(%error, "a reply was refused");
                if !body.is_empty() {
                    let _ = self.write(-libc::EIO, unique, &[], &[]);
                }
            }
        }
    }

    /// Drops the pages and attributes that the kernel has of an inode.
    pub fn drop_pages(&self, ino: Ino) -> io::Result<()> {
        let what = abi::InvalInode { ino: ino.0, off: 0, len: 0 };
        Ok(self.write(abi::NOTIFY_INVAL_INODE, 0, what.as_bytes(), &[])?)
    }

    /// Gives the kernel what an inode's pages from the first on hold.
    pub fn store(&self, ino: Ino, data: &[u8]) -> io::Result<()> {
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let what = abi::Store { ino: ino.0, size, ..abi::Store::default() };
        Ok(self.write(abi::NOTIFY_STORE, 0, what.as_bytes(), data)?)
    }

    fn write(&self, error: i32, unique: u64, body: &[u8], more: &[u8]) -> rustix::io::Result<()> {
        let len = size_of::<OutHeader>().saturating_add(body.len()).saturating_add(more.len());
        let len = u32::try_from(len).map_err(|_| rustix::io::Errno::INVAL)?;
        let head = OutHeader { len, error, unique };
        let parts = [head.as_bytes(), body, more].map(IoSlice::new);
        rustix::io::writev(&self.0, &parts).map(drop)
    }

    /// The first message: agrees with the kernel on what is used. `ring` is asked whether
    /// requests can come over a ring of which the largest request is what it says, in bytes; it
    /// is asked only if the kernel offers that. Gives what `ring` gave.
    ///
    /// # Errors
    /// EPROTO: the kernel lacks what is needed. ENODEV: unmounted already.
    pub fn shake_hands<R>(&self, ring: impl FnOnce() -> Option<(u32, R)>) -> io::Result<Option<R>> {
        let gone = || io::Error::from_raw_os_error(libc::ENODEV);
        let mut ring = Some(ring);
        loop {
            let request = self.receive(Buffer::new())?.ok_or_else(gone)?;
            let head = request.head();
            if head.opcode != op::INIT {
                self.reply(head.unique, Err(Errno::EIO));
                continue;
            }
            let Some(offer) = Offer::parse(request.args()) else {
                self.reply(head.unique, Err(Errno::EINVAL));
                continue;
            };
            // Not made for a kernel that will ask again.
            let made = match (ring.take(), offer.ring()) {
                (Some(make), true) => make(),
                _ => None,
            };
            match offer.answer(made.as_ref().map(|(size, _)| *size)) {
                Verdict::Agreed(out) => {
                    self.reply(head.unique, Ok(out.as_bytes()));
                    return Ok(made.map(|(_, r)| r));
                }
                Verdict::SpeakOlder(out) => self.reply(head.unique, Ok(out.as_bytes())),
                Verdict::TooOld => {
                    tracing::error!(?offer, "this kernel's FUSE is too old");
                    self.reply(head.unique, Err(Errno(libc::EPROTO)));
                    return Err(io::Error::from_raw_os_error(libc::EPROTO));
                }
            }
        }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn header(bytes: &[u8]) -> Option<InHeader> {
    InHeader::read_from_prefix(bytes).ok().map(|(head, _)| head)
}
