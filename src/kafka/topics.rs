//! Our topics: made as the rules want them.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{ASK, Kafka};

/// Name of the journal's topic, after the prefix.
pub const JOURNAL: &str = "journal";
/// Name of the topic of commands.
pub const COMMANDS: &str = "commands";
/// Name of the topic of what was no command.
pub const DEAD_LETTERS: &str = "dead-letters";
/// How long commands are kept, in milliseconds: 7 days.
const COMMANDS_KEPT_MS: &str = "604800000";

/// Why a topic was not made.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// There is no answer.
    #[error("kafka does not answer")]
    Unavailable(#[source] KafkaError),
    /// A broker refused.
    #[error("topic {name} was not made: {code}")]
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
/// [`TopicsError::Unavailable`] when there is no answer.
pub fn brokers(kafka: &Kafka) -> Result<usize, TopicsError> {
    let consumer: BaseConsumer = kafka.reader().create().map_err(TopicsError::Unavailable)?;
    let metadata = consumer.fetch_metadata(None, ASK).map_err(TopicsError::Unavailable)?;
    Ok(metadata.brokers().len())
}

/// Makes the topics that are not there: the journal, kept for ever and never compacted; the commands
/// and what was none, with as many partitions.
///
/// # Errors
/// [`TopicsError::Unavailable`] when there is no answer, [`TopicsError::Refused`] when a broker refuses.
pub async fn apply(kafka: &Kafka, partitions: i32, replication: i32) -> Result<(), TopicsError> {
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().map_err(TopicsError::Unavailable)?;
    let names = [JOURNAL, COMMANDS, DEAD_LETTERS].map(|name| kafka.topic(name));
    let in_sync = if replication >= 3 { "2" } else { "1" };
    let topic = |name| {
        NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
            .set("cleanup.policy", "delete")
            .set("min.insync.replicas", in_sync)
            .set("unclean.leader.election.enable", "false")
    };
    let [journal, commands, dead_letters] = &names;
    let topics = [
        topic(journal).set("retention.ms", "-1").set("retention.bytes", "-1"),
        topic(commands).set("retention.ms", COMMANDS_KEPT_MS).set("retention.bytes", "-1"),
        topic(dead_letters).set("retention.ms", "-1").set("retention.bytes", "-1"),
    ];
    let options = AdminOptions::new().operation_timeout(Some(ASK));
    let made = admin.create_topics(&topics, &options).await.map_err(TopicsError::Unavailable)?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(TopicsError::Refused { name, code }),
        }
    }
    Ok(())
}
