//! A journal that remembers the order of appends across its partitions, so that a test can begin
//! anew from what there was after any one of them: what a crash at that moment would have left.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::*;
use crate::journal::{Appender, Bounds, DeliverySink, Follower, JournalError, Stored};

type Order = Arc<Mutex<Vec<(Partition, Bytes)>>>;

/// A journal in memory with its appends in order. A clone is another handle of the same.
#[derive(Clone)]
pub(super) struct Ordered {
    journal: MemoryJournal,
    order: Order,
}

impl Ordered {
    pub(super) fn new(partitions: u32) -> Self {
        Self { journal: MemoryJournal::new(partitions), order: Arc::default() }
    }

    /// Gives how many records were appended.
    pub(super) fn len(&self) -> usize {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Makes a journal of the first so many records.
    pub(super) fn first(&self, records: usize) -> MemoryJournal {
        let journal = MemoryJournal::new(self.journal.partitions());
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, record) in &order[..records] {
            let mut appender = journal.appender(*partition, Box::new(drop)).unwrap();
            appender.append(vec![record.clone()]).unwrap();
        }
        journal
    }
}

impl Journal for Ordered {
    fn partitions(&self) -> u32 {
        self.journal.partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        self.journal.bounds(partition)
    }

    fn read(
        &self,
        partition: Partition,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.journal.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        let inner = self.journal.appender(partition, sink)?;
        Ok(Box::new(InOrder { partition, inner, order: Arc::clone(&self.order) }))
    }

    fn follow(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Follower>, JournalError> {
        self.journal.follow(from)
    }
}

struct InOrder {
    partition: Partition,
    inner: Box<dyn Appender>,
    order: Order,
}

impl Appender for InOrder {
    fn append(&mut self, records: Vec<Bytes>) -> Result<(), JournalError> {
        // Noted before it can be seen: what follows from it, on another partition, comes later.
        let noted = records.iter().map(|record| (self.partition, record.clone()));
        self.order.lock().unwrap_or_else(PoisonError::into_inner).extend(noted);
        self.inner.append(records)
    }
}
