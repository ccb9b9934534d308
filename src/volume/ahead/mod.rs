//! Asking for data keys ahead of those who open files one after the other.
//!
//! Every unwrapped key has its own durable line in the audit trail before it is used, and the
//! line costs a sync and a way to the key service. Somebody who goes through a directory would
//! wait for one per file. Whoever opens a second file in a directory, or comes from another one
//! that he went through, therefore has the keys of others there asked for, for the same user, many
//! in one question: as many decisions, as many lines, one sync. The next question goes out when
//! half of what the last one brought was used, so that nobody waits for it. Whoever had to ask in
//! the last directories has it done in the next one as soon as he opens that, before he has read
//! its names: most directories are too small for a second file to gain much. The keys of
//! directories, which are the filesystem's own to ask for, come in the same way. All of them stay
//! in the key client's cache, where each open must still find its decision.

mod scan;
mod search;
mod walk;

use std::time::Duration;

use rustix::fs::FileType;

use crate::lower::Dir;
use crate::sync::Arc;
use crate::sync::atomic::AtomicUsize;

use super::Volume;
use super::directory::DirState;
use super::inode::Inode;
use super::keys::{Caller, Operation};

pub(super) use scan::Scan;
pub(super) use walk::Walk;

use search::Search;

/// Most keys searched at once.
const MOST: usize = 256;

/// Who comes back later than this is not going through the directory.
const PAUSE: Duration = Duration::from_secs(2);

/// Stands for the filesystem itself where users are told apart.
const NOBODY: u32 = u32::MAX;

impl Volume {
    /// To be called when a file was opened that nobody has open; `missed` if a question had to be
    /// asked for it.
    pub(super) fn ask_ahead(&self, inode: &Arc<Inode>, caller: Caller, missed: bool) {
        let Caller::User { uid, .. } = caller else { return };
        let Some(alias) = inode.alias() else { return };
        let Ok((state, fd)) = self.dir_and_fd(alias.parent) else { return };
        let before = self.walk.lock().note(uid, state.id());
        let (known, batch) = state.scan.lock().note(uid, inode.lower_ino(), missed, before);
        self.walk.lock().asked(missed, known);
        if let Some(batch) = batch {
            let callers = [caller.to(Operation::Read)];
            self.ask_batch(state, fd, &callers, batch, FileType::RegularFile, None);
        }
    }

    /// The same for a directory whose key was just asked for.
    pub(super) fn ask_dirs_ahead(&self, inode: &Arc<Inode>, missed: bool) {
        let Some(alias) = inode.alias() else { return };
        let Ok((state, fd)) = self.dir_and_fd(alias.parent) else { return };
        let (_, batch) = state.dir_scan.lock().note(NOBODY, inode.lower_ino(), missed, 0);
        if let Some(batch) = batch {
            self.ask_batch(state, fd, &[Caller::Service], batch, FileType::Directory, None);
        }
    }

    /// To be called when somebody opens a directory, who has the right to.
    pub(super) fn ask_ahead_in(&self, inode: &Arc<Inode>, state: &Arc<DirState>, caller: Caller) {
        let Caller::User { uid, .. } = caller else { return };
        let Some((before, count)) = self.walk.lock().lists(uid) else { return };
        let Ok(fd) = self.dir_fd(inode, state) else { return };
        let files = state.scan.lock().begin(uid, before);
        if let Some(batch) = files {
            let (state, fd) = (Arc::clone(state), Arc::clone(&fd));
            let callers = [caller.to(Operation::Read)];
            let count = Some(Arc::clone(&count));
            self.ask_batch(state, fd, &callers, batch, FileType::RegularFile, count);
        }
        let dirs = state.dir_scan.lock().begin(NOBODY, 0);
        if let Some(batch) = dirs {
            let callers = [Caller::Service, caller.to(Operation::List)];
            self.ask_batch(
                Arc::clone(state),
                fd,
                &callers,
                batch,
                FileType::Directory,
                Some(count),
            );
        }
    }

    /// The search is made where the keys are asked for: whoever opened a file does not wait.
    fn ask_batch(
        &self,
        state: Arc<DirState>,
        fd: Arc<Dir>,
        callers: &[Caller],
        batch: usize,
        kind: FileType,
        count: Option<Arc<AtomicUsize>>,
    ) {
        let mut search = Search { state, fd, volume: self.id, kind, left: batch, count };
        let next = Box::new(move |most| search.next(most));
        self.keys.unwrap_ahead(callers, next);
    }
}
