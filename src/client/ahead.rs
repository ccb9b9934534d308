//! Keys that are asked for before anybody wants them, by a thread of its own.
//!
//! Whoever wants one of them meanwhile waits for the answer if it is on its way, and does not ask
//! again: a decision has one record. What was not sent yet he takes out and asks for himself, so
//! that he never waits for more than one question. What could not be asked for is simply asked for
//! later, by whoever wants it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::cache::Question;
use crate::sync::interrupt;

/// How long somebody waits for an answer on its way before he asks himself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Questions that will be asked, or are on their way.
#[derive(Default)]
pub struct Coming {
    /// And whether they were sent.
    questions: Mutex<HashMap<Question, bool>>,
    /// As many as there are, to be looked at without the lock.
    count: AtomicUsize,
    came: Condvar,
}

impl Coming {
    /// Notes a question; `false` if it is there already.
    pub fn begin(&self, question: Question) -> bool {
        let mut questions = self.questions.lock();
        let new = match questions.entry(question) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(false);
                true
            }
        };
        self.count.store(questions.len(), Ordering::Release);
        new
    }

    /// Whether a question is still to be asked; it counts as sent from here on.
    pub fn send(&self, question: &Question) -> bool {
        self.questions.lock().get_mut(question).is_some_and(|sent| !std::mem::replace(sent, true))
    }

    /// They were answered, or never will be.
    pub fn end<'q>(&self, ended: impl IntoIterator<Item = &'q Question>) {
        let mut questions = self.questions.lock();
        for question in ended {
            questions.remove(question);
        }
        self.count.store(questions.len(), Ordering::Release);
        self.came.notify_all();
    }

    /// Waits while `question` is on its way; takes it out if it was not sent yet. Memory has the
    /// answer afterwards, or nobody has asked.
    pub fn wait(&self, question: &Question) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut questions = self.questions.lock();
        let deadline = Instant::now() + PATIENCE;
        while let Some(sent) = questions.get(question) {
            if !sent {
                questions.remove(question);
                return;
            }
            let look = deadline.min(Instant::now() + Duration::from_millis(100));
            let slow = self.came.wait_until(&mut questions, look).timed_out();
            if slow && (Instant::now() >= deadline || interrupt::interrupted()) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::cache::At;
    use crate::client::who::Who;
    use crate::server::messages::Kind;

    fn question(volume: u8) -> Question {
        Question::Generate(Who::Service, "k".into(), [volume; 16], Kind::File, At::Anywhere)
    }

    #[test]
    fn one_waits_for_what_is_on_its_way_and_for_nothing_else() {
        let coming = Coming::default();
        coming.wait(&question(1));
        assert!(coming.begin(question(1)));
        assert!(!coming.begin(question(1)));
        assert!(coming.send(&question(1)));
        assert!(!coming.send(&question(1)), "once");
        coming.wait(&question(2));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| coming.wait(&question(1)));
            coming.end([&question(1)]);
            // Whether it came in time to wait or not, it does not hang.
            waiter.join().unwrap();
        });
        coming.wait(&question(1));
    }

    #[test]
    fn what_was_not_sent_is_taken_out_by_whoever_wants_it() {
        let coming = Coming::default();
        coming.begin(question(1));
        coming.wait(&question(1));
        assert!(!coming.send(&question(1)));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let coming = Coming::default();
        coming.begin(question(1));
        coming.send(&question(1));
        let since = Instant::now();
        coming.wait(&question(1));
        assert!(since.elapsed() >= PATIENCE);
    }
}
