//! Are two states the same? One digest over all of it: a line of JSON per record, by id.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tallybook_events::command::{Claim, Command, RegistrarAnswer};
use tallybook_events::customer::ThresholdType;
use tallybook_events::customer::entitlements::{
    BalanceLimit, EntitlementFacts, PurchasesCounted, Segment,
};
use tallybook_events::customer::{BillingControls, Budget, Contract, Identity, Policy, Profile};
use tallybook_events::ids::{
    CommandId, CustomerId, CustomerKey, Environment, Merchant, Meter, Tenant,
};
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::customer::Customer;
use super::entitlements::Entitled;
use super::hours::Tally;
use super::reports::{ReportHash, Reports};
use super::thresholds::Told;
use super::usage::Usage;
use super::{Held, Record, Ties};

/// Gives the digest of records; those that hold nothing do not count.
pub(super) fn of<'a>(records: impl Iterator<Item = (CustomerId, &'a Record)>) -> [u8; 32] {
    let empty = Record::default();
    let mut records: Vec<_> = records.filter(|(_, record)| **record != empty).collect();
    records.sort_unstable_by_key(|(id, _)| *id);
    let mut hash = Sha256::new();
    let mut line = Vec::new();
    for (id, record) in records {
        line.clear();
        write_line(id, record, &mut line);
        hash.update(&line);
    }
    hash.finalize().into()
}

/// Writes all that a record holds as one line of JSON.
pub(super) fn write_line(id: CustomerId, record: &Record, line: &mut Vec<u8>) {
    let state = RecordState {
        id,
        customer: record.customer.as_deref().map(CustomerState::from),
        holder: record.slot.holder,
        births: record.slot.births,
        ties: Some(record.ties.get()).filter(|_| record.ties.any()).map(TiesState::from),
        held: record.held.iter().map(|(id, held)| (*id, HeldState::from(held))).collect(),
        releasing: &record.releasing,
    };
    serde_json::to_writer(&mut *line, &state).expect("writing JSON to memory");
    line.push(b'\n');
}

#[derive(Serialize)]
struct RecordState<'a> {
    id: CustomerId,
    customer: Option<CustomerState<'a>>,
    holder: Option<CustomerId>,
    births: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ties: Option<TiesState<'a>>,
    held: Vec<(CommandId, HeldState<'a>)>,
    releasing: &'a [Command],
}

#[derive(Serialize)]
struct TiesState<'a> {
    slot: Option<CommandId>,
    key: Option<CommandId>,
    edge: Option<CommandId>,
    pledges: &'a BTreeMap<CommandId, CustomerId>,
    parents: &'a BTreeMap<CustomerId, BTreeMap<CommandId, CustomerId>>,
}

impl<'a> From<&'a Ties> for TiesState<'a> {
    fn from(ties: &'a Ties) -> Self {
        let Ties { slot, key, edge, pledges, hierarchy } = ties;
        let (slot, key, edge) = (*slot, *key, *edge);
        Self { slot, key, edge, pledges, parents: hierarchy.parents() }
    }
}

#[derive(Serialize)]
struct HeldState<'a> {
    claim: &'a Claim,
    since: Timestamp,
    granted: Vec<(&'a Claim, &'a RegistrarAnswer)>,
    command: &'a Command,
}

impl<'a> From<&'a Held> for HeldState<'a> {
    fn from(held: &'a Held) -> Self {
        let Held { command, claim, since, granted } = held;
        let granted = granted.iter().map(|grant| (&grant.claim, &grant.answer)).collect();
        Self { claim, since: *since, granted, command }
    }
}

#[derive(Serialize)]
struct CustomerState<'a> {
    version: u64,
    tenant: &'a Tenant,
    environment: Environment,
    key: Option<&'a CustomerKey>,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
    profile: &'a Profile,
    contract: &'a Contract,
    budget: Budget,
    policy: Option<&'a Policy>,
    billing_controls: &'a BillingControls,
    identity: &'a Identity,
    usage: UsageState<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entitled: Option<EntitledState<'a>>,
}

impl<'a> From<&'a Customer> for CustomerState<'a> {
    fn from(customer: &'a Customer) -> Self {
        Self {
            version: customer.version,
            tenant: &customer.scope.tenant,
            environment: customer.scope.environment,
            key: customer.key.as_ref(),
            created_at: customer.created_at,
            updated_at: customer.updated_at,
            archived_at: customer.archived_at,
            profile: customer.profile(),
            contract: customer.contract(),
            budget: customer.budget(),
            policy: customer.policy(),
            billing_controls: customer.billing_controls(),
            identity: customer.identity(),
            usage: customer.usage().into(),
            entitled: customer.has_entitlements().map(EntitledState::from),
        }
    }
}

#[derive(Serialize)]
struct UsageState<'a> {
    lifetime: (Total, Total, u64),
    quantity: Total,
    hours: Vec<(Timestamp, (Total, Total, u64))>,
    reports: Vec<ReportState<'a>>,
    corrected: Vec<(String, String)>,
    told: Vec<(&'static str, Timestamp, Amount, u32)>,
}

impl<'a> From<&'a Usage> for UsageState<'a> {
    fn from(usage: &'a Usage) -> Self {
        let reports = &usage.reports;
        let latest = reports.latest().iter();
        Self {
            lifetime: tally(usage.lifetime.tally),
            quantity: total(usage.lifetime.quantity),
            hours: usage.hours.segments().map(|(start, used)| (start, tally(used))).collect(),
            reports: reports
                .sorted()
                .into_iter()
                .map(|(id, report)| ReportState {
                    id: hex(id),
                    occurred_at: report.occurred_at,
                    segment: report.segment(),
                    meter: reports.meter(report).as_str(),
                    merchant: reports.merchant(report).map(Merchant::as_str),
                    amounts: Reports::amounts(report),
                    corrects: report.correction().map(|c| (hex(c.named), hex(c.root))),
                })
                .collect(),
            corrected: latest.map(|(root, latest)| (hex(*root), hex(*latest))).collect(),
            told: usage.thresholds.told().iter().map(told).collect(),
        }
    }
}

