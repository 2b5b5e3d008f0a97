//! Records of partitions in memory: what the two journals in memory write to and read from.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::tail::{Ends, Readable, index};
use super::{JournalError, Stored};

/// Records in memory. There is no way to change or remove one.
#[derive(Debug)]
pub(super) struct MemoryLog {
    partitions: Box<[RwLock<Vec<Bytes>>]>,
    ends: Ends,
}

impl MemoryLog {
    pub(super) fn new(partitions: u32) -> Self {
        Self {
            partitions: (0..partitions).map(|_| RwLock::default()).collect(),
            ends: Ends::new((0..partitions).map(|_| 0)),
        }
    }

    /// Writes records at the end of a partition and gives the offset of the first.
    pub(super) fn append(&self, partition: Partition, records: Vec<Bytes>) -> Offset {
        let first = {
            let place = &self.partitions[index(partition)];
            let mut kept = place.write().unwrap_or_else(PoisonError::into_inner);
            let first = offset(kept.len());
            kept.extend(records);
            self.ends.advance(partition, offset(kept.len()));
            first
        };
        self.ends.announce();
        first
    }
}

impl Readable for Arc<MemoryLog> {
    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        let place = &self.partitions[index(partition)];
        let kept = place.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(from).unwrap_or(usize::MAX).min(kept.len());
        let end = start.saturating_add(max_records).min(kept.len());
        let mut read = Vec::with_capacity(end - start);
        let mut bytes = 0;
        for (record, place) in kept[start..end].iter().zip(start..) {
            if bytes >= max_bytes && !read.is_empty() {
                break;
            }
            bytes += record.len();
            read.push(Stored { offset: offset(place), record: record.clone() });
        }
        Ok(read)
    }

    fn ends(&self) -> &Ends {
        &self.ends
    }
}

fn offset(place: usize) -> Offset {
    Offset::try_from(place).expect("addresses fit in 64 bits")
}
