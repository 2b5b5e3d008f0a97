//! Writing a change: one record, kept by every in-sync replica before it is answered.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};

use crate::kafka::Kafka;

/// How long one look for what was kept takes.
const LOOK: Duration = Duration::from_millis(20);

/// Hears what became of a record.
struct Hearing;

type Told = mpsc::Sender<KafkaResult<()>>;

impl ClientContext for Hearing {}

impl ProducerContext for Hearing {
    type DeliveryOpaque = Box<Told>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Box<Told>) {
        let kept = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // Who waited may have gone.
        drop(told.send(kept));
    }
}

/// A producer to the topic of keys.
pub(super) struct Writer {
    producer: BaseProducer<Hearing>,
    topic: String,
}

impl Writer {
    pub(super) fn open(kafka: &Kafka, topic: &str) -> KafkaResult<Self> {
        let producer = kafka.producer().create_with_context(Hearing)?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Writes a record and waits until it is kept. After an error it may be kept all the same.
    pub(super) fn keep(&self, key: &str, value: &[u8], within: Duration) -> KafkaResult<()> {
        let (told, heard) = mpsc::channel();
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(told))
            .partition(0)
            .key(key)
            .payload(value);
        self.producer.send(record).map_err(|(error, _)| error)?;
        let deadline = Instant::now() + within;
        loop {
            self.producer.poll(LOOK);
            if let Ok(kept) = heard.try_recv() {
                return kept;
            }
            if Instant::now() >= deadline {
                return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
            }
        }
    }
}
