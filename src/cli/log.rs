//! Where commands and the journal are kept: in files of this process, or on Kafka.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::exit::Usage;
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
    /// A further setting of librdkafka, like those of TLS and SASL; more than once, or one a line. When
    /// the name has `_FILE` at its end, the value is what that file holds
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = '\n', hide_env_values = true)]
    kafka_set: Vec<String>,
    /// The same from the settings file: table `kafka.extra`
    #[arg(long, value_delimiter = '\n', hide = true)]
    kafka_extra: Vec<String>,
}

/// What the name of a setting ends in whose value is in a file.
const IN_FILE: &str = "_FILE";

impl KafkaOption {
    /// Gives the Kafka that is named.
    ///
    /// # Errors
    /// [`Usage`] when a setting has no value.
    pub(super) fn kafka(&self) -> anyhow::Result<Option<Kafka>> {
        let Some(bootstrap) = self.kafka.clone() else { return Ok(None) };
        // The later one holds: what was said on the command line.
        let settings = self.kafka_extra.iter().chain(&self.kafka_set);
        let settings = settings.filter(|setting| !setting.trim().is_empty());
        let extra = settings.map(|setting| read(setting)).collect::<anyhow::Result<_>>()?;
        Ok(Some(Kafka { bootstrap, prefix: self.kafka_prefix.clone(), extra }))
    }

    /// Gives the Kafka that must be named.
    ///
    /// # Errors
    /// [`Usage`] when it is not, or a setting has no value.
    pub(super) fn required(&self) -> anyhow::Result<Kafka> {
        self.kafka()?.ok_or_else(|| Usage("--kafka is missing".into()).into())
    }
}

/// Reads a setting of librdkafka.
fn read(setting: &str) -> anyhow::Result<(String, String)> {
    let Some((name, value)) = setting.trim().split_once('=') else {
        // It is not shown: it may be a secret.
        return Err(Usage("a setting of librdkafka is NAME=VALUE".into()).into());
    };
    let Some(name) = name.strip_suffix(IN_FILE) else {
        return Ok((name.to_owned(), value.to_owned()));
    };
    let read = std::fs::read_to_string(value);
    let text = read.with_context(|| format!("cannot read {value}, for the setting {name}"))?;
    Ok((name.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_the_file_the_line_and_files_of_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("password");
        std::fs::write(&secret, "pa=ss\n").unwrap();
        let option = KafkaOption {
            kafka: Some("b:9092".into()),
            kafka_prefix: "p".into(),
            kafka_set: vec![format!("sasl.password_FILE={}", secret.display()), String::new()],
            kafka_extra: vec!["sasl.password=old".into()],
        };
        let setting = |value: &str| ("sasl.password".to_owned(), value.to_owned());
        let expected = Kafka {
            bootstrap: "b:9092".into(),
            prefix: "p".into(),
            extra: vec![setting("old"), setting("pa=ss")],
        };
        assert_eq!(option.kafka().unwrap(), Some(expected.clone()));
        assert_eq!(expected.client().get("sasl.password"), Some("pa=ss"));
        let bad = KafkaOption { kafka_set: vec!["secret".into()], ..option };
        assert_eq!(bad.kafka().unwrap_err().to_string(), "a setting of librdkafka is NAME=VALUE");
    }
}
