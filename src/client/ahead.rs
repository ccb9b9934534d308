//! Questions that are being asked, by a thread that asks ahead or by somebody who wants the answer.
//!
//! Whoever wants the same waits for the answer that is on its way, and does not ask again: a
//! decision has one record. What could not be asked for is simply asked for later, by whoever
//! wants it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::cache::Question;
use crate::sync::interrupt;

/// How long somebody waits for an answer on its way before he asks himself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Questions that are on their way.
#[derive(Default)]
pub struct Coming {
    questions: Mutex<HashSet<Question>>,
    /// As many as there are, to be looked at without the lock.
    count: AtomicUsize,
    came: Condvar,
}

impl Coming {
    /// Notes a question that is going to be asked; `false` if somebody is asking it.
    pub fn begin(&self, question: &Question) -> bool {
        let mut questions = self.questions.lock();
        let new = questions.insert(question.clone());
        self.count.store(questions.len(), Ordering::Release);
        new
    }

    /// [`Coming::begin`], until what it gives is dropped. `None`: somebody is asking already.
    pub fn asking<'c>(&'c self, question: &Question) -> Option<Asking<'c>> {
        self.begin(question).then(|| Asking { coming: self, question: question.clone() })
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

    /// Waits while `question` is on its way. Memory has the answer afterwards, or nobody has
    /// asked, or it takes too long.
    pub fn wait(&self, question: &Question) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut questions = self.questions.lock();
        let deadline = Instant::now() + PATIENCE;
        while questions.contains(question) {
            let look = deadline.min(Instant::now() + Duration::from_millis(100));
            let slow = self.came.wait_until(&mut questions, look).timed_out();
            if slow && (Instant::now() >= deadline || interrupt::interrupted()) {
                return;
            }
        }
    }
}

/// A question that is being asked.
pub struct Asking<'c> {
    coming: &'c Coming,
    question: Question,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.coming.end([&self.question]);
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
        assert!(coming.begin(&question(1)));
        assert!(!coming.begin(&question(1)), "once");
        assert!(coming.asking(&question(1)).is_none());
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
    fn whoever_asks_himself_is_waited_for_until_he_is_done() {
        let coming = Coming::default();
        let asking = coming.asking(&question(1));
        assert!(asking.is_some());
        assert!(!coming.begin(&question(1)));
        drop(asking);
        assert!(coming.begin(&question(1)));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let coming = Coming::default();
        coming.begin(&question(1));
        let since = Instant::now();
        coming.wait(&question(1));
        assert!(since.elapsed() >= PATIENCE);
    }
}
