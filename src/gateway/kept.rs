//! How far decisions have come that nobody waited to see: whoever asks later waits then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tallybook_events::ids::{Partition, Position};

/// The last of these decisions in each partition.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<BTreeMap<Partition, u64>>);

impl Kept {
    /// Takes note of a decision.
    pub(crate) fn note(&self, position: Position) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = last.entry(position.partition).or_default();
        *seq = position.seq.max(*seq);
    }

    /// Gives the last one in each partition.
    pub(crate) fn positions(&self) -> Vec<Position> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(|(partition, seq)| Position { partition: *partition, seq: *seq }).collect()
    }
}
