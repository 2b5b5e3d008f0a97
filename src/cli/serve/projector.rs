//! The role of the projector: it keeps the read models up to date.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::Store;

use super::part::Part;
use crate::cli::log::Log;
use crate::clock::SharedClock;
use crate::gateway::Ready;
use crate::projector::{Pace, Projector, ProjectorState};

/// How far apart folds are while nobody waits for one, at most: so long the rows may be behind for who
/// reads them without asking the gateway.
const GATHER: Duration = Duration::from_millis(100);

/// Starts to fold the journal into the read models.
pub(super) fn start(
    log: &Log,
    store: Box<dyn Store>,
    progress: Arc<Progress>,
    clock: &SharedClock,
) -> anyhow::Result<Folding> {
    // Who reads elsewhere cannot say here that it waits.
    let pace = if log.kafka.is_some() { Pace::AtOnce } else { Pace::Gathering(GATHER) };
    let journal = Arc::clone(&log.journal);
    let started = Projector::start(journal, store, progress, Arc::clone(clock), pace);
    Ok(Folding(started.context("cannot start the projector")?))
}

/// A projector at work.
pub(super) struct Folding(Projector);

impl Part for Folding {
    fn ready(&self) -> Ready {
        let status = self.0.status();
        Arc::new(move || status.ready())
    }

    fn failure(&self) -> Option<anyhow::Error> {
        match self.0.status().state() {
            ProjectorState::Halted(why) => Some(anyhow!("the projector halted: {why}")),
            ProjectorState::CatchingUp
            | ProjectorState::Following
            | ProjectorState::StandingBy
            | ProjectorState::Retrying(_)
            | ProjectorState::Stopped => None,
        }
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}
