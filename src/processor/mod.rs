//! The processor: it owns whole partitions, decides their commands and answers what counts.
//!
//! - `ownership`: who owns a partition, as the log tells it: rules R1 to R4, without any I/O.
//! - `memory`: which commands were decided, to answer a repeat like the first time.
//! - `state`: the customers of a partition, and what a journal record does to them; `restoring`: reading
//!   a partition into it.
//! - `owner`: one partition: restore, claim, read up to the claim, append, judge, answer.
//! - `deciding`: the rules, and the records that are written and appended ahead; `repeats`: what was
//!   asked before; `idempotency`: what
//!   was asked under one key; `answering`: what counts is answered; `parked`: what is answered later; `trouble`:
//!   beginning anew, or stopping for good.
//! - `fed`: how an owner deals with commands that lie in a topic.
//! - `worker`: the threads that drive owners. [`snapshot`]: states in files, to begin from.

mod ownership;
mod memory;
mod state;
mod restoring;
mod owner;
mod deciding;
mod repeats;
mod idempotency;
mod answering;
mod parked;
mod trouble;
mod worker;
pub mod snapshot;
mod fed;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use ownership::{Fetched, Ownership, Step, UpTo};
pub use restoring::{RestoreError, restore};
pub use snapshot::Snapshots;
pub use state::PartitionState;
pub use worker::{Decide, PartitionStatus, Processor, ProcessorConfig, ProcessorHandle};

/// Most records that are decided ahead and not judged yet, per partition. Many enough to fill the time
/// until a batch is kept; more would only be cold in memory when they come to count.
pub const MAX_AHEAD: usize = 4_096;
/// Most records that are read from the journal at once.
pub const READ_RECORDS: usize = 8_192;
/// Most bytes that are read from the journal at once.
pub const READ_BYTES: usize = 8 << 20;
