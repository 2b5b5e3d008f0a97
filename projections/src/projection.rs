//! What a projection is: a pure fold from the facts of decisions to changes of rows. It reads only
//! its arguments: no clock, no store, no log line.

use serde_json::value::RawValue;
use tallybook_events::decision::{Decision, Outcome};
use tallybook_events::event::Event;
use tallybook_events::ids::{Actor, CommandId, CustomerId, Partition, Position};
use tallybook_events::time::Timestamp;

/// A fold over the facts of one customer.
///
/// Folding decisions one by one, or many in a row, gives the same rows. A fact is never refused:
/// whether it follows on what came before is checked once, by [`Facts::follow`].
pub trait Projection {
    /// Name in logs.
    const NAME: &'static str;
    /// What the fold knows of one customer between two decisions.
    type State;
    /// What becomes of the rows.
    type Change<'a>;

    /// Folds the facts of one decision into the state and gives what they change, in order.
    fn apply<'a>(state: &mut Self::State, facts: &'a Facts<'_>) -> Vec<Self::Change<'a>>;
}

/// What one decision tells about one customer: at least one fact.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The customer.
    pub customer_id: CustomerId,
    /// Where the decision is.
    pub place: Position,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The command that was asked. Where the decision settles a held command: that one.
    pub command_id: CommandId,
    /// Who asked.
    pub actor: Actor,
    /// Version of the customer before.
    pub from_version: u64,
    /// The facts, in order.
    pub facts: Vec<Fact<'a>>,
}

/// One event that counts in its customer's version.
#[derive(Debug, Clone)]
pub struct Fact<'a> {
    /// Version of the customer after it.
    pub version: u64,
    /// The event, as this build reads it.
    pub event: Event,
    /// The event, as it was recorded.
    pub recorded: &'a RawValue,
}

/// Facts that do not follow on what was folded before. The journal and the rows cannot both be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the decision at seq {} of partition {} does not follow: {what}", place.seq, place.partition)]
pub struct Unfoldable {
    /// Where the decision is.
    pub place: Position,
    /// What does not fit.
    pub what: String,
}

impl<'a> Facts<'a> {
    /// Takes the facts about a customer out of a decision; nothing when it has none (a refusal, an
    /// update that changed nothing, an event about the slot of a key).
    ///
    /// `recorded` are its events as they were recorded, in the same order.
    ///
    /// # Errors
    /// [`Unfoldable`] when the events are not those that the outcome tells of.
    pub fn of(
        partition: Partition,
        decision: Decision,
        recorded: &[&'a RawValue],
    ) -> Result<Option<Self>, Unfoldable> {
        let place = Position { partition, seq: decision.seq };
        let unfoldable = |what: String| Unfoldable { place, what };
        let Outcome::Accepted(accepted) = decision.outcome else {
            return if decision.events.is_empty() {
                Ok(None)
            } else {
                Err(unfoldable("it has events, but was not accepted".into()))
            };
        };
        if decision.events.len() != recorded.len() {
            return Err(unfoldable("its events are not those that were recorded".into()));
        }
        let facts: Vec<Fact<'a>> = decision
            .events
            .into_iter()
            .zip(recorded)
            .filter(|(event, _)| event.counts_in_version())
            .zip(accepted.from_version + 1..)
            .map(|((event, recorded), version)| Fact { version, event, recorded })
            .collect();
        let counted = accepted.to_version.checked_sub(accepted.from_version);
        if counted != u64::try_from(facts.len()).ok() {
            return Err(unfoldable(format!(
                "it has {} events, but goes from version {} to {}",
                facts.len(),
                accepted.from_version,
                accepted.to_version
            )));
        }
        if facts.is_empty() {
            return Ok(None);
        }
        let settled = decision.command.body.settles();
        let command_id = settled.unwrap_or(decision.command.command_id);
        Ok(Some(Self {
            customer_id: accepted.customer_id,
            place,
            decided_at: decision.decided_at,
            command_id,
            actor: decision.command.actor,
            from_version: accepted.from_version,
            facts,
        }))
    }

    /// Checks that the facts follow on a customer at `version` (0: not born).
    ///
    /// # Errors
    /// [`Unfoldable`] when they do not: nothing of them may be folded.
    pub fn follow(&self, version: u64) -> Result<(), Unfoldable> {
        let unfoldable = |what: String| Err(Unfoldable { place: self.place, what });
        if self.from_version != version {
            return unfoldable(format!(
                "customer {} is at version {version}, not {}",
                self.customer_id, self.from_version
            ));
        }
        for fact in &self.facts {
            if matches!(fact.event, Event::CustomerCreated(_)) != (fact.version == 1) {
                return unfoldable(format!(
                    "{} cannot be event {} of customer {}",
                    fact.event.type_name(),
                    fact.version,
                    self.customer_id
                ));
            }
        }
        Ok(())
    }
}
