//! Reading a partition into a state: what lies in the journal is read and judged on one thread, and
//! taken in on another, for each of them takes about as long.

use std::sync::mpsc::{self, Receiver};

use tallybook_events::chain::{Chain, Halt, Offset};
use tallybook_events::ids::Partition;

use super::state::PartitionState;
use super::{READ_BYTES, READ_RECORDS};
use crate::journal::{Journal, JournalError, Stored};

/// Fewer records than these are not worth a thread.
const FEW: u64 = 2_048;
/// Most records that are handed from the one thread to the other at a time,
const BATCH_RECORDS: usize = 1_024;
/// and most of their bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait between them.
const BATCHES: usize = 2;

/// Why a partition could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The journal does not answer, or is damaged.
    #[error("partition {partition} cannot be read")]
    Journal {
        /// Which.
        partition: Partition,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// The reader rule halts.
    #[error("partition {partition} halts")]
    Halt {
        /// Which.
        partition: Partition,
        /// Why.
        #[source]
        source: Halt,
    },
}

/// Reads a partition from where `chain` stands up to the end that it has now, into `state`. Whatever
/// it ends with, the state has in it what was judged, no less and no more, unless it cannot be read.
///
/// # Errors
/// [`RestoreError`] when the journal does not answer or its records cannot be explained.
pub fn restore(
    journal: &dyn Journal,
    partition: Partition,
    chain: &mut Chain,
    state: &mut PartitionState,
) -> Result<(), RestoreError> {
    restore_while(journal, partition, chain, state, &|| true)
}

/// Does the same as long as it may go on.
///
/// # Errors
/// [`RestoreError`], as [`restore`].
pub(super) fn restore_while(
    journal: &dyn Journal,
    partition: Partition,
    chain: &mut Chain,
    state: &mut PartitionState,
    may_go_on: &(dyn Fn() -> bool + Sync),
) -> Result<(), RestoreError> {
    let unread = |source| RestoreError::Journal { partition, source };
    let halt = |source| RestoreError::Halt { partition, source };
    let bounds = journal.bounds(partition).map_err(unread)?;
    chain.check_bounds(bounds.low, bounds.end).map_err(halt)?;
    let reading = &Reading { journal, partition, end: bounds.end, may_go_on };
    let left = bounds.end - chain.checkpoint().offset;
    let faults = if left <= FEW {
        let mut taken = Ok(());
        let read = reading.judge_all(chain, (READ_RECORDS, READ_BYTES), |judged| {
            taken = take_in(state, judged);
            taken.is_ok()
        });
        (read, taken)
    } else {
        std::thread::scope(|scope| {
            let (out, judged) = mpsc::sync_channel(BATCHES);
            let beside = std::thread::Builder::new().name("restoring".into());
            let size = (BATCH_RECORDS, BATCH_BYTES);
            let judge = move || reading.judge_all(chain, size, |judged| out.send(judged).is_ok());
            match beside.spawn_scoped(scope, judge) {
                Ok(thread) => {
                    let taken = take_in_all(state, judged);
                    (thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), taken)
                }
                Err(error) => {
                    let error = JournalError::Unavailable(Box::new(error));
                    (Err(Fault::Journal(error)), Ok(()))
                }
            }
        })
    };
    match faults {
        // What cannot be read lies before what cannot be explained.
        (_, Err(source)) | (Err(Fault::Halt(source)), Ok(())) => Err(halt(source)),
        (Err(Fault::Journal(source)), Ok(())) => Err(unread(source)),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// Why a journal is read no further.
enum Fault {
    Journal(JournalError),
    Halt(Halt),
}

/// What is read.
struct Reading<'a> {
    journal: &'a dyn Journal,
    partition: Partition,
    end: Offset,
    may_go_on: &'a (dyn Fn() -> bool + Sync),
}

impl Reading<'_> {
    /// Judges all up to the end, so many records and bytes at a time, and hands over what counts: all
    /// of it, also before a fault. Ends early when it is not taken.
    fn judge_all(
        &self,
        chain: &mut Chain,
        (records, bytes): (usize, usize),
        mut hand_over: impl FnMut(Vec<Stored>) -> bool,
    ) -> Result<(), Fault> {
        while chain.checkpoint().offset < self.end && (self.may_go_on)() {
            let from = chain.checkpoint().offset;
            let read = self.journal.read(self.partition, from, records, bytes);
            let mut stored = read.map_err(Fault::Journal)?;
            if stored.is_empty() {
                return Err(Fault::Halt(Halt::Truncated { offset: self.end, end: from }));
            }
            let mut fault = None;
            stored.retain(|stored| {
                if fault.is_some() {
                    return false;
                }
                match chain.judge(stored.offset, &stored.record) {
                    Ok(verdict) => verdict.counts(),
                    Err(halt) => {
                        fault = Some(halt);
                        false
                    }
                }
            });
            if !hand_over(stored) {
                return Ok(());
            }
            if let Some(halt) = fault {
                return Err(Fault::Halt(halt));
            }
        }
        Ok(())
    }
}

fn take_in_all(state: &mut PartitionState, judged: Receiver<Vec<Stored>>) -> Result<(), Halt> {
    judged.into_iter().try_for_each(|judged| take_in(state, judged))
}

fn take_in(state: &mut PartitionState, judged: Vec<Stored>) -> Result<(), Halt> {
    judged.iter().try_for_each(|stored| state.take_in_record(stored.offset, &stored.record))
}
