//! Tests of the publisher over a journal and an output in memory, with failures between any two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tallybook_events::chain::{Checkpoint, Head};
use tallybook_events::codec::{self, Claimed, DecisionParts};
use tallybook_events::command::{Command, CommandBody, Context};
use tallybook_events::customer::{
    Budget, Change, CustomerArchived, CustomerCreated, CustomerUpdated, UsageRecorded,
};
use tallybook_events::decision::{Accepted, Outcome, SourceRef};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, CustomerKey, CustomerRef, Environment, Scope};
use tallybook_events::json::Json;
use tallybook_events::time::Timestamp;
use tallybook_projections::digest::ModelsDigest;
use tallybook_projections::store::sqlite::SqliteStore;
use tallybook_projections::store::{Batch, Store, Tell};
use uuid::Uuid;

use super::records::{Outgoing, Topic};
use super::sink::{Output, SinkError};
use super::*;
use crate::journal::Appender;
use crate::journal::memory::MemoryJournal;

const PARTITIONS: u32 = 2;
const SOON: Duration = Duration::from_mins(1);

/// Says yes once in so many times, the same in every run.
#[derive(Debug)]
struct Chance {
    asked: AtomicU64,
    once_in: u64,
}

impl Chance {
    const fn new(once_in: u64) -> Self {
        Self { asked: AtomicU64::new(0), once_in }
    }

    fn happens(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let mixed = asked.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        self.once_in > 0 && (mixed ^ (mixed >> 17)).is_multiple_of(self.once_in)
    }
}

/// An output in memory. It forgets no claim, and fails when it is to.
#[derive(Debug)]
struct MemorySink {
    kept: Mutex<BTreeMap<Partition, (u64, Vec<Outgoing>)>>,
    /// Whether a publish fails, and whether it is kept all the same.
    fails: Chance,
    lies: Chance,
}

impl MemorySink {
    fn new(once_in: u64) -> Arc<Self> {
        let (fails, lies) = (Chance::new(once_in), Chance::new(2));
        Arc::new(Self { kept: Mutex::default(), fails, lies })
    }

    fn records(&self, partition: u32, topic: Topic) -> Vec<Outgoing> {
        let kept = self.kept.lock().unwrap();
        let all = kept.get(&Partition(partition)).map_or(&[][..], |(_, records)| records);
        all.iter().filter(|record| record.topic == topic).cloned().collect()
    }

    /// Gives what compaction leaves: the last value of each key that has one.
    fn compacted(&self, topic: Topic) -> BTreeMap<String, Value> {
        let mut last = BTreeMap::new();
        for record in (0..PARTITIONS).flat_map(|partition| self.records(partition, topic)) {
            match record.value {
                Some(value) => last.insert(record.key, serde_json::from_slice(&value).unwrap()),
                None => last.remove(&record.key),
            };
        }
        last
    }
}

struct Shared(Arc<MemorySink>);

impl Sink for Shared {
    fn claim(&self, partition: Partition) -> Result<Box<dyn Output>, SinkError> {
        let mut kept = self.0.kept.lock().unwrap();
        let (epoch, records) = kept.entry(partition).or_default();
        *epoch += 1;
        let mut events = records.iter().rev().filter(|record| record.topic == Topic::Events);
        let published = events.next().map_or(Checkpoint::START, |record| record.position);
        let sink = Arc::clone(&self.0);
        Ok(Box::new(Claim { sink, partition, epoch: *epoch, published }))
    }
}

struct Claim {
    sink: Arc<MemorySink>,
    partition: Partition,
    epoch: u64,
    published: Checkpoint,
}

impl Output for Claim {
    fn published(&self) -> Checkpoint {
        self.published
    }

    fn publish(&mut self, records: Vec<Outgoing>) -> Result<(), SinkError> {
        let unplugged = || SinkError::Unavailable("somebody pulled the plug".into());
        let mut kept = self.sink.kept.lock().unwrap();
        let (epoch, all) = kept.get_mut(&self.partition).unwrap();
        if *epoch != self.epoch {
            return Err(SinkError::Fenced);
        }
        if !self.sink.fails.happens() {
            all.extend(records);
            return Ok(());
        }
        if self.sink.lies.happens() {
            all.extend(records);
        }
        Err(unplugged())
    }
}

/// All partitions are ours, whoever else thinks so.
struct All;

impl Share for All {
    fn mine(&mut self, wait: Duration) -> Result<Option<BTreeSet<Partition>>, SinkError> {
        thread::park_timeout(wait);
        Ok(Some((0..PARTITIONS).map(Partition).collect()))
    }
}

