//! The topic of commands as a program sees it that only puts commands there: it waits until they are
//! kept, not until they are decided.

use std::time::Duration;

use rdkafka::error::KafkaResult;
use tallybook_events::command::Command;
use tallybook_events::ids::Partition;

use super::feed::sent;
use super::sending::{Sender, Sent};
use crate::kafka::{Kafka, topics};

/// A way into the topic.
#[derive(Debug)]
pub struct Entry {
    sender: Sender,
    partitions: u32,
}

impl Entry {
    /// Opens the way to a topic of so many partitions.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn open(kafka: &Kafka, partitions: u32) -> KafkaResult<Self> {
        Ok(Self { sender: Sender::open(kafka, topics::COMMANDS)?, partitions })
    }

    /// Keeps commands, each in the partition of its customer, in their order. Blocks until all are kept,
    /// and tells whether they are. If not, some may be, and come again as repeats.
    pub fn keep(&self, commands: &[Command], within: Duration) -> bool {
        let record =
            |command: &Command| sent(Partition::of(command.home(), self.partitions), command);
        let records: Vec<Sent> = commands.iter().map(record).collect();
        self.sender.keep(&records, within)
    }
}
