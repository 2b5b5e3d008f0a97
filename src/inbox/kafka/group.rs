//! What the group that shares the topic decides: which partitions are to be ours.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext};
use tallybook_events::ids::Partition;

use crate::inbox::feed::Owners;

/// What it takes to join the group.
pub(super) struct Joining {
    pub(super) config: ClientConfig,
    pub(super) topic: String,
    pub(super) owners: Arc<dyn Owners>,
    pub(super) joined: Arc<AtomicBool>,
}

impl Joining {
    /// Begins to join. Nothing is read before the group has given us something.
    pub(super) fn join(&self) -> KafkaResult<BaseConsumer<Group>> {
        let group = Group {
            owners: Arc::clone(&self.owners),
            topic: self.topic.clone(),
            ours: Mutex::default(),
            joined: Arc::clone(&self.joined),
        };
        let consumer: BaseConsumer<Group> = self.config.create_with_context(group)?;
        consumer.subscribe(&[&self.topic])?;
        Ok(consumer)
    }
}

/// What the group decides, told to the owners from within librdkafka's callback.
pub(super) struct Group {
    owners: Arc<dyn Owners>,
    topic: String,
    /// The partitions that it has given us.
    ours: Mutex<BTreeSet<Partition>>,
    /// Whether the group has taken us in.
    joined: Arc<AtomicBool>,
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

    /// The group has put us out: nothing is ours any more.
    pub(super) fn lose_all(&self) {
        self.joined.store(false, Ordering::Release);
        let ours = std::mem::take(&mut *self.ours.lock().unwrap_or_else(PoisonError::into_inner));
        for partition in ours {
            self.owners.want(partition, false);
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
