//! What librdkafka does with the same bytes, and nothing around it: the floors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hdrhistogram::Histogram;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{
    BaseProducer, BaseRecord, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::PATIENCE;
use super::SCRATCH;
use crate::kafka::{ASK, Kafka, topics};

/// How long one look for something takes.
const LOOK: Duration = Duration::from_millis(1);
/// How long one look for a record takes.
const POLL: Duration = Duration::from_millis(50);

/// Makes topics of one partition.
///
/// # Errors
/// When a broker refuses.
pub(super) async fn make(kafka: &Kafka, names: &[String], replication: i32) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = kafka.client().create()?;
    let in_sync = if replication >= 3 { "2" } else { "1" };
    let topic = |name| {
        NewTopic::new(name, 1, TopicReplication::Fixed(replication))
            .set("min.insync.replicas", in_sync)
    };
    let wanted: Vec<NewTopic<'_>> = names.iter().map(|name| topic(name)).collect();
    let options = AdminOptions::new().operation_timeout(Some(ASK));
    for made in admin.create_topics(&wanted, &options).await? {
        made.map_err(|(name, code)| anyhow::anyhow!("topic {name} was not made: {code}"))?;
    }
    Ok(())
}

/// Counts what is kept.
#[derive(Debug, Clone, Default)]
struct Counting {
    kept: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.kept } else { &self.lost };
        count.fetch_add(1, Ordering::Release);
    }
}

/// Clients with nothing around them.
pub(super) struct Bare {
    kafka: Kafka,
    producer: ThreadedProducer<Counting>,
    counting: Counting,
    /// How many were handed to it.
    sent: u64,
    transactions: BaseProducer,
    /// Reads what was produced.
    consumer: BaseConsumer,
    /// Reads what is to be copied.
    copier: BaseConsumer,
    filled: String,
    from: String,
    to: String,
}

impl Bare {
    pub(super) fn open(kafka: &Kafka) -> anyhow::Result<Self> {
        let counting = Counting::default();
        let producer = kafka.producer().create_with_context(counting.clone())?;
        let [filled, from, to] = SCRATCH.map(|name| kafka.topic(name));
        Ok(Self {
            producer,
            counting,
            sent: 0,
            transactions: transactional(kafka, "bare")?,
            consumer: reading(kafka, &filled)?,
            copier: reading(kafka, &from)?,
            kafka: kafka.clone(),
            filled,
            from,
            to,
        })
    }

    pub(super) const fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Produces records and waits until all are kept.
    pub(super) fn produce(&mut self, records: &[Vec<u8>]) -> anyhow::Result<()> {
        for record in records {
            send(&self.producer, &self.filled, record)?;
        }
        self.sent += u64::try_from(records.len())?;
        self.wait()
    }

