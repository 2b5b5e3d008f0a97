//! The role of the processor: owners of partitions, and on Kafka the membership in the group that
//! shares them.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::part::Part;
use super::roles::OnKafka;
use crate::cli::log::Log;
use crate::clock::SharedClock;
use crate::decisions::{TierCatalogue, decide};
use crate::gateway::Ready;
use crate::inbox::Lanes;
use crate::inbox::kafka::{Joined, KafkaFeed, Member};
use crate::processor::snapshot::EVERY;
use crate::processor::{PartitionStatus, Processor, ProcessorConfig, ProcessorHandle, Snapshots};

/// How long owners may take to answer what they have, once nothing new comes in.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Most threads that own partitions, whatever the machine has.
const MAX_WORKERS: usize = 16;

/// Folder of snapshots, in the data folder.
const SNAPSHOTS: &str = "snapshots";

/// Owners of partitions at work.
pub(super) struct Deciding {
    handle: Arc<ProcessorHandle>,
    member: Option<Member>,
}

/// Starts to decide: in files all partitions, on Kafka those that the group gives us.
pub(super) fn start(
    log: &Log,
    name: &str,
    tiers: TierCatalogue,
    clock: &SharedClock,
    folder: &Path,
) -> anyhow::Result<Deciding> {
    let feed = match &log.kafka {
        Some(kafka) => Some(Arc::new(KafkaFeed::open(kafka)?)),
        None => None,
    };
    let config = ProcessorConfig {
        journal: Arc::clone(&log.journal),
        clock: Arc::clone(clock),
        tiers,
        name: name.to_owned(),
        workers: workers(if log.kafka.is_some() { OnKafka::Yes } else { OnKafka::No }),
        decide,
        feed: feed.clone().map(|feed| feed as _),
        snapshots: build().map(|build| Snapshots::new(folder.join(SNAPSHOTS), &build, EVERY)),
    };
    let handle = Arc::new(Processor::start(config).context("cannot start the processor")?);
    let member = match (&log.kafka, &feed) {
        (Some(kafka), Some(feed)) => {
            let joined = Member::join(kafka, name, feed, handle.owners(), Arc::clone(clock));
            Some(joined.context("cannot join the group that shares the commands")?)
        }
        _ => None,
    };
    Ok(Deciding { handle, member })
}

impl Deciding {
    /// Gives the queues in front of the owners.
    pub(super) fn lanes(&self) -> Arc<dyn Lanes> {
        self.handle.lanes()
    }
}

impl Part for Deciding {
    fn ready(&self) -> Ready {
        // Not to keep the owners alive: whoever stops them must have them alone.
        let handle = Arc::downgrade(&self.handle);
        let joined = self.member.as_ref().map(Member::joined);
        Arc::new(move || {
            if !joined.as_ref().is_none_or(Joined::is_so) {
                return Err("the group that shares the commands has not taken us in yet".into());
            }
            let owned = handle.upgrade().is_some_and(|handle| handle.is_settled());
            if owned { Ok(()) } else { Err("not every partition is owned yet".into()) }
        })
    }

    fn failure(&self) -> Option<anyhow::Error> {
        if let Some(why) = self.member.as_ref().and_then(|of| of.failed().get().cloned()) {
            return Some(anyhow!("the group that shares the commands will not have us: {why}"));
        }
        let mut statuses = self.handle.statuses().into_iter().enumerate();
        statuses.find_map(|(at, status)| match status {
            PartitionStatus::Halted { why } => Some(anyhow!("partition {at} halted: {why}")),
            PartitionStatus::Restoring
            | PartitionStatus::Standby
            | PartitionStatus::Claiming
            | PartitionStatus::Owning { .. } => None,
        })
    }

    /// Leaves the partitions to others at once, then answers what was handed over.
    fn stop(self: Box<Self>) {
        drop(self.member);
        if let Some(handle) = Arc::into_inner(self.handle) {
            handle.stop(STOP_WITHIN);
        }
    }
}

/// Names this build: what a snapshot holds means something to the build that wrote it. Nothing when the
/// program does not find itself.
fn build() -> Option<String> {
    let program = std::fs::metadata(std::env::current_exe().ok()?).ok()?;
    let built = program.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let version = env!("CARGO_PKG_VERSION");
    Some(format!("{version}, {} bytes of {}", program.len(), built.as_nanos()))
}

/// Gives the number of threads that own partitions. On Kafka an owner may wait for brokers, and others
/// shall not wait with it: a thread for each core. In files none waits long, and who takes requests, writes
/// the journal and folds needs the cores too: half as many, woken less often, for more at a time.
fn workers(on_kafka: OnKafka) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = match on_kafka {
        OnKafka::Yes => cores,
        OnKafka::No => cores / 2,
    };
    threads.clamp(1, MAX_WORKERS)
}