/// Rows in a folder. Some are lost between publishing and keeping them.
struct Folder {
    path: PathBuf,
    forgets: Arc<Chance>,
}

struct Forgetful(SqliteStore, Arc<Chance>);

impl Folds for Folder {
    fn open(&self, partition: Partition) -> Result<Box<dyn TellingStore>, StoreError> {
        let path = self.path.join(partition.to_string());
        std::fs::create_dir_all(&path).unwrap();
        Ok(Box::new(Forgetful(SqliteStore::open(&path)?, Arc::clone(&self.forgets))))
    }

    fn open_anew(&self, partition: Partition) -> Result<Box<dyn TellingStore>, StoreError> {
        drop(std::fs::remove_dir_all(self.path.join(partition.to_string())));
        self.open(partition)
    }
}

impl Store for Forgetful {
    fn checkpoints(&mut self) -> Result<Vec<(Partition, Checkpoint)>, StoreError> {
        self.0.checkpoints()
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.0.commit(batch)
    }

    fn digest(&mut self) -> Result<ModelsDigest, StoreError> {
        self.0.digest()
    }
}

impl TellingStore for Forgetful {
    fn commit_told(&mut self, batch: &Batch<'_>, tell: Tell<'_>) -> Result<(), StoreError> {
        let Self(store, forgets) = self;
        store.commit_told(batch, &mut |told| {
            tell(told)?;
            if forgets.happens() {
                return Err(StoreError::Unavailable("the process was killed".into()));
            }
            Ok(())
        })
    }
}

fn scope() -> Scope {
    Scope { tenant: "t".parse().unwrap(), environment: Environment::Live }
}

fn id(key: &str) -> CustomerId {
    CustomerId::slot(&scope(), &key.parse::<CustomerKey>().unwrap())
}

fn moment(seq: u64) -> Timestamp {
    let beginning: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    beginning.plus_micros(i64::try_from(seq).unwrap() * 1_000_000)
}

fn created(key: &str) -> Event {
    let Scope { tenant, environment } = scope();
    let key = Some(key.parse().unwrap());
    let customer_id = CustomerId::slot(&scope(), key.as_ref().unwrap());
    Event::CustomerCreated(CustomerCreated { customer_id, tenant, environment, key, birth: 0 })
}

fn archived() -> Event {
    Event::CustomerArchived(CustomerArchived { key: None })
}

fn named(name: &str) -> Event {
    let set = [("profile.name".into(), Change { old: Json::Null, new: name.into() })];
    Event::CustomerUpdated(CustomerUpdated { set: set.into(), removed: [].into() })
}

fn used(report: &str, day: u32) -> Event {
    let occurred_at: Timestamp = format!("2026-11-{day:02}T10:00:00Z").parse().unwrap();
    Event::UsageRecorded(UsageRecorded {
        report_id: report.parse().unwrap(),
        occurred_at,
        meter: "tokens".parse().unwrap(),
        merchant: None,
        quantity: 10_u32.into(),
        raw: 2_u32.into(),
        charged: 3_u32.into(),
        period: Budget::default().schedule().window_at(occurred_at),
        corrects: None,
    })
}

/// Writes the records of both partitions as an owner does.
struct Owners {
    appenders: Vec<(Box<dyn Appender>, u64, Head)>,
    versions: BTreeMap<CustomerId, u64>,
    /// What was decided: partition, and ids and values of the events.
    told: Vec<(Partition, String, String)>,
}

impl Owners {
    fn of(journal: &MemoryJournal) -> Self {
        let appender = |partition| journal.appender(Partition(partition), Box::new(|_| {}));
        let appenders =
            (0..PARTITIONS).map(|partition| (appender(partition).unwrap(), 0, Head::START));
        let mut owners =
            Self { appenders: appenders.collect(), versions: BTreeMap::new(), told: Vec::new() };
        for partition in 0..PARTITIONS {
            let claimed = Claimed { term: 1, owner: "test".into(), at: moment(0) };
            owners.append(partition, codec::write_claim(&claimed));
        }
        owners
    }

    fn append(&mut self, partition: u32, record: Vec<u8>) {
        let (appender, seq, head) = &mut self.appenders[usize::try_from(partition).unwrap()];
        *head = head.rolled(&record);
        *seq += 1;
        appender.append(vec![Bytes::from(record)]).unwrap();
    }

