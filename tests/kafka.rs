//! What only a real Apache Kafka can show.

mod common;
#[path = "common/kafka.rs"]
mod broker;
#[path = "common/postgres.rs"]
mod database;
#[path = "kafka/log.rs"]
mod log;
#[path = "kafka/asyncapi.rs"]
mod asyncapi;
#[path = "kafka/publisher.rs"]
mod publisher;
#[path = "kafka/servers.rs"]
mod servers;
#[path = "kafka/work.rs"]
mod work;
#[path = "kafka/frames.rs"]
mod frames;
#[path = "kafka/proxy.rs"]
mod proxy;
#[path = "kafka/topic.rs"]
mod topic;
#[path = "kafka/broken.rs"]
mod broken;
#[path = "kafka/takeover.rs"]
mod takeover;
#[path = "kafka/cases.rs"]
mod cases;
#[path = "kafka/errors.rs"]
mod errors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use tallybook::journal::Journal;
use tallybook::journal::conformance::{self, Subject};
use tallybook::journal::kafka::KafkaJournal;
use tallybook::kafka::{Kafka, topics};
use tokio::sync::RwLock;

use common::{Server, until};

/// Gives our topics on the shared broker, under a prefix that no other test has.
fn topics_of_our_own() -> Kafka {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{}-{number}", std::process::id());
    Kafka { prefix, ..Kafka::at(broker::shared()) }
}

struct Topic(Kafka);

impl Subject for Topic {
    fn open(&self) -> Box<dyn Journal> {
        Box::new(KafkaJournal::open(&self.0).expect("the journal is there"))
    }
}

#[test]
fn the_journal_on_kafka_keeps_every_promise() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    conformance::all(|partitions| {
        let kafka = topics_of_our_own();
        let partitions = i32::try_from(partitions).expect("few partitions");
        let made = runtime.block_on(topics::apply(&kafka, partitions, 1));
        made.expect("the topics are made");
        Topic(kafka)
    });
}

/// Partitions of a test's topics.
const PARTITIONS: i32 = 4;
/// How often a server is killed.
const KILLS: usize = 6;

async fn made(kafka: &Kafka) {
    topics::apply(kafka, PARTITIONS, 1).await.expect("the topics are made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_through_kafka_and_is_answered() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = servers::start(&kafka, folder.path(), "one").await;
    let client = server.client();
    let made = client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    assert_eq!((&made["key"], &made["version"]), (&json!("acme"), &json!(1)));
    // The new key's slot is on another partition, or not: it is the same for who asks.
    for number in 0..8 {
        let (from, to) = (format!("k{number}"), format!("l{number}"));
        client.post("/api/v1/customers", &json!({"key": from})).await.expect(201);
        let renamed = client.patch(&format!("/api/v1/customers/{from}"), &json!({"key": to})).await;
        assert_eq!(renamed.expect(200)["key"], json!(to));
        assert_eq!(client.get(&format!("/api/v1/customers/{from}")).await.status, 404);
    }
    // What was given up is free for whoever asks next, wherever it is decided.
    for number in 0..4 {
        let [a, b] = [0, 1].map(|of| format!("/api/v1/customers/l{}", (number + of) % 8));
        let above = |key: &str| json!({"identity": {"parent": {"key": &key[18..]}}});
        let alone = json!({"identity": {"parent": null}});
        for (child, parent) in [(&a, above(&b)), (&a, alone.clone()), (&b, above(&a)), (&b, alone)]
        {
            client.patch(child, &parent).await.expect(200);
        }
    }
    let taken = client.patch("/api/v1/customers/l0", &json!({"key": "l1"})).await;
    assert_eq!((taken.status, taken.at("/code")), (409, json!("key_taken")));
    let id = "7b0c2a52-5f0e-4d0c-9f0e-0a4f5a4f3a10";
    let command = json!({"command_id": id, "type": "UpdateCustomer", "customer": {"key": "acme"},
        "patch": {"contract": {"status": "suspended"}}});
    let first = client.post("/api/v1/commands", &command).await;
    let again = client.post("/api/v1/commands", &command).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{again}");
    assert_eq!(first.expect(200), again.expect(200));
    let other = json!({"command_id": id, "type": "ArchiveCustomer", "customer": {"key": "acme"}});
    let reused = client.post("/api/v1/commands", &other).await;
    assert_eq!((reused.status, reused.at("/code")), (409, json!("command_id_reused")));
    server.stop();
    log::journal(&kafka).check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_puts_into_the_topic_is_decided_or_set_aside() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = servers::start(&kafka, folder.path(), "one").await;
    let command = |key: &str| {
        json!({"command_id": uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, key.as_bytes()),
            "tenant": "t", "environment": "live", "type": "CreateCustomer",
            "customer": {"key": key}})
        .to_string()
    };
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    // All on one partition, whichever their customers live on, and nonsense between.
    let mut sent = 0;
    for number in 0..12 {
        for payload in [command(&format!("k{number}")), format!("nonsense {number}")] {
            let topic = kafka.topic("commands");
            let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).expect("there is room");
            sent += 1;
        }
    }
    producer.flush(common::DEADLINE).expect("all is kept");
    assert_eq!(sent, 24);
    let client = server.client();
    for number in 0..12 {
        let path = format!("/api/v1/customers/k{number}");
        common::until_async("the customer", || async {
            (client.get(&path).await.status == 200).then_some(())
        })
        .await;
    }
    server.stop();
    let journal = log::journal(&kafka);
    journal.check();
    let forwarded =
        journal.decisions().filter(|decision| !decision["outcome"]["forwarded"].is_null()).count();
    assert!(forwarded > 0, "some live elsewhere");
    let reasons: Vec<&Value> = journal
        .decisions()
        .map(|decision| &decision["outcome"]["dead_lettered"]["reason"])
        .collect();
    assert_eq!(reasons.iter().filter(|reason| reason.is_string()).count(), 12);
    assert_eq!(dead_letters(&kafka).len(), 12);
}

