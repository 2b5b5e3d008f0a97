//! The thread that writes snapshots beside the work: when enough was decided since the last one, it
//! folds the journal from there on by itself, and writes what it has come to. It needs as much memory
//! as the partition that it is at, while it is at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tallybook_events::chain::{Chain, Offset};
use tallybook_events::ids::Partition;

use super::Snapshots;
use crate::journal::Journal;
use crate::processor::PartitionState;
use crate::processor::restoring::restore_while;

/// How often it is looked whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(1);

/// The thread. Dropping it ends it.
#[derive(Debug)]
pub(in crate::processor) struct Behind {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Behind {
    /// Begins to look.
    pub(in crate::processor) fn start(
        journal: Arc<dyn Journal>,
        snapshots: Snapshots,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("snapshots".into())
            .spawn(move || run(&*journal, &snapshots, &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was told when it happened; snapshots are but a cache.
            let _ = thread.join();
        }
    }
}

fn run(journal: &dyn Journal, snapshots: &Snapshots, stop: &AtomicBool) {
    let go_on = || !stop.load(Ordering::Acquire);
    let partitions: Vec<Partition> = (0..journal.partitions()).map(Partition).collect();
    let mut reached: Vec<Offset> = partitions.iter().map(|one| snapshots.reach(*one)).collect();
    while go_on() {
        for (partition, reached) in partitions.iter().zip(&mut reached) {
            let Ok(bounds) = journal.bounds(*partition) else { continue };
            if go_on() && bounds.end >= reached.saturating_add(snapshots.every) {
                // Whatever comes of it: not again before as much is new.
                *reached = bounds.end;
                write(journal, snapshots, *partition, &go_on);
            }
        }
        thread::park_timeout(LOOK);
    }
}

fn write(
    journal: &dyn Journal,
    snapshots: &Snapshots,
    partition: Partition,
    go_on: &(dyn Fn() -> bool + Sync),
) {
    let (mut chain, mut state): (Chain, PartitionState) =
        snapshots.load(journal, partition).unwrap_or_default();
    match restore_while(journal, partition, &mut chain, &mut state, go_on) {
        Ok(()) if !go_on() => {}
        Ok(()) => {
            if let Err(error) = snapshots.save(journal, partition, &chain, &state) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(partition = partition.0, error, "no snapshot was written");
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(partition = partition.0, error, "no snapshot was written");
        }
    }
}
