//! `tallybook topics`: makes the topics on Kafka, and looks whether they are as they must be.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::exit::Usage;
use super::log::KafkaOption;
use crate::kafka::topics::{self, Noting};

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
    /// Make the topics that are not there
    Apply(Apply),
    /// Tell all that is wrong with the topics; a server does not start on wrong ones
    Check {
        #[command(flatten)]
        kafka: KafkaOption,
    },
}

#[derive(Debug, Args)]
struct Apply {
    #[command(flatten)]
    kafka: KafkaOption,
    /// Partitions of the journal and of all topics but that of the keys
    #[arg(long, value_name = "N", default_value_t = 12)]
    partitions: u32,
    /// Replicas of each partition [default: 3, or as many as there are brokers]
    #[arg(long, value_name = "N")]
    replication: Option<u32>,
}

/// Makes topics, or checks them.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Apply(arguments) => apply(arguments).await,
        Action::Check { kafka } => {
            let kafka = kafka.required()?;
            topics::check(&kafka, Noting::No).await?;
            eprintln!("topics `{}.*` are as they must be", kafka.prefix);
            Ok(())
        }
    }
}

async fn apply(arguments: &Apply) -> anyhow::Result<()> {
    let Apply { kafka, partitions, replication } = arguments;
    let kafka = kafka.required()?;
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
    // One that was there already may be another than was asked for.
    topics::check(&kafka, Noting::No).await?;
    eprintln!("topics `{}.*`: {partitions} partitions, {replication} replicas", kafka.prefix);
    Ok(())
}
