//! What became of each command: one row for each that was asked, refused ones too.

use tallybook_events::decision::{Accepted, Decision, Outcome, RejectionCode};
use tallybook_events::ids::{CommandId, Partition, Position, Scope};
use tallybook_events::time::Timestamp;

/// One row: one command and its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// The tenant and environment that it is about. Two of them may use the same id.
    pub scope: Scope,
    /// The command that was asked. Where the decision settles a held command: that one.
    pub command_id: CommandId,
    /// Where the decision is.
    pub place: Position,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Accepted, rejected, or deferred as long as it is held. Never any other.
    pub outcome: Outcome,
}

impl CommandRow {
    /// Takes out of a decision what it tells about a command that somebody asked; nothing when it is
    /// about a command of our own that settles none, or says only where the command was sent.
    ///
    /// Of all rows about one command in one partition the first counts; one that is deferred gives way
    /// to the one that settles it.
    pub fn of(partition: Partition, decision: &Decision) -> Option<Self> {
        let body = &decision.command.body;
        let command_id = match body.settles() {
            Some(held) => held,
            None if body.command_type().is_follow_up() => return None,
            None => decision.command.command_id,
        };
        match &decision.outcome {
            Outcome::Forwarded { .. }
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_) => {
                return None;
            }
            // An answer that came twice, or too late: it settles nothing.
            Outcome::Rejected(rejection) if rejection.code == RejectionCode::NothingHeld => {
                return None;
            }
            Outcome::Accepted(_) | Outcome::Rejected(_) | Outcome::Deferred(_) => {}
        }
        Some(Self {
            scope: decision.command.scope.clone(),
            command_id,
            place: Position { partition, seq: decision.seq },
            decided_at: decision.decided_at,
            outcome: decision.outcome.clone(),
        })
    }

    /// Tells whether another row about the same command takes the place of this one.
    pub const fn gives_way(&self) -> bool {
        matches!(self.outcome, Outcome::Deferred(_))
    }

    /// Gives the name of the outcome in stores.
    pub(crate) const fn word(&self) -> &'static str {
        match &self.outcome {
            Outcome::Accepted(_) => "accepted",
            Outcome::Deferred(_) => "deferred",
            Outcome::Rejected(_)
            | Outcome::Forwarded { .. }
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_) => "rejected",
        }
    }

    /// Gives the versions of the customer before and after, of one that was accepted.
    pub(crate) const fn versions(&self) -> Option<(u64, u64)> {
        match &self.outcome {
            Outcome::Accepted(accepted) => Some((accepted.from_version, accepted.to_version)),
            Outcome::Rejected(_)
            | Outcome::Deferred(_)
            | Outcome::Forwarded { .. }
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_) => None,
        }
    }

    /// Gives the outcome as JSON, where customer and versions do not say all of it.
    pub(crate) fn told(&self) -> Option<String> {
        if let Outcome::Accepted(Accepted { duplicates, conflicts, .. }) = &self.outcome
            && duplicates.is_empty()
            && conflicts.is_empty()
        {
            return None;
        }
        Some(serde_json::to_string(&self.outcome).expect("an outcome is JSON"))
    }
}
