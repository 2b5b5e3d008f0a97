//! A member of the group that shares the topic of commands: a thread that reads the partitions which
//! are ours, and hands what it reads to their owners.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset as WireOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tallybook_events::ids::Partition;

use super::feed::{KafkaFeed, Wish};
use super::letters::fed;
use crate::clock::SharedClock;
use crate::inbox::feed::{Fed, Owners};
use crate::kafka::{ASK, Kafka, topics};

/// How long one look for the next command takes.
const POLL: Duration = Duration::from_millis(20);
/// Commands that are handed to an owner at a time.
const BATCH: usize = 1_024;
/// Commands that an owner may have waiting; beyond it the partition is paused,
const MOST_WAITING: usize = 32_768;
/// until it has no more than these.
const ENOUGH_WAITING: usize = 8_192;

/// What the group decides, told to the owners from within librdkafka's callback.
struct Group {
    owners: Arc<dyn Owners>,
    /// Whether the group has taken us in.
    joined: Arc<AtomicBool>,
}

impl ClientContext for Group {}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Paused: not a command before the owner has said where to begin.
            let assigned = partitions
                .set_all_offsets(WireOffset::Beginning)
                .and_then(|()| consumer.incremental_assign(partitions))
                .and_then(|()| consumer.pause(partitions));
            self.want(partitions, true);
            self.joined.store(true, Ordering::Release);
            assigned
        } else if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
            // What we still append, the successor judges.
            self.want(partitions, false);
            consumer.incremental_unassign(partitions)
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "a change of the group");
        }
    }
}

impl Group {
    fn want(&self, partitions: &TopicPartitionList, wanted: bool) {
        for element in partitions.elements() {
            if let Ok(partition) = u32::try_from(element.partition()) {
                self.owners.want(Partition(partition), wanted);
            }
        }
    }
}

/// A member of the group: a thread that reads the partitions which are ours.
#[derive(Debug)]
pub struct Member {
    stop: Arc<AtomicBool>,
    joined: Arc<AtomicBool>,
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
        let topic = kafka.topic(topics::COMMANDS);
        let joined = Arc::new(AtomicBool::new(false));
        let group = Group { owners: Arc::clone(&owners), joined: Arc::clone(&joined) };
        let consumer: BaseConsumer<Group> =
            kafka.member(name).create_with_context(group).map_err(std::io::Error::other)?;
        consumer.subscribe(&[&topic]).map_err(std::io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reading = Reading { consumer, topic, wishes, owners, clock, sessions: HashMap::new() };
        let thread = std::thread::Builder::new()
            .name("commands".into())
            .spawn(move || reading.run(&stopped))?;
        Ok(Self { stop, joined, thread: Some(thread) })
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
}

struct Reading {
    consumer: BaseConsumer<Group>,
    topic: String,
    wishes: Receiver<Wish>,
    owners: Arc<dyn Owners>,
    clock: SharedClock,
    sessions: HashMap<Partition, Session>,
}

impl Reading {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            self.follow_wishes();
            self.balance();
            self.read();
        }
        // Leaving the group gives every partition up at once.
        self.consumer.unsubscribe();
        self.consumer.poll(Duration::ZERO);
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
        let place = wire(partition);
        let sought = self.consumer.seek(&self.topic, place, from, ASK);
        let began = sought.and_then(|()| self.consumer.resume(&self.only(partition)));
        match began {
            Ok(()) => {
                self.sessions.insert(partition, Session { number: session, paused: false });
            }
            Err(error) => {
                // It is not ours any more, or the broker is away: the owner begins anew.
                tracing::warn!(
                    partition = partition.0,
                    error = &error as &dyn std::error::Error,
                    "commands cannot be read from where they are to be"
                );
                self.owners.want(partition, false);
                self.owners.want(partition, self.is_assigned(partition));
            }
        }
    }

    fn is_assigned(&self, partition: Partition) -> bool {
        let assigned = self.consumer.assignment().ok();
        assigned.is_some_and(|list| list.find_partition(&self.topic, wire(partition)).is_some())
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

    fn pause(&self, partition: Partition) {
        // An error says that it is not assigned any more.
        let _ = self.consumer.pause(&self.only(partition));
    }

    fn only(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, wire(partition));
        list
    }

    fn read(&mut self) {
        let mut batches: HashMap<Partition, Vec<Fed>> = HashMap::new();
        let mut wait = POLL;
        for _ in 0..BATCH {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    wait = Duration::ZERO;
                    let Ok(partition) = u32::try_from(message.partition()) else { continue };
                    let fed = fed(&message, self.clock.now());
                    batches.entry(Partition(partition)).or_default().push(fed);
                }
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "reading commands");
                    break;
                }
            }
        }
        for (partition, batch) in batches {
            if let Some(session) = self.sessions.get(&partition) {
                self.owners.feed(partition, session.number, batch);
            }
        }
    }
}

fn wire(partition: Partition) -> i32 {
    i32::try_from(partition.0).expect("kafka counts partitions in 31 bits")
}
