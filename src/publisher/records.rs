//! The shapes of what is published: each event by itself as a `CloudEvent` (1.0, binary mode of its
//! Kafka binding: attributes in headers, the event as the value), customers and periods as they stand.

use std::collections::BTreeMap;

use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::{CustomerId, Partition};
use tallybook_events::time::Timestamp;
use tallybook_projections::projection::{Fact, Facts};
use tallybook_projections::told::{CustomerPeriod, Told, period_key};

use super::judged::Beside;

/// Header of every record: where in the journal it comes from, as JSON with `offset`, `term`, `seq`
/// and `head`. The place after the decision; of customers and periods after the last one folded in.
pub const POSITION: &str = "tallybook-position";
/// Header that says what the value is.
pub const CONTENT_TYPE: &str = "content-type";
/// What it says.
pub const JSON: &str = "application/json";

/// Which of the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Events.
    Events,
    /// Customers.
    Customers,
    /// Usage by period.
    Usage,
}

/// A record to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub topic: Topic,
    /// Its key.
    pub key: String,
    /// Its value; none takes the key out of a compacted topic.
    pub value: Option<Vec<u8>>,
    /// Its headers, but for [`POSITION`].
    pub headers: Vec<(&'static str, String)>,
    /// Where in the journal it comes from.
    pub position: Checkpoint,
    /// When it was decided.
    pub at: Timestamp,
}

/// Gives all records of some decisions: the events in their order, then each customer and period that
/// they changed, as it stands after them.
pub(super) fn of(
    partition: Partition,
    facts: &[Facts<'_>],
    beside: &[Beside],
    told: &[Told],
) -> Vec<Outgoing> {
    let (Some(last), Some(decided)) = (beside.last(), facts.last()) else { return Vec::new() };
    let (position, at) = (last.after, decided.decided_at);
    let customers: BTreeMap<CustomerId, &Told> =
        told.iter().map(|told| (told.document.id, told)).collect();
    let mut records = Vec::new();
    for (facts, beside) in facts.iter().zip(beside) {
        let Some(told) = customers.get(&facts.customer_id) else { continue };
        for (index, fact) in facts.facts.iter().enumerate() {
            records.push(event(partition, (facts, beside), (index, fact), told));
        }
    }
    for told in told {
        standing(told, position, at, &mut records);
    }
    records
}

/// Gives an event as a `CloudEvent`.
fn event(
    partition: Partition,
    (facts, beside): (&Facts<'_>, &Beside),
    (index, fact): (usize, &Fact<'_>),
    told: &Told,
) -> Outgoing {
    let type_name = fact.event.type_name();
    let customer = facts.customer_id.to_string();
    let (tenant, environment) = (&told.document.tenant, told.document.environment);
    let mut headers = vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{partition}-{}-{index}", facts.place.seq)),
        ("ce_source", format!("/tallybook/{tenant}/{environment}")),
        ("ce_type", type_name.to_owned()),
        ("ce_time", facts.decided_at.to_string()),
        ("ce_subject", customer.clone()),
        ("ce_dataschema", format!("urn:tallybook:schema:{type_name}")),
        ("ce_partitionkey", customer.clone()),
        ("ce_tenant", tenant.to_string()),
        ("ce_environment", environment.to_string()),
        ("ce_customerversion", fact.version.to_string()),
        ("ce_commandid", facts.command_id.to_string()),
        ("ce_actor", facts.actor.to_string()),
    ];
    let context = [
        ("ce_correlationid", &beside.context.correlation_id),
        ("ce_causationid", &beside.context.causation_id),
        ("ce_traceparent", &beside.context.traceparent),
    ];
    for (name, token) in context {
        headers.extend(token.as_ref().map(|token| (name, token.to_string())));
    }
    headers.push((CONTENT_TYPE, JSON.to_owned()));
    Outgoing {
        topic: Topic::Events,
        key: customer,
        value: Some(fact.recorded.get().as_bytes().to_vec()),
        headers,
        position: beside.after,
        at: facts.decided_at,
    }
}

/// Why a value cannot fail to be written.
const IN_MEMORY: &str = "writing JSON to memory";

/// Gives a customer and its periods as they stand; one that is archived is taken out, its periods stay.
fn standing(told: &Told, position: Checkpoint, at: Timestamp, records: &mut Vec<Outgoing>) {
    let Told { document, periods, dropped } = told;
    let mut put = |topic, key: String, value: Option<Vec<u8>>| {
        let headers = match &value {
            Some(_) => vec![(CONTENT_TYPE, JSON.to_owned())],
            None => Vec::new(),
        };
        records.push(Outgoing { topic, key, value, headers, position, at });
    };
    let present = document.archived_at.is_none();
    let value = present.then(|| serde_json::to_vec(document).expect(IN_MEMORY));
    put(Topic::Customers, document.id.to_string(), value);
    for gone in dropped {
        let window = gone.key.window;
        let key = period_key(document.id, gone.kind, window.start, window.end);
        put(Topic::Usage, key, None);
    }
    for period in periods {
        let key = period_key(document.id, period.kind, period.start, period.end);
        let row = CustomerPeriod {
            customer_id: document.id,
            tenant: document.tenant.clone(),
            environment: document.environment,
            period: period.clone(),
        };
        put(Topic::Usage, key, Some(serde_json::to_vec(&row).expect(IN_MEMORY)));
    }
}
