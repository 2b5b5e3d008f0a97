//! Appending: an idempotent producer of its own for each appender, which is pipelined, and dropped with
//! it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use tallybook_events::chain::Offset;

use super::unavailable;
use crate::journal::teller::Teller;
use crate::journal::{Appender, Delivery, DeliverySink, JournalError};
use crate::kafka::Kafka;

/// How long the thread of an appender with nothing in flight rests before it looks around.
const REST: Duration = Duration::from_millis(50);
/// How long it listens at a time while something is. The client library listens for all of that time,
/// and turns round and round in its last millisecond.
const LISTEN: Duration = Duration::from_millis(20);
/// What is heard meanwhile is told when it is this part of what is in flight,
const TELL_PART: usize = 4;
/// or so many.
const TELL: usize = 256;
/// How long an append waits for room in the queue.
const ROOM: Duration = Duration::from_mins(1);
/// How long a journal that is closed waits for what was handed over.
const CLOSING: Duration = Duration::from_secs(35);

/// What became of records, in the order in which they were handed over.
#[derive(Debug, Default)]
struct Told {
    /// What is known of the records that were not told yet, oldest first.
    waiting: std::collections::VecDeque<Option<Delivery>>,
    /// Number of the oldest of these. Numbers go round, and are as wide as a pointer: librdkafka keeps
    /// one beside each record.
    first: usize,
    /// How many of these are known.
    heard: usize,
}

impl Told {
    /// Takes note of so many records that are handed over now; gives the number of the first.
    fn hand_over(&mut self, count: usize) -> usize {
        let number = self.first.wrapping_add(self.waiting.len());
        self.waiting.resize(self.waiting.len() + count, None);
        number
    }

    fn hear(&mut self, number: usize, delivery: Delivery) {
        if let Some(known) = self.waiting.get_mut(number.wrapping_sub(self.first))
            && known.is_none()
        {
            *known = Some(delivery);
            self.heard += 1;
        }
    }

    /// Tells whether what is known is to be told now: it is much, or much of what is in flight.
    fn is_due(&self) -> bool {
        self.heard >= (self.waiting.len() / TELL_PART).clamp(1, TELL)
    }

    /// Gives all that is known from the oldest on without a gap.
    fn take(&mut self) -> Vec<Delivery> {
        let mut known = Vec::new();
        while let Some(Some(delivery)) = self.waiting.front() {
            known.push(*delivery);
            self.waiting.pop_front();
            self.first = self.first.wrapping_add(1);
            self.heard -= 1;
        }
        known
    }
}

/// What a producer and its thread share.
struct Line {
    told: Mutex<Told>,
    /// Rung whenever deliveries were told.
    room: Condvar,
    /// Rung when something is in flight, or the appender ends.
    work: Condvar,
    teller: Teller,
    ended: AtomicBool,
}

impl Line {
    fn tell(&self) {
        let known = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        if !known.is_empty() {
            self.teller.tell(known);
            self.room.notify_all();
        }
    }

    /// Rests a little when nothing is in flight; tells whether nothing still is.
    fn rest(&self) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.waiting.is_empty() {
            return false;
        }
        let rested = self.work.wait_timeout(told, REST).unwrap_or_else(PoisonError::into_inner);
        rested.0.waiting.is_empty()
    }

    /// Waits until all is told, or until the deadline.
    fn wait_for_all(&self, deadline: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        while !told.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            told = self.room.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Hears from librdkafka what became of records.
struct Hearing(Arc<Line>);

impl ClientContext for Hearing {}

impl ProducerContext for Hearing {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let delivery = match result {
            // Reported as done and without an offset (librdkafka#4438): look.
            Ok(message) => {
                Offset::try_from(message.offset()).map_or(Delivery::Unknown, Delivery::At)
            }
            Err(_) => Delivery::Unknown,
        };
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.hear(number, delivery);
        if told.is_due() {
            drop(told);
            self.0.tell();
        }
    }
}

/// The appenders that an open journal has given out.
#[derive(Default)]
pub(super) struct Opening {
    closed: AtomicBool,
    lines: Mutex<Vec<Weak<Line>>>,
}

impl Opening {
    /// Takes no more records, and waits until those that were taken are told.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let deadline = Instant::now() + CLOSING;
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        lines.iter().filter_map(Weak::upgrade).for_each(|line| line.wait_for_all(deadline));
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opening").finish_non_exhaustive()
    }
}

/// A way to append to one partition.
pub(super) struct KafkaAppender {
    topic: String,
    partition: i32,
    producer: Arc<BaseProducer<Hearing>>,
    line: Arc<Line>,
    opening: Arc<Opening>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaAppender {
    pub(super) fn open(
        kafka: &Kafka,
        (topic, partition): (String, i32),
        sink: DeliverySink,
        opening: &Arc<Opening>,
    ) -> Result<Self, JournalError> {
        let line = Arc::new(Line {
            told: Mutex::default(),
            room: Condvar::new(),
            work: Condvar::new(),
            teller: Teller::new(sink),
            ended: AtomicBool::new(false),
        });
        let hearing = Hearing(Arc::clone(&line));
        let producer = kafka.producer().create_with_context(hearing).map_err(unavailable)?;
        let producer: Arc<BaseProducer<Hearing>> = Arc::new(producer);
        let mut lines = opening.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if opening.closed.load(Ordering::Acquire) {
            return Err(JournalError::Closed);
        }
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&line));
        drop(lines);
        let thread = {
            let (producer, line) = (Arc::clone(&producer), Arc::clone(&line));
            let listen = move || {
                while !line.ended.load(Ordering::Acquire) {
                    producer.poll(if line.rest() { Duration::ZERO } else { LISTEN });
                    line.tell();
                }
            };
            thread::Builder::new().name("appender".into()).spawn(listen)
        };
        let thread = thread.map_err(|error| JournalError::Unavailable(Box::new(error)))?;
        let (opening, thread) = (Arc::clone(opening), Some(thread));
        Ok(Self { topic, partition, producer, line, opening, thread })
    }

    fn send(&self, number: usize, record: &Bytes) {
        let mut sending = BaseRecord::<(), [u8], usize>::with_opaque_to(&self.topic, number)
            .partition(self.partition)
            .payload(record);
        let deadline = Instant::now() + ROOM;
        loop {
            match self.producer.send(sending) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    sending = back;
                    let told = self.line.told.lock().unwrap_or_else(PoisonError::into_inner);
                    drop(self.line.room.wait_timeout(told, REST));
                }
                // It was taken from the caller, and goes nowhere: its owner looks, and begins anew.
                Err((error, _)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a record was not sent"
                    );
                    let mut told = self.line.told.lock().unwrap_or_else(PoisonError::into_inner);
                    return told.hear(number, Delivery::Unknown);
                }
            }
        }
    }
}

impl Appender for KafkaAppender {
    fn append(&mut self, records: Vec<Bytes>) -> Result<(), JournalError> {
        if self.opening.closed.load(Ordering::Acquire) {
            return Err(JournalError::Closed);
        }
        let mut told = self.line.told.lock().unwrap_or_else(PoisonError::into_inner);
        let first = told.hand_over(records.len());
        drop(told);
        self.line.work.notify_one();
        for (place, record) in records.iter().enumerate() {
            self.send(first.wrapping_add(place), record);
        }
        Ok(())
    }
}

impl Drop for KafkaAppender {
    fn drop(&mut self) {
        self.line.teller.silence();
        self.line.ended.store(true, Ordering::Release);
        self.line.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A sink may drop the appender: a thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}
