//! Writing the trail: callers that come together share one flush.
//!
//! The first caller to find nobody writing becomes the writer and takes along whatever has
//! queued up; the others wait for the batch that holds their line. A lone caller thus pays one
//! write and one flush and no change of thread.
//!
//! # Locks
//! `state` is held for linking and queueing, never while writing.

use super::chain::ChainState;
use super::record::Record;
use crate::secret::Secret;
use crate::sync::{Arc, Condvar, Mutex, OnceLock};

/// Takes the lines of a trail.
pub trait AuditLog: Send + Sync + 'static {
    /// Appends whole lines, and returns when they outlive a power cut. With `new_file` they begin
    /// a new file. After an error none of them may be found in the trail later.
    fn append(&self, lines: &[u8], new_file: bool) -> Result<(), AuditError>;

    /// Whether it is time for a new file. Must not block.
    fn is_full(&self) -> bool {
        false
    }
}

/// The trail could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail could not be written")]
pub struct AuditError;

/// The writing end of a trail.
pub struct Trail {
    log: Box<dyn AuditLog>,
    key: Secret<[u8; 32]>,
    state: Mutex<State>,
    written: Condvar,
}

struct State {
    /// With everything queued.
    chain: ChainState,
    /// With everything that is durable.
    durable: ChainState,
    queue: Vec<u8>,
    /// The buffer of the batch before, empty.
    spare: Vec<u8>,
    batch: Arc<Batch>,
    /// The queue begins a new file.
    new_file: bool,
    writing: bool,
}

/// Lines that are written together.
#[derive(Debug, Default)]
struct Batch {
    outcome: OnceLock<Result<(), AuditError>>,
}

/// Records that are linked and not yet durable.
#[must_use]
#[derive(Debug)]
pub struct Queued(Arc<Batch>);

impl Trail {
    /// Continues a trail that ends at `start`. `key` tags the lines.
    pub fn new(log: Box<dyn AuditLog>, key: Secret<[u8; 32]>, start: ChainState) -> Trail {
        let state = State {
            chain: start,
            durable: start,
            queue: Vec::new(),
            spare: Vec::new(),
            batch: Arc::default(),
            new_file: false,
            writing: false,
        };
        Trail { log, key, state: Mutex::new(state), written: Condvar::new() }
    }

    /// Writes the records, in order, and returns when they are durable.
    pub fn record(&self, records: &[Record]) -> Result<(), AuditError> {
        self.wait(&self.queue(records))
    }

    /// Links the records, in order, without waiting: whoever has more to record first does not
    /// wait for each. Nothing that they are about may leave the service before
    /// [`Trail::wait`] has returned.
    pub fn queue(&self, records: &[Record]) -> Queued {
        let texts: Vec<String> = records.iter().map(Record::to_json).collect();
        let mut state = self.state.lock();
        if texts.is_empty() {
            // Done, whatever becomes of others.
            let batch = Batch::default();
            let _ = batch.outcome.set(Ok(()));
            return Queued(Arc::new(batch));
        }
        let State { chain, queue, new_file, .. } = &mut *state;
        if queue.is_empty() && self.log.is_full() {
            // The first line of a file says what it follows: it can then be checked without
            // those before it.
            let previous = chain.chain;
            chain.link(&Record::file_started(&previous).to_json(), &self.key, queue);
            *new_file = true;
        }
        for text in &texts {
            chain.link(text, &self.key, queue);
        }
        Queued(state.batch.clone())
    }

    /// Returns when the queued records are durable.
    pub fn wait(&self, queued: &Queued) -> Result<(), AuditError> {
        if let Some(outcome) = queued.0.outcome.get() {
            return *outcome;
        }
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = queued.0.outcome.get() {
                return *outcome;
            }
            if state.writing {
                self.written.wait(&mut state);
                continue;
            }
            state.writing = true;
            let spare = std::mem::take(&mut state.spare);
            let mut lines = std::mem::replace(&mut state.queue, spare);
            let batch = std::mem::take(&mut state.batch);
            let new_file = std::mem::take(&mut state.new_file);
            let reached = state.chain;
            drop(state);
            let outcome = self.log.append(&lines, new_file);
            lines.clear();
            state = self.state.lock();
            state.writing = false;
            state.spare = lines;
            if outcome.is_ok() {
                state.durable = reached;
            } else {
                // What queued up meanwhile is linked to lines that are not there: it fails too,
                // and the chain goes on from the last line that is.
                state.chain = state.durable;
                state.queue.clear();
                state.new_file = false;
                let _ = std::mem::take(&mut state.batch).outcome.set(outcome);
            }
            let _ = batch.outcome.set(outcome);
            self.written.notify_all();
        }
    }

    /// Where the durable trail ends.
    pub fn position(&self) -> ChainState {
        self.state.lock().durable
    }
}

#[cfg(test)]
mod tests {
    use super::super::verify::{Fault, Verifier};
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[derive(Default)]
    struct Memory {
        lines: Mutex<Vec<u8>>,
        flushes: AtomicUsize,
        broken: AtomicBool,
    }

    impl AuditLog for Arc<Memory> {
        fn append(&self, lines: &[u8], _: bool) -> Result<(), AuditError> {
            if self.broken.load(Ordering::SeqCst) {
                return Err(AuditError);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
            self.flushes.fetch_add(1, Ordering::SeqCst);
            self.lines.lock().extend_from_slice(lines);
            Ok(())
        }
    }

    fn verify(memory: &Memory, key: &Secret<[u8; 32]>) -> Result<ChainState, Fault> {
        let mut verifier = Verifier::new(Some(key));
        for line in String::from_utf8(memory.lines.lock().clone()).unwrap().lines() {
            verifier.line(line)?;
        }
        Ok(verifier.state())
    }

    #[test]
    fn concurrent_callers_share_flushes_and_the_chain_holds() {
        let memory = Arc::new(Memory::default());
        let key = Secret::new([1; 32]);
        let trail = Trail::new(Box::new(memory.clone()), key.duplicate(), ChainState::START);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        trail.record(&[Record::event("Test")]).unwrap();
                    }
                });
            }
        });
        let end = verify(&memory, &key).unwrap();
        assert_eq!(end.sequence, 160);
        assert_eq!(end, trail.position());
        assert!(memory.flushes.load(Ordering::SeqCst) < 160, "no flush was shared");
    }

    #[test]
    fn after_a_failed_write_the_chain_goes_on_without_a_gap() {
        let memory = Arc::new(Memory::default());
        let key = Secret::new([1; 32]);
        let trail = Trail::new(Box::new(memory.clone()), key.duplicate(), ChainState::START);
        trail.record(&[Record::event("One")]).unwrap();
        memory.broken.store(true, Ordering::SeqCst);
        assert_eq!(trail.record(&[Record::event("Lost")]), Err(AuditError));
        memory.broken.store(false, Ordering::SeqCst);
        trail.record(&[Record::event("Two")]).unwrap();
        assert_eq!(verify(&memory, &key).unwrap().sequence, 2);
    }
}
