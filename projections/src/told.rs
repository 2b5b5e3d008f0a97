//! What a batch changed of one customer, in the shapes of the native API: for those who send it on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerId, Environment, Tenant};
use tallybook_events::time::Timestamp;

use crate::fold::CustomerFold;
use crate::ledger::{LedgerRow, LedgerSource};
use crate::period_usage::{RowKey, RowKind, Tally};
use crate::queries::{PeriodKind, UsagePeriod};

/// What became of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The customer as it stands now. The current period is that of its last event.
    pub document: CustomerDocument,
    /// Its periods that changed.
    pub periods: Vec<UsagePeriod>,
    /// Its periods that are there no more.
    pub dropped: Vec<DroppedPeriod>,
}

/// A period that is no row of the ledger any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedPeriod {
    /// Its kind.
    pub kind: PeriodKind,
    /// Its row.
    pub key: RowKey,
}

/// A customer's usage in one period, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerPeriod {
    /// The customer.
    pub customer_id: CustomerId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its environment.
    pub environment: Environment,
    /// The period and what was used in it.
    #[serde(flatten)]
    pub period: UsagePeriod,
}

/// Gives the key of a period: `customer/kind/start/end`. Two budget windows may begin at one moment.
pub fn period_key(
    customer: CustomerId,
    kind: PeriodKind,
    start: Timestamp,
    end: Timestamp,
) -> String {
    format!("{customer}/{}/{start}/{end}", kind.as_str())
}

impl Told {
    /// Takes what was folded and is not written yet. Nothing for a customer that is not born.
    ///
    /// # Errors
    /// When a row of the ledger cannot be read.
    pub fn of<S: LedgerSource>(
        fold: &CustomerFold,
        source: &mut S,
    ) -> Result<Option<Self>, S::Error> {
        let Some(now) = fold.row().map(|(row, _)| row.updated_at) else { return Ok(None) };
        let writes = fold.ledger().writes();
        let periods = writes.changed.iter().filter_map(|(key, row)| period(*key, row)).collect();
        let dropped = writes.dropped.iter().filter_map(|key| match key.kind {
            RowKind::Hour => None,
            RowKind::Period(kind) => Some(DroppedPeriod { kind, key: *key }),
        });
        let dropped = dropped.collect();
        let document = fold.clone().document(now, source)?;
        Ok(document.map(|document| Self { document, periods, dropped }))
    }
}

/// Gives a row of the ledger as it is shown; nothing for an hour, which is the ledger's own business.
fn period(key: RowKey, row: &LedgerRow) -> Option<UsagePeriod> {
    let RowKind::Period(kind) = key.kind else { return None };
    let Tally { raw, charged, quantity, count, first_at, last_at } = row.tally;
    let (start, end, budget) = (key.window.start, key.window.end, row.budget);
    Some(UsagePeriod { kind, start, end, raw, charged, quantity, count, budget, first_at, last_at })
}
