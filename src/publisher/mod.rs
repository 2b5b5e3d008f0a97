//! The publisher: a projection whose sink is elsewhere. It follows the journal, judges every record by
//! the reader rule, and publishes what counts for plain consumers, who know no such rule: every event
//! on its own, every customer as it stands, every period as it stands.
//!
//! - [`sink`]: the ports: where records go, and which partitions are ours. [`kafka`]: on Apache Kafka.
//! - `judged`: from stored records to what is published, or to the reason why it must not go on.
//! - [`records`]: the shapes of what is published.
//! - `lane`: one partition, from the journal to its output.
//! - `running`: the thread that has a lane for each partition that is ours.
//!
//! # Each event once
//!
//! What a decision tells goes out in one transaction, and every record says where in the journal its
//! decision is. So the output itself tells how far it has come: whoever takes a partition fences the one
//! before, reads the tail of the output and goes on from there. No database need remember that.
//!
//! Customers and periods are folded, so the lane has rows of its own ([`Folds`]), one store for each
//! partition, and not the read models of a projector: those are true for another position, do not tell
//! which periods are gone, and may be those of another process. The rows are kept *after* the
//! transaction: they may be behind the output, and then are folded on without publishing, but never
//! ahead of it. They are a cache; without them they are folded from the first record on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tallybook_events::ids::Partition;
use tallybook_projections::store::{StoreError, TellingStore};

use crate::journal::Journal;

pub mod sink;
pub mod kafka;
pub mod records;
mod judged;
mod lane;
mod running;
#[cfg(test)]
mod tests;

use sink::{Share, Sink};

pub use judged::Halted;

/// Where the rows of each partition are kept.
pub trait Folds: Send + Sync + 'static {
    /// Opens the rows of a partition; makes them, empty, when there are none.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be opened.
    fn open(&self, partition: Partition) -> Result<Box<dyn TellingStore>, StoreError>;

    /// Throws the rows of a partition away and makes them anew, empty.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be made.
    fn open_anew(&self, partition: Partition) -> Result<Box<dyn TellingStore>, StoreError>;
}

/// How one partition does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneState {
    /// Its rows are not yet where the output is, or the output not yet where the journal ended.
    CatchingUp,
    /// It publishes what comes.
    Publishing,
    /// The journal, the rows or the output do not answer; or somebody else has taken the partition. It
    /// begins anew.
    Retrying(String),
    /// It has stopped for good: this cannot be explained. A human must look.
    Halted(String),
}

/// How the publisher does, for all to see.
#[derive(Debug, Clone, Default)]
pub struct PublisherStatus(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Whether it was ever told which partitions are ours.
    shared: bool,
    /// Why it has stopped for good as a whole.
    lost: Option<String>,
    lanes: BTreeMap<Partition, LaneState>,
}

impl PublisherStatus {
    /// Gives how each partition does that is ours.
    pub fn lanes(&self) -> BTreeMap<Partition, LaneState> {
        self.with(|seen| seen.lanes.clone())
    }

    /// Gives why it has halted, as a whole or in one partition, if it has.
    pub fn halted(&self) -> Option<String> {
        self.with(|seen| {
            let lost = seen.lost.clone();
            lost.or_else(|| {
                seen.lanes.iter().find_map(|(partition, state)| match state {
                    LaneState::Halted(why) => Some(format!("partition {partition}: {why}")),
                    LaneState::CatchingUp | LaneState::Publishing | LaneState::Retrying(_) => None,
                })
            })
        })
    }

    /// Tells whether it knows which partitions are ours, or what it waits for. How far each has come is
    /// told by metrics: nobody's question waits for what is published.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn ready(&self) -> Result<(), String> {
        match (self.halted(), self.with(|seen| seen.shared)) {
            (Some(why), _) => Err(format!("the publisher has halted: {why}")),
            (None, false) => Err("the publisher has not been told its partitions yet".into()),
            (None, true) => Ok(()),
        }
    }

    fn set(&self, partition: Partition, state: LaneState) {
        self.with(|seen| seen.lanes.insert(partition, state));
    }

    fn gone(&self, partition: Partition) {
        self.with(|seen| seen.lanes.remove(&partition));
    }

    fn shared(&self) {
        self.with(|seen| seen.shared = true);
    }

    fn lost(&self, why: String) {
        self.with(|seen| seen.lost = Some(why));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a publisher is made of.
pub struct PublisherConfig {
    /// Where it reads.
    pub journal: Arc<dyn Journal>,
    /// Its own rows.
    pub folds: Arc<dyn Folds>,
    /// Where it writes.
    pub sink: Arc<dyn Sink>,
    /// Which partitions are its own.
    pub share: Box<dyn Share>,
    /// Most records of the journal that are published in one transaction.
    pub batch: usize,
}

/// Most records of the journal that are published in one transaction, usually.
pub const BATCH: usize = 1_024;

impl std::fmt::Debug for PublisherConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PublisherConfig").finish_non_exhaustive()
    }
}

/// The threads that publish. Dropping the handle stops them.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    status: PublisherStatus,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish the partitions that are ours.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: PublisherConfig) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let status = PublisherStatus::default();
        let running = running::Running::new(config, Arc::clone(&stop), status.clone());
        let thread =
            thread::Builder::new().name("publisher".into()).spawn(move || running.run())?;
        Ok(Self { stop, status, thread: Some(thread) })
    }

    /// Gives how it does, now and later.
    pub fn status(&self) -> PublisherStatus {
        self.status.clone()
    }

    /// Tells it to stop and waits until it has: what it was publishing is there as a whole, or not.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}
