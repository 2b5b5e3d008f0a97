//! The role of the projector: it keeps the read models up to date.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::Store;

use super::part::Part;
use crate::cli::log::Log;
use crate::clock::SharedClock;
use crate::gateway::Ready;
use crate::projector::{Projector, ProjectorState};

/// Starts to fold the journal into the read models.
pub(super) fn start(
    log: &Log,
    store: Box<dyn Store>,
    progress: Arc<Progress>,
    clock: &SharedClock,
) -> anyhow::Result<Folding> {
    let started = Projector::start(Arc::clone(&log.journal), store, progress, Arc::clone(clock));
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
