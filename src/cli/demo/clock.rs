//! The demo's clock: it stands where the story puts it, so that every run tells the same.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tallybook_events::ids::{CommandId, CustomerId};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use crate::clock::Clock;

/// A clock that is set by hand; ids count up.
#[derive(Debug)]
pub(super) struct StoryClock {
    micros: AtomicI64,
    next_id: AtomicU64,
}

impl StoryClock {
    /// Makes a clock that stands at `start`.
    pub(super) const fn new(start: Timestamp) -> Self {
        Self { micros: AtomicI64::new(start.micros()), next_id: AtomicU64::new(1) }
    }

    /// Moves the clock forward; it never goes back.
    pub(super) fn move_to(&self, now: Timestamp) {
        self.micros.fetch_max(now.micros(), Ordering::Relaxed);
    }

    fn id(&self) -> Uuid {
        let millis = u64::try_from(self.now().micros() / 1_000).unwrap_or(0);
        let mut count = [0; 10];
        count[2..].copy_from_slice(&self.next_id.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &count).into_uuid()
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::Relaxed))
    }

    fn command_id(&self) -> CommandId {
        CommandId(self.id())
    }

    fn customer_id(&self) -> CustomerId {
        CustomerId(self.id())
    }
}
