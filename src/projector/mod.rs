//! The projector: follows the journal, judges every record by the reader rule, folds what counts into
//! the read models, and tells how far they have come.
//!
//! - `judged`: from stored records to what is folded, or to the reason why it must not go on.
//! - `following`: the loop: what waits is folded in one transaction.
//! - `lag`: how far the rows are behind, in records and in seconds.
//! - [`rebuild`](mod@rebuild): the same from the first record on, beside the live rows.
//!
//! It keeps nothing of its own: it begins where the rows stand. What does not answer is asked again,
//! with growing pauses. What cannot be explained halts it for good; nothing is ever skipped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tallybook_projections::progress::Progress;
use tallybook_projections::store::Store;

use crate::clock::SharedClock;
use crate::journal::Journal;

mod judged;
mod lag;
mod following;
pub mod rebuild;
#[cfg(test)]
mod tests;

pub use judged::Halted;

/// How the projector does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectorState {
    /// It has not yet come to where the journal ended when it began.
    CatchingUp,
    /// It folds what comes.
    Following,
    /// Another projector folds into the same read models; it takes over when that one stops.
    StandingBy,
    /// The journal or the store does not answer; it asks again.
    Retrying(String),
    /// It has stopped for good: this cannot be explained. A human must look.
    Halted(String),
    /// It was told to stop.
    Stopped,
}

/// When what has come is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once: somebody may wait for it who cannot say so here.
    AtOnce,
    /// As soon as somebody waits for it, but at the latest so long after the last fold began. Many records
    /// that are folded together cost less than one by one.
    Gathering(Duration),
}

/// How the projector does, for all to see.
#[derive(Debug, Clone)]
pub struct ProjectorStatus(Arc<Mutex<ProjectorState>>);

impl ProjectorStatus {
    /// Gives the present state.
    pub fn state(&self) -> ProjectorState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether answers are up to date, or what they wait for.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn ready(&self) -> Result<(), String> {
        match self.state() {
            ProjectorState::Following | ProjectorState::StandingBy => Ok(()),
            ProjectorState::CatchingUp => Err("the read models catch up with the journal".into()),
            ProjectorState::Retrying(why) => Err(format!("the projector asks again: {why}")),
            ProjectorState::Halted(why) => Err(format!("the projector has halted: {why}")),
            ProjectorState::Stopped => Err("the projector has stopped".into()),
        }
    }

    fn set(&self, state: ProjectorState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The thread that folds. Dropping the handle stops it.
#[derive(Debug)]
pub struct Projector {
    stop: Arc<AtomicBool>,
    status: ProjectorStatus,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl Projector {
    /// Starts to fold all partitions of a journal into a store. `progress` is told of each position
    /// once answers are true for it, and knows who waits; `clock` says for how long what is not folded
    /// waits.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        journal: Arc<dyn Journal>,
        store: Box<dyn Store>,
        progress: Arc<Progress>,
        clock: SharedClock,
        pace: Pace,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let status = ProjectorStatus(Arc::new(Mutex::new(ProjectorState::CatchingUp)));
        let following = following::Following {
            lag: lag::Lag::new(Arc::clone(&journal), clock),
            journal,
            store,
            progress: Arc::clone(&progress),
            pace,
            stop: Arc::clone(&stop),
            status: status.clone(),
        };
        let thread =
            thread::Builder::new().name("projector".into()).spawn(move || following.run())?;
        Ok(Self { stop, status, progress, thread: Some(thread) })
    }

    /// Gives how it does, now and later.
    pub fn status(&self) -> ProjectorStatus {
        self.status.clone()
    }

    /// Tells it to stop and waits until it has: what it was folding is committed or not there, and what it
    /// gathered is folded.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.progress.hurry();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}
