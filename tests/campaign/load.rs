//! Who writes: clients of the gateways that note how long each command waited, by partition; and an
//! upstream program that puts commands into the topic itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};
use tallybook::kafka::{Kafka, topics};
use tallybook_events::ids::{CustomerId, Environment, Partition, Scope};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::common::{TENANT, until_async_within};
use crate::work::{Servers, Told};
use crate::{PARTITIONS, PATIENCE};

/// Customers of each partition whose commands' waits are noted.
const PROBES: usize = 2;
/// Pause of a client between two commands, and of the upstream program.
const PACE: Duration = Duration::from_millis(40);
/// Customers that the upstream program writes to.
const UPSTREAM: u64 = 16;
/// One in so many of its commands lies where its customer does not live.
const ABROAD: u64 = 8;

/// How long a command waited for its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) partition: u32,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
}

impl Wait {
    /// When it was answered.
    pub(crate) fn ended(&self) -> Instant {
        self.began + self.took
    }
}

/// Clients that send one command after the other, each to a partition of its own.
pub(crate) struct Probes {
    stop: Arc<AtomicBool>,
    waits: Arc<Mutex<Vec<Wait>>>,
    running: Vec<JoinHandle<Vec<Told>>>,
}

impl Probes {
    pub(crate) fn start(servers: &Servers) -> Self {
        let (stop, waits) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Wait>>>::default());
        let mut running = Vec::new();
        for partition in 0..PARTITIONS {
            let keys = (0_u64..).map(|number| format!("probe-{number}"));
            for key in keys.filter(|key| home(key) == partition).take(PROBES) {
                let (servers, stop, waits) =
                    (Arc::clone(servers), Arc::clone(&stop), Arc::clone(&waits));
                running.push(tokio::spawn(probe(partition, key, servers, stop, waits)));
            }
        }
        Self { stop, waits, running }
    }

    /// Gives the waits of commands that were under way at a moment or began later.
    pub(crate) fn since(&self, moment: Instant) -> Vec<Wait> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.iter().filter(|wait| wait.ended() >= moment).copied().collect()
    }

    /// Waits until so many commands of each partition were sent from now on and answered.
    pub(crate) async fn more(&self, count: usize) {
        let now = Instant::now();
        until_async_within(PATIENCE, "answers on all partitions", || {
            let since = self.since(now);
            let answered = |of: u32| {
                since.iter().filter(|wait| wait.partition == of && wait.began >= now).count()
            };
            let all = (0..PARTITIONS).all(|of| answered(of) >= count);
            std::future::ready(all.then_some(()))
        })
        .await;
    }

    /// Lets each client finish what it has under way.
    pub(crate) async fn finish(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for running in self.running {
            all.extend(running.await.expect("a client does not panic"));
        }
        all
    }
}

/// Gives the partition where the first customer with a key lives.
fn home(key: &str) -> u32 {
    let tenant = TENANT.parse().expect("a tenant");
    let scope = Scope { tenant, environment: Environment::Live };
    Partition::of(CustomerId::slot(&scope, &key.parse().expect("a key")), PARTITIONS).0
}

/// Gives the id of a customer's command.
fn id(key: &str, number: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{key}-{number}").as_bytes())
}

fn usage(id: Uuid, key: &str) -> Value {
    json!({"command_id": id, "type": "RecordUsage", "customer": {"key": key},
        "reports": [{"report_id": format!("of-{id}"), "occurred_at": "2026-03-01T00:00:00Z",
            "meter": "tokens", "quantity": "1", "cost": "0.01"}]})
}

async fn probe(
    partition: u32,
    key: String,
    servers: Servers,
    stop: Arc<AtomicBool>,
    waits: Arc<Mutex<Vec<Wait>>>,
) -> Vec<Told> {
    let mut all = Vec::new();
    for sequence in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, began) = (id(&key, sequence), Instant::now());
        let command = usage(id, &key);
        // Whichever gateway answers: one may be killed, and none knows yet.
        let answer = until_async_within(PATIENCE, "an answer", || async {
            let client = {
                let servers = servers.read().await;
                servers.get(rand::random_range(0..servers.len())).cloned()
            };
            let client = client.expect("there is a gateway");
            let asked = client.request(http::Method::POST, "/api/v1/commands").json(&command);
            let reply = client.try_send(asked).await.ok()?;
            (reply.status < 500).then(|| reply.json())
        })
        .await;
        let wait = Wait { partition, began, took: began.elapsed() };
        waits.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
        all.push(Told { command_id: id.to_string(), answer });
        tokio::time::sleep(PACE).await;
    }
    all
}

/// Notes which commands are kept in the topic.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<BTreeSet<String>>>);

impl ClientContext for Kept {}

impl ProducerContext for Kept {
    type DeliveryOpaque = Box<Uuid>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<Uuid>) {
        if result.is_ok() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string());
        }
    }
}

/// An upstream program that publishes commands until it is stopped.
pub(crate) struct Upstream {
    stop: Arc<AtomicBool>,
    running: std::thread::JoinHandle<BTreeSet<String>>,
}

impl Upstream {
    pub(crate) fn start(kafka: &Kafka) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (stopped, kafka) = (Arc::clone(&stop), kafka.clone());
        let running = std::thread::spawn(move || publish(&kafka, &stopped));
        Self { stop, running }
    }

    /// Gives the ids of what is kept in the topic.
    pub(crate) fn finish(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.running.join().expect("it does not panic")
    }
}

fn publish(kafka: &Kafka, stop: &AtomicBool) -> BTreeSet<String> {
    let kept = Kept::default();
    let open = || kafka.producer().create_with_context(kept.clone()).expect("a producer");
    let mut producer: ThreadedProducer<Kept> = open();
    let topic = kafka.topic(topics::COMMANDS);
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if producer.client().fatal_error().is_some() {
            producer = open();
        }
        let key = format!("up-{}", number % UPSTREAM);
        let id = id(&key, number);
        let abroad = u32::from(number % ABROAD == 0);
        let partition = i32::try_from((home(&key) + abroad) % PARTITIONS).expect("few");
        let mut command = usage(id, &key);
        command["tenant"] = json!(TENANT);
        command["environment"] = json!("live");
        let command = command.to_string();
        let record = BaseRecord::<(), _, _>::with_opaque_to(&topic, Box::new(id))
            .partition(partition)
            .payload(&command);
        // What finds no room is not published: nobody was told that it was.
        drop(producer.send(record));
        std::thread::sleep(PACE);
    }
    producer.flush(PATIENCE).expect("what becomes of all is known");
    std::mem::take(&mut *kept.0.lock().unwrap_or_else(PoisonError::into_inner))
}
