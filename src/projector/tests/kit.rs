//! What the tests are made of: a journal that is written by hand, and ports that fail on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tallybook_events::chain::{Checkpoint, Head, Offset};
use tallybook_events::codec::{self, Claimed, DecisionParts};
use tallybook_events::command::{Command, CommandBody, Context};
use tallybook_events::customer::{Change, CustomerCreated, CustomerUpdated};
use tallybook_events::decision::{Accepted, Outcome, SourceRef};
use tallybook_events::event::Event;
use tallybook_events::ids::{
    CommandId, CustomerId, CustomerKey, CustomerRef, Environment, Partition, Position, Scope,
};
use tallybook_events::json::Json;
use tallybook_events::time::Timestamp;
use tallybook_projections::digest::ModelsDigest;
use tallybook_projections::progress::Progress;
use tallybook_projections::queries::{AsOf, Queries as _};
use tallybook_projections::store::sqlite::{SqliteQueries, SqliteStore};
use tallybook_projections::store::{Batch, Store, StoreError};
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::journal::memory::MemoryJournal;
use crate::journal::{Appender, Bounds, DeliverySink, Follower, Journal, JournalError, Stored};
use crate::projector::{Pace, Projector, ProjectorState};

pub(super) const PARTITIONS: u32 = 2;
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn scope() -> Scope {
    Scope { tenant: "t".parse().unwrap(), environment: Environment::Live }
}

pub(super) fn key(text: &str) -> CustomerKey {
    text.parse().unwrap()
}

pub(super) fn id(text: &str) -> CustomerId {
    CustomerId::slot(&scope(), &key(text))
}

fn moment(seq: u64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + i64::try_from(seq).unwrap())
}

/// Makes a command with a number for its id.
pub(super) fn command(
    customer: CustomerRef,
    issued_at: Timestamp,
    number: u64,
    body: CommandBody,
) -> Command {
    Command {
        command_id: CommandId(Uuid::from_u128(u128::from(number))),
        scope: scope(),
        customer,
        issued_at,
        actor: "key:1".parse().unwrap(),
        source: "api".parse().unwrap(),
        context: Context::default(),
        routed: None,
        body,
    }
}

pub(super) fn created(text: &str) -> Event {
    Event::CustomerCreated(CustomerCreated {
        customer_id: id(text),
        tenant: scope().tenant,
        environment: scope().environment,
        key: Some(key(text)),
        birth: 0,
    })
}

pub(super) fn named(name: &str) -> Event {
    let set = [("profile.name".into(), Change { old: Json::Null, new: name.into() })];
    Event::CustomerUpdated(CustomerUpdated { set: set.into(), removed: [].into() })
}

/// Writes the records of one partition as an owner does.
pub(super) struct Owner {
    partition: Partition,
    appender: Box<dyn Appender>,
    pub(super) term: u64,
    pub(super) seq: u64,
    pub(super) head: Head,
}

impl Owner {
    /// Takes a partition of an empty journal.
    pub(super) fn of(journal: &MemoryJournal, partition: u32) -> Self {
        let partition = Partition(partition);
        let appender = journal.appender(partition, Box::new(|_| {})).unwrap();
        let mut owner = Self { partition, appender, term: 1, seq: 0, head: Head::START };
        owner.claim();
        owner
    }

    pub(super) fn claim(&mut self) {
        let claimed = Claimed { term: self.term, owner: "test".into(), at: moment(self.seq) };
        self.append(codec::write_claim(&claimed));
    }

    /// Appends a record that counts.
    pub(super) fn append(&mut self, record: Vec<u8>) {
        self.head = self.head.rolled(&record);
        self.seq += 1;
        self.append_void(record);
    }

    /// Appends a record that does not count, or halts.
    pub(super) fn append_void(&mut self, record: Vec<u8>) {
        self.appender.append(vec![Bytes::from(record)]).unwrap();
    }

    /// Makes the record of the next decision.
    pub(super) fn record(&self, customer_id: CustomerId, from: u64, events: &[Event]) -> Vec<u8> {
        let seq = self.seq + 1;
        let body = CommandBody::ArchiveCustomer;
        let command = command(CustomerRef::Id(customer_id), moment(seq), seq, body);
        let outcome = Outcome::Accepted(Accepted {
            customer_id,
            from_version: from,
            to_version: from + u64::try_from(events.len()).unwrap(),
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        });
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
        codec::write_decision(&mut record, self.term, seq, &self.head, &parts);
        record
    }

