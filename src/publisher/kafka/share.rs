//! The group in which publishers share the partitions of the journal. It only says whose they are: the
//! journal is read elsewhere, from where the output stands.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tallybook_events::ids::Partition;

use super::failed;
use crate::kafka::{Kafka, topics};
use crate::publisher::sink::{Share, SinkError};

/// What the group has given us; nothing before it has taken us in.
type Given = Arc<Mutex<Option<BTreeSet<Partition>>>>;

/// Hears what the group decides.
struct Group(Given);

impl ClientContext for Group {}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let elements = partitions.elements();
        let numbers = elements.iter().filter_map(|one| u32::try_from(one.partition()).ok());
        let numbers: BTreeSet<Partition> = numbers.map(Partition).collect();
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            given.get_or_insert_default().extend(numbers);
            // Paused: nothing is read by this consumer.
            partitions
                .set_all_offsets(WireOffset::Beginning)
                .and_then(|()| consumer.incremental_assign(partitions))
                .and_then(|()| consumer.pause(partitions))
        } else if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
            given.get_or_insert_default().retain(|one| !numbers.contains(one));
            // What we still publish, the successor's claim fences.
            consumer.incremental_unassign(partitions)
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "a change of the group");
        }
    }
}

/// A member of the group of publishers. Dropping it leaves the group.
pub struct KafkaShare {
    consumer: BaseConsumer<Group>,
    given: Given,
}

impl fmt::Debug for KafkaShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaShare").finish_non_exhaustive()
    }
}

impl KafkaShare {
    /// Joins the group. `name` is unique to the process, and the same after its restart.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when librdkafka refuses.
    pub fn join(kafka: &Kafka, name: &str) -> Result<Self, SinkError> {
        let given = Given::default();
        let group = Group(Arc::clone(&given));
        let consumer: BaseConsumer<Group> =
            kafka.publishers(name).create_with_context(group).map_err(failed)?;
        consumer.subscribe(&[&kafka.topic(topics::JOURNAL)]).map_err(failed)?;
        Ok(Self { consumer, given })
    }
}

impl Share for KafkaShare {
    fn mine(&mut self, wait: Duration) -> Result<Option<BTreeSet<Partition>>, SinkError> {
        match self.consumer.poll(wait) {
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                return Err(SinkError::Damaged {
                    what: format!("the group of publishers has put this process out: {code}"),
                });
            }
            // The group is asked again by librdkafka itself; what was ours still is.
            Some(Err(error)) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the group of publishers"
                );
            }
            Some(Ok(_)) | None => {}
        }
        Ok(self.given.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
