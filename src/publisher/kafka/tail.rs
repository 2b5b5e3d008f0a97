//! The tail of the output: what its last record says of the journal.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use tallybook_events::chain::Checkpoint;

use super::{Names, failed};
use crate::kafka::{ASK, Kafka};
use crate::publisher::records::POSITION;
use crate::publisher::sink::SinkError;

/// How long one look for the next record takes.
const POLL: Duration = Duration::from_millis(100);
/// How many times more is read each time, as long as no record is found.
const FURTHER: i64 = 16;

/// Gives where the output of a partition has come to. Nobody but us writes to it now.
///
/// All topics are written in one transaction, and each decision that is published has an event and a
/// customer. So the last event says it; should events be thrown away some day, the last customer does,
/// for compaction leaves the last record of a topic alone.
pub(super) fn published(
    kafka: &Kafka,
    names: &Names,
    partition: i32,
) -> Result<Checkpoint, SinkError> {
    let mut removed = false;
    let mut last: Option<Checkpoint> = None;
    for topic in [&names.events, &names.customers] {
        let tail = Tail { kafka, topic, partition };
        let (low, end) = tail.ends()?;
        removed |= low > 0;
        let found = if low < end { tail.last(low, end)? } else { None };
        last = [last, found].into_iter().flatten().max_by_key(|place| place.seq);
    }
    match last {
        Some(place) => Ok(place),
        None if !removed => Ok(Checkpoint::START),
        None => Err(SinkError::Damaged {
            what: format!(
                "records of partition {partition} of {} were removed, and none is left that says \
                 how far it had come",
                names.events
            ),
        }),
    }
}

/// One partition of one topic.
struct Tail<'a> {
    kafka: &'a Kafka,
    topic: &'a str,
    partition: i32,
}

impl Tail<'_> {
    /// Gives its first offset, and the one after its last, aborted records and markers included.
    fn ends(&self) -> Result<(i64, i64), SinkError> {
        let all: BaseConsumer = self.kafka.end_reader().create().map_err(failed)?;
        all.fetch_watermarks(self.topic, self.partition, ASK).map_err(failed)
    }

    /// Finds the last record that is committed, before an end as it is known.
    fn last(&self, low: i64, end: i64) -> Result<Option<Checkpoint>, SinkError> {
        let committed: BaseConsumer = self.kafka.tail_reader().create().map_err(failed)?;
        let deadline = Instant::now() + ASK;
        // What the one before had under way is ended by our claim; its end may not be seen at once.
        while committed.fetch_watermarks(self.topic, self.partition, ASK).map_err(failed)?.1 < end {
            if Instant::now() >= deadline {
                return Err(too_late());
            }
            std::thread::sleep(POLL);
        }
        let mut back = FURTHER;
        loop {
            let from = low.max(end.saturating_sub(back));
            let found = self.last_from(&committed, from)?;
            if found.is_some() || from == low {
                return Ok(found);
            }
            back = back.saturating_mul(FURTHER);
        }
    }

    fn last_from(
        &self,
        committed: &BaseConsumer,
        from: i64,
    ) -> Result<Option<Checkpoint>, SinkError> {
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(self.topic, self.partition, WireOffset::Offset(from))
            .map_err(failed)?;
        committed.assign(&place).map_err(failed)?;
        let mut last = None;
        let mut deadline = Instant::now() + ASK;
        loop {
            match committed.poll(POLL) {
                Some(Ok(message)) => {
                    deadline = Instant::now() + ASK;
                    last = Some(self.position(&message)?);
                }
                // Markers and aborted records are passed over: the end is told by itself.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
                // A broker that is away comes back: librdkafka goes on by itself.
                Some(Err(_)) | None if Instant::now() < deadline => {}
                Some(Err(error)) => return Err(failed(error)),
                None => return Err(too_late()),
            }
        }
    }

    /// Reads what a record says of the journal.
    fn position(&self, message: &BorrowedMessage<'_>) -> Result<Checkpoint, SinkError> {
        let headers = message.headers();
        let said = headers.and_then(|headers| {
            let mut named = headers.iter().filter(|header| header.key == POSITION);
            named.next().and_then(|header| header.value)
        });
        let read = said.and_then(|said| serde_json::from_slice(said).ok());
        read.ok_or_else(|| SinkError::Damaged {
            what: format!(
                "the record at offset {} of partition {} of {} does not say where in the journal it \
                 comes from",
                message.offset(),
                self.partition,
                self.topic
            ),
        })
    }
}

fn too_late() -> SinkError {
    SinkError::Unavailable("the end of the output is not told".into())
}
