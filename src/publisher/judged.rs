//! Judging: from stored records to what is published, or to the reason why it must not go on.

use tallybook_events::chain::{Chain, Checkpoint, Halt, Offset};
use tallybook_events::codec::{self, Record, UnreadableRecord};
use tallybook_events::command::Context;
use tallybook_events::ids::Partition;
use tallybook_projections::projection::{Facts, Unfoldable};
use tallybook_projections::store::StoreError;

use super::sink::SinkError;
use crate::journal::{JournalError, Stored};

/// Why a partition is not published any more.
#[derive(Debug, thiserror::Error)]
pub enum Halted {
    /// The reader rule has no explanation for a record, or for where the log begins and ends.
    #[error("the journal cannot be explained")]
    Chain(#[source] Halt),
    /// A record counts, but this build cannot read it.
    #[error("the record at offset {offset} cannot be read")]
    Unreadable {
        /// Where.
        offset: Offset,
        /// Why.
        #[source]
        source: UnreadableRecord,
    },
    /// A record counts, but does not tell what its outcome says.
    #[error("a decision cannot be folded")]
    Unfoldable(#[source] Unfoldable),
    /// What was published says that it is of this journal, and is not.
    #[error(
        "at offset {offset} of the journal is not what was published from there: is it another journal?"
    )]
    ForeignOutput {
        /// Where.
        offset: Offset,
    },
    /// The rows cannot go on.
    #[error("the publisher's own rows cannot go on")]
    Store(#[source] StoreError),
    /// The journal cannot go on.
    #[error("the journal cannot go on")]
    Journal(#[source] JournalError),
    /// The output cannot go on.
    #[error("the output cannot go on")]
    Sink(#[source] SinkError),
}

/// Decisions that tell something about customers, in their order.
#[derive(Debug, Default)]
pub(super) struct Judged<'a> {
    /// What each tells.
    pub(super) facts: Vec<Facts<'a>>,
    /// What else is said of each.
    pub(super) beside: Vec<Beside>,
}

/// What is said of a decision beside its facts.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    /// The place in the journal after it.
    pub(super) after: Checkpoint,
    /// What came with its command.
    pub(super) context: Context,
}

impl<'a> Judged<'a> {
    /// Judges records and takes the facts out of those that count. Beside a halt it gives what was
    /// judged before it.
    pub(super) fn of(
        chain: &mut Chain,
        partition: Partition,
        stored: &'a [Stored],
    ) -> (Self, Result<(), Halted>) {
        let mut judged = Self::default();
        let done = stored.iter().try_for_each(|stored| judged.add(chain, partition, stored));
        (judged, done)
    }

    fn add(
        &mut self,
        chain: &mut Chain,
        partition: Partition,
        stored: &'a Stored,
    ) -> Result<(), Halted> {
        let verdict = chain.judge(stored.offset, &stored.record).map_err(Halted::Chain)?;
        if !verdict.counts() {
            return Ok(());
        }
        let (record, recorded) = codec::read_with_events(&stored.record)
            .map_err(|source| Halted::Unreadable { offset: stored.offset, source })?;
        let Record::Decision(decision) = record else { return Ok(()) };
        let context = decision.command.context.clone();
        let facts = Facts::of(partition, *decision, &recorded).map_err(Halted::Unfoldable)?;
        if let Some(facts) = facts {
            self.facts.push(facts);
            self.beside.push(Beside { after: chain.checkpoint(), context });
        }
        Ok(())
    }
}
