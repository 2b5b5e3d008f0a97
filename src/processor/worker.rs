//! The threads that drive owners. A partition has one owner, an owner one thread; a thread has several
//! owners, so that whole batches of several partitions go to the journal together.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tallybook_events::ids::{CustomerId, Partition};

use super::owner::Owner;
use super::snapshot::{Behind, Snapshots};
use crate::clock::SharedClock;
use crate::decisions::{Ask, Record, TierCatalogue, Verdict};
use crate::inbox::feed::{Fed, Feed, Owners};
use crate::inbox::{Incoming, Lanes};
use crate::journal::{Delivery, DeliverySink, Journal};

/// Longest sleep of a worker that has nothing to do.
const IDLE: Duration = Duration::from_millis(250);
/// Most inputs that a worker takes before it lets its owners decide.
const MAX_DRAIN: usize = 256;

/// What a processor is made of.
#[derive(Clone)]
pub struct ProcessorConfig {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// Time.
    pub clock: SharedClock,
    /// The tiers there are.
    pub tiers: TierCatalogue,
    /// Name of this owner, unique to the process.
    pub name: String,
    /// Number of threads; at most one per partition.
    pub workers: usize,
    /// The rules: [`crate::decisions::decide`].
    pub decide: Decide,
    /// The topic that commands lie in; none when they come from this process. With a topic no
    /// partition is owned until it is wanted.
    pub feed: Option<Arc<dyn Feed>>,
    /// Where states are kept to begin from; none: they are read from the journal.
    pub snapshots: Option<Snapshots>,
}

/// How a command is decided.
pub type Decide = fn(&Record, &Ask<'_>) -> Verdict;

impl fmt::Debug for ProcessorConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProcessorConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionStatus {
    /// Its journal is read.
    Restoring,
    /// It is another process's, and followed.
    Standby,
    /// It is claimed.
    Claiming,
    /// It is ours.
    Owning {
        /// The term.
        term: u64,
    },
    /// Nothing is decided on it any more.
    Halted {
        /// Why.
        why: String,
    },
}

enum Input {
    Commands(Partition, Vec<Incoming>),
    Delivered(Partition, u64, Vec<Delivery>),
    Fed(Partition, u64, Vec<Fed>),
    Want(Partition, bool),
    /// Answer what was handed over, but only until then.
    Stop(Instant),
}

/// What all owners of a process share.
pub(super) struct Shared {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: SharedClock,
    pub(super) tiers: TierCatalogue,
    pub(super) name: String,
    pub(super) decide: Decide,
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) snapshots: Option<Snapshots>,
    /// Commands that each partition was fed and that are not decided yet.
    backlogs: Vec<Backlog>,
    /// Decisions of ours that count.
    pub(super) counted: AtomicU64,
    workers: Vec<Sender<Input>>,
    statuses: Vec<Mutex<PartitionStatus>>,
}

