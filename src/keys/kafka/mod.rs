//! Keys in a topic on Kafka, for many processes: `tallybook.keys`, one partition, digests only.
//!
//! The topic is a log of changes, and the log decides: a change counts only if it is allowed where it
//! lies, judged by every reader in the same order, first come first served. So two processes that import
//! one text, or rotate one key, at the same time are told apart by the topic itself: each reads back
//! what became of its own change before it answers. Each change has a record key of its own, so that
//! compaction, which keeps the last record of a key, never takes one away.
//!
//! A thread follows the topic. While no broker answers, the keys stay as they were read last.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tallybook_events::time::Timestamp;

use super::{ApiKey, Credential, Digest, KeyId, KeyStore, KeyStoreError};
use crate::kafka::{ASK, Kafka, topics};
use fold::Fold;
use record::Change;
use writer::Writer;

mod record;
mod fold;
mod writer;

/// Longest wait for what was written to come back, and at the beginning for all that there is.
const WITHIN: Duration = Duration::from_secs(10);
/// How long one look for the next change takes.
const LOOK: Duration = Duration::from_millis(100);

/// The keys on a Kafka. Dropping it stops the thread that follows.
pub struct KafkaKeys {
    shared: Arc<Shared>,
    topic: String,
    asker: BaseConsumer,
    writer: Writer,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for KafkaKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaKeys").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// What the thread that follows and the askers share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    fold: Fold,
    /// Offset of the next record to be read.
    next: i64,
    /// Changes of ours that are waited for, by their record keys, and what became of them.
    ours: HashMap<String, Option<Result<(), KeyStoreError>>>,
    /// A record that this build cannot read; nothing after it is taken in.
    unreadable: Option<KeyStoreError>,
}

impl KafkaKeys {
    /// Opens the topic and reads all that there is. Blocks.
    ///
    /// # Errors
    /// [`KeyStoreError::NoPlace`] when there is no such topic, [`KeyStoreError::Unavailable`] when there
    /// is no answer, [`KeyStoreError::UnknownFormat`] and [`KeyStoreError::Damaged`] when it holds what
    /// this build cannot read.
    pub fn open(kafka: &Kafka) -> Result<Self, KeyStoreError> {
        let topic = kafka.topic(topics::KEYS);
        let asker: BaseConsumer = kafka.reader().create().map_err(unavailable)?;
        let metadata = asker.fetch_metadata(Some(&topic), ASK).map_err(unavailable)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if found.is_none_or(|found| found.partitions().is_empty()) {
            return Err(KeyStoreError::NoPlace(topic));
        }
        let reader: BaseConsumer = kafka.reader().create().map_err(unavailable)?;
        begin(&reader, &topic, Offset::Beginning).map_err(unavailable)?;
        let shared = Arc::new(Shared::default());
        let following = Following { reader, topic: topic.clone(), shared: Arc::clone(&shared) };
        let thread = thread::Builder::new()
            .name("keys".into())
            .spawn(move || following.run())
            .map_err(|error| KeyStoreError::Unavailable(error.into()))?;
        let writer = Writer::open(kafka, &topic).map_err(unavailable)?;
        let keys = Self { shared, topic, asker, writer, thread: Some(thread) };
        drop(keys.caught_up()?);
        Ok(keys)
    }

    /// Waits until all is read that there is now.
    fn caught_up(&self) -> Result<MutexGuard<'_, State>, KeyStoreError> {
        let (low, end) = self.asker.fetch_watermarks(&self.topic, 0, ASK).map_err(unavailable)?;
        self.shared.wait(|state| low == end || state.next >= end)
    }

    /// Writes a change, if it would count, and waits until it is known whether it does.
    fn write(&self, change: &Change) -> Result<(), KeyStoreError> {
        let record_key = change.record_key();
        {
            let mut state = self.caught_up()?;
            state.fold.check(change)?;
            state.ours.insert(record_key.clone(), None);
        }
        let kept = self.writer.keep(&record_key, &change.write(), WITHIN).map_err(unavailable);
        let judged = kept.and_then(|()| {
            self.shared.wait(|state| state.ours.get(&record_key).is_none_or(Option::is_some))
        });
        match judged {
            Ok(mut state) => state.ours.remove(&record_key).flatten().unwrap_or(Ok(())),
            Err(error) => {
                self.shared.lock().ours.remove(&record_key);
                Err(error)
            }
        }
    }
}

