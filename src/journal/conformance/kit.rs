//! What the facts are told with: records, appenders that listen, whole reads.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::codec::{Claimed, write_claim};
use tallybook_events::ids::Partition;
use tallybook_events::time::Timestamp;

use super::Subject;
use crate::journal::{Appender, Delivery, DeliverySink, Journal, JournalError, Stored};

pub(super) const FIRST: Partition = Partition(0);
pub(super) const SECOND: Partition = Partition(1);
/// Longest wait for anything. Reached only when a promise is broken.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Enough to read all that a fact has written.
pub(super) const ALL: usize = usize::MAX;

/// Every record that was delivered is where it was delivered.
pub(super) fn check_told(
    journal: &dyn Journal,
    partition: Partition,
    records: &[Bytes],
    told: &[Delivery],
) {
    assert_eq!(told.len(), records.len(), "each record is told once");
    let kept = read_all(journal, partition);
    for (record, delivery) in records.iter().zip(told) {
        if let Delivery::At(offset) = delivery {
            let place = usize::try_from(*offset).expect("offsets of a test are small");
            let stored = kept.get(place).expect("what was delivered is there");
            assert_eq!((stored.offset, &stored.record), (*offset, record));
        }
    }
}

/// Appends records of these numbers and waits until all are told. Gives them.
pub(super) fn write(
    journal: &dyn Journal,
    partition: Partition,
    numbers: std::ops::Range<u64>,
    subject: &dyn Subject,
) -> Vec<Bytes> {
    let (mut appender, heard) = appender(journal, partition);
    let records = records(numbers);
    appender.append(records.clone()).unwrap_or_fail();
    heard.wait_for(records.len(), subject);
    records
}

pub(super) fn read_all(journal: &dyn Journal, partition: Partition) -> Vec<Stored> {
    let end = journal.bounds(partition).unwrap_or_fail().end;
    let mut read: Vec<Stored> = vec![];
    while offset(read.len()) < end {
        let more = journal.read(partition, offset(read.len()), ALL, ALL).unwrap_or_fail();
        assert!(!more.is_empty(), "nothing at offset {} below the end", read.len());
        read.extend(more);
    }
    read
}

/// A record as no other number has it: a claim, so that a journal may look at it when it is opened.
pub(super) fn record(number: u64) -> Bytes {
    let at = Timestamp::from_micros(0);
    Bytes::from(write_claim(&Claimed { term: number + 1, owner: "conformance".into(), at }))
}

pub(super) fn records(numbers: std::ops::Range<u64>) -> Vec<Bytes> {
    numbers.map(record).collect()
}

pub(super) fn offset(place: usize) -> Offset {
    Offset::try_from(place).expect("addresses fit in 64 bits")
}

pub(super) fn appender(
    journal: &dyn Journal,
    partition: Partition,
) -> (Box<dyn Appender>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let sink: DeliverySink = {
        let heard = Arc::clone(&heard);
        Box::new(move |deliveries| heard.hear(deliveries))
    };
    (journal.appender(partition, sink).unwrap_or_fail(), heard)
}

/// What a sink was told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    told: Mutex<Vec<Delivery>>,
    more: Condvar,
}

impl Heard {
    fn hear(&self, deliveries: Vec<Delivery>) {
        self.told.lock().expect(NO_PANIC).extend(deliveries);
        self.more.notify_all();
    }

    pub(super) fn so_far(&self) -> Vec<Delivery> {
        self.told.lock().expect(NO_PANIC).clone()
    }

    pub(super) fn wait_for(&self, count: usize, subject: &dyn Subject) -> Vec<Delivery> {
        subject.settle();
        let told = self.told.lock().expect(NO_PANIC);
        let (told, _) = self
            .more
            .wait_timeout_while(told, DEADLINE, |told| told.len() < count)
            .expect(NO_PANIC);
        assert_eq!(told.len(), count, "each record is told once");
        told.clone()
    }
}

const NO_PANIC: &str = "nobody panics while holding it";

pub(super) trait OrFail<T> {
    fn unwrap_or_fail(self) -> T;
}

impl<T> OrFail<T> for Result<T, JournalError> {
    fn unwrap_or_fail(self) -> T {
        self.unwrap_or_else(|error| panic!("the journal failed: {error:?}"))
    }
}
