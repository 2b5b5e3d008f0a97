//! Sending to explicit partitions, and hearing what became of it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tallybook_events::ids::Partition;

use crate::kafka::Kafka;

/// Longest wait until something is kept.
pub(super) const KEPT_WITHIN: Duration = Duration::from_secs(10);
/// Pause before room in the queue is asked for again.
const ROOM: Duration = Duration::from_millis(5);

/// What is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) partition: Partition,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Counts what of a call is not kept yet.
#[derive(Debug, Default)]
pub(super) struct Latch {
    open: AtomicUsize,
    failed: AtomicUsize,
    waiting: Mutex<()>,
    done: Condvar,
}

impl Latch {
    fn close_one(&self, kept: bool) {
        if !kept {
            self.failed.fetch_add(1, Ordering::AcqRel);
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            self.done.notify_all();
        }
    }

    /// Waits until all is known; tells whether all is kept.
    fn wait(&self, deadline: Instant) -> bool {
        let mut guard = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while self.open.load(Ordering::Acquire) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            guard = self.done.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.failed.load(Ordering::Acquire) == 0
    }
}

/// Hears from librdkafka what was kept.
#[derive(Debug)]
pub(super) struct Hearing;

impl ClientContext for Hearing {}

impl ProducerContext for Hearing {
    type DeliveryOpaque = Arc<Latch>;

    fn delivery(&self, result: &DeliveryResult<'_>, latch: Arc<Latch>) {
        latch.close_one(result.is_ok());
    }
}

/// A producer to one topic.
pub(super) struct Sender {
    kafka: Kafka,
    topic: String,
    producer: RwLock<Arc<ThreadedProducer<Hearing>>>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sender").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) fn open(kafka: &Kafka, name: &str) -> KafkaResult<Self> {
        let producer = RwLock::new(Arc::new(kafka.producer().create_with_context(Hearing)?));
        Ok(Self { kafka: kafka.clone(), topic: kafka.topic(name), producer })
    }

    /// Gives the producer; another one when that one has failed for good. What it had may have been kept:
    /// who sends it again sends a repeat.
    fn producer(&self) -> Arc<ThreadedProducer<Hearing>> {
        let present = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let Some((code, why)) = present.client().fatal_error() else { return present };
        tracing::warn!(%code, why, topic = self.topic, "a producer has failed, and is made anew");
        let Ok(fresh) = self.kafka.producer().create_with_context(Hearing) else { return present };
        let mut place = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&place, &present) {
            *place = Arc::new(fresh);
        }
        Arc::clone(&place)
    }

    /// Hands records over. What does not fit into the queue in time counts as not kept.
    pub(super) fn hand_over(&self, records: &[Sent], deadline: Instant) -> Arc<Latch> {
        let latch = Arc::new(Latch::default());
        latch.open.store(records.len(), Ordering::Release);
        let producer = self.producer();
        for record in records {
            self.hand_over_one(&producer, record, &latch, deadline);
        }
        latch
    }

    fn hand_over_one(
        &self,
        producer: &ThreadedProducer<Hearing>,
        record: &Sent,
        latch: &Arc<Latch>,
        deadline: Instant,
    ) {
        let partition = i32::try_from(record.partition.0).expect("kafka counts in 31 bits");
        let headers = record.headers.iter().fold(
            rdkafka::message::OwnedHeaders::new(),
            |headers, (key, value)| {
                headers.insert(rdkafka::message::Header { key, value: Some(value) })
            },
        );
        let mut sending = BaseRecord::with_opaque_to(&self.topic, Arc::clone(latch))
            .partition(partition)
            .key(&record.key)
            .payload(&record.payload)
            .headers(headers);
        loop {
            match producer.send(sending) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    sending = back;
                    std::thread::sleep(ROOM);
                }
                Err((error, _)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "not sent");
                    return latch.close_one(false);
                }
            }
        }
    }

    /// Hands records over and waits until all are kept; tells whether they are.
    pub(super) fn keep(&self, records: &[Sent], within: Duration) -> bool {
        let deadline = Instant::now() + within.min(KEPT_WITHIN);
        self.hand_over(records, deadline).wait(deadline)
    }
}