/// Commands that a partition was fed and that are not decided yet.
#[derive(Debug, Default)]
struct Backlog {
    /// On their way to the owner.
    handed_over: AtomicUsize,
    /// With the owner.
    waiting: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shared {
    fn worker_of(&self, partition: Partition) -> Option<&Sender<Input>> {
        let index = usize::try_from(partition.0).ok()?.checked_rem(self.workers.len())?;
        self.workers.get(index)
    }

    pub(super) fn partition_of(&self, id: CustomerId) -> Partition {
        Partition::of(id, self.journal.partitions())
    }

    /// Hands a command to the owner of its partition.
    pub(super) fn push(&self, incoming: Incoming) -> Partition {
        let partition = self.partition_of(incoming.command.home());
        Lanes::push(self, partition, vec![incoming]);
        partition
    }

    /// Makes the place where the journal tells what became of appends.
    pub(super) fn sink(&self, partition: Partition, generation: u64) -> DeliverySink {
        let worker = self.worker_of(partition).cloned();
        Box::new(move |deliveries| {
            if let Some(worker) = &worker {
                // A worker that is gone needs no news.
                drop(worker.send(Input::Delivered(partition, generation, deliveries)));
            }
        })
    }

    fn backlog(&self, partition: Partition) -> Option<&Backlog> {
        usize::try_from(partition.0).ok().and_then(|index| self.backlogs.get(index))
    }

    fn set_backlog(&self, partition: Partition, count: usize) {
        if let Some(backlog) = self.backlog(partition) {
            backlog.waiting.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn set_status(&self, partition: Partition, status: PartitionStatus) {
        let place = usize::try_from(partition.0).ok().and_then(|index| self.statuses.get(index));
        if let Some(place) = place {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = status;
        }
    }
}

impl Lanes for Shared {
    fn partitions(&self) -> u32 {
        self.journal.partitions()
    }

    fn push(&self, partition: Partition, batch: Vec<Incoming>) {
        if let Some(worker) = self.worker_of(partition) {
            // Dropped by a worker that is gone: the callers hear that the outcome is unknown.
            drop(worker.send(Input::Commands(partition, batch)));
        }
    }
}

/// Owns all partitions of a journal.
#[derive(Debug)]
pub struct Processor;

/// A running processor.
#[derive(Debug)]
pub struct ProcessorHandle {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Owner>>>,
    behind: Option<Behind>,
}

impl Processor {
    /// Starts the owners of all partitions. They restore, claim and then decide; commands may be
    /// handed over at once and wait until then.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: ProcessorConfig) -> std::io::Result<ProcessorHandle> {
        let ProcessorConfig { journal, clock, tiers, name, workers, decide, feed, snapshots } =
            config;
        let partitions = journal.partitions();
        let count = workers.clamp(1, usize::try_from(partitions).unwrap_or(1).max(1));
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel()).unzip();
        let statuses = (0..partitions).map(|_| Mutex::new(PartitionStatus::Restoring)).collect();
        let backlogs = (0..partitions).map(|_| Backlog::default()).collect();
        let workers = senders;
        let shared = Arc::new(Shared {
            journal,
            clock,
            tiers,
            name,
            decide,
            feed,
            snapshots,
            backlogs,
            counted: AtomicU64::new(0),
            workers,
            statuses,
        });
        let mut threads = Vec::new();
        for (index, receiver) in receivers.into_iter().enumerate() {
            let owners: Vec<Owner> = (0..partitions)
                .filter(|partition| usize::try_from(*partition).is_ok_and(|p| p % count == index))
                .map(|partition| Owner::new(Partition(partition), Arc::clone(&shared)))
                .collect();
            let thread = std::thread::Builder::new().name(format!("owner-{index}"));
            threads.push(thread.spawn(move || run(owners, &receiver))?);
        }
        let behind = match &shared.snapshots {
            Some(snapshots) => Some(Behind::start(Arc::clone(&shared.journal), snapshots.clone())?),
            None => None,
        };
        Ok(ProcessorHandle { shared, threads, behind })
    }
}

impl ProcessorHandle {
    /// Gives the queues in front of the owners.
    pub fn lanes(&self) -> Arc<dyn Lanes> {
        Arc::clone(&self.shared) as Arc<dyn Lanes>
    }

