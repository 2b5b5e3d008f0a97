//! What became of each command: one row for each that was asked, refused ones too.

use tallybook_events::decision::{Decision, Outcome, RejectionCode};
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
            Outcome::Forwarded { .. } | Outcome::DeadLettered { .. } | Outcome::Repeated { .. } => {
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
}
