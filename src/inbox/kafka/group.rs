//! What the group that shares the topic decides: which partitions are to be ours.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tallybook_events::ids::Partition;

use crate::inbox::feed::Owners;

/// What the group decides, told to the owners from within librdkafka's callback.
pub(super) struct Group {
    pub(super) owners: Arc<dyn Owners>,
    pub(super) topic: String,
    /// The partitions that it has given us.
    pub(super) ours: Mutex<BTreeSet<Partition>>,
    /// Whether the group has taken us in.
    pub(super) joined: Arc<AtomicBool>,
}

impl ClientContext for Group {}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Paused: not a command before the owner has said where to begin.
            let assigned = partitions
                .set_all_offsets(WireOffset::Beginning)
                .and_then(|()| consumer.incremental_assign(partitions))
                .and_then(|()| consumer.pause(partitions));
            self.want(partitions, true);
            self.joined.store(true, Ordering::Release);
            assigned
        } else if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
            // What we still append, the successor judges.
            self.want(partitions, false);
            // One that is being begun anew is not assigned for a moment: then there is less to give back.
            let nothing = TopicPartitionList::new();
            consumer
                .incremental_unassign(partitions)
                .or_else(|_| consumer.incremental_unassign(&nothing))
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "a change of the group");
        }
    }
}

impl Group {
    fn want(&self, partitions: &TopicPartitionList, wanted: bool) {
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        for element in partitions.elements_for_topic(&self.topic) {
            if let Ok(partition) = u32::try_from(element.partition()).map(Partition) {
                if wanted {
                    ours.insert(partition);
                } else {
                    ours.remove(&partition);
                }
                self.owners.want(partition, wanted);
            }
        }
    }

    /// Tells whether it has given us nothing.
    pub(super) fn has_given_nothing(&self) -> bool {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells whether a partition is to be ours.
    pub(super) fn has_given(&self, partition: Partition) -> bool {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner).contains(&partition)
    }
}
