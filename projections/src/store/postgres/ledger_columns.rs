//! Rows of the ledger by columns.

use deadpool_postgres::Transaction;
use tallybook_events::customer::entitlements::Segment;
use tallybook_events::ids::{CustomerId, Meter};
use tallybook_events::money::{Amount, Total};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::asking::Values;
use super::columns::run;
use super::database::PostgresError;
use super::rows::signed;
use crate::ledger::{BudgetSince, LedgerRow};
use crate::period_usage::RowKey;

/// Rows of `period_usage`.
#[derive(Debug, Default)]
pub(super) struct PeriodColumns {
    customer: Vec<Uuid>,
    kind: Vec<&'static str>,
    starts_at: Vec<i64>,
    ends_at: Vec<i64>,
    raw: Vec<String>,
    charged: Vec<String>,
    quantity: Vec<String>,
    count: Vec<i64>,
    budget: Vec<Option<String>>,
    first_at: Vec<Option<i64>>,
    last_at: Vec<Option<i64>>,
    first_version: Vec<Option<i64>>,
    last_version: Vec<Option<i64>>,
}

impl PeriodColumns {
    pub(super) fn push(
        &mut self,
        id: CustomerId,
        key: &RowKey,
        row: &LedgerRow,
    ) -> Result<(), PostgresError> {
        let LedgerRow { tally, budget, versions } = row;
        self.customer.push(id.0);
        self.kind.push(key.kind.as_str());
        self.starts_at.push(key.window.start.micros());
        self.ends_at.push(key.window.end.micros());
        self.raw.push(tally.raw.to_string());
        self.charged.push(tally.charged.to_string());
        self.quantity.push(tally.quantity.to_string());
        self.count.push(signed(tally.count)?);
        self.budget.push(budget.as_ref().map(Amount::to_string));
        self.first_at.push(tally.first_at.map(Timestamp::micros));
        self.last_at.push(tally.last_at.map(Timestamp::micros));
        self.first_version.push(versions.map(|versions| signed(versions.first)).transpose()?);
        self.last_version.push(versions.map(|versions| signed(versions.last)).transpose()?);
        Ok(())
    }

    /// Takes away the rows of these keys.
    pub(super) async fn delete(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "DELETE FROM period_usage AS usage \
                   USING unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) \
                   AS gone (customer, kind, starts_at, ends_at) \
                   WHERE usage.customer = gone.customer AND usage.kind = gone.kind \
                   AND usage.ends_at = gone.ends_at AND usage.starts_at = gone.starts_at";
        let values: &Values<'_> = &[&self.customer, &self.kind, &self.starts_at, &self.ends_at];
        run(transaction, self.customer.len(), sql, values).await
    }

    pub(super) async fn upsert(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "INSERT INTO period_usage SELECT * FROM unnest($1::uuid[], $2::text[], \
                   $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], \
                   $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]) \
                   ON CONFLICT (customer, kind, ends_at, starts_at) DO UPDATE SET \
                   raw = excluded.raw, charged = excluded.charged, quantity = excluded.quantity, \
                   count = excluded.count, budget = excluded.budget, \
                   first_at = excluded.first_at, last_at = excluded.last_at, \
                   first_version = excluded.first_version, last_version = excluded.last_version";
        let values: &Values<'_> = &[
            &self.customer,
            &self.kind,
            &self.starts_at,
            &self.ends_at,
            &self.raw,
            &self.charged,
            &self.quantity,
            &self.count,
            &self.budget,
            &self.first_at,
            &self.last_at,
            &self.first_version,
            &self.last_version,
        ];
        run(transaction, self.customer.len(), sql, values).await
    }
}

/// Rows of `budgets`.
#[derive(Debug, Default)]
pub(super) struct BudgetColumns {
    customer: Vec<Uuid>,
    since: Vec<i64>,
    version: Vec<i64>,
    budget: Vec<Option<String>>,
}

impl BudgetColumns {
    pub(super) fn push(&mut self, id: CustomerId, set: &BudgetSince) -> Result<(), PostgresError> {
        self.customer.push(id.0);
        self.since.push(set.since.micros());
        self.version.push(signed(set.version)?);
        self.budget.push(set.budget.as_ref().map(Amount::to_string));
        Ok(())
    }

    pub(super) async fn insert(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "INSERT INTO budgets \
                   SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])";
        let values: &Values<'_> = &[&self.customer, &self.since, &self.version, &self.budget];
        run(transaction, self.customer.len(), sql, values).await
    }
}

/// Rows of `feature_usage`.
#[derive(Debug, Default)]
pub(super) struct SegmentColumns {
    customer: Vec<Uuid>,
    feature: Vec<String>,
    starts_at: Vec<i64>,
    last_at: Vec<i64>,
    used: Vec<String>,
}

impl SegmentColumns {
    pub(super) fn push(
        &mut self,
        id: CustomerId,
        feature: &Meter,
        segment: &Segment,
    ) -> Result<(), PostgresError> {
        let Segment { start, last, used } = *segment;
        let used = Total::from_trillionths(used)
            .ok_or_else(|| PostgresError::Row(format!("{used} is too large to keep")))?;
        self.customer.push(id.0);
        self.feature.push(feature.as_str().into());
        self.starts_at.push(start.micros());
        self.last_at.push(last.micros());
        self.used.push(used.to_string());
        Ok(())
    }

    /// Takes away all rows of these features.
    pub(super) async fn delete_all(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(), PostgresError> {
        let sql = "DELETE FROM feature_usage AS usage USING unnest($1::uuid[], $2::text[]) \
                   AS gone (customer, feature) \
                   WHERE usage.customer = gone.customer AND usage.feature = gone.feature";
        run(transaction, self.customer.len(), sql, &[&self.customer, &self.feature]).await
    }

    /// Takes away the rows of these keys.
    pub(super) async fn delete(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "DELETE FROM feature_usage AS usage \
                   USING unnest($1::uuid[], $2::text[], $3::bigint[]) \
                   AS gone (customer, feature, starts_at) WHERE usage.customer = gone.customer \
                   AND usage.feature = gone.feature AND usage.starts_at = gone.starts_at";
        let values: &Values<'_> = &[&self.customer, &self.feature, &self.starts_at];
        run(transaction, self.customer.len(), sql, values).await
    }

    pub(super) async fn upsert(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "INSERT INTO feature_usage SELECT * FROM unnest($1::uuid[], $2::text[], \
                   $3::bigint[], $4::bigint[], $5::text[]) \
                   ON CONFLICT (customer, feature, starts_at) DO UPDATE SET \
                   last_at = excluded.last_at, used = excluded.used";
        let values: &Values<'_> =
            &[&self.customer, &self.feature, &self.starts_at, &self.last_at, &self.used];
        run(transaction, self.customer.len(), sql, values).await
    }
}
