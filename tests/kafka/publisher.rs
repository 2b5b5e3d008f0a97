//! What is published, read by a plain consumer in another language: `tests/kafka/python/consume.py`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tallybook::kafka::Kafka;
use tokio::sync::RwLock;

use crate::common::python::Python;
use crate::common::{Client, DEADLINE, Server, run, until, until_async};
use crate::{PARTITIONS, asyncapi, log, made, servers, topics_of_our_own, work};

/// The consumer's packages.
const REQUIREMENTS: &str = "tests/kafka/python/requirements.txt";
/// The consumer.
const CONSUMER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/python/consume.py");
/// How often a publisher is killed.
const KILLS: usize = 6;
/// Longer than a transaction may last, and than the group waits for a silent member.
const SILENT: Duration = Duration::from_secs(12);

/// What is no command.
pub(crate) const NONSENSE: &str = "nonsense";

/// A record as the consumer prints it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    partition: u32,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: BTreeMap<String, Option<String>>,
}

impl Record {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(Option::as_deref);
        value.unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(self.value.as_deref().expect("a value")).expect("JSON")
    }
}

/// Reads a topic from its beginning to its end.
pub(crate) fn consumed(kafka: &Kafka, topic: &str) -> Vec<Record> {
    let python = Python::with(REQUIREMENTS);
    let mut command = python.command();
    let ran = run(command.args([CONSUMER, &kafka.bootstrap, &kafka.topic(topic)]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// Gives what compaction leaves of a topic: the last record of each key, unless it says that there is
/// none; and the keys of those.
fn compacted(kafka: &Kafka, topic: &str) -> (BTreeMap<String, Value>, Vec<String>) {
    let mut last = BTreeMap::new();
    for record in consumed(kafka, topic) {
        last.insert(record.key.clone().expect("a key"), record);
    }
    let gone = last.iter().filter(|(_, record)| record.value.is_none());
    let gone = gone.map(|(key, _)| key.clone()).collect();
    last.retain(|_, record| record.value.is_some());
    (last.into_iter().map(|(key, record)| (key, record.value())).collect(), gone)
}

/// An event that is to be published: id, customer, type, version and the event itself.
type Expected = (String, String, String, String, Value);

/// Gives what is to be published of each partition, from the journal.
fn expected(journal: &log::Journal) -> BTreeMap<u32, Vec<Expected>> {
    let mut expected = BTreeMap::new();
    for (partition, records) in &journal.counting {
        let here: &mut Vec<Expected> = expected.entry(*partition).or_default();
        for record in records {
            let accepted = &record["outcome"]["accepted"];
            let events = record["events"].as_array().map_or(&[][..], Vec::as_slice);
            let counting = events.iter().filter(|event| {
                let name = event["type"].as_str().unwrap_or_default();
                !name.ends_with("Claimed.v1") && !name.ends_with("Released.v1")
            });
            for (index, event) in counting.enumerate() {
                let customer = accepted["customer_id"].as_str().expect("a customer").to_owned();
                let from = accepted["from_version"].as_u64().expect("a version");
                let version = from + u64::try_from(index).expect("few events") + 1;
                let id = format!("{partition}-{}-{index}", record["seq"]);
                let kind = event["type"].as_str().expect("a type").to_owned();
                here.push((id, customer, kind, version.to_string(), event.clone()));
            }
        }
    }
    expected
}

/// Gives what was published of each partition, from the topic of events.
fn published(kafka: &Kafka) -> BTreeMap<u32, Vec<Expected>> {
    let mut published: BTreeMap<u32, Vec<Expected>> = BTreeMap::new();
    for record in consumed(kafka, "events") {
        assert_eq!(record.header("ce_specversion"), "1.0");
        assert_eq!(record.header("content-type"), "application/json");
        assert_eq!(record.key.as_deref(), Some(record.header("ce_subject")));
        let text = |name| record.header(name).to_owned();
        let event = (
            text("ce_id"),
            text("ce_subject"),
            text("ce_type"),
            text("ce_customerversion"),
            record.value(),
        );
        published.entry(record.partition).or_default().push(event);
    }
    published
}

/// Puts something into the topic of commands that is none.
fn put_nonsense(kafka: &Kafka) {
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    let topic = kafka.topic("commands");
    let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(NONSENSE);
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(DEADLINE).expect("it is kept");
}

/// Gives how many offsets of a topic are taken up, by records, markers and what was aborted.
fn taken_up(kafka: &Kafka, topic: &str) -> i64 {
    let consumer: BaseConsumer = kafka.end_reader().create().expect("a consumer");
    let topic = kafka.topic(topic);
    let end = |partition| consumer.fetch_watermarks(&topic, partition, DEADLINE).expect("an end").1;
    (0..PARTITIONS).map(end).sum()
}

/// Waits until all that the journal has is published, and checks that each event is there once and in
/// order.
async fn all_is_published(kafka: &Kafka) {
    let mut expected = expected(&log::journal(kafka));
    expected.retain(|_, events| !events.is_empty());
    let total: usize = expected.values().map(Vec::len).sum();
    assert!(total > 0, "there are events");
    let published = until_async("all events", || async {
        let published = published(kafka);
        let count: usize = published.values().map(Vec::len).sum();
        (count >= total).then_some(published)
    })
    .await;
    for (partition, expected) in &expected {
        let published = published.get(partition).map_or(&[][..], Vec::as_slice);
        for (published, expected) in published.iter().zip(expected) {
            assert_eq!(published, expected, "partition {partition}");
        }
        assert_eq!(published.len(), expected.len(), "partition {partition}");
    }
    assert_eq!(published.len(), expected.len());
}

/// Checks that the compacted topics are what the API answers.
async fn the_compacted_are_as_the_api_answers(kafka: &Kafka, client: &Client) {
    let (customers, gone) = compacted(kafka, "customers");
    let mut of_the_api = BTreeMap::new();
    let mut periods = BTreeMap::new();
    let listed = client.get("/api/v1/customers?limit=200").await.expect(200);
    for document in listed["items"].as_array().expect("a list") {
        let id = document["id"].as_str().expect("an id");
        let usage =
            client.get(&format!("/api/v1/customers/{id}/usage?limit=200")).await.expect(200);
        for item in usage["items"].as_array().expect("a list") {
            let text = |name: &str| item[name].as_str().expect("text").to_owned();
            let key = format!("{id}/{}/{}/{}", text("kind"), text("start"), text("end"));
            let mut period = item.clone();
            for name in ["tenant", "environment"] {
                period[name] = document[name].clone();
            }
            period["customer_id"] = json!(id);
            periods.insert(key, period);
        }
        if document["archived_at"].is_null() {
            of_the_api.insert(id.to_owned(), document.clone());
        } else {
            assert!(gone.iter().any(|gone| gone == id), "{id} is archived");
        }
    }
    assert_eq!(customers, of_the_api);
    let (usage, _) = compacted(kafka, "usage");
    assert_eq!(usage, periods);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_consumer_reads_events_customers_and_usage() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = servers::start(&kafka, folder.path(), "one").await;
    let client = server.client();
    for number in 0..12 {
        let key = format!("c{number}");
        client.post("/api/v1/customers", &json!({"key": key})).await.expect(201);
        let path = format!("/api/v1/customers/{key}");
        let changes = json!({"profile": {"name": "Käse & Söhne"}, "contract": {"tier": "growth"},
            "budget": {"period_budget": "100", "duration": "weekly"}});
        client.patch(&path, &changes).await.expect(200);
        let report = |id: &str, at: &str| {
            json!({"report_id": id, "occurred_at": at, "meter": "tokens", "quantity": "10",
                "cost": "0.25"})
        };
        let now = client.get(&path).await.expect(200)["updated_at"].clone();
        let now = now.as_str().expect("a time");
        let reports = [report("r1", "2026-03-01T00:00:00Z"), report("r2", now)];
        let usage = json!({"customer": {"key": key}, "reports": reports});
        client.post("/api/v1/usage", &usage).await.expect(200);
        // The period that there was is no more.
        client.patch(&path, &json!({"budget": {"duration": "daily"}})).await.expect(200);
        if number % 4 == 0 {
            let command_id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, key.as_bytes());
            let archive = json!({"command_id": command_id, "type": "ArchiveCustomer",
                "customer": {"key": key}});
            client.post("/api/v1/commands", &archive).await.expect(200);
        } else if number % 4 == 1 {
            client.patch(&path, &json!({"key": format!("renamed-{number}")})).await.expect(200);
        }
    }
    put_nonsense(&kafka);
    all_is_published(&kafka).await;
    the_compacted_are_as_the_api_answers(&kafka, &client).await;
    asyncapi::is_served(&client).await;
    until("a dead letter", || (taken_up(&kafka, "dead-letters") > 0).then_some(()));
    let kinds = asyncapi::records_are_as_it_says(&kafka);
    for kind in [
        "ClaimKey",
        "RecordUsage",
        "ClaimRecord.v1",
        "DecisionRecord.v1",
        "BudgetSet.v1",
        "UsageRecorded.v1",
        "Customer",
        "CustomerGone",
        "CustomerPeriod",
        "CustomerPeriodGone",
        "DeadLetter",
    ] {
        assert!(kinds.iter().any(|one| one == kind), "{kind} is not among {kinds:?}");
    }
    // A restart finds its place in the output; without its rows it folds them anew.
    server.stop();
    let before = taken_up(&kafka, "events");
    std::fs::remove_dir_all(folder.path().join("publisher")).expect("the publisher has rows");
    let server = servers::start(&kafka, folder.path(), "one").await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "one more"})).await.expect(201);
    all_is_published(&kafka).await;
    assert_eq!(taken_up(&kafka, "events") - before, 2, "one event, one marker");
    the_compacted_are_as_the_api_answers(&kafka, &client).await;
    server.stop();
}

