//! Topics of our own on the broker that these tests share, and servers that use them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use tallybook::kafka::{Kafka, topics};

use crate::broker;
use crate::common::{DEADLINE, Server, until};

/// Partitions of a test's topics.
pub(crate) const PARTITIONS: i32 = 4;

/// Names topics on the shared broker, under a prefix that no other test has.
pub(crate) fn unmade() -> Kafka {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("ops-{}-{number}", std::process::id());
    Kafka { prefix, ..Kafka::at(broker::shared()) }
}

/// Makes topics on the shared broker.
pub(crate) async fn made() -> Kafka {
    let kafka = unmade();
    topics::apply(&kafka, PARTITIONS, 1).await.expect("the topics are made");
    kafka
}

/// Gives the arguments of the command line that name a Kafka.
pub(crate) fn named(kafka: &Kafka) -> [&str; 4] {
    ["--kafka", &kafka.bootstrap, "--kafka-prefix", &kafka.prefix]
}

/// Starts a server with some of the roles, named after its folder's last part.
pub(crate) async fn serve(kafka: &Kafka, data: &Path, name: &str, roles: &str) -> Server {
    let named = named(kafka);
    let more = ["--name", name, "--roles", roles];
    Server::start_in(data, &[&named[..], &more].concat()).await
}

/// A record of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) partition: i32,
    pub(crate) value: Value,
    pub(crate) headers: Vec<(String, String)>,
}

/// Reads all that lies in a topic now.
pub(crate) fn all_of(kafka: &Kafka, name: &str) -> Vec<Found> {
    let consumer: BaseConsumer = kafka.reader().create().expect("a consumer");
    let topic = kafka.topic(name);
    let metadata = consumer.fetch_metadata(Some(&topic), DEADLINE).expect("an answer");
    let partitions = metadata.topics()[0].partitions().len();
    let (mut list, mut open) = (TopicPartitionList::new(), 0);
    for partition in 0..i32::try_from(partitions).expect("few partitions") {
        let (low, end) = consumer.fetch_watermarks(&topic, partition, DEADLINE).expect("an answer");
        open += end - low;
        list.add_partition_offset(&topic, partition, Offset::Beginning).expect("a place");
    }
    consumer.assign(&list).expect("it can be read");
    let mut found = Vec::new();
    while i64::try_from(found.len()) != Ok(open) {
        found.push(until("a record", || {
            let polled = consumer.poll(std::time::Duration::from_millis(100));
            polled.and_then(Result::ok).map(|message| read(&message))
        }));
    }
    found
}

fn read(message: &BorrowedMessage<'_>) -> Found {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map(text).unwrap_or_default())
        };
        headers.iter().map(pair).collect()
    });
    let value = message.payload().unwrap_or_default();
    let value = serde_json::from_slice(value).unwrap_or_else(|_| Value::String(text(value)));
    Found { partition: message.partition(), value, headers }
}
