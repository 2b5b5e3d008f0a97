//! `tallybook rebuild`: folds the whole journal into new read models beside the live ones, then puts
//! them in their place. A server may run meanwhile.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tallybook_events::ids::Position;
use tallybook_projections::store::sqlite::{SqliteRebuild, SqliteStore};

use super::folder::{DataFolder, DataOption};
use super::output::{self, Format};
use super::progress;
use crate::journal::sqlite::SqliteReader;
use crate::projector::rebuild::rebuild;

/// Arguments of `rebuild`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: DataOption,
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
    folder.must_have_journal()?;
    let journal = SqliteReader::open(folder.path())?;
    // The live rows must be there to be replaced; a damaged file is put aside by hand first.
    drop(SqliteStore::open(folder.path()).context("cannot open the read models")?);
    let new = SqliteRebuild::begin(folder.path()).context("cannot begin")?;
    let bar = progress::bar(Some(0), "records");
    let rebuilt = rebuild(&journal, Box::new(new), &mut |progress| {
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