    /// Gives how each partition stands.
    pub fn statuses(&self) -> Vec<PartitionStatus> {
        let read = |status: &Mutex<PartitionStatus>| {
            status.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.shared.statuses.iter().map(read).collect()
    }

    /// Gives the number of decisions that were made here and count.
    pub fn counted(&self) -> u64 {
        self.shared.counted.load(Ordering::Acquire)
    }

    /// Gives the way to feed the owners from a topic.
    pub fn owners(&self) -> Arc<dyn Owners> {
        Arc::new(Feeding(Arc::clone(&self.shared)))
    }

    /// Tells whether every partition is ours, or followed while another process has it.
    pub fn is_settled(&self) -> bool {
        let settled = |status: &PartitionStatus| {
            matches!(status, PartitionStatus::Owning { .. } | PartitionStatus::Standby)
        };
        self.statuses().iter().all(settled)
    }

    /// Tells whether every partition is ours.
    pub fn is_ready(&self) -> bool {
        self.statuses().iter().all(|status| matches!(status, PartitionStatus::Owning { .. }))
    }

    /// Decides and answers what was handed over, then ends the threads. What is not done at the
    /// deadline goes unanswered. Gives the states as they were left, by partition.
    pub fn stop(self, within: Duration) -> Vec<(Partition, super::PartitionState)> {
        let deadline = Instant::now() + within;
        for worker in &self.shared.workers {
            // A worker that is gone has stopped already.
            drop(worker.send(Input::Stop(deadline)));
        }
        drop(self.behind);
        let mut owners = Vec::new();
        for thread in self.threads {
            owners.extend(thread.join().unwrap_or_default());
        }
        std::thread::scope(|scope| {
            for owner in &mut owners {
                scope.spawn(move || owner.save());
            }
        });
        let states = owners.into_iter().map(|owner| (owner.partition, owner.state));
        let mut states: Vec<_> = states.collect();
        states.sort_by_key(|(partition, _)| *partition);
        states
    }
}

/// The way to feed owners from a topic of commands.
#[derive(Debug)]
struct Feeding(Arc<Shared>);

impl Feeding {
    fn tell(&self, partition: Partition, input: Input) {
        if let Some(worker) = self.0.worker_of(partition) {
            // A worker that is gone owns nothing any more.
            drop(worker.send(input));
        }
    }
}

impl Owners for Feeding {
    fn want(&self, partition: Partition, wanted: bool) {
        self.tell(partition, Input::Want(partition, wanted));
    }

    fn feed(&self, partition: Partition, session: u64, batch: Vec<Fed>) {
        if let Some(backlog) = self.0.backlog(partition) {
            backlog.handed_over.fetch_add(batch.len(), Ordering::Relaxed);
        }
        self.tell(partition, Input::Fed(partition, session, batch));
    }

    fn backlog(&self, partition: Partition) -> usize {
        self.0.backlog(partition).map_or(0, |backlog| {
            backlog.handed_over.load(Ordering::Relaxed) + backlog.waiting.load(Ordering::Relaxed)
        })
    }
}

fn run(mut owners: Vec<Owner>, inputs: &Receiver<Input>) -> Vec<Owner> {
    std::thread::scope(|scope| {
        for owner in &mut owners {
            scope.spawn(|| owner.restore_first());
        }
    });
    let mut stop_by: Option<Instant> = None;
    loop {
        for owner in &mut owners {
            owner.advance();
            owner.shared.set_backlog(owner.partition, owner.waiting.len());
        }
        if let Some(deadline) = stop_by
            && (owners.iter().all(Owner::is_idle) || Instant::now() >= deadline)
        {
            return owners;
        }
        let now = Instant::now();
        let sleep = owners
            .iter()
            .filter_map(Owner::next_call)
            .min()
            .map_or(IDLE, |at| at.saturating_duration_since(now).min(IDLE));
        let first = match inputs.recv_timeout(sleep) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return owners,
        };
        // Whatever is taken out of the queue is handled: what would be dropped here was accepted.
        for input in first.into_iter().chain(inputs.try_iter().take(MAX_DRAIN)) {
            match input {
                Input::Commands(partition, batch) => {
                    with(&mut owners, partition, |owner| owner.take(batch));
                }
                Input::Delivered(partition, generation, deliveries) => {
                    with(&mut owners, partition, |owner| owner.delivered(generation, deliveries));
                }
                Input::Fed(partition, session, batch) => {
                    with(&mut owners, partition, |owner| {
                        if let Some(backlog) = owner.shared.backlog(partition) {
                            backlog.handed_over.fetch_sub(batch.len(), Ordering::Relaxed);
                        }
                        owner.feed(session, batch);
                    });
                }
                Input::Want(partition, wanted) => {
                    with(&mut owners, partition, |owner| owner.want(wanted));
                }
                Input::Stop(deadline) => stop_by = Some(deadline),
            }
        }
    }
}

fn with(owners: &mut [Owner], partition: Partition, act: impl FnOnce(&mut Owner)) {
    if let Some(owner) = owners.iter_mut().find(|owner| owner.partition == partition) {
        act(owner);
    }
}
