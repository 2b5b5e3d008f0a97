//! The ports of the publisher: where records go, and which partitions are ours.
//!
//! # What is promised
//!
//! - [`Sink::claim`] takes a partition: whoever had it before can publish nothing more there, and what
//!   that one had under way is there as a whole, or not at all. After its return
//!   [`Output::published`] is true.
//! - [`Output::publish`] publishes all its records or none, in their order, durably; or fails, and then
//!   nobody can tell which. After an error the output is of no use: claim again.
//! - A consumer that reads only what is committed sees each record once, per topic and partition in the
//!   order in which it was published.
//! - [`Share`] may be wrong for a while: two may hold a partition to be theirs. Then one of them is
//!   fenced, and no record is there twice.

use std::collections::BTreeSet;
use std::time::Duration;

use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::Partition;

use super::records::Outgoing;

/// Why nothing was published, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Somebody else has claimed the partition. Claim it again only if it still is ours.
    #[error("somebody else publishes this partition now")]
    Fenced,
    /// No answer now, or a refusal that may pass. Claim again.
    #[error("the output does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is not what it should be. Stop; a human must look.
    #[error("it is not possible to go on from here: {what}")]
    Damaged {
        /// What is wrong, and where.
        what: String,
    },
}

/// Where records go: as many partitions as the journal has.
pub trait Sink: Send + Sync + 'static {
    /// Takes a partition. Blocks.
    ///
    /// # Errors
    /// [`SinkError`].
    fn claim(&self, partition: Partition) -> Result<Box<dyn Output>, SinkError>;
}

/// A partition that was claimed.
pub trait Output: Send {
    /// Gives where in the journal the last decision is that was published when the partition was
    /// claimed: the place after it. [`Checkpoint::START`] when none was.
    fn published(&self) -> Checkpoint;

    /// Publishes records, all or none. Blocks until they are durable.
    ///
    /// # Errors
    /// [`SinkError`]; they may be there, or not.
    fn publish(&mut self, records: Vec<Outgoing>) -> Result<(), SinkError>;
}

/// Tells which partitions are ours.
pub trait Share: Send {
    /// Gives the partitions that are ours, after at most so long; nothing as long as nobody has said.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when there is no answer: what was ours still is. Any other: nothing is
    /// ours any more, for good.
    fn mine(&mut self, wait: Duration) -> Result<Option<BTreeSet<Partition>>, SinkError>;
}
