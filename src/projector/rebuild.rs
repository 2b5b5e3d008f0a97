//! Rebuilding the read models from the first record on, beside the live ones.

use std::time::{Duration, Instant};

use tallybook_events::chain::{Checkpoint, Offset};
use tallybook_events::ids::{Partition, Position};
use tallybook_projections::store::{Rebuild, Store, StoreError};

use super::judged::{Halted, Readers};
use crate::journal::{Journal, JournalError, Stored};

/// Most records that are folded in one transaction.
const MAX_RECORDS: usize = 16_384;
/// Most bytes of them.
const MAX_BYTES: usize = 32 << 20;

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildProgress {
    /// Records that were judged.
    pub done: u64,
    /// Records that there were when it began.
    pub total: u64,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records that were judged, those that do not count included.
    pub records: u64,
    /// Decisions that told something about a customer.
    pub decisions: u64,
    /// Their facts.
    pub events: u64,
    /// The position of each partition that the new rows are true for.
    pub positions: Vec<Position>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why a rebuild did not come to its end. The live rows are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The journal cannot be explained or read.
    #[error("the journal cannot be folded")]
    Halted(#[from] Halted),
    /// The journal does not answer.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// The store does not do it.
    #[error("the read models cannot be rebuilt")]
    Store(#[from] StoreError),
}

/// Folds the whole journal into new rows and puts them in the place of the live ones. A projector may
/// go on folding into those meanwhile: the new ones are not behind when they take their place.
///
/// # Errors
/// [`RebuildError`]; the live rows are then as they were.
pub fn rebuild(
    journal: &dyn Journal,
    mut rebuild: Box<dyn Rebuild>,
    progress: &mut dyn FnMut(RebuildProgress),
) -> Result<Rebuilt, RebuildError> {
    let began = Instant::now();
    let readers = Readers::from(&[], journal.partitions())?;
    let mut work = Work { journal, readers, records: 0, decisions: 0, events: 0 };
    let ends = work.ends()?;
    let total = ends.iter().map(|(_, end)| end).sum();
    work.read_to(&ends, rebuild.store(), &mut |done| progress(RebuildProgress { done, total }))?;
    // Once more, so that little is left for when nobody else may write.
    let ends = work.ends()?;
    work.read_to(&ends, rebuild.store(), &mut |_| {})?;
    let mut failure = None;
    let switched = rebuild.switch(&mut |store, stand| {
        work.catch_up(store, stand).map_err(|error| match error {
            RebuildError::Store(error) => error,
            RebuildError::Halted(_) | RebuildError::Journal(_) => {
                failure = Some(error);
                StoreError::Unavailable("the journal cannot be folded".into())
            }
        })
    });
    if let Some(error) = failure {
        return Err(error);
    }
    switched?;
    let stand = work.readers.stand();
    let positions = stand.map(|(partition, at)| Position { partition, seq: at.seq }).collect();
    let Work { records, decisions, events, .. } = work;
    Ok(Rebuilt { records, decisions, events, positions, elapsed: began.elapsed() })
}

struct Work<'a> {
    journal: &'a dyn Journal,
    readers: Readers,
    records: u64,
    decisions: u64,
    events: u64,
}

impl Work<'_> {
    /// Gives where the partitions end.
    fn ends(&self) -> Result<Vec<(Partition, Offset)>, RebuildError> {
        let mut ends = Vec::new();
        for (partition, _) in self.readers.stand() {
            let bounds = self.journal.bounds(partition)?;
            self.readers.check_bounds(partition, bounds)?;
            ends.push((partition, bounds.end));
        }
        Ok(ends)
    }

    /// Folds up to where partitions end.
    fn read_to(
        &mut self,
        ends: &[(Partition, Offset)],
        store: &mut dyn Store,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), RebuildError> {
        for (partition, end) in ends {
            loop {
                let from = self.readers.checkpoint(*partition).offset;
                if from >= *end {
                    break;
                }
                let read = self.journal.read(*partition, from, MAX_RECORDS, MAX_BYTES)?;
                if read.is_empty() {
                    break;
                }
                let stored: Vec<_> = read.into_iter().map(|stored| (*partition, stored)).collect();
                self.fold(&stored, store)?;
                told(self.records);
            }
        }
        Ok(())
    }

    fn fold(
        &mut self,
        stored: &[(Partition, Stored)],
        store: &mut dyn Store,
    ) -> Result<(), RebuildError> {
        let (batch, judged) = self.readers.judge(stored);
        judged?;
        store.commit(&batch)?;
        let count = |number: usize| u64::try_from(number).expect("a number of rows in memory");
        self.records += count(stored.len());
        for part in &batch.parts {
            self.decisions += count(part.facts.len());
            self.events += part.facts.iter().map(|facts| count(facts.facts.len())).sum::<u64>();
        }
        Ok(())
    }

    /// Folds on to where the live rows stand, which is in the journal.
    fn catch_up(
        &mut self,
        store: &mut dyn Store,
        stand: &[(Partition, Checkpoint)],
    ) -> Result<(), RebuildError> {
        let ours = stand.iter().filter(|(partition, _)| partition.0 < self.journal.partitions());
        let ends: Vec<_> = ours.map(|(partition, at)| (*partition, at.offset)).collect();
        self.read_to(&ends, store, &mut |_| {})
    }
}
