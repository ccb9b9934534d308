//! Asking for data keys ahead of those who open files one after the other.
//!
//! Every unwrapped key has its own durable line in the audit trail before it is used, and the
//! line costs a sync and a way to the key service. Somebody who goes through a directory would
//! wait for one per file. Whoever opens a second file in a directory, or comes from another one
//! that he went through, therefore has the keys of others there asked for, for the same user, many
//! in one question: as many decisions, as many lines, one sync. The next question goes out when
//! half of what the last one brought was used, so that nobody waits for it. Whoever had to ask in
//! the last directories has it done in the next one as soon as he opens that, before he has read
//! its names: most directories are too small for a second file to gain much; and then in those that
//! come next on his way (`onward`, `way`), so that they are there when he comes. The keys of
//! directories, which are the filesystem's own to ask for, come in the same way. All of them stay
//! in the key client's cache, where each open must still find its decision.

mod budget;
mod head;
mod onward;
mod scan;
mod search;
mod walk;
mod way;

use std::collections::VecDeque;
use std::time::Duration;

use rustix::fs::FileType;

use crate::lower::Dir;
use crate::sync::Arc;

use super::Volume;
use super::directory::DirState;
use super::inode::{Alias, Inode};
use super::keys::{Caller, Operation};

pub(super) use scan::Scan;
pub(super) use walk::Walk;

use budget::Budget;
use onward::Came;
use search::Search;
use walk::Beyond;
use way::{Walker, Way};

/// Most keys searched at once.
const MOST: usize = 256;

/// Who comes back later than this is not going through the directory.
const PAUSE: Duration = Duration::from_secs(2);

/// Directories up from the one where somebody is, in which the ones beside his way are looked at.
const CLIMB: usize = 3;

/// Stands for the filesystem itself where users are told apart.
const NOBODY: u32 = u32::MAX;

impl Volume {
    /// To be called when a file was opened that nobody has open; `missed` if a question had to be
    /// asked for it.
    pub(super) fn ask_ahead(&self, inode: &Arc<Inode>, caller: Caller, missed: bool) {
        let Caller::User { uid, .. } = caller else { return };
        let Some(alias) = inode.alias() else { return };
        let Ok((state, fd)) = self.dir_and_fd(alias.parent) else { return };
        let (before, other) = self.walk.lock().note(uid, state.id());
        let parent = self.inodes.get(alias.parent).filter(|_| other);
        let came = parent.as_ref().map(|parent| self.comes_to(parent, &state));
        let (known, batch) = state.scan.lock().note(uid, inode.lower_ino(), missed, before);
        self.walk.lock().asked(missed, known);
        if let Some(batch) = batch {
            let callers = [caller.to(Operation::Read)];
            self.ask_batch(state, fd, &callers, batch, FileType::RegularFile, None);
        }
        if let (Some(parent), Some(came)) = (parent, came) {
            self.ask_beyond(&parent, came, caller);
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
        let Some((before, budget)) = self.walk.lock().lists(uid) else { return };
        let came = self.comes_to(inode, state);
        if came == Came::Elsewhere {
            self.ask_all_in(inode, state, caller, before, &budget);
        }
        self.ask_beyond(inode, came, caller);
    }

    /// Asks for what is in a directory, files and directories.
    fn ask_all_in(
        &self,
        inode: &Arc<Inode>,
        state: &Arc<DirState>,
        caller: Caller,
        before: usize,
        budget: &Arc<Budget>,
    ) {
        let Caller::User { uid, .. } = caller else { return };
        let Ok(fd) = self.dir_fd(inode, state) else { return };
        let files = state
            .scan
            .lock()
            .begin(uid, before)
            .map(|batch| (FileType::RegularFile, batch, vec![caller.to(Operation::Read)]));
        let dirs = state.dir_scan.lock().begin(NOBODY, 0).map(|batch| {
            (FileType::Directory, batch, vec![Caller::Service, caller.to(Operation::List)])
        });
        for (kind, batch, callers) in files.into_iter().chain(dirs) {
            let budget = Some(Arc::clone(budget));
            self.ask_batch(Arc::clone(state), Arc::clone(&fd), &callers, batch, kind, budget);
        }
    }

    /// Somebody who goes through files comes into a directory. Gives how; what was asked for there
    /// before is known to the directory from now on.
    fn comes_to(&self, inode: &Inode, state: &DirState) -> Came {
        let (came, covered) = self.walk.lock().comes_to(inode.lower_ino());
        if let Some(covered) = covered {
            state.scan.lock().take_over(covered);
        }
        came
    }

    /// Asks for what comes after the directory that `caller` has come to.
    fn ask_beyond(&self, inode: &Arc<Inode>, came: Came, caller: Caller) {
        let Caller::User { uid, gid, .. } = caller else { return };
        let Some(Beyond { order, budget, came }) =
            self.walk.lock().beyond(uid, came, inode.alias())
        else {
            return;
        };
        let (left, way, turn) = order;
        let walker = Walker { uid, gid };
        let way = way.filter(|way| way.is_of(walker));
        let mut search = onward::Search {
            walk: Arc::clone(&self.walk),
            turn,
            way: way.unwrap_or_else(|| self.way_from(inode, came, walker)),
            volume: self.id,
            caller,
            uid,
            left,
            budget,
            names: VecDeque::new(),
        };
        let callers = [caller.to(Operation::Read), Caller::Service, caller.to(Operation::List)];
        self.keys.unwrap_ahead(&callers, Box::new(move |most| search.next(most)));
    }

    /// The way on from a directory, to which somebody came from the one beside it that is called
    /// `came`.
    fn way_from(&self, inode: &Arc<Inode>, came: Option<Box<[u8]>>, walker: Walker) -> Way {
        let (mut levels, mut came) = (Vec::new(), came);
        let (mut at, mut from) = (inode.ino, None);
        for _ in 0..=CLIMB {
            let Ok((_, fd)) = self.dir_and_fd(at) else { break };
            let came = if from.is_some() { came.take() } else { None };
            levels.push((fd, from, came));
            let Some(Alias { parent, lower }) = self.inodes.get(at).and_then(|at| at.alias())
            else {
                break;
            };
            (at, from) = (parent, Some(lower));
        }
        let mut way = Way::of(walker, self.walk.lock().onward.is_backwards());
        levels.into_iter().rev().for_each(|(fd, from, came)| way.begin(fd, from, came));
        way
    }

    /// Lets go of what was kept for somebody who went through directories and does not any more. To
    /// be called every few seconds.
    pub(super) fn rest_ahead(&self) {
        self.walk.lock().rest();
    }

    /// The search is made where the keys are asked for: whoever opened a file does not wait.
    fn ask_batch(
        &self,
        state: Arc<DirState>,
        fd: Arc<Dir>,
        callers: &[Caller],
        batch: usize,
        kind: FileType,
        budget: Option<Arc<Budget>>,
    ) {
        let (volume, left, owned) = (self.id, batch, callers.to_vec());
        let mut search = Search { state, fd, volume, kind, callers: owned, left, budget };
        let next = Box::new(move |most| search.next(most));
        self.keys.unwrap_ahead(callers, next);
    }
}
