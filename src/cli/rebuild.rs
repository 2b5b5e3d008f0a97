//! `tallybook rebuild`: folds the whole journal into new read models beside the live ones, then puts
//! them in their place. A server may run meanwhile.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tallybook_events::ids::Position;

use super::folder::{DataFolder, DataOption};
use super::log::{self, KafkaOption};
use super::models::{Models, PostgresOption};
use super::output::{self, Format};
use super::progress;
use crate::journal::Journal;
use crate::journal::sqlite::SqliteReader;
use crate::projector::rebuild::rebuild;

/// Arguments of `rebuild`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: DataOption,
    #[command(flatten)]
    kafka: KafkaOption,
    #[command(flatten)]
    postgres: PostgresOption,
}

/// What is printed.
#[derive(Serialize)]
struct Report {
    records: u64,
    decisions: u64,
    events: u64,
    positions: Vec<Position>,
    milliseconds: u64,
}

/// Rebuilds, with a progress bar, and prints what was done.
pub(super) fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let folder = DataFolder::new(&arguments.folder.data);
    let journal: Arc<dyn Journal> = if let Some(kafka) = arguments.kafka.kafka()? {
        log::open_kafka(kafka)?.journal
    } else {
        folder.must_have_journal()?;
        Arc::new(SqliteReader::open(folder.path())?)
    };
    let new = Models::at(arguments.postgres.place()?.as_ref(), folder.path()).rebuild()?;
    let bar = progress::bar(Some(0), "records");
    let rebuilt = rebuild(&*journal, new, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let rebuilt = rebuilt?;
    output::print_value(
        format,
        &Report {
            records: rebuilt.records,
            decisions: rebuilt.decisions,
            events: rebuilt.events,
            positions: rebuilt.positions,
            milliseconds: u64::try_from(rebuilt.elapsed.as_millis()).unwrap_or(u64::MAX),
        },
    )
}
