//! Our topics: made as the rules want them.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::asking::Asker;
use super::{ASK, Kafka, KafkaFault};

pub use check::{Noting, WrongTopics, check};

mod check;

/// Name of the journal's topic, after the prefix.
pub const JOURNAL: &str = "journal";
/// Name of the topic of commands.
pub const COMMANDS: &str = "commands";
/// Name of the topic of single events, for plain consumers.
pub const EVENTS: &str = "events";
/// Name of the compacted topic of customers as they stand.
pub const CUSTOMERS: &str = "customers";
/// Name of the compacted topic of usage by period.
pub const USAGE: &str = "usage";
/// Name of the compacted topic of API keys.
pub const KEYS: &str = "keys";
/// What keys of records in the topic of keys begin with that are about no API key.
pub const NOTES: &str = "#";
/// Name of the topic of what was no command.
pub const DEAD_LETTERS: &str = "dead-letters";
/// How long commands are kept, in milliseconds: 7 days.
const COMMANDS_KEPT_MS: &str = "604800000";
/// Largest record of the journal, in bytes: a command of the largest size, and all its events.
const LARGEST_DECISION: &str = "8388608";

/// How many partitions a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// As many as the journal.
    AsJournal,
    /// One: its order is over all.
    One,
}

/// One of our topics, as the rules want it.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    count: Count,
    settings: &'static [(&'static str, &'static str)],
}

/// Never compacted, kept for ever.
const KEPT: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// All our topics.
const KINDS: [Kind; 7] = [
    Kind {
        name: JOURNAL,
        count: Count::AsJournal,
        settings: &[KEPT[0], KEPT[1], KEPT[2], ("max.message.bytes", LARGEST_DECISION)],
    },
    Kind {
        name: COMMANDS,
        count: Count::AsJournal,
        settings: &[KEPT[0], ("retention.ms", COMMANDS_KEPT_MS), KEPT[2]],
    },
    Kind { name: EVENTS, count: Count::AsJournal, settings: &KEPT },
    Kind {
        name: CUSTOMERS,
        count: Count::AsJournal,
        settings: &[("cleanup.policy", "compact"), ("max.message.bytes", LARGEST_DECISION)],
    },
    Kind { name: USAGE, count: Count::AsJournal, settings: &[("cleanup.policy", "compact")] },
    Kind { name: KEYS, count: Count::One, settings: &[("cleanup.policy", "compact")] },
    Kind { name: DEAD_LETTERS, count: Count::AsJournal, settings: &KEPT },
];

impl Kind {
    /// Gives a setting as the rules want it.
    fn setting(&self, name: &str) -> &'static str {
        let found = self.settings.iter().find(|(setting, _)| *setting == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Why topics were not made, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// They are not as they must be.
    #[error(transparent)]
    Wrong(#[from] WrongTopics),
    /// The Kafka cannot be used.
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    /// A fault of ours.
    #[error("looking at the topics ended in a fault")]
    Panicked,
    /// There is no answer.
    #[error("kafka does not answer")]
    Unavailable(#[source] KafkaError),
    /// A broker refused.
    #[error("a broker refused what was asked of topic {name}: {code}")]
    Refused {
        /// The topic.
        name: String,
        /// What the broker says.
        code: RDKafkaErrorCode,
    },
}

/// Counts the brokers. Blocks.
///
/// # Errors
/// [`KafkaFault`] when there is no answer.
pub fn brokers(kafka: &Kafka) -> Result<usize, KafkaFault> {
    Ok(Asker::open(kafka)?.metadata(None)?.brokers().len())
}

/// Gives the number of partitions of the topic of commands. Blocks.
///
/// # Errors
/// [`KafkaFault`] when there is no answer.
pub fn partitions(kafka: &Kafka) -> Result<u32, KafkaFault> {
    let topic = kafka.topic(COMMANDS);
    let metadata = Asker::open(kafka)?.metadata(Some(&topic))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let count = found.map_or(0, |found| found.partitions().len());
    Ok(u32::try_from(count).expect("kafka counts partitions in 31 bits"))
}

/// Makes those of our topics that are not there, as the rules want them: the journal is kept for ever
/// and never compacted. What the journal begins with is noted, if it was not.
///
/// # Errors
/// [`TopicsError::Unavailable`] when there is no answer, [`TopicsError::Refused`] when a broker refuses.
pub async fn apply(kafka: &Kafka, partitions: i32, replication: i32) -> Result<(), TopicsError> {
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().map_err(TopicsError::Unavailable)?;
    let names = KINDS.map(|kind| kafka.topic(kind.name));
    let in_sync = if replication >= 3 { "2" } else { "1" };
    let topics: Vec<NewTopic<'_>> = KINDS
        .iter()
        .zip(&names)
        .map(|(kind, name)| {
            let partitions = if kind.count == Count::One { 1 } else { partitions };
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
                .set("min.insync.replicas", in_sync)
                .set("unclean.leader.election.enable", "false");
            kind.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(ASK));
    let made = admin.create_topics(&topics, &options).await.map_err(TopicsError::Unavailable)?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(TopicsError::Refused { name, code }),
        }
    }
    let kafka = kafka.clone();
    let noting = tokio::task::spawn_blocking(move || check::note_birth(&kafka));
    noting.await.map_err(|_| TopicsError::Panicked)?
}
