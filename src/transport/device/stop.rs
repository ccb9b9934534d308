//! An end to waiting at the device that does not come from the kernel.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::Device;

/// Pulled once, by whoever finds that the mount must end.
pub struct Stop(OwnedFd);

impl Stop {
    /// Not pulled.
    pub fn new() -> rustix::io::Result<Stop> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Stop)
    }

    /// Whoever waits at the device returns, now and later.
    pub fn pull(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_le_bytes()); // full: pulled often enough
    }

    /// Waits for a message at `device`, or for its end. False: pulled instead.
    pub fn wait(&self, device: &Device) -> io::Result<bool> {
        let mut at = [PollFd::new(&device.0, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
        loop {
            match poll(&mut at, None) {
                Ok(_) => return Ok(at.last().is_some_and(|stop| stop.revents().is_empty())),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_pulled_for_good_and_wakes_who_waits() {
        // An eventfd that nothing is written to stands for a device without messages.
        let silent = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let (device, stop) = (Device::new(silent), Stop::new().unwrap());
        assert!(!device.gone());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(&device));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            stop.pull();
            assert!(!waiting.join().unwrap().unwrap());
        });
        assert!(!stop.wait(&device).unwrap());

        let message = Device::new(eventfd(1, EventfdFlags::CLOEXEC).unwrap());
        assert!(Stop::new().unwrap().wait(&message).unwrap());
    }
}
