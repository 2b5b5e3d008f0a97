//! From a command to its answer: into the inbox, until it is decided, until the read models show it.

use tallybook_events::command::Command;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{Accepted, Outcome, Rejection};
use tallybook_events::ids::{CommandId, CustomerRef, Position, Scope};
use tallybook_projections::queries::{AsOf, CommandOutcome, ReadError};

use super::{Core, Gateway, Waits};
use crate::inbox::{Answer, Delivered, InboxError};

/// Decisions of a partition that the read models may be behind before answers wait for them.
const MAX_BEHIND: u64 = 4_096;

/// What a decision came to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict<'a> {
    /// It was done.
    Accepted(&'a Accepted),
    /// It is held until another customer's slot has answered.
    Deferred,
    /// We said no.
    Rejected(&'a Rejection),
}

/// Takes an answer apart. A command that was sent elsewhere or was none has no decision to show.
pub(crate) fn verdict(answer: &Answer) -> Result<Verdict<'_>, Undecided> {
    match &answer.outcome {
        Outcome::Accepted(accepted) => Ok(Verdict::Accepted(accepted)),
        Outcome::Deferred(_) => Ok(Verdict::Deferred),
        Outcome::Rejected(rejection) => Ok(Verdict::Rejected(rejection)),
        Outcome::Forwarded { .. }
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => {
            tracing::error!(command_id = %answer.command_id, "an answer without a decision");
            Err(Undecided { command_id: answer.command_id, error: InboxError::Unknown })
        }
    }
}

/// A command got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecided {
    /// The command.
    pub(crate) command_id: CommandId,
    /// Why.
    pub(crate) error: InboxError,
}

/// A change that was made.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The customer, as the change left it.
    pub(crate) document: CustomerDocument,
    /// Whether the answer was given before.
    pub(crate) repeated: bool,
}

/// Why a change was not made, or is not shown.
#[derive(Debug)]
pub(crate) enum Unchanged {
    /// We said no.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Whether the answer was given before.
        repeated: bool,
    },
    /// It is held until another customer's slot has answered.
    Deferred,
    /// There is no decision.
    Undecided(InboxError),
    /// It was made, but the read models do not show it in time.
    NotShown,
}

impl Core {
    /// Has a change decided, and gives the customer that it left.
    pub(crate) async fn change(&self, command: Command) -> Result<Changed, Unchanged> {
        let scope = command.scope.clone();
        let undecided = |undecided: Undecided| Unchanged::Undecided(undecided.error);
        let answer = self.decide(command).await.map_err(undecided)?;
        let repeated = answer.repeated;
        let accepted = match verdict(&answer).map_err(undecided)? {
            Verdict::Accepted(accepted) => accepted,
            Verdict::Deferred => return Err(Unchanged::Deferred),
            Verdict::Rejected(rejection) => {
                return Err(Unchanged::Rejected { rejection: rejection.clone(), repeated });
            }
        };
        match self.customer_after(&scope, &answer, accepted).await {
            Ok(document) => Ok(Changed { document, repeated }),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    command_id = %answer.command_id,
                    "a decision is not shown in time"
                );
                Err(Unchanged::NotShown)
            }
        }
    }

    /// Hands one command over and waits for its decision.
    pub(crate) async fn decide(&self, command: Command) -> Result<Answer, Undecided> {
        let command_id = command.command_id;
        let answer = self.decide_all(vec![command]).await.pop();
        answer.unwrap_or(Err(InboxError::Unknown)).map_err(|error| Undecided { command_id, error })
    }

    /// Hands several commands over and waits for their decisions, in their order.
    pub(crate) async fn decide_all(
        &self,
        commands: Vec<Command>,
    ) -> Vec<Result<Answer, InboxError>> {
        let answers = self.gateway.inbox.submit(commands, self.gateway.timeouts.decision).await;
        if self.gateway.waits == Waits::AtTheQuestion {
            for position in answers.iter().flatten().filter_map(|answer| answer.position) {
                self.kept.note(position);
                self.keep_up(position).await;
            }
        }
        answers
    }

    /// Waits while the read models are so far behind a decision that questions would wait for long.
    async fn keep_up(&self, Position { partition, seq }: Position) {
        let Some(seq) = seq.checked_sub(MAX_BEHIND) else { return };
        let Gateway { queries, timeouts, .. } = &self.gateway;
        if let Err(error) = queries.reached(Position { partition, seq }, timeouts.read_model).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the read models do not keep up");
        }
    }

    /// Hands commands over, in their order, and waits until they are kept, not until they are shown.
    pub(crate) async fn deliver(
        &self,
        commands: Vec<Command>,
    ) -> Vec<Result<Delivered, InboxError>> {
        let timeout = self.gateway.timeouts.decision;
        let delivered = self.gateway.inbox.deliver(commands, timeout).await;
        for delivered in delivered.iter().flatten() {
            if let Delivered::Kept { position: Some(position), .. } = delivered {
                self.kept.note(*position);
            }
        }
        delivered
    }

    /// Gives what became of a command of a scope. Whoever asks here for a command that was kept here
    /// finds it, and if it was held and is settled, what it came to.
    pub(crate) async fn outcome(
        &self,
        scope: &Scope,
        command_id: CommandId,
    ) -> Result<Option<CommandOutcome>, ReadError> {
        let queries = &self.gateway.queries;
        let found = queries.command(scope, command_id).await?;
        let held = |found: &CommandOutcome| matches!(found.outcome, Outcome::Deferred(_));
        if found.as_ref().is_some_and(|found| !held(found)) {
            return Ok(found);
        }
        self.shown(self.kept.positions()).await?;
        queries.command(scope, command_id).await
    }

    /// Waits until the read models show these decisions; where questions wait, that is left to them.
    pub(crate) async fn shown(
        &self,
        positions: impl IntoIterator<Item = Position>,
    ) -> Result<(), ReadError> {
        if self.gateway.waits == Waits::AtTheQuestion {
            return Ok(());
        }
        let mut last: Vec<Position> = Vec::new();
        for position in positions {
            match last.iter_mut().find(|last| last.partition == position.partition) {
                Some(last) => last.seq = last.seq.max(position.seq),
                None => last.push(position),
            }
        }
        for position in last {
            self.gateway.queries.reached(position, self.gateway.timeouts.read_model).await?;
        }
        Ok(())
    }

    /// Waits until the read models show these decisions, as [`Self::shown`]. If that takes too long, so be it: the
    /// decisions stand.
    pub(crate) async fn try_shown(&self, answers: impl IntoIterator<Item = &Answer>) {
        let accepted = |answer: &&Answer| matches!(answer.outcome, Outcome::Accepted(_));
        let positions = answers.into_iter().filter(accepted).filter_map(|answer| answer.position);
        if let Err(error) = self.shown(positions).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "decisions are not shown in time"
            );
        }
    }

    /// Gives the customer as the decision left it, or as it stands if more has happened since. For a
    /// repeat: as the decision of then left it.
    pub(crate) async fn customer_after(
        &self,
        scope: &Scope,
        answer: &Answer,
        accepted: &Accepted,
    ) -> Result<CustomerDocument, ReadError> {
        self.shown(answer.position).await?;
        let as_of = if answer.repeated { AsOf::Version(accepted.to_version) } else { AsOf::Now };
        let customer = CustomerRef::Id(accepted.customer_id);
        let now = self.gateway.clock.now().max(answer.decided_at);
        let document = self.gateway.queries.customer(scope, &customer, as_of, now).await?;
        document.ok_or(ReadError::Behind)
    }
}
