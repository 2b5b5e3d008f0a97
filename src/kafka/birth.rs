//! What the journal began with: on which cluster, in how many partitions, with which first records. It
//! is noted in the topic of keys, which is compacted, and looked at by whoever checks the topics.
//!
//! A topic's own id cannot be had through librdkafka's bindings. The first record of a partition tells
//! as much: a journal that was made anew begins with another one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::asking::{Asker, KafkaFault};
use super::topics::{JOURNAL, KEYS, NOTES};
use super::{ASK, Kafka};

/// How long one look for the next record takes.
const LOOK: Duration = Duration::from_millis(50);
/// Most records of the topic of keys that are read.
const MOST: usize = 1_000_000;

/// What the journal began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Birth {
    /// The cluster.
    pub(super) cluster_id: String,
    /// Its partitions.
    pub(super) partitions: i32,
    /// Digest of the first record of each partition that has one.
    pub(super) first: BTreeMap<i32, String>,
}

impl Birth {
    /// Says how this one, which is seen, differs from the one that was noted. A partition that had no
    /// record then may have one now.
    pub(super) fn faults(&self, noted: &Self, journal: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if self.cluster_id != noted.cluster_id {
            faults.push(format!(
                "the cluster is {}, but {journal} began on the cluster {}",
                self.cluster_id, noted.cluster_id
            ));
        }
        if self.partitions != noted.partitions {
            faults.push(format!(
                "{journal} has {} partitions, but it began with {}",
                self.partitions, noted.partitions
            ));
        }
        for (partition, first) in &noted.first {
            if self.first.get(partition) != Some(first) {
                faults.push(format!(
                    "partition {partition} of {journal} does not begin with the record that it \
                     began with: the topic was made anew, or its first records are gone"
                ));
            }
        }
        faults
    }
}

/// Looks what the journal begins with now. Blocks.
pub(super) fn seen(asker: &Asker<'_>, kafka: &Kafka) -> Result<Birth, KafkaFault> {
    let topic = kafka.topic(JOURNAL);
    let metadata = asker.metadata(Some(&topic))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map_or(0, |found| found.partitions().len());
    let partitions = i32::try_from(partitions).expect("kafka counts in 31 bits");
    let cluster_id = asker.consumer.client().fetch_cluster_id(ASK).unwrap_or_default();
    let mut first = BTreeMap::new();
    let mut places = TopicPartitionList::new();
    let mut open = 0;
    for partition in 0..partitions {
        let bounds = asker.consumer.fetch_watermarks(&topic, partition, ASK);
        let (low, end) = bounds.map_err(|error| asker.failed(error))?;
        // What is gone has no first record.
        if low == 0 && end > 0 {
            let place = places.add_partition_offset(&topic, partition, Offset::Offset(0));
            place.map_err(|error| asker.down(error))?;
            open += 1;
        }
    }
    if open > 0 {
        asker.consumer.assign(&places).map_err(|error| asker.down(error))?;
        let deadline = Instant::now() + ASK;
        while first.len() < open {
            if let Some(Ok(message)) = asker.consumer.poll(LOOK)
                && message.offset() == 0
            {
                let digest = Sha256::digest(message.payload().unwrap_or_default());
                first.insert(message.partition(), URL_SAFE_NO_PAD.encode(digest));
            }
            if Instant::now() > deadline {
                return Err(asker.down(timed_out()));
            }
        }
        asker.consumer.unassign().map_err(|error| asker.down(error))?;
    }
    Ok(Birth { cluster_id, partitions, first })
}

/// Reads what was noted, if anything was. Blocks.
pub(super) fn noted(asker: &Asker<'_>, kafka: &Kafka) -> Result<Option<Birth>, KafkaFault> {
    let topic = kafka.topic(KEYS);
    let bounds = asker.consumer.fetch_watermarks(&topic, 0, ASK);
    let (low, end) = bounds.map_err(|error| asker.failed(error))?;
    if low == end {
        return Ok(None);
    }
    let mut place = TopicPartitionList::new();
    let placed = place.add_partition_offset(&topic, 0, Offset::Beginning);
    placed.and_then(|()| asker.consumer.assign(&place)).map_err(|error| asker.down(error))?;
    let (mut noted, mut next) = (None, low);
    let mut deadline = Instant::now() + ASK;
    for _ in 0..MOST {
        if let Some(Ok(message)) = asker.consumer.poll(LOOK) {
            next = message.offset() + 1;
            deadline = Instant::now() + ASK;
            if message.key() == Some(note_key().as_bytes()) {
                let value = message.payload().unwrap_or_default();
                noted = serde_json::from_slice(value).ok();
            }
        }
        if next >= end {
            break;
        }
        if Instant::now() > deadline {
            return Err(asker.down(timed_out()));
        }
    }
    asker.consumer.unassign().map_err(|error| asker.down(error))?;
    Ok(noted)
}

/// Notes what the journal began with. Blocks.
pub(super) fn note(asker: &Asker<'_>, kafka: &Kafka, birth: &Birth) -> Result<(), KafkaFault> {
    let producer: BaseProducer = kafka.producer().create().map_err(|error| asker.down(error))?;
    let (topic, key) = (kafka.topic(KEYS), note_key());
    let value = serde_json::to_vec(birth).expect("a note is JSON");
    let record = BaseRecord::to(&topic).partition(0).key(&key).payload(&value);
    producer.send(record).map_err(|(error, _)| asker.down(error))?;
    producer.flush(ASK).map_err(|error| asker.down(error))
}

fn note_key() -> String {
    format!("{NOTES}journal")
}

fn timed_out() -> KafkaError {
    KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_may_grow_but_not_change_what_it_began_with() {
        let birth = |cluster: &str, partitions, first: &[(i32, &str)]| Birth {
            cluster_id: cluster.into(),
            partitions,
            first: first.iter().map(|(of, digest)| (*of, (*digest).to_owned())).collect(),
        };
        let noted = birth("a", 2, &[(0, "x")]);
        assert_eq!(birth("a", 2, &[(0, "x"), (1, "y")]).faults(&noted, "j"), [""; 0]);
        assert_eq!(
            birth("b", 3, &[(0, "z")]).faults(&noted, "j"),
            [
                "the cluster is b, but j began on the cluster a",
                "j has 3 partitions, but it began with 2",
                "partition 0 of j does not begin with the record that it began with: the topic was \
                 made anew, or its first records are gone",
            ]
        );
        assert_eq!(birth("a", 2, &[]).faults(&noted, "j").len(), 1);
    }
}