    /// Decides; gives where.
    pub(super) fn decide(&mut self, customer: &str, from: u64, events: &[Event]) -> Position {
        let record = self.record(id(customer), from, events);
        self.append(record);
        self.position()
    }

    pub(super) fn position(&self) -> Position {
        Position { partition: self.partition, seq: self.seq }
    }
}

/// A data folder, a journal and those who work on them.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) journal: MemoryJournal,
    pub(super) progress: Arc<Progress>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            journal: MemoryJournal::new(PARTITIONS),
            progress: Arc::new(Progress::new(PARTITIONS)),
        }
    }

    pub(super) fn owners(&self) -> [Owner; 2] {
        [0, 1].map(|partition| Owner::of(&self.journal, partition))
    }

    pub(super) fn store(&self) -> SqliteStore {
        SqliteStore::open(self.folder.path()).unwrap()
    }

    pub(super) fn start(&self) -> Projector {
        self.start_with(Arc::new(self.journal.clone()), Box::new(self.store()))
    }

    pub(super) fn start_with(&self, journal: Arc<dyn Journal>, store: Box<dyn Store>) -> Projector {
        self.start_at(journal, store, Pace::AtOnce)
    }

    pub(super) fn start_at(
        &self,
        journal: Arc<dyn Journal>,
        store: Box<dyn Store>,
        pace: Pace,
    ) -> Projector {
        let (progress, clock) = (Arc::clone(&self.progress), Arc::new(SystemClock));
        Projector::start(journal, store, progress, clock, pace).unwrap()
    }

    pub(super) async fn reached(&self, position: Position) {
        self.progress.reached(position, SOON).await.unwrap();
    }

    /// Gives version and name of a customer.
    pub(super) async fn read(&self, customer: &str) -> Option<(u64, Option<String>)> {
        let reads = SqliteQueries::open(self.folder.path(), Arc::new(Progress::new(PARTITIONS)));
        let customer = CustomerRef::Key(key(customer));
        let read = reads.unwrap().customer(&scope(), &customer, AsOf::Now, moment(0)).await;
        let document = read.unwrap()?;
        Some((document.version, document.profile.name.map(String::from)))
    }

    pub(super) fn digest(&self) -> ModelsDigest {
        self.store().digest().unwrap()
    }
}

/// Waits until the projector is in a state that is asked for.
pub(super) fn wait_for(
    projector: &Projector,
    state: impl Fn(&ProjectorState) -> bool,
) -> ProjectorState {
    let status = projector.status();
    let deadline = Instant::now() + SOON;
    loop {
        let now = status.state();
        if state(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "it stays {now:?}");
        std::thread::yield_now();
    }
}

pub(super) fn unavailable() -> Box<dyn std::error::Error + Send + Sync> {
    "somebody pulled the plug".into()
}

/// A store that does not answer the next so many commits: of every second one it keeps the rows all the
/// same.
pub(super) struct Moody {
    pub(super) store: SqliteStore,
    pub(super) failures: Arc<AtomicUsize>,
}

impl Store for Moody {
    fn checkpoints(&mut self) -> Result<Vec<(Partition, Checkpoint)>, StoreError> {
        self.store.checkpoints()
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let left = self.failures.load(Ordering::SeqCst);
        if left == 0 {
            return self.store.commit(batch);
        }
        self.failures.store(left - 1, Ordering::SeqCst);
        if left.is_multiple_of(2) {
            self.store.commit(batch)?;
        }
        Err(StoreError::Unavailable(unavailable()))
    }

    fn digest(&mut self) -> Result<ModelsDigest, StoreError> {
        self.store.digest()
    }
}

/// A journal that does not answer the next so many questions.
pub(super) struct Absent {
    pub(super) journal: MemoryJournal,
    pub(super) failures: AtomicUsize,
}

impl Absent {
    fn answers(&self) -> Result<(), JournalError> {
        let left = self.failures.load(Ordering::SeqCst);
        if left == 0 {
            return Ok(());
        }
        self.failures.store(left - 1, Ordering::SeqCst);
        Err(JournalError::Unavailable(unavailable()))
    }
}

impl Journal for Absent {
    fn partitions(&self) -> u32 {
        self.journal.partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        self.answers()?;
        self.journal.bounds(partition)
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.answers()?;
        self.journal.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        self.journal.appender(partition, sink)
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        self.answers()?;
        self.journal.follow(from)
    }
}
