//! Are the topics as the rules want them? What is wrong is told in full, not only the first fault.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::metadata::Metadata;

use super::{Count, JOURNAL, KINDS, Kind, TopicsError};
use crate::kafka::asking::Asker;
use crate::kafka::birth::{self, Birth};
use crate::kafka::{ASK, Kafka};

/// Pause before it is tried again to note something.
const AGAIN: Duration = Duration::from_millis(50);
/// Replicas where there are so many brokers.
const REPLICAS: usize = 3;

/// Topics that are not as the rules want them.
#[derive(Debug, thiserror::Error)]
#[error("the topics are not as they must be:{}", Listed(faults))]
pub struct WrongTopics {
    /// What is wrong, one sentence each.
    pub faults: Vec<String>,
    /// Whether all that is wrong is that topics are not there.
    pub only_missing: bool,
}

struct Listed<'a>(&'a [String]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|fault| write!(formatter, "\n  - {fault}"))
    }
}

/// Whether what the journal begins with is to be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noting {
    /// It is, if more of it is known than was noted.
    Yes,
    /// It is only looked at.
    No,
}

/// Checks all our topics.
///
/// # Errors
/// [`TopicsError::Wrong`] with all that is wrong, [`TopicsError::Kafka`] when there is no answer.
pub async fn check(kafka: &Kafka, noting: Noting) -> Result<(), TopicsError> {
    let asked = kafka.clone();
    let looked = tokio::task::spawn_blocking(move || look(&asked, noting)).await;
    let mut found = looked.map_err(|_| TopicsError::Panicked)??;
    if found.there.is_empty() {
        return found.told();
    }
    let names: Vec<String> = found.there.iter().map(|kind| kafka.topic(kind.name)).collect();
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().map_err(TopicsError::Unavailable)?;
    let resources: Vec<ResourceSpecifier<'_>> =
        names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let described = admin.describe_configs(&resources, &options).await;
    let described = described.map_err(TopicsError::Unavailable)?;
    for ((kind, name), config) in found.there.iter().zip(&names).zip(described) {
        let config = config.map_err(|code| TopicsError::Refused { name: name.clone(), code })?;
        let values: HashMap<&str, &str> = config
            .entries
            .iter()
            .filter_map(|entry| Some((&*entry.name, entry.value.as_deref()?)))
            .collect();
        found.faults.extend(wrong_settings(kind, name, &values, found.brokers));
    }
    found.told()
}

/// What is found.
struct Found {
    there: Vec<&'static Kind>,
    brokers: usize,
    faults: Vec<String>,
    missing: usize,
}

impl Found {
    fn told(self) -> Result<(), TopicsError> {
        let Self { faults, missing, .. } = self;
        if faults.is_empty() {
            return Ok(());
        }
        let only_missing = missing == faults.len();
        Err(WrongTopics { faults, only_missing }.into())
    }
}

/// Looks at what there is, but for the settings. Blocks.
fn look(kafka: &Kafka, noting: Noting) -> Result<Found, TopicsError> {
    let asker = Asker::open(kafka)?;
    let metadata = asker.metadata(None)?;
    let brokers = metadata.brokers().len();
    let mut found = Found { there: Vec::new(), brokers, faults: Vec::new(), missing: 0 };
    let journal = partitions(&metadata, &kafka.topic(JOURNAL));
    for kind in &KINDS {
        let name = kafka.topic(kind.name);
        let count = partitions(&metadata, &name);
        if count == 0 {
            let prefix = &kafka.prefix;
            found.faults.push(format!("{name} is not there; `topics apply` makes it ({prefix}.*)"));
            found.missing += 1;
            continue;
        }
        found.there.push(kind);
        let wanted = if kind.count == Count::One { 1 } else { journal };
        if count != wanted && wanted > 0 {
            found.faults.push(format!("{name} has {count} partitions, it must have {wanted}"));
        }
        let replicas = replicas(&metadata, &name);
        let wanted = brokers.min(REPLICAS);
        if replicas < wanted {
            let fault = format!(
                "{name} has {replicas} replicas, with {brokers} brokers it must have {wanted}"
            );
            found.faults.push(fault);
        }
    }
    if found.missing == 0 {
        found.faults.extend(wrong_birth(&asker, kafka, noting)?);
    }
    Ok(found)
}

