//! Waiting for what is to come: where partitions end, and a follower of any log that can be read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::{Follower, JournalError, Stored};

/// Most bytes that a follower gives at a time; one record more when it is larger.
const FOLLOW_BYTES: usize = 8 << 20;

/// Gives the place of a partition in a list of all.
pub(super) fn index(partition: Partition) -> usize {
    usize::try_from(partition.0).expect("a partition's number fits in the address space")
}

/// Where each partition ends, for all to see.
#[derive(Debug)]
pub(super) struct Ends {
    offsets: Box<[AtomicU64]>,
    waiting: Mutex<()>,
    arrived: Condvar,
}

impl Ends {
    pub(super) fn new(ends: impl IntoIterator<Item = Offset>) -> Self {
        let offsets = ends.into_iter().map(AtomicU64::new).collect();
        Self { offsets, waiting: Mutex::new(()), arrived: Condvar::new() }
    }

    pub(super) fn partitions(&self) -> u32 {
        u32::try_from(self.offsets.len()).expect("partitions are counted in 32 bits")
    }

    pub(super) fn end(&self, partition: Partition) -> Offset {
        self.offsets[index(partition)].load(Ordering::Acquire)
    }

    /// Sets where a partition ends now. Those who wait sleep on until [`Self::announce`].
    pub(super) fn advance(&self, partition: Partition, end: Offset) {
        self.offsets[index(partition)].store(end, Ordering::Release);
    }

    /// Wakes those who wait.
    pub(super) fn announce(&self) {
        // The lock is taken so that nobody is between looking and sleeping.
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_all();
    }

    /// Waits until one of the partitions goes on beyond its offset, or until the deadline.
    fn wait(&self, beyond: &[(Partition, Offset)], deadline: Instant) {
        let mut guard = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while beyond.iter().all(|(partition, offset)| self.end(*partition) <= *offset) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            guard =
                self.arrived.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A log that can be read and says where it ends.
pub(super) trait Readable: Send {
    /// As [`super::Journal::read`].
    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError>;

    /// Gives where the partitions end.
    fn ends(&self) -> &Ends;
}

/// A follower of a log that can be read.
#[derive(Debug)]
pub(super) struct Tail<R> {
    log: R,
    next: Vec<(Partition, Offset)>,
    /// The partition to be read first, so that a busy one does not keep the others waiting.
    first: usize,
}

impl<R: Readable> Tail<R> {
    pub(super) const fn new(log: R, from: Vec<(Partition, Offset)>) -> Self {
        Self { log, next: from, first: 0 }
    }

    fn take(&mut self, max_records: usize) -> Result<Vec<(Partition, Stored)>, JournalError> {
        let mut taken = Vec::new();
        let mut bytes_left = FOLLOW_BYTES;
        let count = self.next.len();
        for turn in 0..count {
            let place = (self.first + turn) % count;
            let (partition, from) = self.next[place];
            if self.log.ends().end(partition) <= from {
                continue;
            }
            if taken.len() >= max_records || bytes_left == 0 {
                self.first = place;
                return Ok(taken);
            }
            let read = self.log.read(partition, from, max_records - taken.len(), bytes_left)?;
            if let Some(last) = read.last() {
                self.next[place].1 = last.offset + 1;
            }
            let bytes = read.iter().map(|stored| stored.record.len()).sum();
            bytes_left = bytes_left.saturating_sub(bytes);
            taken.extend(read.into_iter().map(|stored| (partition, stored)));
        }
        self.first = (self.first + 1) % count.max(1);
        Ok(taken)
    }
}

impl<R: Readable> Follower for Tail<R> {
    fn next(
        &mut self,
        max_records: usize,
        timeout: Duration,
    ) -> Result<Vec<(Partition, Stored)>, JournalError> {
        let taken = self.take(max_records)?;
        if !taken.is_empty() || max_records == 0 || timeout.is_zero() {
            return Ok(taken);
        }
        self.log.ends().wait(&self.next, Instant::now() + timeout);
        self.take(max_records)
    }
}
