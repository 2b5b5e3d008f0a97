//! Take-overs through a proxy that holds a stopped owner's appends until its successor owns the
//! partition, and drops, repeats and loses others: nothing is lost, nothing doubled.
//!
//! The owners are the real ones, on the journal on Kafka; who owns what, and what they are fed, the test
//! decides.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tallybook::clock::{SharedClock, SystemClock};
use tallybook::decisions::{self, TierCatalogue};
use tallybook::inbox::feed::Feed;
use tallybook::journal::kafka::KafkaJournal;
use tallybook::kafka::{Kafka, topics};
use tallybook::processor::{
    PartitionState, PartitionStatus, Processor, ProcessorConfig, ProcessorHandle, restore,
};
use tallybook_events::chain::Chain;
use tallybook_events::command::{Command, CommandDraft, Defaults};
use tallybook_events::ids::{CommandId, Environment, Partition, Scope};

use crate::broken::{Broken, LeftOut};
use crate::common::DEADLINE;
use crate::proxy::{Proxy, Treat};
use crate::topic::{Reader, Topic};
use crate::{broker, log, topics_of_our_own};

/// Partitions, tried side by side.
pub(crate) const PARTITIONS: u32 = 8;
/// The two owners that take the partitions from each other.
const NAMES: [&str; 2] = ["left", "right"];
/// Most commands that are put into the topic at a time.
const MOST: u64 = 12;
/// What [`decided`] gives of a partition that nobody can read.
const HALTED: usize = usize::MAX;
/// How long something may take before a run counts as stuck.
const PATIENCE: Duration = Duration::from_secs(40);

/// A broker, and the proxy that clients reach it through.
pub(crate) fn behind_a_proxy() -> (broker::Cluster, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let advertised = listener.local_addr().expect("an address").port();
    let listens = broker::free_ports(1)[0];
    let cluster = broker::Cluster::start_behind(&[(listens, advertised)]);
    (cluster, Proxy::start(listener, listens))
}

/// The same, shared by tests that hold and let go; each has topics of its own.
pub(crate) fn shared() -> &'static (broker::Cluster, Arc<Proxy>) {
    static SHARED: OnceLock<(broker::Cluster, Arc<Proxy>)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (cluster, proxy) = behind_a_proxy();
        (cluster, Arc::new(proxy))
    })
}

/// What is done with produce requests, by client and partition.
type Treats = Arc<Mutex<HashMap<(String, i32), Treat>>>;

struct Owner {
    handle: ProcessorHandle,
    reader: Arc<Reader>,
}

/// Two owners, a topic and the journal between which a proxy stands.
pub(crate) struct Stage {
    kafka: Kafka,
    proxy: Arc<Proxy>,
    treats: Treats,
    topic: Arc<Topic>,
    owners: Vec<Owner>,
    /// Reads what came of it, past the proxy.
    reading: KafkaJournal,
}

fn wire(partition: Partition) -> i32 {
    i32::try_from(partition.0).expect("few partitions")
}

impl Stage {
    /// Sets up owners on topics of their own.
    pub(crate) async fn on(left_out: LeftOut) -> Self {
        Self::with(left_out, Arc::new(SystemClock)).await
    }

