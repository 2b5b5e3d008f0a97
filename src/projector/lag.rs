//! How far the rows are behind the journal: in records, and how long what comes next has waited.

use std::sync::Arc;

use tallybook_events::chain::{Checkpoint, Offset};
use tallybook_events::codec::{self, Record};
use tallybook_events::ids::Partition;
use tallybook_events::time::Timestamp;

use crate::clock::SharedClock;
use crate::journal::{Journal, JournalError};

/// Most bytes that are read to look at the next record.
const MAX_BYTES: usize = 1;
/// Most records that are looked at for one that tells when it was written.
const MAX_RECORDS: usize = 1;

/// What the lag is measured by.
pub(super) struct Lag {
    journal: Arc<dyn Journal>,
    clock: SharedClock,
    stand: Vec<(Partition, Checkpoint)>,
}

impl Lag {
    pub(super) const fn new(journal: Arc<dyn Journal>, clock: SharedClock) -> Self {
        Self { journal, clock, stand: Vec::new() }
    }

    /// Notes where the rows stand.
    pub(super) fn stands(&mut self, stand: impl Iterator<Item = (Partition, Checkpoint)>) {
        self.stand = stand.collect();
    }

    /// Measures it, also while nothing can be folded. What the journal does not tell now stays as it was.
    pub(super) fn measure(&self) {
        for (partition, at) in &self.stand {
            let Ok((records, micros)) = self.of(*partition, at.offset) else { continue };
            let labels = [("partition", partition.to_string())];
            metrics::gauge!("tallybook_projector_lag_records", &labels).set(gauge(records));
            metrics::gauge!("tallybook_projector_lag_seconds", &labels).set(seconds(micros));
            metrics::gauge!("tallybook_projector_position", &labels).set(gauge(at.seq));
        }
    }

    /// Gives how many records come after an offset, and for how many microseconds the next has waited.
    fn of(&self, partition: Partition, next: Offset) -> Result<(u64, u64), JournalError> {
        let records = self.journal.bounds(partition)?.end.saturating_sub(next);
        if records == 0 {
            return Ok((0, 0));
        }
        let read = self.journal.read(partition, next, MAX_RECORDS, MAX_BYTES)?;
        let written = read.first().and_then(|stored| written_at(&stored.record));
        let waited = written.map_or(0, |at| self.clock.now().micros() - at.micros());
        Ok((records, u64::try_from(waited).unwrap_or(0)))
    }
}

/// Gives when a record was decided or claimed; nothing of one that cannot be read.
fn written_at(record: &[u8]) -> Option<Timestamp> {
    match codec::read(record).ok()? {
        Record::Claim(claimed) => Some(claimed.at),
        Record::Decision(decision) => Some(decision.decided_at),
        Record::DeadLetter(letter) => Some(letter.decided_at),
    }
}

/// Gives a number as metrics have it.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 2^53")]
fn gauge(number: u64) -> f64 {
    number as f64
}

/// Gives microseconds in seconds.
#[expect(clippy::float_arithmetic, reason = "a gauge is a float, and time is no money")]
fn seconds(micros: u64) -> f64 {
    gauge(micros) / 1e6
}
