//! A member of the group that shares the topic of commands: a thread that reads the partitions which
//! are ours, and hands what it reads to their owners.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use tallybook_events::ids::Partition;

use super::feed::{KafkaFeed, Wish};
use super::group::{Group, Joining};
use super::letters::fed;
use crate::arena::Arena;
use crate::clock::SharedClock;
use crate::inbox::feed::{Fed, Owners};
use crate::kafka::{ASK, Kafka, topics};

/// How long one look for the next command takes.
const POLL: Duration = Duration::from_millis(20);
/// Commands that are handed to an owner at a time.
const BATCH: usize = 1_024;
/// Commands that keep an owner busy. What is read beyond them only takes up memory, which is then cold
/// when its turn comes: reading is slowed down,
const BUSY: usize = 2_048;
/// by so much at a time,
const NAP: Duration = Duration::from_millis(1);
/// and no longer at once: it never waits for an owner.
const MOST_NAPS: u32 = 5;
/// Commands that an owner may have waiting; beyond it the partition is paused,
const MOST_WAITING: usize = 32_768;
/// until it has no more than these.
const ENOUGH_WAITING: usize = 8_192;

/// How long a member that leaves waits until its partitions are given up.
const LEAVING: Duration = Duration::from_secs(2);
/// Pause before a partition that could not be read is begun anew.
const AGAIN: Duration = Duration::from_millis(250);
/// How often, in how long a time, a member that the group has put out joins it anew. The group may take
/// the second attempt of a member, made while a broker was away, for another one of its name. When it is
/// put out more often there is another one.
const REJOINS: (usize, Duration) = (3, Duration::from_mins(1));
/// Longest pause before it joins anew, for the second time and later.
const REJOIN_PAUSE: Duration = Duration::from_secs(2);

/// A member of the group: a thread that reads the partitions which are ours.
#[derive(Debug)]
pub struct Member {
    stop: Arc<AtomicBool>,
    joined: Arc<AtomicBool>,
    failed: Arc<OnceLock<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Joins the group and feeds the owners. `name` is unique to the process, and the same after its
    /// restart.
    ///
    /// # Errors
    /// When librdkafka refuses, or the system gives no thread.
    pub fn join(
        kafka: &Kafka,
        name: &str,
        feed: &KafkaFeed,
        owners: Arc<dyn Owners>,
        clock: SharedClock,
    ) -> std::io::Result<Self> {
        let wishes = feed.take_heard();
        let wishes = wishes.ok_or_else(|| std::io::Error::other("a feed has one member"))?;
        let joined = Arc::new(AtomicBool::new(false));
        let joining = Joining {
            config: kafka.member(name),
            topic: kafka.topic(topics::COMMANDS),
            owners,
            joined: Arc::clone(&joined),
        };
        let consumer = joining.join().map_err(std::io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let failed = Arc::<OnceLock<String>>::default();
        let (stopped, fault) = (Arc::clone(&stop), Arc::clone(&failed));
        let reading = Reading {
            consumer,
            topic: joining.topic.clone(),
            wishes,
            owners: Arc::clone(&joining.owners),
            joining,
            put_out: Vec::new(),
            clock,
            sessions: HashMap::new(),
            arena: Arena::default(),
            again_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("commands".into())
            .spawn(move || reading.run(&stopped, &fault))?;
        Ok(Self { stop, joined, failed, thread: Some(thread) })
    }

    /// Gives what tells why the group will not have us any more, once that is so.
    pub fn failed(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.failed)
    }

    /// Gives what tells whether the group has taken us in, now and later.
    pub fn joined(&self) -> Joined {
        Joined(Arc::clone(&self.joined))
    }
}

/// Whether the group has taken a member in.
#[derive(Debug, Clone)]
pub struct Joined(Arc<AtomicBool>);

impl Joined {
    /// Tells whether it has.
    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

/// What a partition is read for.
struct Session {
    number: u64,
    paused: bool,
    /// The next offset to read.
    next: WireOffset,
    /// Whether it gave an error, and may be at rest until it is begun anew.
    rests: bool,
}

struct Reading {
    consumer: BaseConsumer<Group>,
    topic: String,
    wishes: Receiver<Wish>,
    owners: Arc<dyn Owners>,
    joining: Joining,
    /// When the group has put us out lately.
    put_out: Vec<Instant>,
    clock: SharedClock,
    sessions: HashMap<Partition, Session>,
    /// Where commands are kept.
    arena: Arena,
    /// When what could not be read is begun anew.
    again_at: Option<Instant>,
}

impl Reading {
    fn run(mut self, stop: &AtomicBool, failed: &OnceLock<String>) {
        while !stop.load(Ordering::Acquire) {
            self.follow_wishes();
            self.balance();
            self.begin_again();
            self.slow_down();
            if let Err(error) = self.read() {
                tracing::error!(error = &error as &dyn std::error::Error, "the group is lost");
                // There is no way back for this consumer.
                if !self.join_again(stop) {
                    let _ = failed.set(error.to_string());
                    return;
                }
            }
        }
        self.leave();
    }

    /// Gives up all and joins anew, unless that was done too often lately; tells whether it was done.
    fn join_again(&mut self, stop: &AtomicBool) -> bool {
        self.consumer.context().lose_all();
        self.sessions.clear();
        let now = Instant::now();
        self.put_out.retain(|at| now.duration_since(*at) < REJOINS.1);
        if self.put_out.len() >= REJOINS.0 {
            return false;
        }
        if !self.put_out.is_empty() {
            let until = now + rand::rng().random_range(Duration::ZERO..=REJOIN_PAUSE);
            while Instant::now() < until && !stop.load(Ordering::Acquire) {
                std::thread::sleep(POLL);
            }
        }
        self.put_out.push(now);
        match self.joining.join() {
            Ok(consumer) => {
                self.consumer = consumer;
                true
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "not joined anew");
                false
            }
        }
    }

