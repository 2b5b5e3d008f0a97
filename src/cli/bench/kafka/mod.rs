//! `bench --kafka`: commands from a topic to the journal on one partition, beside what the same client
//! library does with the same bytes and no decisions: bare produce, bare consume, a pipelined copy from
//! topic to topic, and a transactional copy. All in turns, in one run.
//!
//! Commands become visible to whoever reads them all at once: they are put into the topics in one
//! transaction a turn. The state at the end must be that of a replay, and of the same commands decided
//! without Kafka.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use serde::Serialize;
use tallybook_events::command::Command;
use tallybook_events::ids::Partition;

use self::bare::Bare;
use self::whole::Whole;
use super::load::{Load, Pace};
use super::models::{self, Models};
use super::workload::{Generator, Workload};
use super::{Arguments, PATIENCE, digest_of, replay, start};
use crate::clock::{Clock as _, SystemClock};
use crate::inbox::local::LocalInbox;
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::kafka::{Kafka, topics};

mod bare;
mod whole;
mod threads;

/// Turns of each kind: the machine is noisy, and its noise should meet all.
const ROUNDS: usize = 5;
/// Times that the whole journal is replayed, and read.
const REPLAYS: usize = 3;
/// Commands that are sent one at a time, in each turn.
const ONE_AT_A_TIME: usize = 60;
/// Records of one transaction of the transactional copy.
const TRANSACTION: usize = 1_000;
/// Topics beside those of the product: to produce to, to copy from, to copy to.
const SCRATCH: [&str; 3] = ["bare", "from", "to"];

/// What was measured on Kafka. Brokers, product and floors share the cores.
#[derive(Debug, Serialize)]
struct KafkaReport {
    workload: &'static str,
    seed: u64,
    commands: u64,
    brokers: usize,
    replication: i32,
    durability: &'static str,
    rounds: usize,
    customers: usize,
    command_bytes: usize,
    seconds: f64,
    /// Commands of the topic whose decisions count, by the second.
    per_second: f64,
    cpu_ns_per_command: Option<f64>,
    /// The same by threads of this process.
    cpu_ns_by_thread: BTreeMap<String, f64>,
    /// One at a time, from handing a command over to its answer, judged by the reader rule.
    p50_us: u64,
    p99_us: u64,
    /// The pipelined copy.
    floor_per_second: f64,
    floor_cpu_ns_per_command: Option<f64>,
    /// `per_second` by `floor_per_second`.
    ratio: f64,
    produce_per_second: f64,
    consume_per_second: f64,
    transactional_per_second: f64,
    /// `per_second` by `transactional_per_second`.
    transactional_ratio: f64,
    produce_p50_us: u64,
    produce_p99_us: u64,
    /// `p50_us` by `produce_p50_us`.
    p50_ratio: f64,
    transaction_p50_us: u64,
    /// `p50_us` by `transaction_p50_us`.
    transaction_p50_ratio: f64,
    /// Reading the journal into memory, records by the second.
    replay_per_second: f64,
    /// Reading its bytes and nothing else.
    journal_consume_per_second: f64,
    replay_ratio: f64,
    views: Option<Models>,
    /// The same in a database, where one is named: both have the same rows.
    views_on_postgres: Option<Models>,
    digest: String,
}

/// Time that several turns took, of the wall clock and of the cores.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    wall: Duration,
    cpu: Option<Duration>,
}

impl Spent {
    /// Runs one turn and adds what it took.
    fn add<T>(&mut self, turn: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (cpu, began) = (super::load::cpu_time(), Instant::now());
        let done = turn()?;
        self.wall += began.elapsed();
        if let (Some(before), Some(after)) = (cpu, super::load::cpu_time()) {
            let took = after.saturating_sub(before);
            self.cpu = Some(self.cpu.unwrap_or_default() + took);
        }
        Ok(done)
    }
}

/// What the turns came to.
struct Turns {
    owner: Spent,
    owner_threads: BTreeMap<String, u64>,
    produce: Spent,
    consume: Spent,
    copy: Spent,
    transactional: Spent,
    alone: Histogram<u64>,
    produce_alone: Histogram<u64>,
    transaction_alone: Histogram<u64>,
    command_bytes: usize,
}

