//! What an owner does when something is not as it should be: begin anew, or stop for good.

use std::time::{Duration, Instant};

use rand::Rng as _;
use tallybook_events::chain::Halt;

use super::owner::{Ahead, Owner};
use super::restoring::RestoreError;
use super::worker::PartitionStatus;
use crate::inbox::Incoming;
use crate::journal::JournalError;

/// First and longest pause before an ownership is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

/// How long what brokers say about offsets may contradict what was read, before that is believed: one
/// that was cut off goes on telling what it knew, until all know the present leader.
const DOUBT: Duration = Duration::from_secs(15);

/// Why an owner stops for good, or begins anew.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Begin anew (R4).
    Reclaim(&'static str),
    /// The log is said to end before, or to begin after, where it was read: ask again, then stop for good.
    Doubt(String),
    /// Stop for good.
    Halt(String),
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Truncated { .. } | Halt::Trimmed { .. } => Self::Doubt(chain_of(&halt)),
            Halt::Fork { .. }
            | Halt::TermAhead { .. }
            | Halt::UnknownFormat { .. }
            | Halt::Unreadable { .. }
            | Halt::OutOfOrder { .. }
            | Halt::DeliveredElsewhere { .. }
            | Halt::BesideCheckpoint { .. } => Self::Halt(chain_of(&halt)),
        }
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Unavailable(_) => Self::Reclaim("the journal does not answer"),
            JournalError::Closed => Self::Reclaim("the journal is closed"),
            JournalError::Damaged { .. } => Self::Halt(chain_of(&error)),
        }
    }
}

impl From<RestoreError> for Trouble {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Journal { source, .. } => source.into(),
            RestoreError::Halt { source, .. } => source.into(),
        }
    }
}

/// Gives an error with all its causes in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Owner {
    /// Begins anew, or stops for good.
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        self.appender = None;
        self.claim_pending = false;
        self.batch.clear();
        match trouble {
            Trouble::Doubt(why) if self.doubts_long() => self.halt(why),
            Trouble::Doubt(why) => {
                tracing::warn!(partition = self.partition.0, why, "the journal is asked again");
                self.reclaim("what is said about the journal contradicts what was read");
            }
            Trouble::Halt(why) => self.halt(why),
            Trouble::Reclaim(why) => self.reclaim(why),
        }
    }

    /// Tells whether it has been in doubt for so long that it is none any more.
    pub(super) fn doubts_long(&mut self) -> bool {
        self.doubted_at.get_or_insert_with(Instant::now).elapsed() >= DOUBT
    }

    pub(super) fn halt(&mut self, why: String) {
        tracing::error!(
            partition = self.partition.0,
            why,
            "partition halts: nothing is decided on it any more"
        );
        self.halted = true;
        self.generation += 1;
        self.set_status(PartitionStatus::Halted { why });
        self.waiting.clear();
        self.ahead.clear();
        self.ahead_keys.clear();
        self.held_replies.clear();
        self.parked.clear();
    }

    /// R4: throws away what was decided ahead; its commands wait again, in their order.
    pub(super) fn reclaim(&mut self, why: &'static str) {
        self.failures += 1;
        self.generation += 1;
        tracing::warn!(
            partition = self.partition.0,
            why,
            ahead = self.ahead.len(),
            "ownership begins anew"
        );
        metrics::counter!("tallybook_reclaims_total", "partition" => self.partition.to_string())
            .increment(1);
        self.set_status(PartitionStatus::Restoring);
        self.stop_feeding();
        self.forget_ahead();
        for ahead in std::mem::take(&mut self.ahead).into_iter().rev() {
            let Ahead { command: Some(command), json, source, reply, repeats, .. } = ahead else {
                continue;
            };
            for reply in repeats {
                let (command, json) = (command.clone(), json.clone());
                self.waiting.push_front(Incoming { command, json, source, reply: Some(reply) });
            }
            self.waiting.push_front(Incoming { command, json, source, reply });
        }
        let pause = if self.failures <= 1 {
            Duration::ZERO
        } else {
            let longest = PAUSE.0.saturating_mul(1 << self.failures.min(16)).min(PAUSE.1);
            rand::rng().random_range(PAUSE.0..=longest)
        };
        self.resume_at = Some(Instant::now() + pause);
    }
}
