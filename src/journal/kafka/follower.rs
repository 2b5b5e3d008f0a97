//! Following partitions, and waiting for what is to come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::reader::is_final;
use super::{stored, unavailable, wire_offset, wire_partition};
use crate::arena::Arena;
use crate::journal::{Follower, JournalError, Stored};
use crate::kafka::Kafka;

/// Most bytes that a follower gives at a time; one record more when it is larger.
const FOLLOW_BYTES: usize = 8 << 20;

/// A consumer of several partitions.
pub(super) struct KafkaFollower {
    consumer: BaseConsumer,
    topic: String,
    next: HashMap<Partition, Offset>,
    arena: Arena,
    /// Whether the consumer gives nothing more until it is assigned anew.
    stuck: bool,
}

impl KafkaFollower {
    pub(super) fn open(
        kafka: &Kafka,
        topic: &str,
        from: Vec<(Partition, Offset)>,
    ) -> Result<Self, JournalError> {
        let consumer: BaseConsumer = kafka.reader().create().map_err(unavailable)?;
        let next = from.into_iter().collect();
        let (topic, arena) = (topic.to_owned(), Arena::default());
        let follower = Self { consumer, topic, next, arena, stuck: false };
        follower.assign()?;
        Ok(follower)
    }

    fn assign(&self) -> Result<(), JournalError> {
        let mut places = TopicPartitionList::new();
        for (partition, offset) in &self.next {
            let offset = WireOffset::Offset(wire_offset(*offset));
            places
                .add_partition_offset(&self.topic, wire_partition(*partition), offset)
                .map_err(unavailable)?;
        }
        self.consumer.assign(&places).map_err(unavailable)
    }
}

impl Follower for KafkaFollower {
    fn next(
        &mut self,
        max_records: usize,
        timeout: Duration,
    ) -> Result<Vec<(Partition, Stored)>, JournalError> {
        if self.stuck {
            self.assign()?;
            self.stuck = false;
        }
        let deadline = Instant::now() + timeout;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < max_records && bytes < FOLLOW_BYTES {
            let wait = if taken.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let partition = u32::try_from(message.partition()).expect("it is one of ours");
                    let (partition, stored) =
                        (Partition(partition), stored(&message, &mut self.arena));
                    bytes += stored.record.len();
                    self.next.insert(partition, stored.offset + 1);
                    taken.push((partition, stored));
                }
                Some(Err(error)) if is_final(&error) => {
                    self.stuck = true;
                    return if taken.is_empty() { Err(unavailable(error)) } else { Ok(taken) };
                }
                // A broker that is away comes back: librdkafka goes on by itself.
                Some(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "following goes on");
                }
                None if !taken.is_empty() || Instant::now() >= deadline => break,
                None => {}
            }
        }
        Ok(taken)
    }
}