    /// The same, with a clock of its own.
    pub(crate) async fn with(left_out: LeftOut, clock: SharedClock) -> Self {
        let (cluster, proxy) = shared();
        let prefix = topics_of_our_own().prefix;
        let kafka = &Kafka { prefix, ..Kafka::at(cluster.bootstrap()) };
        let partitions = i32::try_from(PARTITIONS).expect("few partitions");
        topics::apply(kafka, partitions, 1).await.expect("the topics are made");
        let treats = Treats::default();
        let asked = Arc::clone(&treats);
        proxy.treat(&kafka.topic(topics::JOURNAL), move |client, partition| {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            match asked.get_mut(&(client.to_owned(), partition)) {
                // Once; what is held is held until it is let go.
                Some(treat @ (Treat::Drop | Treat::Repeat | Treat::LoseAnswer)) => {
                    std::mem::replace(treat, Treat::Pass)
                }
                Some(treat) => *treat,
                None => Treat::Pass,
            }
        });
        let topic = Topic::new(PARTITIONS);
        let owners = NAMES.map(|name| {
            let extra = vec![("client.id".to_owned(), name.to_owned())];
            let at = Kafka { bootstrap: proxy.address(), extra, ..kafka.clone() };
            let journal = KafkaJournal::open(&at).expect("the journal is there");
            let reader = topic.reader();
            let handle = Processor::start(ProcessorConfig {
                journal: Arc::new(Broken::new(journal, left_out)),
                clock: Arc::clone(&clock),
                tiers: TierCatalogue::builtin(),
                name: name.into(),
                workers: usize::try_from(PARTITIONS).expect("few"),
                decide: decisions::decide,
                feed: Some(Arc::clone(&reader) as Arc<dyn Feed>),
                snapshots: None,
            });
            let handle = handle.expect("threads start");
            reader.feeds(handle.owners());
            Owner { handle, reader }
        });
        let reading = KafkaJournal::open(kafka).expect("the journal is there");
        let (kafka, proxy) = (kafka.clone(), Arc::clone(proxy));
        Self { kafka, proxy, treats, topic, owners: owners.into(), reading }
    }

