//! Where commands and the journal are kept: in files of this process, or on Kafka.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::Partition;

use crate::clock::SharedClock;
use crate::inbox::Inbox;
use crate::inbox::feed::Feed;
use crate::inbox::kafka::{KafkaFeed, KafkaInbox, Member};
use crate::inbox::local::LocalInbox;
use crate::journal::kafka::KafkaJournal;
use crate::journal::sqlite::{Options, SqliteJournal};
use crate::journal::{Journal, JournalError};
use crate::kafka::Kafka;
use crate::processor::ProcessorHandle;

/// Which Kafka, if one is to be used.
#[derive(Debug, Clone, Args)]
pub(super) struct KafkaOption {
    /// Kafka to keep commands and the journal in, as addresses with commas between them
    #[arg(long, value_name = "BOOTSTRAP")]
    kafka: Option<String>,
    /// What the names of the topics begin with
    #[arg(long, value_name = "PREFIX", default_value = "tallybook")]
    kafka_prefix: String,
}

impl KafkaOption {
    /// Gives the Kafka that is named.
    pub(super) fn kafka(&self) -> Option<Kafka> {
        let bootstrap = self.kafka.clone()?;
        Some(Kafka { prefix: self.kafka_prefix.clone(), ..Kafka::at(bootstrap) })
    }
}

/// The journal, and the way of commands to it.
pub(super) struct Log {
    /// The journal.
    pub(super) journal: Arc<dyn Journal>,
    kafka: Option<(Kafka, Arc<KafkaFeed>)>,
}

/// What brings commands to the owners of partitions.
pub(super) struct Way {
    inbox: Entrance,
    member: Option<Member>,
}

enum Entrance {
    Local(LocalInbox),
    Kafka(Arc<KafkaInbox>),
}

/// Opens the journal in a folder. A failed write is told to `failed`, and ends the process.
pub(super) fn open_files(
    folder: &Path,
    partitions: Option<u32>,
    failed: fn(JournalError),
) -> anyhow::Result<Log> {
    let options = Options { partitions, ..Options::default() };
    let journal = SqliteJournal::open(folder, &options, Box::new(failed))?;
    Ok(Log { journal: Arc::new(journal), kafka: None })
}

/// Opens the journal on Kafka.
pub(super) fn open_kafka(kafka: Kafka) -> anyhow::Result<Log> {
    let at = format!("cannot use the Kafka at {}", kafka.bootstrap);
    let journal = KafkaJournal::open(&kafka).with_context(|| at.clone())?;
    let feed = KafkaFeed::open(&kafka).context(at)?;
    Ok(Log { journal: Arc::new(journal), kafka: Some((kafka, Arc::new(feed))) })
}

impl Log {
    /// Gives the topic that owners are fed from, where there is one.
    pub(super) fn feed(&self) -> Option<Arc<dyn Feed>> {
        self.kafka.as_ref().map(|(_, feed)| Arc::clone(feed) as Arc<dyn Feed>)
    }

    /// Opens the way to the owners. `judged` is how far somebody has judged the journal.
    pub(super) fn way(
        &self,
        name: &str,
        processor: &ProcessorHandle,
        judged: Vec<(Partition, Checkpoint)>,
        clock: SharedClock,
    ) -> anyhow::Result<Way> {
        let Some((kafka, feed)) = &self.kafka else {
            let inbox = Entrance::Local(LocalInbox::new(processor.lanes()));
            return Ok(Way { inbox, member: None });
        };
        let inbox = KafkaInbox::open(kafka, Arc::clone(&self.journal), judged)?;
        let member = Member::join(kafka, name, feed, processor.owners(), clock)
            .context("cannot join the group that shares the commands")?;
        Ok(Way { inbox: Entrance::Kafka(Arc::new(inbox)), member: Some(member) })
    }
}

impl Way {
    /// Gives the way in.
    pub(super) fn inbox(&self) -> Arc<dyn Inbox> {
        match &self.inbox {
            Entrance::Local(inbox) => Arc::new(inbox.clone()),
            Entrance::Kafka(inbox) => Arc::clone(inbox) as Arc<dyn Inbox>,
        }
    }

    /// Tells whether commands find their owners, here or elsewhere.
    pub(super) fn is_open(&self) -> bool {
        self.member.as_ref().is_none_or(Member::has_joined)
    }

    /// Takes no more commands, and leaves the partitions to others.
    pub(super) fn close(self) {
        match &self.inbox {
            Entrance::Local(inbox) => inbox.stop(),
            Entrance::Kafka(inbox) => inbox.stop(),
        }
        drop(self.member);
    }
}
