//! The timeline: every event of a customer, as it was recorded, by version.

use tallybook_events::ids::{Actor, CommandId, CustomerId};
use tallybook_events::time::Timestamp;

use crate::projection::{Fact, Facts, Projection};

/// One row: one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow<'a> {
    /// The customer.
    pub customer_id: CustomerId,
    /// Version of the customer after the event.
    pub version: u64,
    /// Place of its decision in the partition.
    pub seq: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The command that it came from.
    pub command_id: CommandId,
    /// Who asked.
    pub actor: Actor,
    /// The event, as it was recorded.
    pub event: &'a str,
}

/// The fold: one row for each fact.
#[derive(Debug)]
pub struct Timeline;

impl Projection for Timeline {
    const NAME: &'static str = "timeline";
    type State = ();
    type Change<'a> = TimelineRow<'a>;

    fn apply<'a>((): &mut (), facts: &'a Facts<'_>) -> Vec<TimelineRow<'a>> {
        let row = |fact: &'a Fact<'_>| TimelineRow {
            customer_id: facts.customer_id,
            version: fact.version,
            seq: facts.place.seq,
            recorded_at: facts.decided_at,
            command_id: facts.command_id,
            actor: facts.actor.clone(),
            event: fact.recorded.get(),
        };
        facts.facts.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Log, at, created, id, key, named, renamed};
    use tallybook_events::command::{Claim, CommandBody, KeyClaim, RegistrarAnswer, Settlement};
    use tallybook_events::event::Event;
    use uuid::Uuid;

    #[test]
    fn each_event_is_a_row_with_the_bytes_that_were_recorded() {
        let mut log = Log::new(0);
        let command_id = log.accept("2026-11-01", id("acme"), 0, &[created("acme"), named("Acme")]);
        let facts = log.facts();
        let json = |event: &Event| serde_json::to_string(event).unwrap();
        let row = |version, event| TimelineRow {
            customer_id: id("acme"),
            version,
            seq: 2,
            recorded_at: at("2026-11-01"),
            command_id,
            actor: "key:1".parse().unwrap(),
            event,
        };
        assert_eq!(
            Timeline::apply(&mut (), &facts[0]),
            [row(1, &json(&created("acme"))), row(2, &json(&named("Acme")))]
        );
    }

    #[test]
    fn what_a_held_command_became_has_the_id_of_that_command() {
        let held = CommandId(Uuid::from_u128(77));
        let (key, holder) = (key("apex"), id("acme"));
        let claim = Claim::Key(KeyClaim { key, holder, held, birth: false, under: None });
        let body = CommandBody::SettleClaim(Settlement {
            claim,
            granted: true,
            answer: RegistrarAnswer::default(),
        });
        let mut log = Log::new(0);
        log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
        log.decide(at("2026-11-02"), id("acme"), 1, &[renamed("acme", "apex")], body);
        let facts = log.facts();
        assert_eq!(Timeline::apply(&mut (), &facts[1])[0].command_id, held);
    }
}
