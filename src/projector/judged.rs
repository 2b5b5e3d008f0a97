//! Judging: from stored records to what is folded, or to the reason why it must not go on.

use std::collections::BTreeMap;

use tallybook_events::chain::{Chain, Checkpoint, Halt, Offset};
use tallybook_events::codec::{self, Record, UnreadableRecord};
use tallybook_events::ids::Partition;
use tallybook_projections::commands::CommandRow;
use tallybook_projections::projection::{Facts, Unfoldable};
use tallybook_projections::store::{Batch, Part, StoreError};

use crate::journal::{Bounds, JournalError, Stored};

/// Why folding has stopped for good.
#[derive(Debug, thiserror::Error)]
pub enum Halted {
    /// The reader rule has no explanation for a record, or for where the log begins and ends.
    #[error("partition {partition} of the journal cannot be explained")]
    Chain {
        /// The partition.
        partition: Partition,
        /// What the rule says.
        #[source]
        source: Halt,
    },
    /// A record counts, but this build cannot read it.
    #[error("the record at offset {offset} of partition {partition} cannot be read")]
    Unreadable {
        /// The partition.
        partition: Partition,
        /// Where.
        offset: Offset,
        /// Why.
        #[source]
        source: UnreadableRecord,
    },
    /// A record counts, but does not tell what its outcome says.
    #[error("a decision cannot be folded")]
    Unfoldable(#[source] Unfoldable),
    /// The rows are of another journal.
    #[error("the read model has partition {partition}, the journal has only {partitions}")]
    ForeignRows {
        /// The partition.
        partition: Partition,
        /// How many the journal has.
        partitions: u32,
    },
    /// The store cannot go on.
    #[error("the read model cannot go on")]
    Store(#[source] StoreError),
    /// The journal cannot go on.
    #[error("the journal cannot go on")]
    Journal(#[source] JournalError),
}

/// A reader of each partition.
#[derive(Debug)]
pub(super) struct Readers(BTreeMap<Partition, Chain>);

impl Readers {
    /// Begins where rows stand; at the first record where they stand nowhere.
    pub(super) fn from(stand: &[(Partition, Checkpoint)], partitions: u32) -> Result<Self, Halted> {
        let mut readers: BTreeMap<Partition, Chain> =
            (0..partitions).map(|number| (Partition(number), Chain::default())).collect();
        for (partition, checkpoint) in stand {
            let reader = readers
                .get_mut(partition)
                .ok_or(Halted::ForeignRows { partition: *partition, partitions })?;
            *reader = Chain::from(*checkpoint);
        }
        Ok(Self(readers))
    }

    /// Gives where the reader of each partition stands.
    pub(super) fn stand(&self) -> impl Iterator<Item = (Partition, Checkpoint)> {
        self.0.iter().map(|(partition, chain)| (*partition, chain.checkpoint()))
    }

    /// Gives where the reader of one partition stands.
    pub(super) fn checkpoint(&self, partition: Partition) -> Checkpoint {
        self.0.get(&partition).map_or(Checkpoint::START, Chain::checkpoint)
    }

    /// Checks where a partition begins and ends against where its reader stands.
    pub(super) fn check_bounds(&self, partition: Partition, bounds: Bounds) -> Result<(), Halted> {
        let Some(chain) = self.0.get(&partition) else { return Ok(()) };
        chain
            .check_bounds(bounds.low, bounds.end)
            .map_err(|source| Halted::Chain { partition, source })
    }

    /// Judges records and takes the facts out of those that count. Beside a halt it gives what was
    /// judged before it.
    pub(super) fn judge<'a>(
        &mut self,
        stored: &'a [(Partition, Stored)],
    ) -> (Batch<'a>, Result<(), Halted>) {
        let mut parts: BTreeMap<Partition, Part<'a>> = BTreeMap::new();
        let mut judge = || {
            for (partition, stored) in stored {
                let partition = *partition;
                let Some(chain) = self.0.get_mut(&partition) else { continue };
                let from = chain.checkpoint();
                let part = parts.entry(partition).or_insert_with(|| Part {
                    partition,
                    from,
                    to: from,
                    facts: Vec::new(),
                    commands: Vec::new(),
                });
                judge_one(chain, part, stored)?;
                part.to = chain.checkpoint();
            }
            Ok(())
        };
        let judged = judge();
        let mut parts: Vec<Part<'a>> = parts.into_values().collect();
        parts.retain(|part| part.from != part.to);
        (Batch { parts }, judged)
    }
}

fn judge_one<'a>(chain: &mut Chain, part: &mut Part<'a>, stored: &'a Stored) -> Result<(), Halted> {
    let partition = part.partition;
    let verdict = chain
        .judge(stored.offset, &stored.record)
        .map_err(|source| Halted::Chain { partition, source })?;
    if !verdict.counts() {
        return Ok(());
    }
    let (record, recorded) = codec::read_with_events(&stored.record)
        .map_err(|source| Halted::Unreadable { partition, offset: stored.offset, source })?;
    if let Record::Decision(decision) = record {
        part.commands.extend(CommandRow::of(partition, &decision));
        let facts = Facts::of(partition, *decision, &recorded).map_err(Halted::Unfoldable)?;
        part.facts.extend(facts);
    }
    Ok(())
}
