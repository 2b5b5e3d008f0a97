//! The product on Kafka, in this process: owners fed from the topic, as `--roles processor` has them;
//! and, for commands one at a time, the gateway's way in that answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use rdkafka::producer::BaseProducer;
use tallybook_events::command::Command;
use tallybook_events::time::Timestamp;

use super::super::workload::NOW_MICROS;
use super::super::{PATIENCE, States};
use super::bare;
use crate::clock::{FixedClock, SharedClock};
use crate::decisions::{self, TierCatalogue};
use crate::inbox::Inbox as _;
use crate::inbox::feed::Feed;
use crate::inbox::kafka::{KafkaFeed, KafkaInbox, Member};
use crate::journal::Journal;
use crate::journal::kafka::KafkaJournal;
use crate::kafka::Kafka;
use crate::processor::{Processor, ProcessorConfig, ProcessorHandle};

/// How often it is looked how much is decided.
const LOOK: Duration = Duration::from_micros(500);

/// A processor that owns the one partition, and the way to it.
pub(super) struct Whole {
    journal: Arc<dyn Journal>,
    handle: ProcessorHandle,
    member: Member,
    kafka: Kafka,
    transactions: BaseProducer,
}

/// The gateway's way to it.
pub(super) struct Asking {
    inbox: KafkaInbox,
    runtime: tokio::runtime::Runtime,
}

impl Whole {
    /// Starts it and waits until the partition is its own.
    pub(super) fn start(kafka: &Kafka) -> anyhow::Result<Self> {
        let clock: SharedClock = Arc::new(FixedClock::new(Timestamp::from_micros(NOW_MICROS)));
        let journal = Arc::new(KafkaJournal::open(kafka)?) as Arc<dyn Journal>;
        let feed = Arc::new(KafkaFeed::open(kafka)?);
        let handle = Processor::start(ProcessorConfig {
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            tiers: TierCatalogue::builtin(),
            name: "bench".into(),
            workers: 1,
            decide: decisions::decide,
            feed: Some(Arc::clone(&feed) as Arc<dyn Feed>),
            snapshots: None,
        })?;
        let member = Member::join(kafka, "bench", &feed, handle.owners(), clock)?;
        let transactions = bare::transactional(kafka, "upstream")?;
        let deadline = Instant::now() + PATIENCE;
        while !handle.is_ready() {
            ensure!(
                Instant::now() < deadline,
                "the partition is not ours: {:?}",
                handle.statuses()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(Self { journal, handle, member, kafka: kafka.clone(), transactions })
    }

    /// Opens the way in of a gateway, which follows the journal.
    pub(super) fn asking(&self) -> anyhow::Result<Asking> {
        let inbox = KafkaInbox::open(&self.kafka, Arc::clone(&self.journal), Vec::new())?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Asking { inbox, runtime })
    }

    /// Puts commands into the topic, all visible at once.
    pub(super) fn lay_out(&self, topic: &str, commands: &[Vec<u8>]) -> anyhow::Result<()> {
        bare::lay_out(&self.transactions, topic, commands)
    }

    /// Gives how many decisions count once so many more are made.
    pub(super) fn target(&self, more: usize) -> u64 {
        self.handle.counted() + u64::try_from(more).unwrap_or(u64::MAX)
    }

    /// Waits until so many decisions count.
    pub(super) fn wait_for(&self, target: u64, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while self.handle.counted() < target {
            ensure!(Instant::now() < deadline, "commands go undecided");
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// Stops it, and gives what it knew and the journal.
    pub(super) fn stop(self) -> (States, Arc<dyn Journal>) {
        let Self { journal, handle, member, .. } = self;
        drop(member);
        (handle.stop(PATIENCE), journal)
    }
}

impl Asking {
    /// Sends one command and notes how long it took to be answered.
    pub(super) fn one(&self, command: Command, took: &mut Histogram<u64>) -> anyhow::Result<()> {
        let began = Instant::now();
        let answers = self.runtime.block_on(self.inbox.submit(vec![command], PATIENCE));
        bare::note(began, took)?;
        for answer in answers {
            answer.context("a command went unanswered")?;
        }
        Ok(())
    }
}
