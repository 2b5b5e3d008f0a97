//! What waits for the writer: bounded by records and by bytes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tallybook_events::ids::Partition;

use crate::journal::JournalError;
use crate::journal::teller::Teller;

/// Records handed over in one call.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) partition: Partition,
    pub(super) records: Vec<Bytes>,
    pub(super) teller: Arc<Teller>,
}

impl Append {
    fn load(&self) -> Load {
        Load { records: self.records.len(), bytes: self.records.iter().map(Bytes::len).sum() }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    records: usize,
    bytes: usize,
}

/// The queue in front of the writer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
    bound: Load,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Append>,
    /// What waits, and what the writer has taken and not finished.
    in_flight: Load,
    closed: bool,
}

impl Queue {
    pub(super) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            bound: Load { records: max_records.max(1), bytes: max_bytes.max(1) },
        }
    }

    /// Puts records in. Waits while as much is in flight as may be: the records of one call, however
    /// many, go in as soon as less is.
    ///
    /// # Errors
    /// [`JournalError::Closed`] when the queue is closed, or is closed while this waits.
    pub(super) fn push(&self, append: Append) -> Result<(), JournalError> {
        let load = append.load();
        let mut state = self.state();
        loop {
            if state.closed {
                return Err(JournalError::Closed);
            }
            let in_flight = state.in_flight;
            if in_flight.records < self.bound.records && in_flight.bytes < self.bound.bytes {
                break;
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.in_flight.records += load.records;
        state.in_flight.bytes += load.bytes;
        state.waiting.push(append);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Takes all that waits into an empty list; sleeps while there is nothing. Says whether there was
    /// something: nothing comes any more when not.
    pub(super) fn take(&self, taken: &mut Vec<Append>) -> bool {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, taken);
        true
    }

    /// Forgets what was taken and is finished now: there is room for more.
    pub(super) fn finish(&self, taken: &mut Vec<Append>) {
        let mut state = self.state();
        for append in taken.iter() {
            let load = append.load();
            state.in_flight.records -= load.records;
            state.in_flight.bytes -= load.bytes;
        }
        drop(state);
        self.room.notify_all();
        taken.clear();
    }

    /// Takes nothing in any more. What waits is still for the writer.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// Takes nothing in any more and throws away what waits.
    pub(super) fn abandon(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        self.close();
        drop(waiting);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
