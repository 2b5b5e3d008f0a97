//! One number for all rows: equal rows, equal digest, whatever store they are in and however they got
//! there. The place of a decision is left out: it depends on how often owners changed.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tallybook_events::customer::entitlements::Segment;
use tallybook_events::ids::{Actor, CommandId, CustomerId, Meter};
use tallybook_events::money::Total;
use tallybook_events::time::Timestamp;

use crate::commands::CommandRow;
use crate::customers::CustomerRow;
use crate::ledger::{BudgetSince, LedgerRow};
use crate::period_usage::RowKey;

/// SHA-256 over the rows of each read model, and how many they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsDigest {
    /// Of the customers, by id.
    pub customers: TableDigest,
    /// Of the ledger, hours included, by customer, kind, end and start; then of the budgets.
    pub period_usage: TableDigest,
    /// Of the timeline, by customer and version.
    pub timeline: TableDigest,
    /// Of the commands, by id, tenant, environment and partition.
    pub commands: TableDigest,
    /// Of what was used of features, by customer, feature and start.
    pub feature_usage: TableDigest,
}

/// SHA-256 over the rows of one read model.
#[derive(Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// How many rows.
    pub rows: u64,
    /// The digest.
    pub sha256: [u8; 32],
}

impl fmt::Debug for TableDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} rows ", self.rows)?;
        self.sha256.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// All read models in one number, in hexadecimal.
impl fmt::Display for ModelsDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Sha256::new();
        for table in [
            &self.customers,
            &self.period_usage,
            &self.timeline,
            &self.commands,
            &self.feature_usage,
        ] {
            all.update(table.sha256);
        }
        all.finalize().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A timeline row, as far as it is digested.
#[derive(Debug, Clone, Copy)]
pub struct DigestedEvent<'a> {
    /// The customer.
    pub customer_id: CustomerId,
    /// Version of the customer after the event.
    pub version: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The command that it came from.
    pub command_id: CommandId,
    /// Who asked.
    pub actor: &'a Actor,
    /// The event, as it was recorded.
    pub event: &'a str,
}

/// Takes in the rows of one read model, in their order.
#[derive(Debug, Default)]
pub struct Digester {
    rows: u64,
    sha256: Sha256,
    line: Vec<u8>,
}

impl Digester {
    /// Takes in a customer.
    pub fn customer(&mut self, row: &CustomerRow) {
        let times = (row.key_since, row.created_at, row.updated_at, row.archived_at);
        let scope = (&row.scope.tenant, row.scope.environment);
        let facts = (&row.groups, &row.entitlements);
        self.line(&(row.id, scope, &row.key, row.version, times, facts));
    }

    /// Takes in a row of the ledger.
    pub fn period(&mut self, customer: CustomerId, key: &RowKey, row: &LedgerRow) {
        let LedgerRow { tally, budget, versions } = row;
        let sums = (tally.raw, tally.charged, tally.quantity, tally.count);
        let reports = (tally.first_at, tally.last_at);
        self.line(&(customer, key.kind.as_str(), key.window, sums, budget, reports, versions));
    }

    /// Takes in a budget of the ledger.
    pub fn budget(&mut self, customer: CustomerId, set: &BudgetSince) {
        self.line(&(customer, set.version, set.since, set.budget));
    }

    /// Takes in an event of the timeline.
    pub fn event(&mut self, event: &DigestedEvent<'_>) {
        let DigestedEvent { customer_id, version, recorded_at, command_id, actor, event } = *event;
        self.line(&(customer_id, version, recorded_at, command_id, actor, event));
    }

    /// Takes in what became of a command.
    pub fn command(&mut self, row: &CommandRow) {
        let CommandRow { scope, command_id, place: _, decided_at, outcome } = row;
        self.line(&(command_id, &scope.tenant, scope.environment, decided_at, outcome));
    }

    /// Takes in what was used of a feature.
    pub fn segment(&mut self, customer: CustomerId, feature: &Meter, segment: &Segment) {
        let &Segment { start, last, used } = segment;
        let used = Total::from_trillionths(used);
        self.line(&(customer, feature, start, last, used));
    }

    /// Gives the digest of all that was taken in.
    pub fn finish(self) -> TableDigest {
        TableDigest { rows: self.rows, sha256: self.sha256.finalize().into() }
    }

    fn line(&mut self, row: &impl Serialize) {
        self.line.clear();
        serde_json::to_writer(&mut self.line, row).expect("rows are values that JSON can hold");
        self.line.push(b'\n');
        self.sha256.update(&self.line);
        self.rows += 1;
    }
}