    fn decide(&mut self, customer: &str, events: &[Event]) {
        let customer_id = id(customer);
        let partition = Partition::of(customer_id, PARTITIONS);
        let (_, seq, head) = &self.appenders[usize::try_from(partition.0).unwrap()];
        let (seq, head) = (seq + 1, *head);
        let version = self.versions.entry(customer_id).or_default();
        let from_version = *version;
        *version += u64::try_from(events.len()).unwrap();
        let outcome = Outcome::Accepted(Accepted {
            customer_id,
            from_version,
            to_version: *version,
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        });
        let command = Command {
            command_id: CommandId(Uuid::from_u128(u128::from(seq))),
            scope: scope(),
            customer: CustomerRef::Id(customer_id),
            issued_at: moment(seq),
            actor: "key:1".parse().unwrap(),
            source: "api".parse().unwrap(),
            context: Context { traceparent: Some("00-1".parse().unwrap()), ..Context::default() },
            routed: None,
            body: CommandBody::ArchiveCustomer,
        };
        let parts = DecisionParts {
            decided_at: moment(seq),
            rules: "1",
            source: SourceRef::Local,
            command: &serde_json::to_vec(&command).unwrap(),
            outcome: &outcome,
            gives_back: &[],
            events,
        };
        let mut record = Vec::new();
        codec::write_decision(&mut record, 1, seq, &head, &parts);
        self.append(partition.0, record);
        for (index, event) in events.iter().enumerate() {
            let id = format!("{partition}-{seq}-{index}");
            self.told.push((partition, id, serde_json::to_string(event).unwrap()));
        }
    }

    fn told(&self, partition: u32) -> Vec<(String, String)> {
        let here = self.told.iter().filter(|(one, ..)| one.0 == partition);
        here.map(|(_, id, event)| (id.clone(), event.clone())).collect()
    }
}

fn published(sink: &MemorySink, partition: u32) -> Vec<(String, String)> {
    let records = sink.records(partition, Topic::Events).into_iter();
    let id = |record: &Outgoing| record.headers.iter().find(|(name, _)| *name == "ce_id").cloned();
    records
        .map(|record| (id(&record).unwrap().1, String::from_utf8(record.value.unwrap()).unwrap()))
        .collect()
}