/// Says how the journal differs from what it began with.
fn wrong_birth(
    asker: &Asker<'_>,
    kafka: &Kafka,
    noting: Noting,
) -> Result<Vec<String>, TopicsError> {
    let (seen, noted) = (birth::seen(asker, kafka)?, birth::noted(asker, kafka)?);
    let faults = noted.as_ref().map_or_else(Vec::new, |noted| {
        let journal = kafka.topic(JOURNAL);
        seen.faults(noted, &journal)
    });
    if faults.is_empty() && noting == Noting::Yes && noted.as_ref() != Some(&seen) {
        birth::note(asker, kafka, &seen)?;
    }
    Ok(faults)
}

/// Notes what the journal begins with, where nothing was noted yet. Blocks.
pub(super) fn note_birth(kafka: &Kafka) -> Result<(), TopicsError> {
    let deadline = Instant::now() + ASK;
    loop {
        match try_note_birth(kafka) {
            // Topics that were just made are not known everywhere at once.
            Err(TopicsError::Kafka(_)) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            done => return done,
        }
    }
}

fn try_note_birth(kafka: &Kafka) -> Result<(), TopicsError> {
    let asker = Asker::open(kafka)?;
    let noted: Option<Birth> = birth::noted(&asker, kafka)?;
    if noted.is_none() {
        let seen = birth::seen(&asker, kafka)?;
        birth::note(&asker, kafka, &seen)?;
    }
    Ok(())
}

fn partitions(metadata: &Metadata, name: &str) -> usize {
    let found = metadata.topics().iter().find(|topic| topic.name() == name);
    found.map_or(0, |topic| topic.partitions().len())
}

/// Gives the fewest replicas of a partition.
fn replicas(metadata: &Metadata, name: &str) -> usize {
    let found = metadata.topics().iter().find(|topic| topic.name() == name);
    let counts = found.map(|topic| topic.partitions().iter().map(|of| of.replicas().len()));
    counts.and_then(Iterator::min).unwrap_or(0)
}

/// Says which settings of a topic are not as they must be.
fn wrong_settings(
    kind: &Kind,
    name: &str,
    values: &HashMap<&str, &str>,
    brokers: usize,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |setting: &str, wanted: &str, why: &str| {
        let value = values.get(setting).copied().unwrap_or("not set");
        if value != wanted {
            faults.push(format!("{name} has {setting}={value}, it must be {wanted}: {why}"));
        }
    };
    let policy = kind.setting("cleanup.policy");
    must(
        "cleanup.policy",
        policy,
        match policy {
            "compact" => "its last record of each key is kept",
            _ => "no record of it may be compacted away",
        },
    );
    if kind.name == JOURNAL {
        must("retention.ms", "-1", "the journal is kept for ever");
        must("retention.bytes", "-1", "the journal is kept for ever");
    }
    must(
        "unclean.leader.election.enable",
        "false",
        "a leader that lacks records would take them from all",
    );
    let in_sync: usize =
        values.get("min.insync.replicas").and_then(|value| value.parse().ok()).unwrap_or(0);
    if brokers >= REPLICAS && in_sync < 2 {
        faults.push(format!(
            "{name} has min.insync.replicas={in_sync}, with {brokers} brokers it must be 2 at least: \
             what is acknowledged must be on two of them"
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(name: &str, values: &[(&str, &str)], brokers: usize) -> Vec<String> {
        let kind = KINDS.iter().find(|kind| kind.name == name).expect("one of ours");
        wrong_settings(kind, name, &values.iter().copied().collect(), brokers)
    }

    #[test]
    fn each_wrong_setting_is_told() {
        let right = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "2"),
        ];
        assert_eq!(faults(JOURNAL, &right, 3), [""; 0]);
        let mut wrong = right;
        (wrong[0].1, wrong[1].1, wrong[3].1, wrong[4].1) = ("compact", "604800000", "true", "1");
        assert_eq!(
            faults(JOURNAL, &wrong, 3),
            [
                "journal has cleanup.policy=compact, it must be delete: no record of it may be \
                 compacted away",
                "journal has retention.ms=604800000, it must be -1: the journal is kept for ever",
                "journal has unclean.leader.election.enable=true, it must be false: a leader that \
                 lacks records would take them from all",
                "journal has min.insync.replicas=1, with 3 brokers it must be 2 at least: what is \
                 acknowledged must be on two of them",
            ]
        );
        // What is acknowledged cannot be on two of one.
        assert_eq!(faults(JOURNAL, &right[..4], 1), [""; 0]);
    }
}
