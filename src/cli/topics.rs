//! `tallybook topics`: makes the topics on Kafka.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::exit::Usage;
use super::log::KafkaOption;
use crate::kafka::topics;

/// Most partitions of a topic.
const MAX_PARTITIONS: u32 = 4_096;

/// Arguments of `topics`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes the topics that are not there
    Apply(Apply),
}

#[derive(Debug, Args)]
struct Apply {
    #[command(flatten)]
    kafka: KafkaOption,
    /// Partitions of the commands and of the journal
    #[arg(long, value_name = "N", default_value_t = 12)]
    partitions: u32,
    /// Replicas of each partition [default: 3, or as many as there are brokers]
    #[arg(long, value_name = "N")]
    replication: Option<u32>,
}

/// Makes topics.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Action::Apply(Apply { kafka, partitions, replication }) = &arguments.action;
    let kafka = kafka.kafka().ok_or_else(|| Usage("--kafka is missing".into()))?;
    if !(1..=MAX_PARTITIONS).contains(partitions) {
        return Err(Usage(format!("--partitions must be 1 to {MAX_PARTITIONS}")).into());
    }
    let partitions = i32::try_from(*partitions)?;
    let asked = kafka.clone();
    let brokers = tokio::task::spawn_blocking(move || topics::brokers(&asked)).await??;
    let replication = match replication {
        Some(replication) => i32::try_from(*replication)?,
        None => i32::try_from(brokers.min(3))?,
    };
    let at = format!("cannot make the topics on {}", kafka.bootstrap);
    topics::apply(&kafka, partitions, replication).await.context(at)?;
    eprintln!("topics `{}.*`: {partitions} partitions, {replication} replicas", kafka.prefix);
    Ok(())
}
