//! The read models of a run: folded by a projector, then rebuilt beside; both must be alike.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use tallybook_projections::progress::Progress;
use tallybook_projections::store::postgres::PostgresPlace;

use crate::cli::models::Models as Kept;
use crate::clock::SystemClock;
use crate::journal::Journal;
use crate::projector::rebuild::rebuild;
use crate::projector::{Pace, Projector, ProjectorState};

/// How long the projector may take to come to the end of the journal.
const PATIENCE: Duration = Duration::from_mins(10);

/// What became of the read models.
#[derive(Debug, Serialize)]
pub(super) struct Models {
    /// Rows of the timeline: as many as events.
    events: u64,
    fold_seconds: f64,
    rebuild_seconds: f64,
    digest: String,
}

/// Folds the journal into read models in a folder and, where one is named, in a database.
///
/// # Errors
/// When one does not come to its end, or they differ.
pub(super) fn in_all_stores(
    journal: &Arc<dyn Journal>,
    folder: &Path,
    postgres: Option<&PostgresPlace>,
) -> anyhow::Result<(Option<Models>, Option<Models>)> {
    let in_files = fold_and_rebuild(journal, &Kept::at(None, folder))?;
    let Some(place) = postgres else { return Ok((Some(in_files), None)) };
    let in_database = fold_and_rebuild(journal, &Kept::at(Some(place), folder))?;
    ensure!(in_files.digest == in_database.digest, "the stores have different rows");
    Ok((Some(in_files), Some(in_database)))
}

/// Folds the journal into read models, then rebuilds them.
fn fold_and_rebuild(journal: &Arc<dyn Journal>, kept: &Kept) -> anyhow::Result<Models> {
    let began = Instant::now();
    let projector = Projector::start(
        Arc::clone(journal),
        kept.store()?,
        Arc::new(Progress::new(journal.partitions())),
        Arc::new(SystemClock),
        Pace::AtOnce,
    )?;
    let status = projector.status();
    while status.state() != ProjectorState::Following {
        ensure!(began.elapsed() < PATIENCE, "the read models are not there: {:?}", status.state());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    projector.stop();
    let fold_seconds = began.elapsed().as_secs_f64();
    let live = kept.store()?.digest()?;
    let began = Instant::now();
    let rebuilt = rebuild(&**journal, kept.rebuild()?, &mut |_| {})?;
    let rebuild_seconds = began.elapsed().as_secs_f64();
    let digest = kept.store()?.digest()?;
    ensure!(digest == live, "the rebuilt read models differ from those that were folded");
    Ok(Models { events: rebuilt.events, fold_seconds, rebuild_seconds, digest: digest.to_string() })
}