impl KeyStore for KafkaKeys {
    fn find(&self, id: &KeyId) -> Option<Arc<ApiKey>> {
        self.shared.lock().fold.held().find(id)
    }

    fn list(&self) -> Vec<Arc<ApiKey>> {
        self.shared.lock().fold.held().list().to_vec()
    }

    fn find_imported(&self, digest: &Digest) -> Option<Arc<ApiKey>> {
        self.shared.lock().fold.held().by_text(digest)
    }

    fn insert(&self, key: &ApiKey) -> Result<(), KeyStoreError> {
        self.write(&Change::Created(key.clone()))
    }

    fn rotate(
        &self,
        id: &KeyId,
        credential: &Credential,
        at: Timestamp,
        former_until: Timestamp,
    ) -> Result<(), KeyStoreError> {
        let key = self.find(id).ok_or_else(|| KeyStoreError::Unknown(id.clone()))?;
        let (from, to) = (key.credential, *credential);
        self.write(&Change::Rotated { id: id.clone(), from, to, at, former_until })
    }

    fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<(), KeyStoreError> {
        let state = self.caught_up()?;
        let found = state.fold.held().find(id);
        drop(state);
        match found {
            Some(key) if key.revoked_at.is_some() => Ok(()),
            Some(_) | None => self.write(&Change::Revoked { id: id.clone(), at }),
        }
    }
}

impl Drop for KafkaKeys {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>, KeyStoreError> {
        let deadline = Instant::now() + WITHIN;
        let mut state = self.lock();
        while !until(&state) {
            if let Some(error) = &state.unreadable {
                return Err(error.again());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let timed_out = RDKafkaErrorCode::OperationTimedOut;
                return Err(unavailable(KafkaError::MessageConsumption(timed_out)));
            }
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(state)
    }
}

/// The thread that follows the topic.
struct Following {
    reader: BaseConsumer,
    topic: String,
    shared: Arc<Shared>,
}

impl Following {
    fn run(self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            match self.reader.poll(LOOK) {
                None => {}
                Some(Ok(message)) => {
                    let key = message.key().unwrap_or_default();
                    self.take_in(message.offset(), key, message.payload());
                }
                Some(Err(error)) => {
                    let final_one = matches!(
                        error,
                        KafkaError::MessageConsumption(
                            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
                        ) | KafkaError::MessageConsumptionFatal(_)
                    );
                    tracing::warn!(error = &error as &dyn std::error::Error, "keys are not read");
                    if final_one {
                        let next = self.shared.lock().next;
                        // An error says that no broker answers: it is tried again.
                        drop(begin(&self.reader, &self.topic, Offset::Offset(next)));
                        thread::sleep(LOOK);
                    }
                }
            }
        }
    }

    fn take_in(&self, offset: i64, key: &[u8], value: Option<&[u8]>) {
        let mut state = self.shared.lock();
        state.next = offset + 1;
        // A note of another kind, or one that was taken away.
        let is_change = !key.starts_with(topics::NOTES.as_bytes());
        if let (Some(value), true, None) = (value, is_change, &state.unreadable) {
            match Change::read(value) {
                Ok(change) => {
                    let verdict = state.fold.apply(change);
                    let ours = std::str::from_utf8(key).ok();
                    if let Some(waits) = ours.and_then(|key| state.ours.get_mut(key)) {
                        *waits = Some(verdict);
                    }
                }
                Err(error) => {
                    tracing::error!(offset, error = &error as &dyn std::error::Error, "a key");
                    state.unreadable = Some(error);
                }
            }
        }
        drop(state);
        self.shared.moved.notify_all();
    }
}

fn begin(reader: &BaseConsumer, topic: &str, from: Offset) -> Result<(), KafkaError> {
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, from)?;
    reader.assign(&place)
}

fn unavailable(error: KafkaError) -> KeyStoreError {
    KeyStoreError::Unavailable(error.into())
}
