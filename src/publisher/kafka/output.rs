//! One partition of the output: a transactional producer of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tallybook_events::chain::Checkpoint;

use super::{Names, failed, fenced, tail};
use crate::kafka::Kafka;
use crate::publisher::records::{Outgoing, POSITION, Topic};
use crate::publisher::sink::{Output, SinkError};

/// Longest wait for the coordinator of transactions to take a producer in, which ends what the one
/// before has under way.
const CLAIM: Duration = Duration::from_secs(30);
/// Longest wait until all records of a transaction are delivered. A transaction lasts no longer than
/// its producer's `transaction.timeout.ms`.
const DELIVER: Duration = Duration::from_secs(9);
/// Longest wait for a commit to be answered.
const COMMIT: Duration = Duration::from_secs(10);
/// Longest wait for an abort to be answered.
const ABORT: Duration = Duration::from_secs(2);
/// How long one look for deliveries takes. `commit_transaction` by itself looks every 100 ms.
const SPIN: Duration = Duration::from_millis(1);

/// Hears whether a record was not delivered.
#[derive(Debug, Default)]
struct Hearing {
    lost: AtomicBool,
}

impl ClientContext for Hearing {}

impl ProducerContext for Hearing {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.lost.store(true, Ordering::Release);
            tracing::debug!(error = error as &dyn std::error::Error, "a record was not delivered");
        }
    }
}

/// A partition that was claimed.
pub(super) struct KafkaOutput {
    producer: BaseProducer<Hearing>,
    names: Names,
    partition: i32,
    published: Checkpoint,
}

impl KafkaOutput {
    /// Fences whoever has the partition, and looks how far the output has come.
    pub(super) fn claim(kafka: &Kafka, partition: i32) -> Result<Self, SinkError> {
        let producer: BaseProducer<Hearing> =
            kafka.publisher(partition).create_with_context(Hearing::default()).map_err(failed)?;
        let deadline = Instant::now() + CLAIM;
        again(deadline, || producer.init_transactions(left(deadline))).map_err(failed)?;
        let names = Names::of(kafka);
        let published = tail::published(kafka, &names, partition)?;
        Ok(Self { producer, names, partition, published })
    }

    fn transact(&self, records: &[Outgoing]) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        let deadline = Instant::now() + DELIVER;
        for record in records {
            self.send(record, deadline)?;
        }
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(SPIN);
            if Instant::now() >= deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
        }
        if self.producer.context().lost.load(Ordering::Acquire) {
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
        }
        let deadline = Instant::now() + COMMIT;
        again(deadline, || self.producer.commit_transaction(left(deadline)))
    }

    fn send(&self, record: &Outgoing, deadline: Instant) -> KafkaResult<()> {
        let position =
            serde_json::to_string(&record.position).expect("a checkpoint is a value of JSON");
        let count = record.headers.len() + 1;
        let own = Header { key: POSITION, value: Some(&position) };
        let headers = OwnedHeaders::new_with_capacity(count).insert(own);
        let headers = record.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let mut sending = BaseRecord::<str, [u8]>::to(self.topic(record.topic))
            .partition(self.partition)
            .key(record.key.as_str())
            .timestamp(record.at.micros().div_euclid(1_000))
            .headers(headers);
        if let Some(value) = &record.value {
            sending = sending.payload(value);
        }
        loop {
            match self.producer.send(sending) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    sending = back;
                    self.producer.poll(SPIN);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Events => &self.names.events,
            Topic::Customers => &self.names.customers,
            Topic::Usage => &self.names.usage,
        }
    }

    /// Says what an error means: a producer that was fenced tells it as another error at first.
    fn meaning(&self, error: KafkaError) -> SinkError {
        match self.producer.client().fatal_error() {
            Some((code, _)) if fenced(code) => SinkError::Fenced,
            Some(_) | None => failed(error),
        }
    }
}

impl Output for KafkaOutput {
    fn published(&self) -> Checkpoint {
        self.published
    }

    fn publish(&mut self, records: Vec<Outgoing>) -> Result<(), SinkError> {
        // A transaction without a record is none, and its end may fail.
        if records.is_empty() {
            return Ok(());
        }
        self.transact(&records).map_err(|error| {
            // So that nobody waits for its timeout. Whoever claims next ends it if this does not.
            if let Err(error) = self.producer.abort_transaction(ABORT) {
                tracing::debug!(error = &error as &dyn std::error::Error, "not aborted");
            }
            self.meaning(error)
        })
    }
}

/// Asks again what may be asked again, up to a deadline.
fn again(deadline: Instant, mut ask: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    loop {
        match ask() {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline => {}
            done => return done,
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
