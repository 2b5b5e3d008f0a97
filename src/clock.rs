//! Time and ids: the only place that reads a clock or a source of randomness.

use std::fmt;
use std::sync::Arc;

use tallybook_events::ids::{CommandId, CustomerId};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

/// A source of time and ids, passed to whoever needs one.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Gives the present moment.
    fn now(&self) -> Timestamp;

    /// Gives an id for a command whose caller gave none.
    fn command_id(&self) -> CommandId;

    /// Gives an id for a customer born without a key.
    fn customer_id(&self) -> CustomerId;
}

/// A clock that is shared.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock and makes ids")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_chrono(chrono::Utc::now())
    }

    fn command_id(&self) -> CommandId {
        CommandId(Uuid::now_v7())
    }

    fn customer_id(&self) -> CustomerId {
        CustomerId(Uuid::now_v7())
    }
}

/// A clock that stands still: for tests and for runs that must be repeatable. Ids count up.
#[derive(Debug)]
pub struct FixedClock {
    now: Timestamp,
    next_id: std::sync::atomic::AtomicU64,
}

impl FixedClock {
    /// Makes a clock that always shows `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self { now, next_id: std::sync::atomic::AtomicU64::new(1) }
    }

    fn id(&self) -> Uuid {
        let next = self.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let millis = u64::try_from(self.now.micros() / 1_000).unwrap_or(0);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&next.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn command_id(&self) -> CommandId {
        CommandId(self.id())
    }

    fn customer_id(&self) -> CustomerId {
        CustomerId(self.id())
    }
}
