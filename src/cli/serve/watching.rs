//! A gateway whose projector is another process learns from the read models how far they have come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use tallybook_events::chain::Offset;
use tallybook_events::ids::{Partition, Position};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::{Store, StoreError};

use super::part::Part;
use crate::cli::log::Log;
use crate::cli::models::Models;
use crate::gateway::Ready;

/// How often to look, at most, until the read models are up to date.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// How often a store that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A thread that looks how far the read models have come.
pub(super) struct Watching {
    stop: Arc<AtomicBool>,
    waits_for: WaitsFor,
    thread: Option<JoinHandle<()>>,
}

/// What is missing before answers are up to date, if anything is.
type WaitsFor = Arc<Mutex<Option<String>>>;

/// Begins to watch. It is ready once the read models have come to where the journal ends now.
pub(super) fn start(
    log: &Log,
    models: &Models,
    progress: Arc<Progress>,
) -> anyhow::Result<Watching> {
    let mut ends = BTreeMap::new();
    for number in 0..log.journal.partitions() {
        let partition = Partition(number);
        ends.insert(partition, log.journal.bounds(partition)?.end);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let behind = "the read models, which another process keeps, are behind the journal";
    let waits_for: WaitsFor = Arc::new(Mutex::new(Some(behind.into())));
    let looking = Looking {
        store: models.store()?,
        look_every: models.look_every(),
        progress,
        ends,
        stop: Arc::clone(&stop),
        waits_for: Arc::clone(&waits_for),
    };
    let thread = thread::Builder::new().name("watch".into()).spawn(move || looking.run());
    let thread = Some(thread.context("cannot watch the read models")?);
    Ok(Watching { stop, waits_for, thread })
}

impl Part for Watching {
    fn ready(&self) -> Ready {
        let waits_for = Arc::clone(&self.waits_for);
        Arc::new(move || {
            let waits_for = waits_for.lock().unwrap_or_else(PoisonError::into_inner);
            waits_for.clone().map_or(Ok(()), Err)
        })
    }

    fn failure(&self) -> Option<anyhow::Error> {
        None
    }

    fn stop(self: Box<Self>) {
        drop(self);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

struct Looking {
    store: Box<dyn Store>,
    look_every: Duration,
    progress: Arc<Progress>,
    /// Where the partitions ended that the read models have not come to yet.
    ends: BTreeMap<Partition, Offset>,
    stop: Arc<AtomicBool>,
    waits_for: WaitsFor,
}

impl Looking {
    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let pause = match self.look() {
                Ok(()) if self.ends.is_empty() => self.look_every,
                // A start is waited for.
                Ok(()) => self.look_every.min(LOOK_SOON),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the read models do not tell how far they have come"
                    );
                    self.set(Some("the read models do not answer".into()));
                    ASK_AGAIN
                }
            };
            thread::park_timeout(pause);
        }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        for (partition, at) in self.store.checkpoints()? {
            self.progress.publish(Position { partition, seq: at.seq });
            if self.ends.get(&partition).is_some_and(|end| at.offset >= *end) {
                self.ends.remove(&partition);
            }
        }
        self.ends.retain(|_, end| *end > 0);
        if self.ends.is_empty() {
            self.set(None);
        }
        Ok(())
    }

    fn set(&self, waits_for: Option<String>) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = waits_for;
    }
}
