//! `tallybook bench`: measures this machine with the same commands every time, and checks that what
//! came out is right. One JSON line on stdout.
//!
//! A figure means something only beside the floor that was measured in the same run, and only when the
//! digest of the state is that of a plain replay of the journal: a run where it is not fails.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;
use tallybook_events::chain::Chain;
use tallybook_events::ids::Partition;
use tallybook_events::time::Timestamp;

use self::kept::{Floors, JournalKind, Kept};
use self::load::{Load, Pace};
use self::workload::{Generator, NOW_MICROS, Workload};
use super::log::KafkaOption;
use super::models::PostgresOption;
use crate::clock::FixedClock;
use crate::decisions::{self, TierCatalogue, state_digest};
use crate::inbox::local::LocalInbox;
use crate::journal::Journal;
use crate::processor::{
    PartitionState, Processor, ProcessorConfig, ProcessorHandle, Snapshots, restore,
};

mod http;
mod kafka;
mod kept;
mod load;
mod models;
mod restart;
pub(crate) mod workload;

/// How long a processor may take to become ready, or to stop.
const PATIENCE: Duration = Duration::from_mins(2);
/// Commands that are made, and then measured, at a time: so many fit in memory.
const SEGMENT: usize = 50_000;
/// Commands after which a rival claims the partitions of an adversarial journal.
const RIVAL_EVERY: usize = 4 * SEGMENT;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is asked of it [default: reference; over HTTP: update; on Kafka: usage]
    #[arg(long, value_enum)]
    workload: Option<Workload>,
    /// How many commands
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    commands: u64,
    /// Seed of the commands
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many customers [default: a hundredth of the commands]
    #[arg(long, value_name = "N")]
    customers: Option<u64>,
    /// Commands in one call
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: u64,
    /// Calls that are not answered yet
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=16))]
    in_flight: u64,
    /// Number of partitions
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    partitions: u32,
    /// Where decisions are kept
    #[arg(long, value_enum, default_value = "sqlite")]
    journal: JournalKind,
    /// Folder for the journal; it must be empty or new [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Fold the journal into read models too, and rebuild them
    #[arg(long)]
    views: bool,
    #[command(flatten)]
    postgres: PostgresOption,
    /// Write snapshots too, and begin again from them
    #[arg(long)]
    restart: bool,
    /// Send so many commands over HTTP instead, to a server of their own, which also echoes them
    /// [default: 20000; without this option, or with 0: none]
    #[arg(long, value_name = "N", num_args = 0..=1, default_value = "0", default_missing_value = "20000", hide_default_value = true)]
    http: u64,
    #[command(flatten)]
    kafka: KafkaOption,
    /// Connections that send over HTTP
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    connections: u64,
    /// Commands in one request over HTTP; 1 sends single commands, not arrays
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    per_request: u64,
}

impl Arguments {
    /// Gives what is asked of the processor.
    fn workload(&self) -> Workload {
        self.workload.unwrap_or(Workload::Reference)
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    workload: &'static str,
    seed: u64,
    commands: u64,
    accepted: u64,
    rejected: u64,
    repeated: u64,
    customers: usize,
    journal: &'static str,
    durability: &'static str,
    batch: u64,
    in_flight: u64,
    /// Commands that the journal kept with one fsync, on the average.
    per_commit: Option<f64>,
    seconds: f64,
    per_second: f64,
    p50_us: u64,
    p99_us: u64,
    cpu_ns_per_command: Option<f64>,
    /// The bare library, inserting the same bytes in as many transactions.
    floor_per_second: Option<f64>,
    /// `per_second` by `floor_per_second`.
    ratio: Option<f64>,
    /// The journal with nothing around it, taking the same records with many in flight, by the floor.
    journal_ratio: Option<f64>,
    /// Reading the journal into memory.
    replay_seconds: f64,
    /// From opening the journal to owning all partitions.
    cold_start_seconds: f64,
    views: Option<models::Models>,
    /// The same in a database, where one is named: both have the same rows.
    views_on_postgres: Option<models::Models>,
    restart: Option<restart::Restart>,
    digest: String,
}

/// Runs the command.
///
/// # Errors
/// When a command goes unanswered, or the state is not that of a plain replay.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(at) = arguments.kafka.kafka()? {
        return kafka::run(arguments, at);
    }
    if arguments.http > 0 {
        return http::run(arguments, arguments.http);
    }
    let temporary = tempfile::tempdir().context("making a temporary folder")?;
    let folder = arguments.data.as_deref().unwrap_or(temporary.path());
    let kept = Kept::open(arguments.journal, folder, arguments.partitions, arguments.seed)?;
    let measured = measure(arguments, &kept)?;
    let digest = measured.digest.clone();

    let began = Instant::now();
    let replayed = digest_of(&replay(&*kept.journal)?);
    let replay_seconds = began.elapsed().as_secs_f64();
    ensure!(
        replayed == digest,
        "a replay of the journal gives another state: the figures are void"
    );

    let began = Instant::now();
    let kept = kept.reopen()?;
    let restarted = start(&kept.journal, "bench, restarted", None)?;
    let cold_start_seconds = began.elapsed().as_secs_f64();
    let restarted = digest_of(&restarted.stop(PATIENCE));
    ensure!(restarted == digest, "a restart gives another state: the figures are void");

    let postgres = arguments.postgres.place()?;
    let views = if arguments.views {
        models::in_all_stores(&kept.journal, folder, postgres.as_ref())?
    } else {
        (None, None)
    };
    let (kept, restart) = if arguments.restart {
        let (kept, restart) = restart::measure(kept, folder, &digest)?;
        (kept, Some(restart))
    } else {
        (kept, None)
    };
    drop(kept);
    let mut report = report(arguments, &measured, (replay_seconds, cold_start_seconds), views);
    report.restart = restart;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

