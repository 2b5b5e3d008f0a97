//! The journal: the ordered log of decisions, the only source of truth.
//!
//! # What is promised
//!
//! - A partition is a total order of records, each at an offset, counted from 0 without gaps. Every
//!   reader sees the same bytes at the same offset, for ever: nothing is changed, nothing is taken away.
//! - [`Appender::append`] hands records over without waiting. Each of them ends at an offset or nowhere,
//!   and the sink is told once for each, in the order of the records: [`Delivery::At`] after the record
//!   is as durable as the adapter promises, [`Delivery::Unknown`] when nobody can tell. After an
//!   `Unknown`, and after the appender was dropped, what was in flight may still land, once or more.
//! - Several appenders may write to one partition at once; their records interleave. The journal does
//!   not say which of them counts: only the reader rule does ([`tallybook_events::chain`]).
//! - After a crash every record that was delivered is there; of those that were in flight any part may be.
//! - Reads block. They are made on threads that may.
//!
//! `conformance.rs` is this list as tests; every adapter runs it.

use std::time::Duration;

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

pub mod sqlite;
pub mod kafka;
pub mod memory;
pub mod adversarial;
pub mod conformance;
mod log;
mod tail;
mod teller;

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub offset: Offset,
    /// Its bytes.
    pub record: Bytes,
}

/// What became of one record that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It is at this offset, durable.
    At(Offset),
    /// Nobody can tell: it may be there, it may land later, it may be lost.
    Unknown,
}

/// First offset there is, and the first that is not written yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// First offset there is.
    pub low: Offset,
    /// First offset that is not written yet.
    pub end: Offset,
}

/// Is told what became of records, in the order in which they were handed over; several at a time.
/// Called on a thread of the journal, or by [`Appender::append`] before it returns: it must not block,
/// call the journal or drop the appender.
pub type DeliverySink = Box<dyn FnMut(Vec<Delivery>) + Send>;

/// Why the journal did not answer.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No answer now. Try again; what was handed over may have been kept.
    #[error("journal does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journal is not what it should be. Stop; a human must look.
    #[error("journal is damaged: {what}")]
    Damaged {
        /// What is wrong, and where.
        what: String,
        /// The cause, when there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The journal takes no more records: it is being closed.
    #[error("journal is closed")]
    Closed,
}

/// A journal of several partitions. See the module's text for what is promised. To name a partition
/// that there is not is a fault of the caller, and panics. Dropping a journal closes it: what was
/// handed over is kept and told, then its appenders take no more. What was opened to follow it may
/// read on.
pub trait Journal: Send + Sync + 'static {
    /// Gives the number of partitions; it never changes.
    fn partitions(&self) -> u32;

    /// Gives where a partition begins and ends now.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when there is no answer.
    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError>;

    /// Reads records from an offset on, in offset order: at least one if there is one, at most
    /// `max_records`, and no more once `max_bytes` are reached. Nothing at the end.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when there is no answer.
    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError>;

    /// Opens a way to append to a partition. `sink` hears what becomes of each record, until the
    /// appender is dropped.
    ///
    /// # Errors
    /// [`JournalError::Closed`] when the journal is being closed.
    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError>;

    /// Follows partitions from their offsets on.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when there is no answer.
    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError>;
}

/// A way to append to one partition.
pub trait Appender: Send {
    /// Hands records over, to be kept in this order. Does not wait for them. Blocks only while more
    /// than the adapter's bound is in flight.
    ///
    /// # Errors
    /// [`JournalError::Closed`] when the journal takes no more; none of the records was taken.
    fn append(&mut self, records: Vec<Bytes>) -> Result<(), JournalError>;
}

/// A reader that waits for what is to come.
pub trait Follower: Send {
    /// Gives what there is next, per partition in offset order, at most `max_records`; waits up to
    /// `timeout` when there is nothing, then gives nothing.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when there is no answer; a later call goes on where this one was.
    fn next(
        &mut self,
        max_records: usize,
        timeout: Duration,
    ) -> Result<Vec<(Partition, Stored)>, JournalError>;
}