/// Gives the payloads of the dead letters.
fn dead_letters(kafka: &Kafka) -> Vec<String> {
    let consumer: BaseConsumer = kafka.reader().create().expect("a consumer");
    let topic = kafka.topic("dead-letters");
    let (_, end) = consumer.fetch_watermarks(&topic, 0, common::DEADLINE).expect("an answer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).expect("a place");
    consumer.assign(&list).expect("it can be read");
    let mut read = Vec::new();
    until("the dead letters", || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let payload = message.payload().unwrap_or_default();
            read.push(String::from_utf8_lossy(payload).into_owned());
        }
        (i64::try_from(read.len()) == Ok(end)).then_some(())
    });
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_the_work_and_either_may_be_killed() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let names = ["one", "two"];
    let mut running = Vec::new();
    for (folder, name) in folders.iter().zip(names) {
        running.push(servers::start(&kafka, folder.path(), name).await);
    }
    let clients = running.iter().map(Server::client).collect();
    let servers: work::Servers = Arc::new(RwLock::new(clients));
    let writers = work::Writers::start(8, &servers, Duration::ZERO);
    for round in 0..KILLS {
        let before = writers.told();
        common::until_async("more answers", || async {
            (writers.told() > before + 200).then_some(())
        })
        .await;
        let victim = round % 2;
        let other = running.remove(victim);
        other.kill();
        let again = servers::start(&kafka, folders[victim].path(), names[victim]).await;
        running.insert(victim, again);
        *servers.write().await = running.iter().map(Server::client).collect();
    }
    let told = check(&kafka, running, writers).await;
    assert!(told > 200 * KILLS, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_one_database_and_either_may_be_killed() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let url = database::shared().database("shared");
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let names = ["one", "two"];
    let start = async |place: usize| {
        let more = ["--postgres", &url];
        servers::start_with(&kafka, folders[place].path(), names[place], &more).await
    };
    let mut running = vec![start(0).await, start(1).await];
    let clients = running.iter().map(Server::client).collect();
    let servers: work::Servers = Arc::new(RwLock::new(clients));
    let writers = work::Writers::start(8, &servers, Duration::ZERO);
    for round in 0..2 {
        let before = writers.told();
        common::until_async("more answers", || async {
            (writers.told() > before + 200).then_some(())
        })
        .await;
        let victim = round % 2;
        running.remove(victim).kill();
        running.insert(victim, start(victim).await);
        *servers.write().await = running.iter().map(Server::client).collect();
    }
    let list = "/api/v1/customers?limit=200";
    let told = check(&kafka, running, writers).await;
    assert!(told > 400, "{told}");
    // What a fresh fold of the journal gives, in files.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let fresh = servers::start(&kafka, folder.path(), "fresh").await;
    let expected = fresh.client().get(list).await.expect(200);
    fresh.stop();
    let again = start(0).await;
    assert_eq!(again.client().get(list).await.expect(200), expected);
    again.stop();
}

/// Lets clients and servers finish, checks that the read models of the servers are equal, that the
/// journal is sound, and that each answer that was given stands there. Gives the number of answers.
async fn check(kafka: &Kafka, running: Vec<Server>, writers: work::Writers) -> usize {
    let told = writers.finish().await;
    let list = "/api/v1/customers?limit=200";
    let first = running[0].client();
    for other in &running[1..] {
        common::until_async("equal read models", || async {
            let theirs = other.client().get(list).await.expect(200);
            (theirs == first.get(list).await.expect(200)).then_some(())
        })
        .await;
    }
    let customers = first.get(list).await.expect(200)["items"].as_array().map_or(0, Vec::len);
    assert!(customers > 0, "there are customers");
    for server in running {
        server.stop();
    }
    let journal = log::journal(kafka);
    journal.check();
    journal.check_told(&told);
    told.len()
}
