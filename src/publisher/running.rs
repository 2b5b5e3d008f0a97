//! The thread that has a lane for each partition that is ours: begins them, and ends them when the
//! partitions are another's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tallybook_events::ids::Partition;

use super::lane::{Lane, chain_of};
use super::sink::SinkError;
use super::{PublisherConfig, PublisherStatus};

/// How long to wait for another share before looking whether to stop.
const LOOK_UP: Duration = Duration::from_millis(100);

/// All that the thread has.
pub(super) struct Running {
    config: PublisherConfig,
    stop: Arc<AtomicBool>,
    status: PublisherStatus,
    lanes: BTreeMap<Partition, Handle>,
}

/// A lane's thread.
struct Handle {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    pub(super) fn new(
        config: PublisherConfig,
        stop: Arc<AtomicBool>,
        status: PublisherStatus,
    ) -> Self {
        Self { config, stop, status, lanes: BTreeMap::new() }
    }

    /// Publishes what is ours until it is told to stop. What is ours is given up last.
    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            match self.config.share.mine(LOOK_UP) {
                Ok(Some(mine)) => {
                    self.keep_only(&mine);
                    for partition in mine {
                        self.begin(partition);
                    }
                    self.status.shared();
                }
                Ok(None) => {}
                Err(error @ (SinkError::Damaged { .. } | SinkError::Fenced)) => {
                    let why = chain_of(&error);
                    tracing::error!(why, "nothing is published here any more");
                    self.status.lost(why);
                    break;
                }
                Err(error @ SinkError::Unavailable(_)) => {
                    let why = chain_of(&error);
                    tracing::warn!(why, "nobody says which partitions are to be published here");
                    thread::park_timeout(LOOK_UP);
                }
            }
        }
        self.keep_only(&BTreeSet::new());
    }

    /// Ends the lanes of all other partitions, and waits for their ends.
    fn keep_only(&mut self, mine: &BTreeSet<Partition>) {
        let (kept, lost): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.lanes).into_iter().partition(|(one, _)| mine.contains(one));
        self.lanes = kept;
        for handle in lost.values() {
            handle.stop.store(true, Ordering::Release);
            handle.thread.thread().unpark();
        }
        for handle in lost.into_values() {
            // A panic of the thread was told when it happened.
            let _ = handle.thread.join();
        }
    }

    fn begin(&mut self, partition: Partition) {
        if self.lanes.contains_key(&partition) {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let lane = Lane {
            partition,
            journal: Arc::clone(&self.config.journal),
            folds: Arc::clone(&self.config.folds),
            sink: Arc::clone(&self.config.sink),
            stop: Arc::clone(&stop),
            status: self.status.clone(),
            batch: self.config.batch,
        };
        let named = thread::Builder::new().name(format!("publish-{partition}"));
        match named.spawn(move || lane.run()) {
            Ok(thread) => {
                self.lanes.insert(partition, Handle { stop, thread });
            }
            // Asked again the next time round.
            Err(error) => tracing::warn!(partition = partition.0, %error, "no thread to publish"),
        }
    }
}
