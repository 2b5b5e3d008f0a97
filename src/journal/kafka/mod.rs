//! The journal on Apache Kafka: one topic, kept for ever, its partitions ours. No transactions: which
//! records count is decided by the reader rule alone.
//!
//! An offset of ours is an offset of Kafka: nothing but records takes one up, since nobody writes
//! transactions to this topic. A record is as durable as `acks=all` makes it: on every in-sync replica,
//! in their page caches.

use std::fmt;
use std::sync::Arc;

use rdkafka::error::KafkaError;
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::{Appender, Bounds, DeliverySink, Follower, Journal, JournalError, Stored};
use crate::arena::Arena;
use crate::kafka::{Kafka, topics};
use appender::{KafkaAppender, Opening};
use follower::KafkaFollower;
use reader::Readers;

mod appender;
mod reader;
mod follower;

/// A journal on Kafka.
pub struct KafkaJournal {
    kafka: Kafka,
    topic: String,
    partitions: u32,
    readers: Readers,
    opening: Arc<Opening>,
}

impl fmt::Debug for KafkaJournal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaJournal").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl KafkaJournal {
    /// Opens the journal that is there. Its number of partitions is that of the topic.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when there is no answer, [`JournalError::Damaged`] when there is no
    /// such topic.
    pub fn open(kafka: &Kafka) -> Result<Self, JournalError> {
        let topic = kafka.topic(topics::JOURNAL);
        let partitions = reader::partitions(kafka, &topic)?;
        Ok(Self {
            readers: Readers::new(kafka, &topic, partitions)?,
            kafka: kafka.clone(),
            topic,
            partitions,
            opening: Arc::default(),
        })
    }
}

impl Journal for KafkaJournal {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        self.readers.bounds(partition)
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.readers.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        let place = (self.topic.clone(), wire_partition(partition));
        Ok(Box::new(KafkaAppender::open(&self.kafka, place, sink, &self.opening)?))
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        Ok(Box::new(KafkaFollower::open(&self.kafka, &self.topic, from)?))
    }
}

impl Drop for KafkaJournal {
    fn drop(&mut self) {
        self.opening.close();
    }
}

/// No answer now.
fn unavailable(error: KafkaError) -> JournalError {
    JournalError::Unavailable(Box::new(error))
}

/// Gives a partition as Kafka counts it.
fn wire_partition(partition: Partition) -> i32 {
    i32::try_from(partition.0).expect("kafka counts partitions in 31 bits")
}

/// Gives an offset as Kafka counts it.
fn wire_offset(offset: Offset) -> i64 {
    i64::try_from(offset).expect("kafka counts offsets in 63 bits")
}

/// Gives what lies at a place of the log.
fn stored(message: &impl rdkafka::Message, arena: &mut Arena) -> Stored {
    let offset = Offset::try_from(message.offset()).expect("offsets count from 0");
    Stored { offset, record: arena.keep(message.payload().unwrap_or_default()) }
}