#[derive(Serialize)]
struct EntitledState<'a> {
    facts: &'a EntitlementFacts,
    usage: Vec<(&'a Meter, Timestamp, Timestamp, Total)>,
    topups: Vec<(&'a Meter, Amount, Window, bool, Option<PurchasesCounted>)>,
    alerts: Vec<(&'a Meter, ThresholdType, Amount, Window)>,
    limits: Vec<(&'a Meter, BalanceLimit, Window)>,
}

impl<'a> From<&'a Entitled> for EntitledState<'a> {
    fn from(entitled: &'a Entitled) -> Self {
        let Entitled { facts, usage, told } = entitled;
        let segments = usage.iter().flat_map(|(feature, segments)| {
            let of = move |segment: &Segment| {
                (feature, segment.start, segment.last, total(segment.used))
            };
            segments.iter().map(of)
        });
        let topups = told.topups().iter().map(|(feature, topup)| {
            (feature, topup.threshold, topup.window, topup.waits, topup.purchases)
        });
        let alerts = told
            .alerts()
            .iter()
            .map(|alert| (&alert.feature, alert.threshold_type, alert.threshold, alert.window));
        let limits = told.limits().iter();
        Self {
            facts,
            usage: segments.collect(),
            topups: topups.collect(),
            alerts: alerts.collect(),
            limits: limits.map(|limit| (&limit.feature, limit.bound, limit.window)).collect(),
        }
    }
}

#[derive(Serialize)]
struct ReportState<'a> {
    id: String,
    occurred_at: Timestamp,
    segment: Timestamp,
    meter: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<&'a str>,
    amounts: [Amount; 3],
    corrects: Option<(String, String)>,
}

fn told(told: &Told) -> (&'static str, Timestamp, Amount, u32) {
    let kind = match told.kind {
        tallybook_events::customer::BudgetKind::Period => "period",
        tallybook_events::customer::BudgetKind::Total => "total",
    };
    (kind, told.start, told.budget, told.percentage)
}

fn hex(hash: ReportHash) -> String {
    format!("{:016x}{:016x}", hash.0, hash.1)
}

fn tally(tally: Tally) -> (Total, Total, u64) {
    (total(tally.raw), total(tally.charged), tally.count)
}

fn total(units: i128) -> Total {
    Total::from_trillionths(units).expect("sums are kept below 10^28")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::given::{
        KEY, World, archive, by_key, correction, create, given, nth, report, update, usage, with,
    };
    use super::*;

    fn digest(world: &World) -> [u8; 32] {
        world.digest()
    }

    #[test]
    fn neither_order_nor_records_that_hold_nothing_count() {
        let mut world = World::default();
        assert_eq!(digest(&world), of(std::iter::empty()));
        for key in ["a", "b", "c"] {
            world.ask(by_key(key, create(json!({}))));
        }
        let empty = Record::default();
        let records = world.records.iter().map(|(id, record)| (*id, record));
        let with_empty = records.clone().rev().chain([(nth("nobody", 0), &empty)]);
        assert_eq!(of(with_empty), digest(&world));
        assert_eq!(of(records), digest(&world));
    }

    #[test]
    fn whatever_changes_the_state_changes_the_digest() {
        let mut world = World::default();
        let mut seen = vec![digest(&world)];
        let moment = "2026-01-10T00:00:00Z";
        for asked in [
            create(json!({})),
            update(json!({"profile": {"metadata": {"n": 1.50}}})),
            update(json!({"contract": {"status": "suspended"}})),
            update(json!({"budget": {"period_budget": "10"}})),
            update(json!({"policy": {}, "billing_controls": {"usage_alerts": []}})),
            update(json!({"identity": {"links": {"stripe": "x"}}})),
            usage(json!([report("r1", moment, "1")])),
            usage(json!([report("r2", moment, "8")])),
            usage(json!([correction("r3", "r1", moment, "1")])),
            usage(json!([with("merchant", json!("amazon.com"), report("r4", moment, "8"))])),
            update(json!({"key": "new"})),
        ] {
            world.send(asked);
            seen.push(digest(&world));
        }
        while !world.sent.is_empty() {
            world.deliver();
            seen.push(digest(&world));
        }
        world.send(by_key("new", archive()));
        seen.push(digest(&world));
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn a_line_tells_all_that_is_known() {
        let world =
            given().customer(json!({})).used([report("r1", "2026-01-10T08:15:00Z", "0.5")]).world();
        let mut line = Vec::new();
        let id = nth(KEY, 0);
        write_line(id, &world.records[&id], &mut line);
        let line = String::from_utf8(line).unwrap();
        for part in [
            r#""lifetime":["0.5","0.5",1],"quantity":"10""#,
            r#""hours":[["2026-01-10T08:00:00Z",["0.5","0.5",1]]]"#,
            r#""occurred_at":"2026-01-10T08:15:00Z","segment":"2026-01-10T08:00:00Z""#,
            r#""meter":"tokens","amounts":["10","0.5","0.5"],"corrects":null"#,
            r#""births":1,"held":[],"releasing":[]}"#,
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(line.ends_with("}\n"));
    }
}