    /// Leaves the group, which gives every partition up at once.
    fn leave(&self) {
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVING;
        loop {
            // What still comes is none of ours.
            drop(self.consumer.poll(POLL));
            if self.consumer.context().has_given_nothing() || Instant::now() >= deadline {
                return;
            }
        }
    }

    fn follow_wishes(&mut self) {
        while let Ok(wish) = self.wishes.try_recv() {
            match wish {
                Wish::Begin { partition, session, from } => {
                    let from = from.map_or(WireOffset::Beginning, |from| {
                        WireOffset::Offset(i64::try_from(from).expect("kafka counts in 63 bits"))
                    });
                    self.begin(partition, session, from);
                }
                Wish::End { partition } => {
                    if self.sessions.remove(&partition).is_some() {
                        self.pause(partition);
                    }
                }
            }
        }
    }

    fn begin(&mut self, partition: Partition, session: u64, from: WireOffset) {
        if !self.consumer.context().has_given(partition) {
            // It is not ours any more, and its owner hears of that.
            self.sessions.remove(&partition);
            return;
        }
        let began = self.read_from(partition, from);
        let rests = began.is_err();
        let session = Session { number: session, paused: false, next: from, rests };
        self.sessions.insert(partition, session);
        if let Err(error) = began {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(partition = partition.0, error, "commands are not read yet");
            self.again_at.get_or_insert_with(|| Instant::now() + AGAIN);
        }
    }

    /// Reads a partition from an offset on.
    fn read_from(&self, partition: Partition, from: WireOffset) -> KafkaResult<()> {
        let only = self.only(partition);
        if self.is_assigned(partition) {
            if self.consumer.seek(&self.topic, wire(partition), from, ASK).is_ok() {
                return self.consumer.resume(&only);
            }
            // A partition that gave an error about its offset is at rest, and cannot be sought in.
            self.consumer.incremental_unassign(&only)?;
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, wire(partition), from)?;
        self.consumer.incremental_assign(&list)?;
        self.consumer.resume(&only)
    }

    fn is_assigned(&self, partition: Partition) -> bool {
        let assigned = self.consumer.assignment().ok();
        assigned.is_some_and(|list| list.find_partition(&self.topic, wire(partition)).is_some())
    }

    /// Begins anew what gave an error about its offset. That may have been said by a leader of yesterday:
    /// by now the present one may be known.
    fn begin_again(&mut self) {
        if self.again_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.again_at = None;
        let resting = self.sessions.iter().filter(|(_, session)| session.rests);
        let resting: Vec<(Partition, u64, WireOffset)> =
            resting.map(|(of, session)| (*of, session.number, session.next)).collect();
        for (partition, session, next) in resting {
            self.begin(partition, session, next);
        }
    }

    /// Pauses partitions whose owner has enough to do, and goes on with those that have little.
    fn balance(&mut self) {
        let mut changes = Vec::new();
        for (partition, session) in &mut self.sessions {
            let waiting = self.owners.backlog(*partition);
            if !session.paused && waiting > MOST_WAITING
                || session.paused && waiting <= ENOUGH_WAITING
            {
                session.paused = !session.paused;
                changes.push((*partition, session.paused));
            }
        }
        for (partition, paused) in changes {
            if paused {
                self.pause(partition);
            } else if let Err(error) = self.consumer.resume(&self.only(partition)) {
                tracing::warn!(error = &error as &dyn std::error::Error, "not resumed");
            }
        }
    }

    /// Rests a little while an owner has enough to do. A partition that is paused slows nobody down.
    fn slow_down(&self) {
        let busy = |(partition, session): (&Partition, &Session)| {
            !session.paused && self.owners.backlog(*partition) > BUSY
        };
        for _ in 0..MOST_NAPS {
            if !self.sessions.iter().any(busy) {
                return;
            }
            std::thread::sleep(NAP);
        }
    }

    fn pause(&self, partition: Partition) {
        // An error says that it is not assigned any more.
        let _ = self.consumer.pause(&self.only(partition));
    }

    fn only(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, wire(partition));
        list
    }

    fn read(&mut self) -> KafkaResult<()> {
        let mut batches: HashMap<Partition, Vec<Fed>> = HashMap::new();
        let mut wait = POLL;
        for _ in 0..BATCH {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    wait = Duration::ZERO;
                    let Ok(partition) = u32::try_from(message.partition()) else { continue };
                    if message.topic() != self.topic {
                        continue;
                    }
                    let partition = Partition(partition);
                    if let Some(session) = self.sessions.get_mut(&partition) {
                        session.next = WireOffset::Offset(message.offset() + 1);
                    }
                    let fed = fed(&message, self.clock.now(), &mut self.arena);
                    batches.entry(partition).or_default().push(fed);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "reading commands");
                    if is_about_an_offset(&error) {
                        // It does not say whose.
                        self.sessions.values_mut().for_each(|session| session.rests = true);
                        self.again_at.get_or_insert_with(|| Instant::now() + AGAIN);
                    }
                    break;
                }
            }
        }
        for (partition, batch) in batches {
            if let Some(session) = self.sessions.get(&partition) {
                self.owners.feed(partition, session.number, batch);
            }
        }
        Ok(())
    }
}

/// Tells whether a partition is at rest after this error, until it is begun anew.
const fn is_about_an_offset(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
        )
    )
}

fn wire(partition: Partition) -> i32 {
    i32::try_from(partition.0).expect("kafka counts partitions in 31 bits")
}