impl Turns {
    fn none() -> anyhow::Result<Self> {
        let histogram =
            || Histogram::new_with_bounds(1, 600_000_000, 3).context("bounds of a histogram");
        Ok(Self {
            owner: Spent::default(),
            owner_threads: BTreeMap::new(),
            produce: Spent::default(),
            consume: Spent::default(),
            copy: Spent::default(),
            transactional: Spent::default(),
            alone: histogram()?,
            produce_alone: histogram()?,
            transaction_alone: histogram()?,
            command_bytes: 0,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// When Kafka does not answer, a command goes undecided, or the state is not that of a plain run.
pub(super) fn run(arguments: &Arguments, kafka: Kafka) -> anyhow::Result<()> {
    let prefix = format!("{}-bench-{}", kafka.prefix, SystemClock.command_id());
    let kafka = Kafka { prefix, ..kafka };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let brokers = topics::brokers(&kafka)?;
    let replication = i32::try_from(brokers.min(3))?;
    let at = format!("cannot make topics on {}", kafka.bootstrap);
    runtime.block_on(topics::apply(&kafka, 1, replication)).context(at)?;
    let names = SCRATCH.map(|name| kafka.topic(name));
    runtime.block_on(bare::make(&kafka, &names, replication))?;
    let measured = measure(arguments, &kafka, (brokers, replication));
    let admin: AdminClient<DefaultClientContext> = kafka.client().create()?;
    let ours = [topics::COMMANDS, topics::JOURNAL, topics::DEAD_LETTERS].map(|n| kafka.topic(n));
    let all: Vec<&str> = names.iter().chain(&ours).map(String::as_str).collect();
    if let Err(error) = runtime.block_on(admin.delete_topics(&all, &AdminOptions::new())) {
        tracing::warn!(error = &error as &dyn std::error::Error, "topics are left over");
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(&measured?)?)?;
    Ok(())
}

/// Gives what is asked of the processor: usage, if nothing else is said.
fn workload(arguments: &Arguments) -> Workload {
    arguments.workload.unwrap_or(Workload::Usage)
}

fn measure(
    arguments: &Arguments,
    kafka: &Kafka,
    (brokers, replication): (usize, i32),
) -> anyhow::Result<KafkaReport> {
    let customers = arguments.customers.unwrap_or(arguments.commands / 100);
    let mut generator = Generator::new(workload(arguments), arguments.seed, customers);
    let postgres = arguments.postgres.place()?;
    let in_turn = usize::try_from(arguments.commands)? / ROUNDS;
    ensure!(in_turn > ONE_AT_A_TIME, "a run on Kafka wants more commands");
    let mut bare = Bare::open(kafka)?;
    let whole = Whole::start(kafka)?;
    let mut turns = Turns::none()?;
    let mut commands = Vec::new();
    // The first turn warms everything up, and is not counted.
    for round in 0..=ROUNDS {
        let many = generator.take(in_turn);
        let mut warm_up = Turns::none()?;
        let turns = if round == 0 { &mut warm_up } else { &mut turns };
        turn(&mut bare, &whole, turns, &many)?;
        commands.extend(many);
    }
    let alone: Vec<_> = (0..=ROUNDS).map(|_| generator.take(ONE_AT_A_TIME)).collect();
    one_at_a_time(&mut bare, &whole, &mut turns, &alone)?;
    commands.extend(alone.into_iter().flatten());
    let (states, journal) = whole.stop();
    let digest = digest_of(&states);
    let customers = states.iter().map(|(_, state)| state.len()).sum();
    drop(states);
    ensure!(
        digest_without_kafka(commands)? == digest,
        "the same commands without Kafka give another state: the figures are void"
    );
    let (mut replaying, mut reading) = (Spent::default(), Spent::default());
    let end = journal.bounds(Partition(0))?.end;
    for _ in 0..REPLAYS {
        let replayed = replaying.add(|| replay(&*journal))?;
        ensure!(
            digest_of(&replayed) == digest,
            "a replay of the journal gives another state: the figures are void"
        );
        drop(replayed);
        reading.add(|| bare.read_journal(end))?;
    }
    let views = if arguments.views {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        models::in_all_stores(&journal, folder.path(), postgres.as_ref())?
    } else {
        (None, None)
    };
    Ok(report(Sums {
        arguments,
        brokers,
        replication,
        customers,
        counted: in_turn * ROUNDS,
        turns,
        journal: (end, replaying, reading),
        views,
        digest,
    }))
}

fn json(command: &Command) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(command).context("a command is JSON")
}

/// Does each of the things once, one after the other.
fn turn(bare: &mut Bare, whole: &Whole, turns: &mut Turns, many: &[Command]) -> anyhow::Result<()> {
    let many: Vec<Vec<u8>> = many.iter().map(json).collect::<anyhow::Result<_>>()?;
    turns.command_bytes = many.iter().map(Vec::len).sum::<usize>() / many.len().max(1);
    turns.produce.add(|| bare.produce(&many))?;
    turns.consume.add(|| bare.consume(many.len()))?;
    bare.lay_out(&many)?;
    turns.copy.add(|| bare.copy(many.len()))?;
    bare.lay_out(&many)?;
    turns.transactional.add(|| bare.copy_in_transactions(many.len(), TRANSACTION))?;
    let target = whole.target(many.len());
    whole.lay_out(&bare.kafka().topic(topics::COMMANDS), &many)?;
    let before = threads::cpu_times();
    turns.owner.add(|| whole.wait_for(target, PATIENCE))?;
    threads::add(&mut turns.owner_threads, &before, &threads::cpu_times());
    Ok(())
}

/// Does each of the things with one command at a time, beside a gateway. The first commands warm it up.
fn one_at_a_time(
    bare: &mut Bare,
    whole: &Whole,
    turns: &mut Turns,
    rounds: &[Vec<Command>],
) -> anyhow::Result<()> {
    let asking = whole.asking()?;
    for (round, commands) in rounds.iter().enumerate() {
        let mut warm_up = Turns::none()?;
        let turns = if round == 0 { &mut warm_up } else { &mut *turns };
        for command in commands {
            let record = json(command)?;
            bare.produce_one(&record, &mut turns.produce_alone)?;
            asking.one(command.clone(), &mut turns.alone)?;
            bare.one_transaction(&record, &mut turns.transaction_alone)?;
        }
    }
    Ok(())
}

/// Decides the same commands in this process and gives the digest of what they come to.
fn digest_without_kafka(commands: Vec<Command>) -> anyhow::Result<String> {
    let journal = std::sync::Arc::new(MemoryJournal::new(1)) as std::sync::Arc<dyn Journal>;
    let handle = start(&journal, "bench, without kafka", None)?;
    let inbox = LocalInbox::new(handle.lanes());
    Load::none()?.drive(&inbox, commands, Pace { batch: 512, in_flight: 16 })?;
    inbox.stop();
    Ok(digest_of(&handle.stop(PATIENCE)))
}

/// All that goes into a report.
struct Sums<'a> {
    arguments: &'a Arguments,
    brokers: usize,
    replication: i32,
    customers: usize,
    counted: usize,
    turns: Turns,
    /// Records of the journal, and what replaying and reading it took.
    journal: (u64, Spent, Spent),
    views: (Option<Models>, Option<Models>),
    digest: String,
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "rates for people, no money"
)]
fn report(sums: Sums<'_>) -> KafkaReport {
    let Sums { arguments, turns, counted, journal: (records, replaying, reading), .. } = sums;
    let rate = |count: f64, spent: &Spent| count / spent.wall.as_secs_f64();
    let commands = counted as f64;
    let cpu = |spent: &Spent| spent.cpu.map(|cpu| cpu.as_nanos() as f64 / commands);
    let per_second = rate(commands, &turns.owner);
    let floor_per_second = rate(commands, &turns.copy);
    let transactional_per_second = rate(commands, &turns.transactional);
    let read = records as f64 * REPLAYS as f64;
    let (replayed, consumed) = (rate(read, &replaying), rate(read, &reading));
    let (p50_us, produce_p50_us) =
        (turns.alone.value_at_quantile(0.5), turns.produce_alone.value_at_quantile(0.5));
    let transaction_p50_us = turns.transaction_alone.value_at_quantile(0.5);
    KafkaReport {
        workload: workload(arguments).as_str(),
        seed: arguments.seed,
        commands: u64::try_from(counted).unwrap_or(u64::MAX),
        brokers: sums.brokers,
        replication: sums.replication,
        durability: "page-cache",
        rounds: ROUNDS,
        customers: sums.customers,
        command_bytes: turns.command_bytes,
        seconds: turns.owner.wall.as_secs_f64(),
        per_second,
        cpu_ns_per_command: cpu(&turns.owner),
        cpu_ns_by_thread: turns
            .owner_threads
            .iter()
            .map(|(name, spent)| (name.clone(), *spent as f64 / commands))
            .collect(),
        p50_us,
        p99_us: turns.alone.value_at_quantile(0.99),
        floor_per_second,
        floor_cpu_ns_per_command: cpu(&turns.copy),
        ratio: per_second / floor_per_second,
        produce_per_second: rate(commands, &turns.produce),
        consume_per_second: rate(commands, &turns.consume),
        transactional_per_second,
        transactional_ratio: per_second / transactional_per_second,
        produce_p50_us,
        produce_p99_us: turns.produce_alone.value_at_quantile(0.99),
        p50_ratio: p50_us as f64 / produce_p50_us as f64,
        transaction_p50_us,
        transaction_p50_ratio: p50_us as f64 / transaction_p50_us as f64,
        replay_per_second: replayed,
        journal_consume_per_second: consumed,
        replay_ratio: replayed / consumed,
        views: sums.views.0,
        views_on_postgres: sums.views.1,
        digest: sums.digest,
    }
}
