//! Reading at any offset, and asking where partitions end.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::{stored, unavailable, wire_offset, wire_partition};
use crate::arena::Arena;
use crate::journal::{Bounds, JournalError, Stored};
use crate::kafka::{ASK, Kafka};

/// How long one look for the next record takes.
const POLL: Duration = Duration::from_millis(100);
/// Readers that are kept for later.
const MAX_IDLE: usize = 16;

/// Consumers that read from explicit offsets, taken and given back.
pub(super) struct Readers {
    kafka: Kafka,
    topic: String,
    /// Asks where partitions end. It keeps them assigned, so that it hears of new leaders.
    asker: BaseConsumer,
    /// Where partitions ended when that was asked last: up to there it need not be asked again.
    ends: Box<[AtomicU64]>,
    idle: Mutex<Vec<Reader>>,
}

/// A consumer, and what it reads next.
struct Reader {
    consumer: BaseConsumer,
    arena: Arena,
    next: Option<(Partition, Offset)>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Readers").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Asks for the number of partitions of a topic.
pub(super) fn partitions(kafka: &Kafka, topic: &str) -> Result<u32, JournalError> {
    let consumer: BaseConsumer = kafka.reader().create().map_err(unavailable)?;
    let deadline = Instant::now() + ASK;
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), ASK).map_err(unavailable)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let count = found.map_or(0, |found| found.partitions().len());
        if count > 0 {
            return Ok(u32::try_from(count).expect("kafka counts partitions in 31 bits"));
        }
        // A topic that was just made is not known everywhere at once.
        if Instant::now() >= deadline {
            let what = format!("there is no topic {topic}");
            return Err(JournalError::Damaged { what, source: None });
        }
        std::thread::sleep(POLL);
    }
}

impl Readers {
    pub(super) fn new(kafka: &Kafka, topic: &str, partitions: u32) -> Result<Self, JournalError> {
        let asker: BaseConsumer = kafka.reader().create().map_err(unavailable)?;
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition(topic, wire_partition(Partition(partition)));
        }
        all.set_all_offsets(WireOffset::End).map_err(unavailable)?;
        asker.assign(&all).map_err(unavailable)?;
        asker.pause(&all).map_err(unavailable)?;
        let (kafka, topic) = (kafka.clone(), topic.to_owned());
        let ends = (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { kafka, topic, asker, ends, idle: Mutex::default() })
    }

    pub(super) fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        let deadline = Instant::now() + ASK;
        loop {
            let asked = self.asker.fetch_watermarks(&self.topic, wire_partition(partition), ASK);
            match asked {
                Ok((low, end)) if low >= 0 && end >= 0 => {
                    let offset = |wire: i64| Offset::try_from(wire).expect("it is not negative");
                    let bounds = Bounds { low: offset(low), end: offset(end) };
                    self.end_of(partition).store(bounds.end, Ordering::Release);
                    return Ok(bounds);
                }
                // A leader that was just elected does not know yet where the log ends: ask again.
                Err(KafkaError::MetadataFetch(code))
                    if passes(code) && Instant::now() < deadline =>
                {
                    std::thread::sleep(POLL);
                }
                Ok(_) => {
                    return Err(unavailable(KafkaError::OffsetFetch(RDKafkaErrorCode::Unknown)));
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    fn end_of(&self, partition: Partition) -> &AtomicU64 {
        let place = usize::try_from(partition.0).expect("a number of 32 bits is a place");
        &self.ends[place]
    }

    pub(super) fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        let mut end = self.end_of(partition).load(Ordering::Acquire);
        if from >= end {
            end = self.bounds(partition)?.end;
        }
        if from >= end || max_records == 0 {
            return Ok(Vec::new());
        }
        let mut reader = self.reader_at(partition, from)?;
        // A reader that failed is not given back.
        let read = reader.read(end, max_records, max_bytes)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(reader);
        }
        Ok(read)
    }

    /// Gives a reader of which this is the next record: one that stands there, or another.
    fn reader_at(&self, partition: Partition, from: Offset) -> Result<Reader, JournalError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Some((partition, from));
        if let Some(place) = idle.iter().position(|reader| reader.next == next) {
            return Ok(idle.swap_remove(place));
        }
        let taken = if idle.len() < MAX_IDLE { None } else { idle.pop() };
        drop(idle);
        let (consumer, arena) = match taken {
            Some(reader) => (reader.consumer, reader.arena),
            None => (self.kafka.reader().create().map_err(unavailable)?, Arena::default()),
        };
        let mut from_here = TopicPartitionList::new();
        from_here
            .add_partition_offset(
                &self.topic,
                wire_partition(partition),
                WireOffset::Offset(wire_offset(from)),
            )
            .map_err(unavailable)?;
        consumer.assign(&from_here).map_err(unavailable)?;
        Ok(Reader { consumer, arena, next })
    }
}

/// Tells whether an error is gone when asked again a little later.
const fn passes(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::OperationTimedOut
    )
}

impl Reader {
    /// Reads on, up to the end as it is known. There is a record before it.
    fn read(
        &mut self,
        end: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        let (partition, mut next) = self.next.expect("a reader that was taken stands somewhere");
        let mut read = Vec::new();
        let mut bytes = 0;
        let deadline = Instant::now() + ASK;
        while next < end && read.len() < max_records && (read.is_empty() || bytes < max_bytes) {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let stored = stored(&message, &mut self.arena);
                    next = stored.offset + 1;
                    bytes += message.payload_len();
                    read.push(stored);
                }
                Some(Err(error)) if is_final(&error) => return Err(unavailable(error)),
                Some(Err(_)) | None if Instant::now() < deadline => {}
                Some(Err(error)) => return Err(unavailable(error)),
                // What was read counts; the caller asks on.
                None if !read.is_empty() => break,
                None => {
                    let timed_out = RDKafkaErrorCode::OperationTimedOut;
                    return Err(unavailable(KafkaError::MessageConsumption(timed_out)));
                }
            }
        }
        self.next = Some((partition, next));
        Ok(read)
    }
}

/// Tells whether a consumer gives nothing more after this error, until it is assigned anew.
pub(super) const fn is_final(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
        ) | KafkaError::MessageConsumptionFatal(_)
    )
}