    pub(crate) fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    fn journal(&self) -> String {
        self.kafka.topic(topics::JOURNAL)
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Counts the decisions of a partition that count.
    pub(crate) fn decided(&self, partition: Partition) -> usize {
        decided(&self.reading, partition)
    }

    /// Counts the decisions that the owners take to count.
    pub(crate) fn counted(&self) -> u64 {
        self.owners.iter().map(|owner| owner.handle.counted()).sum()
    }

    /// Ends the owners.
    pub(crate) fn stop(self) {
        self.owners.into_iter().for_each(|owner| drop(owner.handle.stop(DEADLINE)));
    }

    pub(crate) fn set(&self, owner: usize, partition: Partition, treat: Treat) {
        let key = (NAMES[owner].to_owned(), wire(partition));
        self.treats.lock().unwrap_or_else(PoisonError::into_inner).insert(key, treat);
    }

    pub(crate) fn let_go(&self, owner: usize, partition: Partition) {
        self.set(owner, partition, Treat::Pass);
        self.proxy.let_go(&self.journal(), NAMES[owner], wire(partition));
    }

    pub(crate) fn held(&self, owner: usize, partition: Partition) -> bool {
        self.proxy.held(&self.journal(), NAMES[owner], wire(partition)) > 0
    }

    pub(crate) fn want(&self, owner: usize, partition: Partition, wanted: bool) {
        self.owners[owner].reader.want(partition, wanted);
    }

    fn status(&self, owner: usize, partition: Partition) -> PartitionStatus {
        let statuses = self.owners[owner].handle.statuses();
        statuses[usize::try_from(partition.0).expect("few")].clone()
    }

    /// Waits for something; an owner that halts, or that takes too long, is a finding.
    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            for owner in &self.owners {
                for (at, status) in owner.handle.statuses().into_iter().enumerate() {
                    if let PartitionStatus::Halted { why } = status {
                        return Err(format!("partition {at} halted: {why}"));
                    }
                }
            }
            if Instant::now() > deadline {
                return Err(format!("waited too long for: {what}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn owns(&self, owner: usize, partition: Partition) -> bool {
        matches!(self.status(owner, partition), PartitionStatus::Owning { .. })
    }

    /// Takes a partition from one owner and gives it to the other, so often.
    fn try_partition(&self, partition: Partition, tries: u64) -> Result<(), String> {
        let mut random = StdRng::seed_from_u64(u64::from(partition.0));
        let mut commands = commands_for(partition);
        let mut ask = |random: &mut StdRng| {
            for _ in 0..random.random_range(1..=MOST) {
                self.topic.append(partition, commands());
            }
        };
        self.want(0, partition, true);
        self.wait("the first claim", || self.owns(0, partition))?;
        for number in 0..tries {
            let (old, new) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
            if random.random_ratio(1, 3) {
                let oddity = [Treat::Drop, Treat::Repeat, Treat::LoseAnswer];
                self.set(old, partition, oddity[random.random_range(0..oddity.len())]);
                ask(&mut random);
            }
            self.set(old, partition, Treat::Hold);
            ask(&mut random);
            self.wait("an append that is held", || self.held(old, partition))?;
            // Whether the old one knows that it is owner no more, or both write at once.
            let knows = random.random_ratio(1, 2);
            if knows {
                self.want(old, partition, false);
            }
            if random.random_ratio(1, 3) {
                // The old one's appends land between what the new one has read and its claim.
                self.set(new, partition, Treat::Hold);
                self.want(new, partition, true);
                self.wait("a claim that is held", || self.held(new, partition))?;
                self.let_go(old, partition);
                ask(&mut random);
                self.let_go(new, partition);
            } else {
                self.want(new, partition, true);
                self.wait("the new owner", || self.owns(new, partition))?;
                ask(&mut random);
                self.let_go(old, partition);
            }
            self.want(old, partition, false);
            ask(&mut random);
            self.wait("the new owner", || self.owns(new, partition))?;
            self.wait("the old one to stand by", || {
                self.status(old, partition) == PartitionStatus::Standby
            })?;
        }
        Ok(())
    }

    /// Tries all partitions side by side, then looks at what came of it. Gives what is wrong.
    fn play(mut self, tries: u64) -> Result<Played, String> {
        let each = tries.div_ceil(u64::from(PARTITIONS));
        let played = self.tried(each);
        let last = usize::from(each % 2 == 1);
        // What was held in a run that failed is let go, so that its owners come to their end.
        for (owner, partition) in (0..NAMES.len()).flat_map(|o| all().map(move |p| (o, p))) {
            self.let_go(owner, partition);
        }
        let within = if played.is_ok() { DEADLINE } else { Duration::ZERO };
        for (at, owner) in std::mem::take(&mut self.owners).into_iter().enumerate() {
            for (partition, state) in owner.handle.stop(within) {
                if played.is_ok()
                    && at == last
                    && digest(&state) != replayed(&self.kafka, partition)
                {
                    return Err(format!("the state of {partition:?} is not that of a replay"));
                }
            }
        }
        played
    }

    fn tried(&self, each: u64) -> Result<Played, String> {
        std::thread::scope(|scope| {
            let trying = |partition| scope.spawn(move || self.try_partition(partition, each));
            let threads: Vec<_> = all().map(trying).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a try does not panic"))
        })?;
        let total: usize = all().map(|of| self.topic.offsets(of).len()).sum();
        self.wait("everything to be decided", || {
            all().all(|of| self.decided(of) >= self.topic.offsets(of).len())
        })?;
        let counted = self.counted();
        if all().any(|of| self.decided(of) == HALTED) {
            return Err("a reader halts".into());
        }
        let read = log::journal(&self.kafka);
        for partition in all() {
            check(&read, partition, &self.topic.offsets(partition))?;
        }
        let total = u64::try_from(total).expect("it fits");
        if counted > total {
            return Err(format!("{counted} were taken to count, of {total}"));
        }
        let skipped = u64::try_from(read.skipped).expect("it fits");
        Ok(Played { total, skipped, treated: self.proxy.treated(&self.journal()) })
    }
}

fn all() -> impl Iterator<Item = Partition> {
    (0..PARTITIONS).map(Partition)
}

/// What a run came to.
#[derive(Debug)]
struct Played {
    total: u64,
    skipped: u64,
    treated: u64,
}

fn digest(state: &PartitionState) -> [u8; 32] {
    decisions::state_digest(state.records())
}

fn replayed(kafka: &Kafka, partition: Partition) -> [u8; 32] {
    let journal = KafkaJournal::open(kafka).expect("the journal is there");
    let mut state = PartitionState::default();
    restore(&journal, partition, &mut Chain::default(), &mut state).expect("it can be read");
    digest(&state)
}

/// Counts the decisions of a partition that count; [`HALTED`] when a reader halts.
fn decided(journal: &dyn tallybook::journal::Journal, partition: Partition) -> usize {
    let (mut chain, mut count) = (Chain::default(), 0);
    loop {
        let from = chain.checkpoint().offset;
        let Ok(read) = journal.read(partition, from, 10_000, 8 << 20) else { return count };
        if read.is_empty() {
            return count;
        }
        for stored in read {
            let Ok(verdict) = chain.judge(stored.offset, &stored.record) else { return HALTED };
            count += usize::from(verdict == tallybook_events::chain::Verdict::Valid);
        }
    }
}

/// Checks that each offset of the topic has its one record, in order, and that versions have no gap.
pub(crate) fn check(
    read: &log::Journal,
    partition: Partition,
    offsets: &[u64],
) -> Result<(), String> {
    let records = read.counting.get(&partition.0).map(Vec::as_slice).unwrap_or_default();
    let decisions: Vec<&Value> =
        records.iter().filter(|record| !record["outcome"].is_null()).collect();
    let sources: Vec<u64> =
        decisions.iter().filter_map(|of| of["source"]["offset"].as_u64()).collect();
    if sources != offsets {
        return Err(format!("{partition:?}: sources {sources:?} of the topic's {offsets:?}"));
    }
    let mut last = None;
    for decision in &decisions {
        if decision["source"]["prev_offset"].as_u64() != last {
            return Err(format!("{partition:?}: no word of the offset before: {decision}"));
        }
        last = decision["source"]["offset"].as_u64();
    }
    let mut versions: HashMap<String, u64> = HashMap::new();
    for accepted in decisions.iter().map(|of| &of["outcome"]["accepted"]).filter(|of| !of.is_null())
    {
        let version = versions.entry(accepted["customer_id"].to_string()).or_default();
        if accepted["from_version"].as_u64() != Some(*version) {
            return Err(format!("{partition:?}: versions have a gap: {accepted}"));
        }
        *version = accepted["to_version"].as_u64().unwrap_or_default();
    }
    Ok(())
}

/// Makes commands for customers of a partition: reports of usage, each of its own.
pub(crate) fn commands_for(partition: Partition) -> impl FnMut() -> Command {
    let keys: Vec<String> = (0..)
        .map(|number| format!("c-{number}"))
        .filter(|key| Partition::of(command(key, 0).home(), PARTITIONS) == partition)
        .take(5)
        .collect();
    let mut number = 0;
    move || {
        number += 1;
        command(&keys[number % keys.len()], number)
    }
}

fn command(key: &str, number: usize) -> Command {
    let json = serde_json::json!({"type": "RecordUsage", "customer": {"key": key},
        "reports": [{"report_id": format!("r-{number}"), "occurred_at": "2026-03-01T00:00:00Z",
            "meter": "tokens", "quantity": "1", "cost": "0.01"}]});
    let draft: CommandDraft = serde_json::from_str(&json.to_string()).expect("a command");
    let id = format!("{key}-{number}");
    let defaults = Defaults {
        command_id: Some(CommandId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, id.as_bytes()))),
        scope: Some(Scope {
            tenant: "t".parse().expect("a tenant"),
            environment: Environment::Live,
        }),
        issued_at: Some("2026-03-01T00:00:00Z".parse().expect("a time")),
        actor: Some("a".parse().expect("an actor")),
        source: Some("test".parse().expect("a source")),
    };
    draft.complete(defaults).expect("a whole command")
}

/// Plays on a topic of its own.
async fn play(left_out: LeftOut, tries: u64) -> Result<Played, String> {
    let stage = Stage::on(left_out).await;
    tokio::task::spawn_blocking(move || stage.play(tries)).await.expect("it does not panic")
}

/// Take-overs of a run.
const TRIES: u64 = 1_000;
/// Take-overs of a run in which something is left out.
const BROKEN_TRIES: u64 = 48;

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_come_late_neither_lose_nor_double_anything() {
    let tries = broker::campaign().unwrap_or(TRIES);
    let played = play(LeftOut::Nothing, tries).await;
    let played = played.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(played.treated >= tries, "each try holds something back: {played:?}");
    assert!(played.total > 2 * tries, "{played:?}");
    assert!(played.skipped > tries / 2, "late appends landed: {played:?}");
    for left_out in [LeftOut::Chain, LeftOut::Between, LeftOut::UpToTheClaim] {
        let played = play(left_out, BROKEN_TRIES).await;
        assert!(played.is_err(), "a build without it is found out: {left_out:?}, {played:?}");
    }
}
