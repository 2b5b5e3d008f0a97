//! Are two states the same? One digest over all of it: a line of JSON per record, by id.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tallybook_events::command::{Claim, Command};
use tallybook_events::customer::{BillingControls, Budget, Contract, Identity, Policy, Profile};
use tallybook_events::ids::{CommandId, CustomerId, CustomerKey, Environment, Tenant};
use tallybook_events::money::{Amount, Total};
use tallybook_events::time::Timestamp;

use super::Record;
use super::customer::Customer;
use super::hours::Tally;
use super::reports::{ReportHash, Reports};
use super::thresholds::Told;
use super::usage::Usage;

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
        held: record.held.iter().map(|(id, held)| (*id, &held.claim, &held.command)).collect(),
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
    held: Vec<(CommandId, &'a Claim, &'a Command)>,
    releasing: &'a [Command],
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
struct ReportState<'a> {
    id: String,
    occurred_at: Timestamp,
    segment: Timestamp,
    meter: &'a str,
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
