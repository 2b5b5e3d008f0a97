//! Where commands and the journal are kept: in files of this process, or on Kafka.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use crate::journal::kafka::KafkaJournal;
use crate::journal::sqlite::{Options, SqliteJournal};
use crate::journal::{Journal, JournalError};
use crate::kafka::Kafka;

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

/// The journal, and on Kafka what else is there.
pub(super) struct Log {
    /// The journal.
    pub(super) journal: Arc<dyn Journal>,
    /// Where it is, when it is on Kafka.
    pub(super) kafka: Option<Kafka>,
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

/// Opens the journal on Kafka. Blocks.
pub(super) fn open_kafka(kafka: Kafka) -> anyhow::Result<Log> {
    let at = format!("cannot use the Kafka at {}", kafka.bootstrap);
    let journal = KafkaJournal::open(&kafka).context(at)?;
    Ok(Log { journal: Arc::new(journal), kafka: Some(kafka) })
}