fn start(
    journal: &Arc<dyn Journal>,
    name: &str,
    snapshots: Option<Snapshots>,
) -> anyhow::Result<ProcessorHandle> {
    let handle = Processor::start(ProcessorConfig {
        journal: Arc::clone(journal),
        clock: Arc::new(FixedClock::new(Timestamp::from_micros(NOW_MICROS))),
        tiers: TierCatalogue::builtin(),
        name: name.into(),
        workers: 1,
        decide: decisions::decide,
        feed: None,
        snapshots,
    })?;
    let deadline = Instant::now() + PATIENCE;
    while !handle.is_ready() {
        ensure!(Instant::now() < deadline, "the processor is not ready: {:?}", handle.statuses());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(handle)
}

type States = Vec<(Partition, PartitionState)>;

/// What a run came to.
struct Measured {
    load: Load,
    floor: Option<Floors>,
    commits: u64,
    customers: usize,
    digest: String,
}

/// Runs the load; after each part of it, the floor takes the same records.
fn measure(arguments: &Arguments, kept: &Kept) -> anyhow::Result<Measured> {
    let customers = arguments.customers.unwrap_or(arguments.commands / 100);
    let mut generator = Generator::new(arguments.workload(), arguments.seed, customers);
    let pace = Pace {
        batch: usize::try_from(arguments.batch)?,
        in_flight: usize::try_from(arguments.in_flight)?,
    };
    let handle = start(&kept.journal, "bench", None)?;
    let inbox = LocalInbox::new(handle.lanes());
    let mut load = Load::none()?;
    let mut floor = None;
    let first = kept.commits();
    let mut rest = usize::try_from(arguments.commands)?;
    while rest > 0 {
        let count = rest.min(SEGMENT);
        let commands = generator.take(count);
        let (ends, commits) = (kept.ends()?, kept.commits());
        load.drive(&inbox, commands, pace)?;
        if let Some(elapsed) = kept.floor(&ends, kept.commits() - commits)? {
            let sum: Floors = floor.unwrap_or_default();
            let (bare, alone) = (sum.bare + elapsed.bare, sum.alone + elapsed.alone);
            floor = Some(Floors { bare, alone });
        }
        rest -= count;
        if arguments.journal == JournalKind::Adversarial && rest % RIVAL_EVERY == 0 {
            // It takes every partition away and is gone; the owner finds out when it appends next.
            start(&kept.journal, "a rival", None)?.stop(PATIENCE);
        }
    }
    let commits = kept.commits() - first;
    inbox.stop();
    let states = handle.stop(PATIENCE);
    let customers = states.iter().map(|(_, state)| state.len()).sum();
    Ok(Measured { load, floor, commits, customers, digest: digest_of(&states) })
}

/// Reads all partitions from the start, side by side.
fn replay(journal: &dyn Journal) -> anyhow::Result<States> {
    let one = |partition| {
        let mut state = PartitionState::default();
        restore(journal, partition, &mut Chain::default(), &mut state).map(|()| (partition, state))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..journal.partitions())
            .map(Partition)
            .map(|partition| scope.spawn(move || one(partition)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a replay failed"))?
                    .context("replaying the journal")
            })
            .collect()
    })
}

fn digest_of(states: &States) -> String {
    use std::fmt::Write as _;
    let digest = state_digest(states.iter().flat_map(|(_, state)| state.records()));
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "rates for people, no money"
)]
fn report(
    arguments: &Arguments,
    measured: &Measured,
    (replay_seconds, cold_start_seconds): (f64, f64),
    (views, views_on_postgres): (Option<models::Models>, Option<models::Models>),
) -> Report {
    let Measured { load, floor, commits, customers, digest } = measured;
    let seconds = load.elapsed.as_secs_f64();
    let commands = load.commands as f64;
    let recorded = (load.commands - load.repeated) as f64;
    let floor_per_second = floor.map(|floor| recorded / floor.bare.as_secs_f64());
    let (journal, durability) = arguments.journal.labels();
    Report {
        workload: arguments.workload().as_str(),
        seed: arguments.seed,
        commands: load.commands,
        accepted: load.accepted,
        rejected: load.rejected,
        repeated: load.repeated,
        customers: *customers,
        journal,
        durability,
        batch: arguments.batch,
        in_flight: arguments.in_flight,
        per_commit: (*commits > 0).then(|| recorded / *commits as f64),
        seconds,
        per_second: commands / seconds,
        p50_us: load.latency.value_at_quantile(0.5),
        p99_us: load.latency.value_at_quantile(0.99),
        cpu_ns_per_command: load.cpu.map(|cpu| cpu.as_nanos() as f64 / commands),
        floor_per_second,
        ratio: floor_per_second.map(|floor| recorded / seconds / floor),
        journal_ratio: floor.map(|floor| floor.bare.as_secs_f64() / floor.alone.as_secs_f64()),
        replay_seconds,
        cold_start_seconds,
        views,
        views_on_postgres,
        restart: None,
        digest: digest.clone(),
    }
}
