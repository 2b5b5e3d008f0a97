//! The output on Apache Kafka: a partition of the topics of events, customers and usage for each
//! partition of the journal, written in transactions.
//!
//! - `output`: one producer with one `transactional.id` for each partition: it fences the one before.
//! - `tail`: where the output ends, and what it says of the journal there.
//! - [`share`]: the group in which publishers share the partitions.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tallybook_events::ids::Partition;

use super::sink::{Output, Sink, SinkError};
use crate::kafka::{Kafka, topics};
use output::KafkaOutput;

mod output;
pub mod share;
mod tail;

/// The output on Kafka.
pub struct KafkaSink {
    kafka: Kafka,
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaSink").finish_non_exhaustive()
    }
}

impl KafkaSink {
    /// Names the Kafka whose topics are the output.
    pub const fn new(kafka: Kafka) -> Self {
        Self { kafka }
    }
}

impl Sink for KafkaSink {
    fn claim(&self, partition: Partition) -> Result<Box<dyn Output>, SinkError> {
        Ok(Box::new(KafkaOutput::claim(&self.kafka, wire(partition))?))
    }
}

/// Names of the three topics.
#[derive(Debug, Clone)]
struct Names {
    events: String,
    customers: String,
    usage: String,
}

impl Names {
    fn of(kafka: &Kafka) -> Self {
        Self {
            events: kafka.topic(topics::EVENTS),
            customers: kafka.topic(topics::CUSTOMERS),
            usage: kafka.topic(topics::USAGE),
        }
    }
}

/// What an error means for whoever publishes.
fn failed(error: KafkaError) -> SinkError {
    match error.rdkafka_error_code() {
        Some(code) if fenced(code) => SinkError::Fenced,
        Some(_) | None => SinkError::Unavailable(Box::new(error)),
    }
}

/// Tells whether an error says that somebody else has claimed the partition.
const fn fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
    )
}

/// Gives a partition as Kafka counts it.
fn wire(partition: Partition) -> i32 {
    i32::try_from(partition.0).expect("kafka counts partitions in 31 bits")
}
