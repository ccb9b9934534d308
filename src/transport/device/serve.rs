//! Threads that take requests from the device.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use zerocopy::FromBytes;

use super::lone::{Lone, Serving};
use super::{Buffer, Device, Received, Stop};
use crate::sync::interrupt;
use crate::transport::calls::Calls;
use crate::transport::spare::Spare;
use crate::transport::wire::abi::op;
use crate::transport::wire::{answer, forgotten};
use crate::volume::Errno;

/// How long FORGETs gather in the kernel, which then sends them together. Each alone would wake a
/// thread, in the middle of its caller's next request.
const GATHER: Duration = Duration::from_millis(2);

/// What comes over the device.
pub enum Comes {
    /// All requests, for the thread of this number.
    Everything(usize),
    /// FORGET and INTERRUPT, while a ring has the requests. Should one come after all, it is
    /// served, and it is everything from then on. Ends when the stop is pulled, too.
    WhatNobodyWaitsFor(Arc<Stop>),
}

/// What the threads of one mount share.
pub struct Server {
    /// The volume.
    pub calls: Arc<Calls>,
    /// Threads for requests that wait.
    pub spare: Spare,
    /// What the threads that take everything do for a lone caller.
    pub lone: Lone,
}

impl Server {
    /// Starts a thread that serves `device` until the mount is gone.
    pub fn start(
        self: &Arc<Self>,
        device: Arc<Device>,
        comes: Comes,
    ) -> io::Result<JoinHandle<io::Result<()>>> {
        let server = Arc::clone(self);
        let body = move || server.serve(&device, comes);
        thread::Builder::new().name("kmsfs-device".into()).spawn(body)
    }

    fn serve(&self, device: &Arc<Device>, comes: Comes) -> io::Result<()> {
        let mut buffer = Buffer::new();
        let (stop, mut thread) = match comes {
            Comes::Everything(number) => (None, Some(self.lone.thread(number))),
            Comes::WhatNobodyWaitsFor(stop) => (Some(stop), None),
        };
        let mut gathers = stop.is_some();
        loop {
            // A call more for each, where only what is rare comes this way.
            if let Some(stop) = &stop
                && !stop.wait(device)?
            {
                return Ok(());
            }
            if let Some(thread) = &mut thread {
                thread.linger(device);
            }
            let Some(request) = device.receive(buffer)? else { return Ok(()) };
            let opcode = request.head().opcode;
            if !matches!(opcode, op::FORGET | op::BATCH_FORGET | op::INTERRUPT | op::DESTROY) {
                gathers = false;
            }
            buffer = match opcode {
                op::FORGET | op::BATCH_FORGET => {
                    let buffer = self.forget(request);
                    if gathers {
                        thread::sleep(GATHER);
                    }
                    buffer
                }
                op::INTERRUPT => give_up(request),
                op::DESTROY => {
                    device.reply(request.head().unique, Ok(&[]));
                    request.empty()
                }
                _ => {
                    let serving = thread.as_mut().map(|t| t.arrived(request.head().pid));
                    self.here_or_there(device, request, serving)
                }
            };
        }
    }

    fn forget(&self, mut request: Received) -> Buffer {
        let head = request.head();
        let (args, body) = request.parts();
        for one in forgotten(&head, args, body.input()) {
            self.calls.forget(one.ino, one.count);
        }
        request.empty()
    }

    fn here_or_there(
        &self,
        device: &Arc<Device>,
        request: Received,
        serving: Option<Serving<'_>>,
    ) -> Buffer {
        let leave = may_wait(request.head().opcode).then(|| self.spare.enter());
        if let Some(None) = leave {
            serving.into_iter().for_each(Serving::handed_over);
            let (calls, device) = (Arc::clone(&self.calls), Arc::clone(device));
            self.spare.hand_over(move || {
                respond(&calls, &device, request, None);
            });
            return Buffer::new();
        }
        respond(&self.calls, device, request, serving)
    }
}

/// Operations that may wait for a key service or a disk.
pub fn may_wait(opcode: u32) -> bool {
    matches!(
        opcode,
        op::LOOKUP
            | op::READLINK
            | op::SYMLINK
            | op::MKNOD
            | op::MKDIR
            | op::RENAME
            | op::RENAME2
            | op::OPEN
            | op::CREATE
            | op::TMPFILE
            | op::RELEASE
            | op::FSYNC
            | op::OPENDIR
            | op::FSYNCDIR
            | op::FALLOCATE
            | op::LSEEK
            | op::COPY_FILE_RANGE
            | op::COPY_FILE_RANGE_64
    )
}

/// Notes that the caller of a request does not want it any more. That request is answered, sooner;
/// this one is not.
fn give_up(mut request: Received) -> Buffer {
    let (args, _) = request.parts();
    if let Ok((number, _)) = u64::read_from_prefix(args) {
        interrupt::interrupt(number);
    }
    request.empty()
}

/// Answers a request; `serving` ends right before the reply.
fn respond(
    calls: &Calls,
    device: &Device,
    mut request: Received,
    serving: Option<Serving<'_>>,
) -> Buffer {
    let head = request.head();
    let (args, mut body) = request.parts();
    // The calls have a net of their own; this one is for the few lines around them.
    let result = catch_unwind(AssertUnwindSafe(|| answer(calls, &head, args, &mut body)));
    drop(serving);
    match result.unwrap_or(Err(Errno::EIO)) {
        Ok(reply) => device.reply(head.unique, Ok(reply.bytes(&body))),
        Err(e) => device.reply(head.unique, Err(e)),
    }
    request.empty()
}