fn start(journal: &MemoryJournal, sink: &Arc<MemorySink>, path: &Path, once_in: u64) -> Publisher {
    let forgets = Arc::new(Chance::new(once_in));
    Publisher::start(PublisherConfig {
        journal: Arc::new(journal.clone()),
        folds: Arc::new(Folder { path: path.into(), forgets }),
        sink: Arc::new(Shared(Arc::clone(sink))),
        share: Box::new(All),
        batch: 4,
    })
    .unwrap()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

fn all_are_there(owners: &Owners, sink: &MemorySink) -> bool {
    (0..PARTITIONS)
        .all(|partition| published(sink, partition).len() >= owners.told(partition).len())
}

fn live(owners: &mut Owners, round: u64) {
    for number in 0..6 {
        let customer = format!("c{number}");
        let day = u32::try_from((round * 7 + number) % 28).unwrap() + 1;
        let report = used(&format!("r{round}"), day);
        match (round, number) {
            (0, _) => owners.decide(&customer, &[created(&customer), report]),
            (9, 0) => owners.decide(&customer, &[archived()]),
            (10.., 0) => {}
            _ => owners.decide(&customer, &[named(&format!("n{round}")), report]),
        }
    }
}

#[test]
fn each_event_is_there_once_and_in_order_whatever_fails_in_between() {
    let journal = MemoryJournal::new(PARTITIONS);
    let mut owners = Owners::of(&journal);
    let sink = MemorySink::new(5);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    // Both hold all partitions to be theirs; each is killed and begun again, once without its rows.
    for round in 0..4 {
        let running = [0, 1].map(|one| start(&journal, &sink, folders[one].path(), 4));
        for more in 0..4 {
            live(&mut owners, round * 4 + more);
        }
        let enough = owners.told.len() / 2;
        let so_far = || (0..PARTITIONS).map(|one| published(&sink, one).len()).sum::<usize>();
        wait_for("half of the events", || so_far() >= enough);
        drop(running);
        if round == 1 {
            std::fs::remove_dir_all(folders[0].path()).unwrap();
        }
    }
    let last = start(&journal, &sink, folders[0].path(), 0);
    wait_for("all events", || all_are_there(&owners, &sink));
    drop(last);
    for partition in 0..PARTITIONS {
        assert_eq!(published(&sink, partition), owners.told(partition), "partition {partition}");
    }
    let failed = sink.lies.asked.load(Ordering::Relaxed);
    assert!(failed > 4, "the output failed {failed} times");
    // What compaction leaves is what one who never failed has published.
    let (calm, fresh) = (MemorySink::new(0), tempfile::tempdir().unwrap());
    let publisher = start(&journal, &calm, fresh.path(), 0);
    wait_for("all events", || all_are_there(&owners, &calm));
    wait_for("it is ready", || publisher.status().ready().is_ok());
    drop(publisher);
    for topic in [Topic::Customers, Topic::Usage] {
        assert_eq!(sink.compacted(topic), calm.compacted(topic));
    }
    assert_eq!(calm.compacted(Topic::Customers).len(), 5, "one is archived");
}

#[test]
fn an_event_a_customer_and_its_periods_are_published_in_their_shapes() {
    let journal = MemoryJournal::new(PARTITIONS);
    let mut owners = Owners::of(&journal);
    owners.decide("acme", &[created("acme")]);
    owners.decide("acme", &[used("r1", 3)]);
    let (sink, folder) = (MemorySink::new(0), tempfile::tempdir().unwrap());
    let publisher = start(&journal, &sink, folder.path(), 0);
    wait_for("both events", || all_are_there(&owners, &sink));
    drop(publisher);
    let acme = id("acme");
    let partition = Partition::of(acme, PARTITIONS).0;
    let events = sink.records(partition, Topic::Events);
    let text = acme.to_string();
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &format!("{partition}-3-0")),
        ("ce_source", "/tallybook/t/live"),
        ("ce_type", "UsageRecorded.v1"),
        ("ce_time", "2026-11-01T00:00:03Z"),
        ("ce_subject", &text),
        ("ce_dataschema", "urn:tallybook:schema:UsageRecorded.v1"),
        ("ce_partitionkey", &text),
        ("ce_tenant", "t"),
        ("ce_environment", "live"),
        ("ce_customerversion", "2"),
        ("ce_commandid", "00000000-0000-0000-0000-000000000003"),
        ("ce_actor", "key:1"),
        ("ce_traceparent", "00-1"),
        ("content-type", "application/json"),
    ];
    assert_eq!(events[1].headers, headers.map(|(name, value)| (name, value.to_owned())));
    let (_, seq, head) = &owners.appenders[usize::try_from(partition).unwrap()];
    let position = Checkpoint { offset: 3, term: 1, seq: *seq, head: *head };
    assert_eq!((&events[1].key, events[1].position), (&text, position));
    let customers = sink.compacted(Topic::Customers);
    let customer = &customers[&text];
    assert_eq!(customer["version"], json!(2));
    assert_eq!(
        customer["usage"]["period"],
        json!({"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "raw": "2",
            "charged": "3", "count": 1, "budget": null, "remaining": null})
    );
    let usage = sink.compacted(Topic::Usage);
    let key = format!("{acme}/day/2026-11-03T00:00:00Z/2026-11-04T00:00:00Z");
    assert_eq!(
        usage[&key],
        json!({"customer_id": text, "tenant": "t", "environment": "live", "kind": "day",
            "start": "2026-11-03T00:00:00Z", "end": "2026-11-04T00:00:00Z", "raw": "2",
            "charged": "3", "quantity": "10", "count": 1, "budget": null,
            "first_at": "2026-11-03T10:00:00Z", "last_at": "2026-11-03T10:00:00Z"})
    );
    assert_eq!(usage.len(), 5, "budget, day, month, year, lifetime: {usage:?}");
}

#[test]
fn an_output_of_another_journal_halts() {
    let folder = tempfile::tempdir().unwrap();
    let sink = MemorySink::new(0);
    let first = MemoryJournal::new(PARTITIONS);
    let mut owners = Owners::of(&first);
    owners.decide("acme", &[created("acme")]);
    let publisher = start(&first, &sink, folder.path(), 0);
    wait_for("the event", || all_are_there(&owners, &sink));
    drop(publisher);
    let other = MemoryJournal::new(PARTITIONS);
    let mut owners = Owners::of(&other);
    owners.decide("acme", &[created("acme"), named("Acme")]);
    owners.decide("acme", &[named("Apex")]);
    let before = published(&sink, 0).len() + published(&sink, 1).len();
    let fresh = tempfile::tempdir().unwrap();
    let rows = [
        (folder.path(), "the journal cannot be explained"),
        (fresh.path(), "is it another journal?"),
    ];
    for (path, expected) in rows {
        let publisher = start(&other, &sink, path, 0);
        wait_for("it halts", || publisher.status().halted().is_some());
        let why = publisher.status().halted().unwrap();
        assert!(why.contains(expected), "{why}");
        assert_eq!(published(&sink, 0).len() + published(&sink, 1).len(), before);
    }
}
