//! Reading the next question of one who asks one at a time, before going to sleep.
//!
//! An idle processor takes longer to wake than the service takes to answer: in a virtual machine
//! 30 microseconds and more, twice a question. Somebody whose next question has just come soon
//! after an answer is likely to do the same again, so his reader looks for it for a moment, and
//! lets everybody else go first while it does.
//!
//! Invariant: no processor is kept busy by silence. One who does not ask again within
//! [`PATIENCE`] costs that much once, and nothing until he is quick again.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

/// Longest time that a reader looks for a question before it sleeps.
pub const PATIENCE: Duration = Duration::from_micros(100);

/// The reading end of a socket, with a memory of how soon the next bytes came.
#[derive(Debug)]
pub struct Eager<'s> {
    socket: &'s UnixStream,
    /// The next read follows an answer to one alone.
    answered: bool,
    /// After the answer before, the next bytes came within [`PATIENCE`].
    quick: bool,
}

impl<'s> Eager<'s> {
    /// Reads from `socket`.
    pub fn new(socket: &'s UnixStream) -> Self {
        Self { socket, answered: false, quick: false }
    }

    /// Says that the peer has been answered and has nothing else under way.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    /// Looks without sleeping. `None`: nothing came in time.
    fn look(&self, buffer: &mut [u8], since: Instant) -> Option<io::Result<usize>> {
        loop {
            match recv(self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((count, _)) => return Some(Ok(count)),
                Err(rustix::io::Errno::AGAIN) if since.elapsed() < PATIENCE => {
                    std::thread::yield_now();
                }
                Err(rustix::io::Errno::AGAIN) => return None,
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl Read for Eager<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !std::mem::take(&mut self.answered) {
            return (&mut &*self.socket).read(buffer);
        }
        let since = Instant::now();
        if self.quick
            && let Some(got) = self.look(buffer, since)
        {
            return got;
        }
        let got = (&mut &*self.socket).read(buffer);
        self.quick = since.elapsed() < PATIENCE;
        got
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_comes_is_read_whether_it_comes_soon_or_late() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut eager = Eager::new(&ours);
        for pause in [0, 0, 1000, 0, 50, 0] {
            eager.answered();
            let mut theirs = theirs.try_clone().unwrap();
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(pause));
                theirs.write_all(b"question").unwrap();
            });
            let mut buffer = [0; 8];
            eager.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"question");
            writer.join().unwrap();
        }
    }

    #[test]
    fn who_is_silent_is_not_waited_for_a_second_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut eager = Eager::new(&ours);
        let mut buffer = [0; 1];
        (&theirs).write_all(b"ab").unwrap();
        eager.answered();
        eager.read_exact(&mut buffer).unwrap();
        assert!(eager.quick);
        eager.read_exact(&mut buffer).unwrap();
        eager.answered();
        eager.read(&mut buffer).expect_err("nothing was sent");
        assert!(!eager.quick);
        // The end is seen too.
        drop(theirs);
        eager.answered();
        eager.quick = true;
        assert_eq!(eager.read(&mut buffer).unwrap(), 0);
    }
}