    fn wait(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.counting.kept.load(Ordering::Acquire) < self.sent {
            ensure!(self.counting.lost.load(Ordering::Acquire) == 0, "a record was not kept");
            ensure!(Instant::now() < deadline, "records are not kept");
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// Reads on what was produced.
    pub(super) fn consume(&self, count: usize) -> anyhow::Result<()> {
        read(&self.consumer, count, |_| Ok(()))
    }

    /// Puts records where copies are made from, all visible at once.
    pub(super) fn lay_out(&self, records: &[Vec<u8>]) -> anyhow::Result<()> {
        lay_out(&self.transactions, &self.from, records)
    }

    /// Copies records, many in flight, without reading them.
    pub(super) fn copy(&mut self, count: usize) -> anyhow::Result<()> {
        let (producer, to) = (&self.producer, &self.to);
        read(&self.copier, count, |payload| send(producer, to, payload))?;
        self.sent += u64::try_from(count)?;
        self.wait()
    }

    /// Copies records, so many in one transaction.
    pub(super) fn copy_in_transactions(&self, count: usize, of: usize) -> anyhow::Result<()> {
        let mut left = count;
        while left > 0 {
            let now = left.min(of);
            self.transactions.begin_transaction()?;
            read(&self.copier, now, |payload| send(&self.transactions, &self.to, payload))?;
            commit(&self.transactions)?;
            left -= now;
        }
        Ok(())
    }

    /// Produces one record and notes how long it took to be kept.
    pub(super) fn produce_one(
        &mut self,
        record: &[u8],
        took: &mut Histogram<u64>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        send(&self.producer, &self.filled, record)?;
        self.sent += 1;
        while self.counting.kept.load(Ordering::Acquire) < self.sent {
            ensure!(began.elapsed() < PATIENCE, "a record is not kept");
            std::thread::park_timeout(Duration::from_micros(20));
        }
        note(began, took)?;
        // It is read by the next turn's reader, not now.
        self.consume(1)
    }

    /// Produces one record in a transaction of its own and notes how long it took.
    pub(super) fn one_transaction(
        &self,
        record: &[u8],
        took: &mut Histogram<u64>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        self.transactions.begin_transaction()?;
        send(&self.transactions, &self.to, record)?;
        commit(&self.transactions)?;
        note(began, took)
    }

    /// Reads the journal from its start, and does nothing with it.
    pub(super) fn read_journal(&self, end: u64) -> anyhow::Result<()> {
        let consumer = reading(&self.kafka, &self.kafka.topic(topics::JOURNAL))?;
        read(&consumer, usize::try_from(end)?, |_| Ok(()))
    }
}

/// Notes how long something took, in microseconds.
pub(super) fn note(began: Instant, took: &mut Histogram<u64>) -> anyhow::Result<()> {
    took.saturating_record(u64::try_from(began.elapsed().as_micros())?.max(1));
    Ok(())
}

/// Opens a producer of transactions.
pub(super) fn transactional(kafka: &Kafka, name: &str) -> anyhow::Result<BaseProducer> {
    let id = format!("{}-{name}", kafka.prefix);
    let producer: BaseProducer = kafka.producer().set("transactional.id", id).create()?;
    producer.init_transactions(PATIENCE).context("transactions cannot begin")?;
    Ok(producer)
}

/// Puts records into a topic in one transaction.
pub(super) fn lay_out(
    transactions: &BaseProducer,
    topic: &str,
    records: &[Vec<u8>],
) -> anyhow::Result<()> {
    transactions.begin_transaction()?;
    for record in records {
        send(transactions, topic, record)?;
    }
    commit(transactions)
}

/// Commits. What is in flight is awaited first: librdkafka would look for it in slices of 100 ms.
fn commit(transactions: &BaseProducer) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while transactions.in_flight_count() > 0 {
        ensure!(Instant::now() < deadline, "a transaction does not end");
        transactions.poll(LOOK);
    }
    transactions.commit_transaction(PATIENCE).context("a transaction was not kept")
}

/// Opens a reader of a topic's one partition, from its start.
fn reading(kafka: &Kafka, topic: &str) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = kafka.reader().create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, Offset::Offset(0))?;
    consumer.assign(&start)?;
    Ok(consumer)
}

fn read(
    consumer: &BaseConsumer,
    count: usize,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut left = count;
    while left > 0 {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                take(message.payload().unwrap_or_default())?;
                left -= 1;
            }
            Some(Err(error)) => return Err(error).context("reading"),
            None if Instant::now() < deadline => {}
            None => bail!("{left} records do not come"),
        }
    }
    Ok(())
}

/// Hands a record over, with the patience that a full queue asks for.
fn send<P>(producer: &P, topic: &str, record: &[u8]) -> anyhow::Result<()>
where
    P: Sending,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match producer.hand_over(topic, record) {
            Ok(()) => return Ok(()),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
                if Instant::now() < deadline =>
            {
                std::thread::park_timeout(LOOK);
            }
            Err(error) => return Err(error).context("producing"),
        }
    }
}

/// Producers that take a record for partition 0.
trait Sending {
    fn hand_over(&self, topic: &str, record: &[u8]) -> Result<(), KafkaError>;
}

impl<C: ProducerContext<DeliveryOpaque = ()> + 'static> Sending for ThreadedProducer<C> {
    fn hand_over(&self, topic: &str, record: &[u8]) -> Result<(), KafkaError> {
        let record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(record);
        self.send(record).map_err(|(error, _)| error)
    }
}

impl Sending for BaseProducer {
    fn hand_over(&self, topic: &str, record: &[u8]) -> Result<(), KafkaError> {
        let record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(record);
        let sent = self.send(record).map_err(|(error, _)| error);
        if sent.is_err() {
            self.poll(LOOK);
        }
        sent
    }
}
