//! The sink of one appender, until the appender is dropped.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::{Delivery, DeliverySink};

/// Tells a sink what became of records; falls silent when the appender is dropped.
pub(super) struct Teller(Mutex<Option<DeliverySink>>);

impl Teller {
    pub(super) fn new(sink: DeliverySink) -> Self {
        Self(Mutex::new(Some(sink)))
    }

    /// Tells the sink, unless it has been silenced.
    pub(super) fn tell(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        if let Some(sink) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            sink(deliveries);
        }
    }

    /// Lets go of the sink. It is told nothing after this returns.
    pub(super) fn silence(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Teller").finish_non_exhaustive()
    }
}
