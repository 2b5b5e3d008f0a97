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

use self::load::{Load, Pace};
use self::workload::{Generator, NOW_MICROS, Workload};
use crate::clock::FixedClock;
use crate::decisions::{self, TierCatalogue, state_digest};
use crate::inbox::local::LocalInbox;
use crate::journal::Journal;
use crate::journal::adversarial::{AdversarialJournal, Mischief};
use crate::journal::memory::MemoryJournal;
use crate::processor::{PartitionState, Processor, ProcessorConfig, ProcessorHandle, restore};

mod load;
pub(crate) mod workload;

/// How long a processor may take to become ready, or to stop.
const PATIENCE: Duration = Duration::from_mins(2);
/// Commands that are made, and then measured, at a time: so many fit in memory.
const SEGMENT: usize = 50_000;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is asked of it
    #[arg(long, value_enum, default_value = "reference")]
    workload: Workload,
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
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: u64,
    /// Calls that are not answered yet
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=16))]
    in_flight: u64,
    /// Number of partitions
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    partitions: u32,
    /// Where decisions are kept
    #[arg(long, value_enum, default_value = "memory")]
    journal: JournalKind,
    /// Folder for the journal; it must be empty or new [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Where decisions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum JournalKind {
    /// In memory.
    Memory,
    /// In memory, where appends are lost, late, repeated and out of order now and then.
    Adversarial,
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
    seconds: f64,
    per_second: f64,
    p50_us: u64,
    p99_us: u64,
    cpu_ns_per_command: Option<f64>,
    replay_seconds: f64,
    digest: String,
}

/// Runs the command.
///
/// # Errors
/// When a command goes unanswered, or the state is not that of a plain replay.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let journal = open(arguments);
    let (load, states) = measure(arguments, &journal)?;
    let digest = digest_of(&states);
    let customers = states.iter().map(|(_, state)| state.len()).sum();
    drop(states);
    let began = Instant::now();
    let replayed = replay(&*journal)?;
    let replay_seconds = began.elapsed().as_secs_f64();
    ensure!(
        digest_of(&replayed) == digest,
        "a replay of the journal gives another state than the run had: the figures are void"
    );
    let report = report(arguments, &load, customers, replay_seconds, digest);
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

fn open(arguments: &Arguments) -> Arc<dyn Journal> {
    let partitions = arguments.partitions;
    match arguments.journal {
        JournalKind::Memory => Arc::new(MemoryJournal::new(partitions)),
        JournalKind::Adversarial => {
            let journal = AdversarialJournal::new(partitions, arguments.seed, RARE);
            Arc::new(journal.pumped(Duration::from_millis(1)))
        }
    }
}

/// Mischief rare enough for a long run: each makes the owner read its partition anew.
const RARE: Mischief = Mischief {
    lost: 0,
    delayed: 0,
    repeated: 1,
    swapped: 0,
    unknown: 1,
    late_answers: 500,
    max_delay: 8,
};

fn start(journal: &Arc<dyn Journal>, name: &str) -> anyhow::Result<ProcessorHandle> {
    let handle = Processor::start(ProcessorConfig {
        journal: Arc::clone(journal),
        clock: Arc::new(FixedClock::new(Timestamp::from_micros(NOW_MICROS))),
        tiers: TierCatalogue::builtin(),
        name: name.into(),
        workers: 1,
        decide: decisions::decide,
    })?;
    let deadline = Instant::now() + PATIENCE;
    while !handle.is_ready() {
        ensure!(Instant::now() < deadline, "the processor is not ready: {:?}", handle.statuses());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(handle)
}

type States = Vec<(Partition, PartitionState)>;

fn measure(arguments: &Arguments, journal: &Arc<dyn Journal>) -> anyhow::Result<(Load, States)> {
    let customers = arguments.customers.unwrap_or(arguments.commands / 100);
    let mut generator = Generator::new(arguments.workload, arguments.seed, customers);
    let pace = Pace {
        batch: usize::try_from(arguments.batch)?,
        in_flight: usize::try_from(arguments.in_flight)?,
    };
    let handle = start(journal, "bench")?;
    let inbox = LocalInbox::new(handle.lanes());
    let mut load = Load::none()?;
    let mut rest = usize::try_from(arguments.commands)?;
    while rest > 0 {
        let count = rest.min(SEGMENT);
        load.drive(&inbox, generator.take(count), pace)?;
        rest -= count;
    }
    inbox.stop();
    Ok((load, handle.stop(PATIENCE)))
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
    load: &Load,
    customers: usize,
    replay_seconds: f64,
    digest: String,
) -> Report {
    let seconds = load.elapsed.as_secs_f64();
    let (journal, durability) = match arguments.journal {
        JournalKind::Memory => ("memory", "none"),
        JournalKind::Adversarial => ("adversarial", "none"),
    };
    Report {
        workload: arguments.workload.as_str(),
        seed: arguments.seed,
        commands: load.commands,
        accepted: load.accepted,
        rejected: load.rejected,
        repeated: load.repeated,
        customers,
        journal,
        durability,
        batch: arguments.batch,
        in_flight: arguments.in_flight,
        seconds,
        per_second: load.commands as f64 / seconds,
        p50_us: load.latency.value_at_quantile(0.5),
        p99_us: load.latency.value_at_quantile(0.99),
        cpu_ns_per_command: load.cpu.map(|cpu| cpu.as_nanos() as f64 / load.commands as f64),
        replay_seconds,
        digest,
    }
}
