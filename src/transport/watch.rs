//! Makes a change of policy bite on files that are open.
//!
//! The page cache belongs to the inode: what one user's read brought in, another user's handle
//! can read without a request being made. So when the policy epoch moves, the pages of every
//! open inode are dropped, and the next read through any handle is a request that the volume
//! decides.
//!
//! That alone would not hold for long: a user who is still allowed brings the pages back. An
//! inode with a handle that has lost its right is therefore *contested* until that handle is
//! closed. The kernel is made to believe that the attributes of a contested inode are never
//! valid; before each buffered read or write it then asks for them on behalf of the very handle
//! that reads, and the volume says EACCES to the one and answers the other.
//!
//! A mapping asks nobody where the page is there already. So files that are opened while their
//! inode is contested are read past the page cache, and what a handle of before still brings in
//! is dropped as soon as it was given out, ten times a second besides: whoever has the file
//! mapped and lost the right faults, asks, and gets SIGBUS. Between a read through such an old
//! handle and the dropping he can see the page that was read; there is no way in the kernel to
//! keep two users of one page apart. Directories are the same: no listing of a contested one
//! is cached.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use dashmap::DashSet;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::notify::Notifier;
use super::sys;
use crate::volume::Ino;
use crate::volume::Volume;
use crate::volume::keys::DataKeys;

/// Time between looks at the epoch. A revocation is promised within a second; this and the
/// invalidation itself are well below.
const TICK: Duration = Duration::from_millis(100);

/// The inodes that are open through at least one handle whose user is no longer allowed.
#[derive(Default)]
pub struct Contested {
    inodes: DashSet<Ino>,
    /// One of them was read since its pages were last dropped.
    read: AtomicBool,
    watcher: OnceLock<Thread>,
}

impl Contested {
    /// Whether the kernel must ask about `ino` every time. One load while there is none.
    pub fn contains(&self, ino: Ino) -> bool {
        !self.inodes.is_empty() && self.inodes.contains(&ino)
    }

    /// Tells that data of `ino` went to the kernel: if it is contested, its pages go at once.
    pub fn was_read(&self, ino: Ino) {
        if self.contains(ino) {
            self.read.store(true, Ordering::Release);
            if let Some(watcher) = self.watcher.get() {
                watcher.unpark();
            }
        }
    }
}

/// The watching thread; dropping this ends it.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts watching `keys` for `volume`, mounted at `mountpoint`.
    pub fn start(
        volume: Arc<Volume>,
        keys: Arc<dyn DataKeys>,
        notifier: Arc<Notifier>,
        contested: Arc<Contested>,
        mountpoint: &Path,
    ) -> std::io::Result<Watch> {
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            volume,
            keys,
            notifier,
            contested,
            mountpoint: mountpoint.to_owned(),
            stop: Arc::clone(&stop),
        };
        let thread =
            thread::Builder::new().name("kmsfs-watch".into()).spawn(move || watcher.run())?;
        Ok(Watch { stop, thread: Some(thread) })
    }
}

impl Watch {
    /// Ends it without waiting until it has ended.
    pub fn leave(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // a panic there has been reported; nothing to add
        }
    }
}

struct Watcher {
    volume: Arc<Volume>,
    keys: Arc<dyn DataKeys>,
    notifier: Arc<Notifier>,
    contested: Arc<Contested>,
    mountpoint: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    fn run(self) {
        let mut seen = self.keys.epoch();
        let _ = self.contested.watcher.set(thread::current()); // there is one watcher
        while !self.stop.load(Ordering::Relaxed) {
            thread::park_timeout(TICK);
            let now = self.keys.epoch();
            if now != seen {
                // Remembered before the work: a move during it is seen by the next look.
                seen = now;
                self.volume.open_inodes().into_iter().for_each(|ino| self.review(ino));
            } else {
                self.refresh();
            }
        }
    }

    /// Inodes that nobody has open any more are not contested; of the others, pages that a user
    /// with the right has brought back are dropped again.
    fn refresh(&self) {
        if self.contested.inodes.is_empty() {
            return;
        }
        // Woken by a read there is no time to look who has gone.
        if !self.contested.read.swap(false, Ordering::AcqRel) {
            let open = self.volume.open_inodes();
            self.contested.inodes.retain(|ino| open.contains(ino));
        }
        let listed: Vec<Ino> = self.contested.inodes.iter().map(|ino| *ino).collect();
        for ino in listed {
            self.drop_pages(ino);
            self.volume.lock_away(ino);
        }
    }

    /// Drops the pages of one inode and decides anew whether it is contested.
    fn review(&self, ino: Ino) {
        let contested = self.volume.contested(ino);
        let new = if contested {
            // Listed first, so that no answer with a lasting attribute overtakes the list.
            self.contested.inodes.insert(ino)
        } else {
            self.contested.inodes.remove(&ino);
            false
        };
        // Before the pages: else whoever is refused one could be given it a moment later, brought
        // back by somebody with the right, while the old attributes count.
        if new && let Err(e) = self.expire(ino) {
            // Without the capability there is no second user to protect from: an unprivileged
            // mount serves its owner alone.
            tracing::debug!(ino = ino.0, error = %e, "attributes could not be expired");
        }
        self.drop_pages(ino);
        if contested {
            self.volume.lock_away(ino);
        }
    }

    /// Waits for the kernel, which waits for pages that are being read or written back: those
    /// requests are served by other threads.
    fn drop_pages(&self, ino: Ino) {
        if let Err(e) = self.notifier.drop_pages(ino) {
            tracing::debug!(ino = ino.0, error = %e, "pages could not be dropped");
        }
    }

    /// Makes the kernel ask for the attributes of `ino` once, now. The answer says that they
    /// are not to be kept, which ends the life of the ones it was given before.
    fn expire(&self, ino: Ino) -> std::io::Result<()> {
        // Opened anew each time: a descriptor that stays open would keep the mount busy. One of
        // the O_PATH kind will not do.
        let root = rustix::fs::open(
            &self.mountpoint,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let inode = sys::open_nodeid(root.as_fd(), ino.0, self.volume.generation(ino))?;
        let how = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        rustix::fs::statx(&inode, c"", how, StatxFlags::BASIC_STATS)?;
        Ok(())
    }
}
