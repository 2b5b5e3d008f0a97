//! The role of the publisher: it tells plain consumers of Kafka what happened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tallybook_events::ids::Partition;
use tallybook_projections::store::sqlite::SqliteStore;
use tallybook_projections::store::{StoreError, TellingStore};

use super::part::Part;
use super::roles::Role;
use crate::cli::log::Log;
use crate::gateway::Ready;
use crate::publisher::kafka::KafkaSink;
use crate::publisher::kafka::share::KafkaShare;
use crate::publisher::{self, Folds, Publisher, PublisherConfig};

/// Whether a process that is not told its roles has this one.
pub(super) const USUAL: Option<Role> = Some(Role::Publisher);

/// Folder of the publisher's own rows, in the data folder: one folder below it for each partition.
const FOLDER: &str = "publisher";

/// Starts to publish what the journal tells.
pub(super) fn start(log: &Log, name: &str, folder: &Path) -> anyhow::Result<Box<dyn Part>> {
    let kafka = log.kafka.clone().context("the publisher needs Kafka")?;
    let share = KafkaShare::join(&kafka, name).context("cannot join the group of publishers")?;
    let started = Publisher::start(PublisherConfig {
        journal: Arc::clone(&log.journal),
        folds: Arc::new(Folders(folder.join(FOLDER))),
        sink: Arc::new(KafkaSink::new(kafka)),
        share: Box::new(share),
        batch: publisher::BATCH,
    });
    Ok(Box::new(Publishing(started.context("cannot start the publisher")?)))
}

/// The publisher's own rows, in SQLite files.
struct Folders(PathBuf);

impl Folders {
    fn of(&self, partition: Partition) -> PathBuf {
        self.0.join(partition.to_string())
    }
}

impl Folds for Folders {
    fn open(&self, partition: Partition) -> Result<Box<dyn TellingStore>, StoreError> {
        let folder = self.of(partition);
        std::fs::create_dir_all(&folder).map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Box::new(SqliteStore::open(&folder)?))
    }

    fn open_anew(&self, partition: Partition) -> Result<Box<dyn TellingStore>, StoreError> {
        match std::fs::remove_dir_all(self.of(partition)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Unavailable(error.into()))
            }
            Ok(()) | Err(_) => self.open(partition),
        }
    }
}

/// A publisher at work.
struct Publishing(Publisher);

impl Part for Publishing {
    fn ready(&self) -> Ready {
        let status = self.0.status();
        Arc::new(move || status.ready())
    }

    fn failure(&self) -> Option<anyhow::Error> {
        self.0.status().halted().map(|why| anyhow!("the publisher halted: {why}"))
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}