/// Starts a process that does nothing but publish.
async fn publisher(kafka: &Kafka, data: &Path, name: &str) -> Server {
    let arguments = ["--kafka", &kafka.bootstrap, "--kafka-prefix", &kafka.prefix, "--name", name];
    Server::start_in(data, &[&arguments[..], &["--roles", "publisher"]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_are_killed_and_stopped_and_each_event_is_there_once() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let roles = ["--roles", "gateway,processor,projector"];
    let [address, prefix] = [&kafka.bootstrap, &kafka.prefix];
    let arguments = ["--kafka", address, "--kafka-prefix", prefix, "--name", "server"];
    let arguments = [&arguments[..], &roles].concat();
    let server = Server::start_in(folders[2].path(), &arguments).await;
    let names = ["left", "right"];
    let mut publishers = Vec::new();
    for (folder, name) in folders.iter().zip(names) {
        publishers.push(publisher(&kafka, folder.path(), name).await);
    }
    let servers: work::Servers = Arc::new(RwLock::new(vec![server.client()]));
    let writers = work::Writers::start(8, &servers, Duration::ZERO);
    let more = async || {
        let before = taken_up(&kafka, "events");
        until_async("more events", || async {
            (taken_up(&kafka, "events") > before + 200).then_some(())
        })
        .await;
    };
    for round in 0..KILLS {
        more().await;
        let victim = round % 2;
        publishers.remove(victim).kill();
        publishers.insert(victim, publisher(&kafka, folders[victim].path(), names[victim]).await);
    }
    // One that is silent loses its partitions; when it wakes it still believes in them.
    for silent in &publishers {
        more().await;
        silent.signal("STOP");
        let stopped = Instant::now();
        until_async("the end of its time", || async { (stopped.elapsed() > SILENT).then_some(()) })
            .await;
        silent.signal("CONT");
        more().await;
    }
    let told = writers.finish().await;
    assert!(told.len() > 100, "{}", told.len());
    all_is_published(&kafka).await;
    the_compacted_are_as_the_api_answers(&kafka, &server.client()).await;
    for publisher in publishers {
        publisher.stop();
    }
    server.stop();
}
